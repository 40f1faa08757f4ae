import { isUint8Array } from 'node:util/types'
import {
  BASE_TIMESTAMP_AT,
  CRC_AT,
  CRC_FROM,
  HEADER_BYTES,
  LAST_OFFSET_DELTA_AT,
  LENGTH_AT,
  LENGTH_OVERHEAD,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  RECORDS_COUNT_AT,
} from './batch-format.js'
import { crc32c } from './crc32c.js'
import { VarveError } from './error.js'
import type { Bytes, HeadersInput, RecordInput } from './record.js'
import { sizeOfVarint, sizeOfVarlong, writeVarint, writeVarlong } from './varint.js'

// Below this many characters or bytes a loop beats the call into the runtime.
const SHORT = 24

/**
 * Exact size in bytes of the uncompressed batch that {@link writeBatch} writes for the same arguments.
 *
 * @throws VarveError `VARVE_EMPTY_BATCH` for no records, `VARVE_RECORD_INVALID` for a record that cannot be encoded.
 */
export function batchByteLength(records: readonly RecordInput[], now: number): number {
  const first = records[0]
  if (first === undefined) throw emptyBatch()
  const baseTimestamp = timestampOf(first, now)
  let total = HEADER_BYTES
  for (let index = 0; index < records.length; index++) {
    const record = records[index]!
    const size = recordBodyLength(record, timestampOf(record, now) - baseTimestamp, index)
    total += sizeOfVarint(size) + size
  }
  return total
}

/**
 * Writes one uncompressed batch at `at` and returns the position after it. `now` is the timestamp of the
 * records that bring none. Base offset and leader epoch are 0, there is no producer id, and the CRC is left 0:
 * {@link sealBatch}, or the log engine, fills it in.
 *
 * @throws VarveError `VARVE_EMPTY_BATCH`, `VARVE_RECORD_INVALID`, or `VARVE_BUFFER_TOO_SMALL` when `target` ends
 * before the batch does ({@link batchByteLength} tells how much it takes); `target` then holds part of a batch.
 */
export function writeBatch(target: Buffer, at: number, records: readonly RecordInput[], now: number): number {
  const first = records[0]
  if (first === undefined) throw emptyBatch()
  if (at + HEADER_BYTES > target.length) throw tooSmall(target, at)
  const baseTimestamp = timestampOf(first, now)
  let maxTimestamp = baseTimestamp
  let position = at + HEADER_BYTES

  for (let index = 0; index < records.length; index++) {
    const record = records[index]!
    const timestamp = timestampOf(record, now)
    if (timestamp > maxTimestamp) maxTimestamp = timestamp
    position = writeRecord(target, position, record, timestamp - baseTimestamp, index)
  }

  if (position - at - LENGTH_OVERHEAD > 0x7fff_ffff) {
    throw new VarveError(
      'VARVE_BATCH_TOO_LARGE',
      'A record batch cannot exceed 2 GiB; append fewer records at once',
    )
  }
  target.fill(0, at, at + LENGTH_AT)
  writeInt32(target, at + LENGTH_AT, position - at - LENGTH_OVERHEAD)
  target.fill(0, at + LENGTH_AT + 4, at + MAGIC_AT)
  target[at + MAGIC_AT] = MAGIC
  target.fill(0, at + CRC_AT, at + LAST_OFFSET_DELTA_AT)
  writeInt32(target, at + LAST_OFFSET_DELTA_AT, records.length - 1)
  writeInt64(target, at + BASE_TIMESTAMP_AT, baseTimestamp)
  writeInt64(target, at + MAX_TIMESTAMP_AT, maxTimestamp)
  // Producer id, producer epoch and base sequence are −1, "none", in all their bytes.
  target.fill(0xff, at + MAX_TIMESTAMP_AT + 8, at + RECORDS_COUNT_AT)
  writeInt32(target, at + RECORDS_COUNT_AT, records.length)
  return position
}

/** Computes the CRC of the batch in `target[at, end)` and stores it in its header. */
export function sealBatch(target: Buffer, at: number, end: number): void {
  writeInt32(target, at + CRC_AT, crc32c(target.subarray(at + CRC_FROM, end)))
}

function recordBodyLength(record: RecordInput, timestampDelta: number, offsetDelta: number): number {
  const key = byteLength(record.key)
  const value = byteLength(record.value)
  return (
    1 +
    sizeOfVarlong(timestampDelta) +
    sizeOfVarint(offsetDelta) +
    sizeOfVarint(key) +
    (key > 0 ? key : 0) +
    sizeOfVarint(value) +
    (value > 0 ? value : 0) +
    (record.headers === undefined ? 1 : headersLength(record.headers))
  )
}

