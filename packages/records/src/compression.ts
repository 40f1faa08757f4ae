import type { Compression } from './batch-format.js'
import type { Codec } from './codec.js'
import { VarveError } from './error.js'
import { gzip } from './gzip-codec.js'
import { lz4 } from './lz4-codec.js'
import { snappy } from './snappy-codec.js'
import { zstd } from './zstd-codec.js'

/** Default bound on what one compressed batch may expand to, in bytes: 256 MiB. */
export const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024

const CODECS: Readonly<Record<Exclude<Compression, 'none'>, Codec>> = { gzip, snappy, lz4, zstd }

/**
 * Compresses the concatenated records of a batch, each codec in the framing of Kafka's Java client: snappy in
 * snappy-java's blocks of 32 KiB, lz4 and zstd as a frame.
 *
 * @throws VarveError `VARVE_UNSUPPORTED_CODEC` for an unknown codec, and where its library cannot be loaded.
 * @example
 * ```ts
 * import { compress, decompress, MAX_DECOMPRESSED_BYTES } from '@varve/records'
 *
 * const compressed = compress('lz4', Buffer.alloc(10_000, 'a'))
 * console.log(compressed.length, decompress('lz4', compressed, MAX_DECOMPRESSED_BYTES).length)
 * ```
 */
export function compress(codec: Exclude<Compression, 'none'>, records: Uint8Array): Buffer {
  return codecNamed(codec).compress(asBuffer(records))
}

/**
 * The inverse of {@link compress}, refusing to produce more than `maxBytes`. Snappy is read with and without
 * snappy-java's framing.
 *
 * @throws VarveError `VARVE_UNSUPPORTED_CODEC` as {@link compress}, `VARVE_DECOMPRESSION_LIMIT`, or
 * `VARVE_BATCH_INVALID` for bytes that are not what the codec says.
 */
export function decompress(codec: Exclude<Compression, 'none'>, bytes: Uint8Array, maxBytes: number): Buffer {
  return codecNamed(codec).decompress(asBuffer(bytes), maxBytes)
}

function codecNamed(name: Exclude<Compression, 'none'>): Codec {
  if (Object.hasOwn(CODECS, name)) return CODECS[name]
  throw new VarveError(
    'VARVE_UNSUPPORTED_CODEC',
    `There is no codec ${String(name)}: use 'none', 'gzip', 'snappy', 'lz4' or 'zstd'`,
  )
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
