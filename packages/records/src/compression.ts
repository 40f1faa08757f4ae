import { createRequire } from 'node:module'
import { gunzipSync, gzipSync } from 'node:zlib'
import type * as lz4Napi from 'lz4-napi'
import type { Compression } from './batch-format.js'
import { VarveError } from './error.js'
import { lz4FrameBound } from './lz4-frame.js'

/** What the codecs here can write, besides leaving a batch uncompressed. */
export type WritableCompression = 'none' | 'gzip' | 'lz4'

/** Default bound on what one compressed batch may expand to, in bytes: 256 MiB. */
export const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024

type Lz4 = typeof lz4Napi
let lz4: Lz4 | undefined

// Loaded on first use: most processes never see an lz4 batch, and an addon that does not exist for a platform
// must not keep the rest of this package from working there.
function loadLz4(): Lz4 {
  if (lz4 !== undefined) return lz4
  try {
    return (lz4 = createRequire(import.meta.url)('lz4-napi') as Lz4)
  } catch (cause) {
    throw new VarveError(
      'VARVE_UNSUPPORTED_CODEC',
      'The lz4 codec could not be loaded on this platform; reinstall with optional dependencies, or use gzip',
      { cause },
    )
  }
}

/** Compresses the concatenated records of a batch; lz4 writes a frame of independent blocks, as Kafka's clients do. */
export function compress(codec: Exclude<WritableCompression, 'none'>, records: Uint8Array): Buffer {
  if (codec === 'gzip') return gzipSync(records)
  if (codec === 'lz4') return loadLz4().compressFrameSync(asBuffer(records))
  throw new VarveError(
    'VARVE_UNSUPPORTED_CODEC',
    `Cannot write ${String(codec)}: use 'none', 'gzip' or 'lz4'`,
  )
}

/**
 * The inverse of {@link compress}, refusing to produce more than `maxBytes`.
 *
 * @throws VarveError `VARVE_UNSUPPORTED_CODEC` for snappy and zstd, `VARVE_DECOMPRESSION_LIMIT`, or
 * `VARVE_BATCH_INVALID` for bytes that are not what the codec says.
 */
export function decompress(codec: Exclude<Compression, 'none'>, bytes: Uint8Array, maxBytes: number): Buffer {
  if (codec === 'gzip') return gunzip(bytes, maxBytes)
  if (codec === 'lz4') return unlz4(bytes, maxBytes)
  throw new VarveError(
    'VARVE_UNSUPPORTED_CODEC',
    `Cannot read ${codec} batches: only none, gzip and lz4 can be decompressed`,
  )
}

function gunzip(bytes: Uint8Array, maxBytes: number): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxBytes })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw limitExceeded('gzip', maxBytes, cause)
    throw undecodable('gzip', cause)
  }
}

function unlz4(bytes: Uint8Array, maxBytes: number): Buffer {
  const bound = lz4FrameBound(bytes)
  if (typeof bound === 'string') throw undecodable('lz4', new Error(bound))
  if (bound > maxBytes) throw limitExceeded('lz4', maxBytes)
  const { decompressFrameSync } = loadLz4()
  try {
    return decompressFrameSync(asBuffer(bytes))
  } catch (cause) {
    throw undecodable('lz4', cause)
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function limitExceeded(codec: string, maxBytes: number, cause?: unknown): VarveError {
  return new VarveError(
    'VARVE_DECOMPRESSION_LIMIT',
    `The ${codec} batch expands to more than the limit of ${maxBytes} bytes (maxDecompressedBytes)`,
    { cause },
  )
}

function undecodable(codec: string, cause: unknown): VarveError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new VarveError(
    'VARVE_BATCH_INVALID',
    `The batch's ${codec} data cannot be decompressed: ${reason}`,
    { cause },
  )
}
