// The LZ4 frame format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md

const FRAME_MAGIC = 0x184d2204
// A byte of compressed input adds at most 255 bytes of output, however the input is made.
const MAX_RATIO = 255

/**
 * The most bytes that the frame can decompress to, found by walking its block sizes without decompressing
 * anything, or what is wrong with the frame. Decoders expand a whole frame before they return, so that this is
 * where a decompression bomb must be noticed.
 */
export function lz4FrameBound(frame: Uint8Array): number | string {
  if (frame.length < 7) return 'the frame header is cut short'
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  if (view.getUint32(0, true) !== FRAME_MAGIC) return 'it is not an LZ4 frame'
  const flags = frame[4]!
  if (flags >>> 6 !== 1) return `unknown frame version ${flags >>> 6}`
  const blockSizeCode = (frame[5]! >>> 4) & 0x07
  if (blockSizeCode < 4) return `unknown block size code ${blockSizeCode}`
  const blockMaxBytes = 1 << (8 + 2 * blockSizeCode)
  const blockChecksumBytes = flags & 0x10 ? 4 : 0
  const contentSizeBytes = flags & 0x08 ? 8 : 0
  const dictionaryIdBytes = flags & 0x01 ? 4 : 0

  let at = 6 + contentSizeBytes + dictionaryIdBytes + 1
  let bound = 0
  for (;;) {
    if (at + 4 > frame.length) return 'the frame has no end mark'
    const word = view.getUint32(at, true)
    at += 4
    if (word === 0) break
    const size = word & 0x7fff_ffff
    if (size > frame.length - at) return 'a block is cut short'
    bound += word >= 0x8000_0000 ? size : Math.min(blockMaxBytes, size * MAX_RATIO)
    at += size + blockChecksumBytes
  }

  // Some decoders allocate what the header announces, which must therefore be believable.
  if (contentSizeBytes > 0 && view.getBigUint64(6, true) > BigInt(bound)) {
    return 'the frame announces more bytes than its blocks can hold'
  }
  return bound
}
