// The Zstandard format: https://datatracker.ietf.org/doc/html/rfc8878

const FRAME_MAGIC = 0xfd2f_b528
const SKIPPABLE_MAGIC = 0x184d_2a50
const MAX_BLOCK_BYTES = 128 * 1024
const RLE = 1
const COMPRESSED = 2

/** A frame of a batch's data. */
export interface ZstdFrame {
  readonly bytes: Buffer
  /** The most that it can decompress to. */
  readonly bound: number
}

/**
 * The frames in a batch's data, found by walking their blocks without decompressing anything, or what is wrong with
 * them. Some decoders expand a whole frame before they return, and some take one that is cut short for a whole one, so
 * both must be noticed here.
 */
export function zstdFrames(bytes: Buffer): ZstdFrame[] | string {
  const frames: ZstdFrame[] = []
  let at = 0
  do {
    if (bytes.length - at < 8) return 'a frame is cut short'
    const magic = bytes.readUInt32LE(at)
    // The last four bits of a skippable frame's magic are its user's.
    if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE_MAGIC) {
      at += 8 + bytes.readUInt32LE(at + 4)
      if (at > bytes.length) return 'a frame is cut short'
      continue
    }
    if (magic !== FRAME_MAGIC) return 'it is not a Zstandard frame'
    const walked = walk(bytes, at)
    if (typeof walked === 'string') return walked
    frames.push({ bytes: bytes.subarray(at, walked.end), bound: walked.bound })
    at = walked.end
  } while (at < bytes.length)
  return frames
}

function walk(bytes: Buffer, start: number): { end: number; bound: number } | string {
  const descriptor = bytes[start + 4]!
  if ((descriptor & 0x08) !== 0) return 'a reserved bit of the frame header is set'
  const isSingleSegment = (descriptor & 0x20) !== 0
  const checksumBytes = descriptor & 0x04 ? 4 : 0
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 0x03]!
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6]!
  const contentSizeAt = start + 5 + (isSingleSegment ? 0 : 1) + dictionaryIdBytes
  let at = contentSizeAt + contentSizeBytes
  if (at > bytes.length) return 'a frame header is cut short'
  const window = isSingleSegment
    ? contentSize(bytes.subarray(contentSizeAt, at))
    : windowBytes(bytes[start + 5]!)
  const maxBlockBytes = Math.min(window, MAX_BLOCK_BYTES)

  let bound = 0
  for (let isLast = false; !isLast;) {
    if (at + 3 > bytes.length) return 'a frame has no last block'
    const header = bytes.readUIntLE(at, 3)
    at += 3
    isLast = (header & 1) !== 0
    const type = (header >>> 1) & 3
    const size = header >>> 3
    if (type > COMPRESSED) return `unknown block type ${type}`
    if (size > MAX_BLOCK_BYTES) return `a block declares ${size} bytes`
    bound += type === COMPRESSED ? maxBlockBytes : size
    at += type === RLE ? 1 : size
    if (at > bytes.length) return 'a block is cut short'
  }
  at += checksumBytes
  return at > bytes.length ? 'the checksum is cut short' : { end: at, bound }
}

function contentSize(field: Buffer): number {
  if (field.length === 8) return Number(field.readBigUInt64LE(0))
  // The field of two bytes counts from what one byte can say.
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0)
}

function windowBytes(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3))
  return base + (base / 8) * (descriptor & 0x07)
}
