import {
  ATTRIBUTES_AT,
  codecs,
  HEADER_BYTES,
  LENGTH_AT,
  LENGTH_OVERHEAD,
  type Compression,
} from './batch-format.js'
import { sealBatch, writeBatchHeader } from './batch-writer.js'
import { compress, compressionOptions, type CompressionOptions } from './compression.js'
import { VarveError } from './error.js'
import { writeProducerFields, type ProducerFields } from './producer-fields.js'
import { timestampOf, writeRecord } from './record-writer.js'
import type { RecordInput } from './record.js'

const FIRST_BYTES = 1024

/**
 * A batch that grows record by record. What is appended is encoded at once: neither the record nor the memory of
 * its key and value is held on to.
 *
 * @example
 * ```ts
 * import { BatchBuilder } from '@varve/records'
 *
 * const builder = new BatchBuilder(16_384)
 * for (let n = 0; builder.append({ value: `record ${n}` }, Date.now()); n++) continue
 * console.log(builder.recordsCount, builder.byteLength, builder.finish('gzip').length)
 * ```
 */
export class BatchBuilder {
  private readonly maxBytes: number
  private bytes: Buffer
  private end = HEADER_BYTES
  private count = 0
  private baseTimestamp = 0
  private maxTimestamp = 0

  /** @param maxBytes the size at which the uncompressed batch is full; a single larger record still gets a batch. */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
    this.bytes = Buffer.allocUnsafeSlow(Math.max(Math.min(FIRST_BYTES, maxBytes), HEADER_BYTES))
  }

  /** Records of the batch so far. */
  get recordsCount(): number {
    return this.count
  }

  /** Bytes of the batch so far, uncompressed, its header included. */
  get byteLength(): number {
    return this.end
  }

  /**
   * Adds the record, or returns false when the batch is too full for it.
   *
   * @param now the timestamp of a record that brings none
   * @throws VarveError `VARVE_RECORD_INVALID`; the batch is as it was before.
   */
  append(record: RecordInput, now: number): boolean {
    const timestamp = timestampOf(record, now)
    const base = this.count === 0 ? timestamp : this.baseTimestamp
    let end = writeRecord(this.bytes, this.end, record, timestamp - base, this.count)
    if (end < 0) {
      if (-end > this.maxBytes && this.count > 0) return false
      this.grow(-end)
      end = writeRecord(this.bytes, this.end, record, timestamp - base, this.count)
    } else if (end > this.maxBytes && this.count > 0) {
      return false
    }
    if (this.count === 0) {
      this.baseTimestamp = timestamp
      this.maxTimestamp = timestamp
    } else if (timestamp > this.maxTimestamp) {
      this.maxTimestamp = timestamp
    }
    this.end = end
    this.count++
    return true
  }

  /**
   * The complete batch with its CRC. The builder must not be used afterwards: an uncompressed batch is its memory.
   *
   * @param producer the idempotent or transactional producer that writes the batch; default none
   * @throws VarveError `VARVE_EMPTY_BATCH`, `VARVE_UNSUPPORTED_CODEC`, `VARVE_INVALID_OPTION` for a level that the codec does not
   * have, `VARVE_RECORD_INVALID` for the producer's fields
   */
  finish(compression: Compression | CompressionOptions = 'none', producer?: ProducerFields): Buffer {
    if (this.count === 0)
      throw new VarveError('VARVE_EMPTY_BATCH', 'A record batch needs at least one record')
    writeBatchHeader(this.bytes, 0, this.end, this.count, this.baseTimestamp, this.maxTimestamp)
    let batch = this.bytes.subarray(0, this.end)
    if (compression !== 'none') batch = compressBatch(batch, compressionOptions(compression))
    if (producer !== undefined) writeProducerFields(batch, producer)
    sealBatch(batch, 0, batch.length)
    return batch
  }

  private grow(needed: number): void {
    const doubled = Math.min(this.bytes.length * 2, this.maxBytes)
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, doubled))
    this.bytes.copy(larger, HEADER_BYTES, HEADER_BYTES, this.end)
    this.bytes = larger
  }
}

/** The same batch with its records compressed; base offset and CRC are the caller's to set. */
export function compressBatch(plain: Buffer, { codec, level }: CompressionOptions): Buffer {
  if (codec === 'none') return plain
  const records = compress(codec, plain.subarray(HEADER_BYTES), level)
  const batch = Buffer.allocUnsafe(HEADER_BYTES + records.length)
  plain.copy(batch, 0, 0, HEADER_BYTES)
  batch.set(records, HEADER_BYTES)
  batch.writeInt32BE(batch.length - LENGTH_OVERHEAD, LENGTH_AT)
  batch.writeInt16BE(codecs.indexOf(codec), ATTRIBUTES_AT)
  return batch
}
