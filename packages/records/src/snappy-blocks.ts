// A snappy block is the format of https://github.com/google/snappy/blob/main/format_description.txt. Kafka's Java side
// writes several of them in the framing of snappy-java's SnappyOutputStream ("xerial"): a header, then each block with
// its length in front. librdkafka writes a single block and nothing else.

const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const VERSION = 1
const HEADER_BYTES = 16

/** The magic, the version, and the oldest version that can read it. */
export const XERIAL_HEADER = Buffer.concat([MAGIC, Buffer.from([0, 0, 0, VERSION, 0, 0, 0, VERSION])])

// The longest copy is 64 bytes and takes three, so that no input expands further than this.
const MAX_RATIO = 22

/** The snappy blocks in a batch's data, in either framing, or what is wrong with them. */
export function snappyBlocks(bytes: Buffer): Buffer[] | string {
  if (!startsWithMagic(bytes, 0)) return [bytes]
  const blocks: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    // A stream behind a stream is one stream: what was appended to a file starts with a header of its own.
    if (startsWithMagic(bytes, at)) {
      if (bytes.length - at < HEADER_BYTES) return 'the header is cut short'
      const compatible = bytes.readInt32BE(at + 12)
      if (compatible > VERSION) return `it needs a reader of version ${compatible}`
      at += HEADER_BYTES
      continue
    }
    if (bytes.length - at < 4) return 'the length of a block is cut short'
    const length = bytes.readInt32BE(at)
    at += 4
    if (length < 0 || length > bytes.length - at) return 'a block is cut short'
    blocks.push(bytes.subarray(at, at + length))
    at += length
  }
  return blocks
}

/** How many bytes a block says it expands to, or why that cannot be: decoders allocate what it says. */
export function snappyLength(block: Buffer): number | string {
  let length = 0
  for (let index = 0; index < 5; index++) {
    const byte = block[index]
    if (byte === undefined) return 'a block is cut short'
    length += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) {
      return length <= block.length * MAX_RATIO ? length : 'a block announces more bytes than it can hold'
    }
  }
  return 'the length of a block takes more than 5 bytes'
}

function startsWithMagic(bytes: Buffer, at: number): boolean {
  return (
    bytes.length - at >= MAGIC.length && bytes.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) === 0
  )
}
