import type { Chunk } from './chunk.js'

const SLAB_BYTES = 64 * 1024
const TWO_32 = 0x1_0000_0000

/**
 * Writes messages one after another into slabs, and hands each out as a list of chunks: pieces of the slab, and between
 * them the records that were passed in. A slab is never written twice, so the pieces may be kept for as long as a socket
 * needs them. What was written since the last records is contiguous: sizes can be put in front of it afterwards.
 */
export class Writer {
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #from = 0
  #at = 0
  #chunks: Chunk[] = []
  #chunkBytes = 0

  /** Bytes of the current message so far. */
  get byteLength(): number {
    return this.#chunkBytes + this.#at - this.#from
  }

  /** Forgets a message that could not be finished. */
  abandon(): void {
    this.#at = this.#from
    this.#chunks = []
    this.#chunkBytes = 0
  }

  /** Ends the message. */
  finish(): Chunk[] {
    this.#cut()
    const chunks = this.#chunks
    this.#chunks = []
    this.#chunkBytes = 0
    return chunks
  }

  #cut(): void {
    if (this.#at === this.#from) return
    this.#chunks.push(this.#slab.subarray(this.#from, this.#at))
    this.#chunkBytes += this.#at - this.#from
    this.#from = this.#at
  }

  #room(count: number): number {
    const at = this.#at
    if (at + count <= this.#slab.length) {
      this.#at = at + count
      return at
    }
    return this.#grow(count)
  }

  #grow(count: number): number {
    const used = this.#at - this.#from
    const slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, 2 * (used + count)))
    this.#slab.copy(slab, 0, this.#from, this.#at)
    this.#slab = slab
    this.#from = 0
    this.#at = used + count
    return used
  }

  int8(value: number): void {
    const at = this.#room(1)
    this.#slab[at] = value
  }

  int16(value: number): void {
    const at = this.#room(2)
    const slab = this.#slab
    slab[at] = value >>> 8
    slab[at + 1] = value
  }

  int32(value: number): void {
    const at = this.#room(4)
    const slab = this.#slab
    slab[at] = value >>> 24
    slab[at + 1] = value >>> 16
    slab[at + 2] = value >>> 8
    slab[at + 3] = value
  }

  int64(value: number | bigint): void {
    if (typeof value === 'bigint') {
      const at = this.#room(8)
      this.#slab.writeBigInt64BE(value, at)
      return
    }
    this.int32(Math.floor(value / TWO_32))
    // ToInt32 of a safe integer is exactly its low word.
    this.int32(value | 0)
  }

  float64(value: number): void {
    const at = this.#room(8)
    this.#slab.writeDoubleBE(value, at)
  }

  uuid(value: string): void {
    const at = this.#room(16)
    this.#slab.write(value, at, 16, 'base64url')
  }

  uvarint(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.int8((rest & 0x7f) | 0x80)
      rest = Math.floor(rest / 128)
    }
    this.int8(rest)
  }

  text(value: string, byteLength: number): void {
    const at = this.#room(byteLength)
    this.#slab.write(value, at, byteLength, 'utf8')
  }

  bytes(value: Uint8Array): void {
    const at = this.#room(value.length)
    this.#slab.set(value, at)
  }

  /** Takes the bytes into the message's chunks as they are. Only an empty Buffer is left out: a source has an owner who waits for it. */
  passThrough(value: Chunk | Uint8Array): void {
    if (value instanceof Uint8Array && value.byteLength === 0) return
    this.#cut()
    this.#chunks.push(Buffer.isBuffer(value) || !(value instanceof Uint8Array) ? value : asBuffer(value))
    this.#chunkBytes += value.byteLength
  }

  /** Runs `write` and puts the size of what it wrote, which contains no records, in front as a varint. */
  sized<T>(write: (writer: Writer, value: T) => void, value: T): void {
    const start = this.#room(1) - this.#from
    write(this, value)
    // Growing may have moved the message, its beginning is at #from wherever that is now.
    const from = this.#from + start + 1
    const size = this.#at - from
    if (size < 0x80) {
      this.#slab[from - 1] = size
      return
    }
    let extra = 0
    for (let rest = size; rest > 0x7f; rest = Math.floor(rest / 128)) extra++
    this.#room(extra)
    const to = this.#from + start + 1
    this.#slab.copyWithin(to + extra, to, to + size)
    this.#at = this.#from + start
    this.uvarint(size)
    this.#at += size
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
