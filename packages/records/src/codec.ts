import { createRequire } from 'node:module'
import { VarveError } from './error.js'

/** How one of Kafka's codecs packs the concatenated records of a batch. */
export interface Codec {
  /** @param level one of the codec's; default its default */
  compress(records: Buffer, level?: number): Buffer
  /**
   * Refuses to produce more than `maxBytes`, and notices that before it has spent the memory.
   *
   * @throws VarveError `VARVE_DECOMPRESSION_LIMIT`, or `VARVE_BATCH_INVALID` for bytes that are not what the codec says.
   */
  decompress(bytes: Buffer, maxBytes: number): Buffer
}

/**
 * Loads a codec's library. That happens on its first use: most processes never see a batch of most codecs, and an addon
 * that does not exist for a platform must not keep the rest of this package from working there.
 *
 * @throws VarveError `VARVE_UNSUPPORTED_CODEC`
 */
export function loadLibrary<T>(codec: string, load: (require: NodeJS.Require) => unknown): T {
  try {
    return load(createRequire(import.meta.url)) as T
  } catch (cause) {
    throw new VarveError(
      'VARVE_UNSUPPORTED_CODEC',
      `The ${codec} codec could not be loaded on this platform; reinstall with optional dependencies, or use gzip`,
      { cause },
    )
  }
}

export function limitExceeded(codec: string, maxBytes: number, cause?: unknown): VarveError {
  return new VarveError(
    'VARVE_DECOMPRESSION_LIMIT',
    `The ${codec} batch expands to more than the limit of ${maxBytes} bytes (maxDecompressedBytes)`,
    { cause },
  )
}

export function undecodable(codec: string, cause: unknown): VarveError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new VarveError(
    'VARVE_BATCH_INVALID',
    `The batch's ${codec} data cannot be decompressed: ${reason}`,
    { cause },
  )
}
