import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  TRANSACTIONAL,
} from './batch-format.js'
import { VarveError } from './error.js'

/** Which producer writes a batch, and as which of its batches (KIP-98). */
export interface ProducerFields {
  /** From 0 to 2^63 − 1; a bigint where a number would not be exact. */
  producerId: number | bigint
  /** From 0 to 32767. A later epoch fences the earlier ones. */
  producerEpoch: number
  /**
   * The sequence number of the first record, from 0 to 2^31 − 1; the next batch goes on behind the last one's. −1 only
   * in a transaction, for a batch that is not to be checked, as a group coordinator writes offset commits.
   */
  baseSequence: number
  /** Whether the batch is part of a transaction, which a marker ends. Default false. */
  transactional?: boolean
}

const MAX_PRODUCER_ID = 0x7fff_ffff_ffff_ffffn
const MAX_EPOCH = 0x7fff
export const INT32_MAX = 0x7fff_ffff

/** Writes the fields into the header of a batch that is not sealed yet. @throws VarveError `VARVE_RECORD_INVALID` */
export function writeProducerFields(batch: Buffer, fields: ProducerFields): void {
  const { producerId, producerEpoch, baseSequence, transactional = false } = fields
  checkProducer(producerId, producerEpoch)
  checkInteger('baseSequence', baseSequence, transactional ? -1 : 0, INT32_MAX)
  batch.writeBigInt64BE(BigInt(producerId), PRODUCER_ID_AT)
  batch.writeInt16BE(producerEpoch, PRODUCER_EPOCH_AT)
  batch.writeInt32BE(baseSequence, BASE_SEQUENCE_AT)
  if (transactional) {
    batch.writeInt16BE(batch.readInt16BE(ATTRIBUTES_AT) | TRANSACTIONAL, ATTRIBUTES_AT)
  }
}

/** @throws VarveError `VARVE_RECORD_INVALID` */
export function checkProducer(producerId: number | bigint, producerEpoch: number): void {
  const isId =
    typeof producerId === 'bigint'
      ? producerId >= 0n && producerId <= MAX_PRODUCER_ID
      : Number.isSafeInteger(producerId) && producerId >= 0
  if (!isId) throw invalid('producerId', 'a whole number from 0 to 2^63 − 1', producerId)
  checkInteger('producerEpoch', producerEpoch, 0, MAX_EPOCH)
}

/** @throws VarveError `VARVE_RECORD_INVALID` */
export function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(name, `a whole number from ${min} to ${max}`, value)
  }
}

function invalid(name: string, wanted: string, got: unknown): VarveError {
  return new VarveError('VARVE_RECORD_INVALID', `${name} must be ${wanted}, got ${String(got)}`)
}
