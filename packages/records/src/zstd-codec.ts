import zlib from 'node:zlib'
import type * as nodeZstd from '@toondepauw/node-zstd'
import { limitExceeded, loadLibrary, undecodable, type Codec } from './codec.js'
import { zstdFrames, type ZstdFrame } from './zstd-frames.js'

/** Kafka's default, and zstd's own. */
const DEFAULT_LEVEL = 3

interface Zstd {
  compress(records: Buffer, level: number): Buffer
  /** May throw anything; `ERR_BUFFER_TOO_LARGE` is the code of an exceeded limit. */
  decompress(frame: ZstdFrame, maxBytes: number): Buffer
}

/** Node 22.15 and 23.8 brought zstd; the types here are those of the oldest Node that is supported. */
interface ZlibWithZstd {
  constants: { ZSTD_c_compressionLevel: number }
  zstdCompressSync(bytes: Buffer, options: { params: Record<number, number> }): Buffer
  zstdDecompressSync(bytes: Buffer, options: { maxOutputLength: number }): Buffer
}

/** Node's own zstd, or null where this Node has none. */
export function builtInZstd(): Zstd | null {
  if (!('zstdCompressSync' in zlib)) return null
  const { constants, zstdCompressSync, zstdDecompressSync } = zlib as unknown as ZlibWithZstd
  return {
    compress: (records, level) =>
      zstdCompressSync(records, { params: { [constants.ZSTD_c_compressionLevel]: level } }),
    decompress: ({ bytes }, maxBytes) => zstdDecompressSync(bytes, { maxOutputLength: maxBytes }),
  }
}

/** The library's, which expands a frame whole. */
export function libraryZstd(): Zstd {
  const { Encoder, Decoder } = loadLibrary<typeof nodeZstd>('zstd', (require) =>
    require('@toondepauw/node-zstd'),
  )
  const decoder = new Decoder()
  return {
    compress: (records, level) => new Encoder(level).encodeSync(records),
    decompress({ bytes, bound }, maxBytes) {
      if (bound > maxBytes) throw limitExceeded('zstd', maxBytes)
      return decoder.decodeSync(bytes)
    },
  }
}

/** The codec over one of the implementations. */
export function zstdCodec(load: () => Zstd): Codec {
  let loaded: Zstd | undefined
  const zstd = (): Zstd => (loaded ??= load())
  return {
    compress: (records, level = DEFAULT_LEVEL) => zstd().compress(records, level),

    decompress(bytes, maxBytes) {
      const frames = zstdFrames(bytes)
      if (typeof frames === 'string') throw undecodable('zstd', new Error(frames))
      const { decompress } = zstd()
      let left = maxBytes
      const parts = frames.map((frame) => {
        const part = expanded(() => decompress(frame, left), maxBytes)
        left -= part.length
        return part
      })
      return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    },
  }
}

function expanded(decompress: () => Buffer, maxBytes: number): Buffer {
  try {
    return decompress()
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE' || code === 'VARVE_DECOMPRESSION_LIMIT') {
      throw limitExceeded('zstd', maxBytes, cause)
    }
    throw undecodable('zstd', cause)
  }
}

export const zstd: Codec = zstdCodec(() => builtInZstd() ?? libraryZstd())
