export { BatchBuilder } from './batch-builder.js'
export { encodeBatch, type EncodeOptions } from './batch-encoder.js'
export type { Compression } from './batch-format.js'
export { batchByteLength, sealBatch, setProducer, writeBatch } from './batch-writer.js'
export {
  compress,
  compressionLevels,
  compressionOptions,
  decompress,
  MAX_DECOMPRESSED_BYTES,
  type CompressionOptions,
} from './compression.js'
export { crc32c, crc32cPortable } from './crc32c.js'
export {
  decodeEndTransactionMarker,
  encodeEndTransactionMarker,
  type EndTransactionMarker,
} from './end-transaction-marker.js'
export { VarveError, type VarveErrorOptions } from './error.js'
export type { ProducerFields } from './producer-fields.js'
export { OpenBatch } from './open-batch.js'
export { batchesIn, RecordBatch, type DecodeOptions } from './record-batch.js'
export type { Bytes, HeadersInput, LogRecord, RecordInput } from './record.js'
