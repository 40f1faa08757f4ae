import { codecs, type Compression } from './batch-format.js'
import type { Codec } from './codec.js'
import { VarveError } from './error.js'
import { gzip } from './gzip-codec.js'
import { lz4 } from './lz4-codec.js'
import { snappy } from './snappy-codec.js'
import { zstd } from './zstd-codec.js'

/** Default bound on what one compressed batch may expand to, in bytes: 256 MiB. */
export const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024

const CODECS: Readonly<Record<Exclude<Compression, 'none'>, Codec>> = { gzip, snappy, lz4, zstd }

/** A codec and how hard it tries. */
export interface CompressionOptions {
  /** The codec, by Kafka's name. */
  readonly codec: Compression
  /**
   * By default, and within, what {@link compressionLevels} says. Codecs without levels take none. lz4 at another level than
   * its default needs `@varve/native`.
   */
  readonly level?: number
}

/**
 * The levels of the codecs that have any, by Kafka's numbers (KIP-390): −1 of gzip is zlib's default; 9 of lz4 is its fast
 * compression and all others levels of its high one, of which those from 12 on are the same.
 */
export const compressionLevels = {
  gzip: { least: 1, most: 9, default: -1 },
  lz4: { least: 1, most: 17, default: 9 },
  zstd: { least: -131_072, most: 22, default: 3 },
} as const satisfies Partial<Record<Compression, { least: number; most: number; default: number }>>

/**
 * A codec and its level, whichever way they were given; `level` is left out for its default.
 *
 * @throws VarveError `VARVE_UNSUPPORTED_CODEC`, or `VARVE_INVALID_OPTION` for a level that the codec does not have.
 * @example
 * ```ts
 * import { compressionOptions } from '@varve/records'
 *
 * console.log(compressionOptions('zstd'), compressionOptions({ codec: 'zstd', level: 19 }))
 * ```
 */
export function compressionOptions(compression: Compression | CompressionOptions): CompressionOptions {
  const options = typeof compression === 'object' ? compression : { codec: compression }
  const { codec, level } = options
  if (!codecs.includes(codec)) throw unknownCodec(codec)
  if (level === undefined) return { codec }
  if (!Object.hasOwn(compressionLevels, codec)) {
    throw invalidLevel(`${codec} has no levels, so that ${String(level)} must be left out`)
  }
  const { least, most, default: byDefault } = compressionLevels[codec as keyof typeof compressionLevels]
  if (level === byDefault || (Number.isInteger(level) && level >= least && level <= most))
    return { codec, level }
  const orDefault = byDefault < least ? `, or ${byDefault}` : ''
  throw invalidLevel(
    `The level of ${codec} must be a whole number from ${least} to ${most}${orDefault}, not ${level}`,
  )
}

function invalidLevel(message: string): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', message)
}

/**
 * Compresses the concatenated records of a batch, each codec in the framing of Kafka's Java client: snappy in
 * snappy-java's blocks of 32 KiB, lz4 and zstd as a frame.
 *
 * @param level as in {@link CompressionOptions}
 * @throws VarveError `VARVE_UNSUPPORTED_CODEC` for an unknown codec, and where its library cannot be loaded;
 * `VARVE_INVALID_OPTION` for a level that the codec does not have.
 * @example
 * ```ts
 * import { compress, decompress, MAX_DECOMPRESSED_BYTES } from '@varve/records'
 *
 * const compressed = compress('lz4', Buffer.alloc(10_000, 'a'))
 * console.log(compressed.length, decompress('lz4', compressed, MAX_DECOMPRESSED_BYTES).length)
 * ```
 */
export function compress(codec: Exclude<Compression, 'none'>, records: Uint8Array, level?: number): Buffer {
  const implementation = codecNamed(codec)
  return implementation.compress(asBuffer(records), compressionOptions({ codec, level }).level)
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
  throw unknownCodec(name)
}

function unknownCodec(name: unknown): VarveError {
  return new VarveError(
    'VARVE_UNSUPPORTED_CODEC',
    `There is no codec ${String(name)}: use 'none', 'gzip', 'snappy', 'lz4' or 'zstd'`,
  )
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
