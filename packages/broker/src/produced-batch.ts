import { errors } from '@varve/protocol'
import type { TopicSettings } from './configs/topic-settings.js'
import type { KafkaError } from './kafka-error.js'

// Where the fields of a version 2 record batch are that decide whether it is taken; the log checks the rest.
const baseOffsetAt = 0
const lengthAt = 8
const lengthEnd = 12
const magicAt = 16
const magicEnd = 17
const attributesAt = 21
const headerBytes = 61

/** The smallest length field of any format: below it nothing that follows can be trusted. */
const leastLength = 14

const codecMask = 0x07
const zstd = 4
const logAppendTime = 0x08
const transactional = 0x10
const control = 0x20

/** The first version of Produce whose clients may send zstd (KIP-110). */
const zstdSince = 7

/** Why a batch is not taken. */
export class RefusedBatch {
  readonly error: KafkaError
  readonly message: string
  /** Whether it is the log that refuses it, which tells where it starts, and not the request that is wrong. */
  readonly byLog: boolean

  constructor(error: KafkaError, message: string, byLog = false) {
    this.error = error
    this.message = message
    this.byLog = byLog
  }
}

/**
 * Finds the one record batch that a partition of a Produce request must hold, or why the broker does not take it. What
 * needs the bytes themselves (CRC, counts, deltas) is left to the log.
 *
 * An incomplete batch behind the first is cut off, as Kafka does.
 */
export function producedBatch(
  records: Buffer | null,
  apiVersion: number,
  settings: TopicSettings,
): Buffer | RefusedBatch {
  if (records === null || records.length < lengthEnd) {
    return new RefusedBatch(
      errors.INVALID_RECORD,
      `Produce requests with version ${apiVersion} must have at least one record batch per partition`,
    )
  }
  const length = records.readInt32BE(lengthAt)
  if (length < leastLength) {
    return new RefusedBatch(
      errors.CORRUPT_MESSAGE,
      `Record batch length ${length} is less than the minimum ${leastLength}`,
    )
  }
  const end = lengthEnd + length
  if (end > records.length) {
    return new RefusedBatch(
      errors.INVALID_RECORD,
      `Produce requests with version ${apiVersion} must have at least one record batch per partition; ` +
        `the ${records.length} bytes here are the beginning of one of ${end}`,
    )
  }
  const magic = records.readInt8(magicAt)
  if (magic > 2) {
    return new RefusedBatch(errors.CORRUPT_MESSAGE, `There is no record batch with magic version ${magic}`)
  }
  if (magic !== 2) {
    return new RefusedBatch(
      errors.INVALID_RECORD,
      `Produce requests with version ${apiVersion} are only allowed to contain record batches with magic version 2, not ${magic}`,
    )
  }
  if (end < headerBytes) {
    return new RefusedBatch(errors.CORRUPT_MESSAGE, `Record batch of ${end} bytes is smaller than its header`)
  }
  if (holdsAnother(records, end)) {
    return new RefusedBatch(
      errors.INVALID_RECORD,
      `Produce requests with version ${apiVersion} are only allowed to contain exactly one record batch per partition`,
    )
  }
  return refusal(records, end, apiVersion, settings) ?? records.subarray(0, end)
}

function refusal(
  records: Buffer,
  end: number,
  apiVersion: number,
  { maxMessageBytes, log: { segmentBytes = Infinity, compression } }: TopicSettings,
): RefusedBatch | null {
  const attributes = records.readUInt16BE(attributesAt)
  const codec = attributes & codecMask
  if (codec > zstd)
    return new RefusedBatch(errors.UNSUPPORTED_COMPRESSION_TYPE, `Unknown compression type id: ${codec}`)
  if (codec === zstd && apiVersion < zstdSince) {
    return new RefusedBatch(
      errors.UNSUPPORTED_COMPRESSION_TYPE,
      `Produce requests with version ${apiVersion} are not allowed to use ZStandard compression`,
    )
  }
  if (records.readInt32BE(baseOffsetAt) !== 0 || records.readInt32BE(baseOffsetAt + 4) !== 0) {
    return new RefusedBatch(
      errors.INVALID_RECORD,
      `The base offset of a produced record batch should be 0, but it is ${records.readBigInt64BE(baseOffsetAt)}`,
      true,
    )
  }
  if (end > maxMessageBytes) {
    return new RefusedBatch(
      errors.MESSAGE_TOO_LARGE,
      `The record batch size is ${end} bytes which exceeds the maximum configured value of ${maxMessageBytes}`,
    )
  }
  if ((attributes & control) !== 0) {
    return new RefusedBatch(errors.INVALID_RECORD, 'Clients are not allowed to write control records', true)
  }
  if ((attributes & transactional) !== 0) {
    return new RefusedBatch(
      errors.UNSUPPORTED_FOR_MESSAGE_FORMAT,
      'This broker does not support transactions',
    )
  }
  if ((attributes & logAppendTime) !== 0) {
    return new RefusedBatch(
      errors.INVALID_TIMESTAMP,
      'Producers should not set the timestamp type to LogAppendTime',
    )
  }
  if (end > segmentBytes && compression === 'producer') {
    return new RefusedBatch(
      errors.RECORD_LIST_TOO_LARGE,
      `The record batch size is ${end} bytes which exceeds the maximum configured segment size of ${segmentBytes}`,
    )
  }
  return null
}

/** Whether a second whole batch, or something with an impossible length, follows the first. */
function holdsAnother(records: Buffer, end: number): boolean {
  if (records.length - end < magicEnd) return false
  const length = records.readInt32BE(end + lengthAt)
  return length < leastLength || length <= records.length - end - lengthEnd
}
