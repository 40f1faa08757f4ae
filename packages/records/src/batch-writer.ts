import { writeProducerFields, type ProducerFields } from './producer-fields.js'
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
import { checkRecords, recordByteLength, timestampOf, writeRecord } from './record-writer.js'
import type { RecordInput } from './record.js'

/** What headers have in common: one copy of it costs less than filling its parts. */
const blankHeader = new Uint8Array(HEADER_BYTES)
blankHeader[MAGIC_AT] = MAGIC
// Producer id, producer epoch and base sequence are −1, "none", in all their bytes.
blankHeader.fill(0xff, MAX_TIMESTAMP_AT + 8, RECORDS_COUNT_AT)

/**
 * Exact size in bytes of the uncompressed batch that {@link writeBatch} writes for the same arguments.
 *
 * @throws VarveError `VARVE_EMPTY_BATCH` for no records, `VARVE_RECORD_INVALID` for a record that cannot be encoded.
 */
export function batchByteLength(records: readonly RecordInput[], now: number): number {
  checkRecords(records)
  if (records.length === 0) throw emptyBatch()
  const baseTimestamp = timestampOf(records[0]!, now)
  let total = HEADER_BYTES
  for (let index = 0; index < records.length; index++) {
    const record = records[index]!
    total += recordByteLength(record, timestampOf(record, now) - baseTimestamp, index)
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
 * @example
 * ```ts
 * import { batchByteLength, sealBatch, setProducer, writeBatch } from '@varve/records'
 *
 * const [records, now] = [[{ value: 'a' }, { value: 'b' }], Date.now()]
 * const target = Buffer.alloc(batchByteLength(records, now))
 * const end = writeBatch(target, 0, records, now)
 * sealBatch(target, 0, end)
 * setProducer(target, { producerId: 7, producerEpoch: 0, baseSequence: 0 })
 * ```
 */
export function writeBatch(target: Buffer, at: number, records: readonly RecordInput[], now: number): number {
  checkRecords(records)
  if (records.length === 0) throw emptyBatch()
  if (at + HEADER_BYTES > target.length) throw tooSmall(target, at)
  const baseTimestamp = timestampOf(records[0]!, now)
  let maxTimestamp = baseTimestamp
  let position = at + HEADER_BYTES

  for (let index = 0; index < records.length; index++) {
    const record = records[index]!
    const timestamp = timestampOf(record, now)
    if (timestamp > maxTimestamp) maxTimestamp = timestamp
    position = writeRecord(target, position, record, timestamp - baseTimestamp, index)
    if (position < 0) throw tooSmall(target, at)
  }

  writeBatchHeader(target, at, position, records.length, baseTimestamp, maxTimestamp)
  return position
}

/** Writes the header of the batch in `target[at, end)`, the CRC left 0. @throws VarveError `VARVE_BATCH_TOO_LARGE` */
export function writeBatchHeader(
  target: Buffer,
  at: number,
  end: number,
  recordsCount: number,
  baseTimestamp: number,
  maxTimestamp: number,
): void {
  if (end - at - LENGTH_OVERHEAD > 0x7fff_ffff) {
    throw new VarveError(
      'VARVE_BATCH_TOO_LARGE',
      'A record batch cannot exceed 2 GiB; append fewer records at once',
    )
  }
  target.set(blankHeader, at)
  writeInt32(target, at + LENGTH_AT, end - at - LENGTH_OVERHEAD)
  writeInt32(target, at + LAST_OFFSET_DELTA_AT, recordsCount - 1)
  writeInt64(target, at + BASE_TIMESTAMP_AT, baseTimestamp)
  writeInt64(target, at + MAX_TIMESTAMP_AT, maxTimestamp)
  writeInt32(target, at + RECORDS_COUNT_AT, recordsCount)
}

/** Computes the CRC of the batch in `target[at, end)` and stores it in its header. */
export function sealBatch(target: Buffer, at: number, end: number): void {
  writeInt32(target, at + CRC_AT, crc32c(target.subarray(at + CRC_FROM, end)))
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

export function tooSmall(target: Buffer, at: number): VarveError {
  return new VarveError(
    'VARVE_BUFFER_TOO_SMALL',
    `The batch does not fit into the buffer: ${target.length} bytes, writing at ${at}; ask batchByteLength() first`,
  )
}

/** Makes a complete batch one of this producer, with its CRC, in place. @throws VarveError `VARVE_RECORD_INVALID` */
export function setProducer(batch: Buffer, producer: ProducerFields): void {
  writeProducerFields(batch, producer)
  sealBatch(batch, 0, batch.length)
}
