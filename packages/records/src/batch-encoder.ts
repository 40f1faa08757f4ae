import { compressBatch } from './batch-builder.js'
import type { Compression } from './batch-format.js'
import { batchByteLength, sealBatch, writeBatch, writeInt64 } from './batch-writer.js'
import { compressionOptions, type CompressionOptions } from './compression.js'
import { VarveError } from './error.js'
import { writeProducerFields, type ProducerFields } from './producer-fields.js'
import type { RecordInput } from './record.js'

/** What a batch shall be besides its records. */
export interface EncodeOptions {
  /** The codec, alone or with a level. Default `'none'`. */
  compression?: Compression | CompressionOptions
  /** Timestamp, in ms since 1970, of records that bring none. Default `Date.now()`. */
  now?: number
  /** Default 0: a broker assigns offsets. */
  baseOffset?: number
  /** The idempotent or transactional producer that writes the batch. Default none. */
  producer?: ProducerFields
}

/**
 * A complete record batch v2 with its CRC, ready for a Produce request, `appendBatches` or a segment file.
 *
 * @throws VarveError `VARVE_EMPTY_BATCH` for no records, `VARVE_RECORD_INVALID` for one, or a field, that cannot be encoded,
 * `VARVE_UNSUPPORTED_CODEC` for an unknown codec and one whose library cannot be loaded, `VARVE_INVALID_OPTION` for a level
 * that the codec does not have.
 * @example
 * ```ts
 * import { batchesIn, encodeBatch } from '@varve/records'
 *
 * const bytes = encodeBatch([{ key: 'user-1', value: 'signed in' }], { compression: 'zstd' })
 * for (const batch of batchesIn(bytes)) {
 *   if (!batch.verifyCrc()) throw new Error(`damaged batch at offset ${batch.baseOffset}`)
 *   for (const record of batch.records()) console.log(record.offset, String(record.key), String(record.value))
 * }
 * ```
 */
export function encodeBatch(records: readonly RecordInput[], options: EncodeOptions = {}): Buffer {
  const { compression = 'none', now = Date.now(), baseOffset = 0, producer } = options
  if (!Number.isSafeInteger(baseOffset) || baseOffset < 0) {
    throw new VarveError(
      'VARVE_RECORD_INVALID',
      `A base offset must be a whole number from 0 on, got ${baseOffset}`,
    )
  }
  let batch: Buffer = Buffer.allocUnsafe(batchByteLength(records, now))
  writeBatch(batch, 0, records, now)
  if (compression !== 'none') batch = compressBatch(batch, compressionOptions(compression))
  if (baseOffset !== 0) writeInt64(batch, 0, baseOffset)
  if (producer !== undefined) writeProducerFields(batch, producer)
  sealBatch(batch, 0, batch.length)
  return batch
}
