import type * as snappyNapi from 'snappy'
import { limitExceeded, loadLibrary, undecodable, type Codec } from './codec.js'
import { snappyBlocks, snappyLength, XERIAL_HEADER } from './snappy-blocks.js'

/** What Java's SnappyOutputStream puts into a block, and with it Kafka's clients and brokers. */
const BLOCK_BYTES = 32 * 1024

/** Handing memory over instead of copying it costs several times as much for blocks of this size. */
const COPY = { copyOutputData: true }

type Snappy = typeof snappyNapi
let library: Snappy | undefined
const snappyLibrary = (): Snappy =>
  (library ??= loadLibrary<Snappy>('snappy', (require) => require('snappy')))

/** Blocks behind a xerial header, as Java writes them; read as well without, the way of librdkafka. */
export const snappy: Codec = {
  compress(records) {
    const { compressSync } = snappyLibrary()
    const parts: Buffer[] = [XERIAL_HEADER]
    for (let at = 0; at < records.length; at += BLOCK_BYTES) {
      const block = compressSync(records.subarray(at, at + BLOCK_BYTES), COPY)
      const length = Buffer.allocUnsafe(4)
      length.writeInt32BE(block.length)
      parts.push(length, block)
    }
    return Buffer.concat(parts)
  },

  decompress(bytes, maxBytes) {
    const blocks = snappyBlocks(bytes)
    if (typeof blocks === 'string') throw undecodable('snappy', new Error(blocks))
    let total = 0
    for (const block of blocks) {
      const length = snappyLength(block)
      if (typeof length === 'string') throw undecodable('snappy', new Error(length))
      total += length
    }
    if (total > maxBytes) throw limitExceeded('snappy', maxBytes)
    const { uncompressSync } = snappyLibrary()
    try {
      const parts = blocks.map((block) => uncompressSync(block, COPY) as Buffer)
      return parts.length === 1 ? parts[0]! : Buffer.concat(parts, total)
    } catch (cause) {
      throw undecodable('snappy', cause)
    }
  },
}