function writeRecord(
  target: Buffer,
  at: number,
  record: RecordInput,
  timestampDelta: number,
  offsetDelta: number,
): number {
  const { key, value, headers } = record
  const keyLength = byteLength(key)
  const valueLength = byteLength(value)
  const size =
    1 +
    sizeOfVarlong(timestampDelta) +
    sizeOfVarint(offsetDelta) +
    sizeOfVarint(keyLength) +
    (keyLength > 0 ? keyLength : 0) +
    sizeOfVarint(valueLength) +
    (valueLength > 0 ? valueLength : 0) +
    (headers === undefined ? 1 : headersLength(headers))
  // Stores beyond the end of a Buffer are silently lost, so room is checked before the first of them.
  if (at + sizeOfVarint(size) + size > target.length) throw tooSmall(target, at)

  let position = writeVarint(target, at, size)
  target[position++] = 0
  position = writeVarlong(target, position, timestampDelta)
  position = writeVarint(target, position, offsetDelta)
  position = writeBytes(target, position, key, keyLength)
  position = writeBytes(target, position, value, valueLength)
  if (headers === undefined) {
    target[position++] = 0
    return position
  }
  return writeHeaders(target, position, headers)
}

function headersLength(headers: HeadersInput): number {
  let count = 0
  let total = 0
  for (const [name, value] of pairsOf(headers)) {
    const nameLength = headerNameLength(name)
    const valueLength = byteLength(value)
    total +=
      sizeOfVarint(nameLength) + nameLength + sizeOfVarint(valueLength) + (valueLength > 0 ? valueLength : 0)
    count++
  }
  return sizeOfVarint(count) + total
}

function writeHeaders(target: Buffer, at: number, headers: HeadersInput): number {
  const pairs = pairsOf(headers)
  let position = writeVarint(target, at, pairs.length)
  for (const [name, value] of pairs) {
    position = writeBytes(target, position, name, headerNameLength(name))
    position = writeBytes(target, position, value, byteLength(value))
  }
  return position
}

function pairsOf(headers: HeadersInput): ReadonlyArray<readonly [string, Bytes]> {
  if (Array.isArray(headers)) return headers
  if (typeof headers === 'object' && headers !== null) return Object.entries(headers as Record<string, Bytes>)
  throw invalid('headers must be an object or an array of [name, value] pairs', headers)
}

function headerNameLength(name: unknown): number {
  if (typeof name === 'string') return utf8Length(name)
  throw invalid('a header name must be a string', name)
}

/** −1 for null and undefined, as the format has it. */
function byteLength(bytes: Bytes | undefined): number {
  if (typeof bytes === 'string') return utf8Length(bytes)
  if (bytes === null || bytes === undefined) return -1
  if (bytes instanceof Uint8Array || isUint8Array(bytes)) return (bytes as Uint8Array).length
  throw invalid('keys and values must be a string, a Uint8Array or null', bytes)
}

function utf8Length(text: string): number {
  const length = text.length
  if (length > SHORT) return Buffer.byteLength(text)
  for (let index = 0; index < length; index++) {
    if (text.charCodeAt(index) >= 0x80) return Buffer.byteLength(text)
  }
  return length
}

function writeBytes(target: Buffer, at: number, bytes: Bytes | undefined, length: number): number {
  let position = writeVarint(target, at, length)
  if (length <= 0) return position
  if (typeof bytes === 'string') {
    if (length <= SHORT && length === bytes.length) {
      for (let index = 0; index < length; index++) target[position++] = bytes.charCodeAt(index)
      return position
    }
    target.write(bytes, position, length)
  } else if (length <= SHORT) {
    for (let index = 0; index < length; index++) target[position++] = bytes![index]!
    return position
  } else {
    target.set(bytes!, position)
  }
  return position + length
}

function timestampOf(record: RecordInput, now: number): number {
  const timestamp = record.timestamp ?? now
  if (Number.isSafeInteger(timestamp) && timestamp >= -1) return timestamp
  throw invalid('a timestamp must be a whole number of milliseconds, −1 or greater', timestamp)
}

function writeInt32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

/** Writes a safe integer as an int64; Buffer's own method would allocate a BigInt per call. */
export function writeInt64(target: Uint8Array, at: number, value: number): void {
  writeInt32(target, at, Math.floor(value / 0x1_0000_0000))
  writeInt32(target, at + 4, value)
}

function emptyBatch(): VarveError {
  return new VarveError('VARVE_EMPTY_BATCH', 'A record batch needs at least one record')
}

function tooSmall(target: Buffer, at: number): VarveError {
  return new VarveError(
    'VARVE_BUFFER_TOO_SMALL',
    `The batch does not fit into the buffer: ${target.length} bytes, writing at ${at}; ask batchByteLength() first`,
  )
}

function invalid(rule: string, value: unknown): VarveError {
  const shown = typeof value === 'number' ? String(value) : value === null ? 'null' : typeof value
  return new VarveError('VARVE_RECORD_INVALID', `Cannot encode the record: ${rule}, got ${shown}`)
}
