import type * as lz4Napi from 'lz4-napi'
import { limitExceeded, loadLibrary, undecodable, type Codec } from './codec.js'
import { VarveError } from './error.js'
import { lz4FrameBound } from './lz4-frame.js'
import { nativeAddon } from './native-addon.js'

type Lz4 = typeof lz4Napi
let library: Lz4 | undefined
const lz4Library = (): Lz4 => (library ??= loadLibrary<Lz4>('lz4', (require) => require('lz4-napi')))

/** Kafka's number of the fast compression; all others are levels of the high one, which the library does not have. */
const FAST = 9

function compressHigh(records: Buffer, level: number): Buffer {
  const compress = nativeAddon()?.compress
  if (compress !== undefined) return compress('lz4', records, level)
  throw new VarveError(
    'VARVE_UNSUPPORTED_CODEC',
    `Compressing lz4 at level ${level} needs @varve/native, which is not installed or could not be loaded on this ` +
      'platform: leave the level out, or use zstd',
  )
}

/** Frames of independent blocks, as Kafka's clients write them. */
export const lz4: Codec = {
  compress: (records, level = FAST) =>
    level === FAST ? lz4Library().compressFrameSync(records) : compressHigh(records, level),

  decompress(bytes, maxBytes) {
    const bound = lz4FrameBound(bytes)
    if (typeof bound === 'string') throw undecodable('lz4', new Error(bound))
    if (bound > maxBytes) throw limitExceeded('lz4', maxBytes)
    const { decompressFrameSync } = lz4Library()
    try {
      return decompressFrameSync(bytes)
    } catch (cause) {
      throw undecodable('lz4', cause)
    }
  },
}
