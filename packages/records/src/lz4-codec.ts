import type * as lz4Napi from 'lz4-napi'
import { limitExceeded, loadLibrary, undecodable, type Codec } from './codec.js'
import { lz4FrameBound } from './lz4-frame.js'

type Lz4 = typeof lz4Napi
let library: Lz4 | undefined
const lz4Library = (): Lz4 => (library ??= loadLibrary<Lz4>('lz4', (require) => require('lz4-napi')))

/** Frames of independent blocks, as Kafka's clients write them. */
export const lz4: Codec = {
  compress: (records) => lz4Library().compressFrameSync(records),

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
