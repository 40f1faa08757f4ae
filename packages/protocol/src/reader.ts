import { ProtocolError, type ProtocolErrorCode } from './protocol-error.js'
import { uuidFromBytes, ZERO_UUID } from './uuid.js'

const TWO_32 = 0x1_0000_0000
const HIGHEST_SAFE_HIGH_WORD = 0x1f_ffff

/** What the bytes are, for the messages of errors. */
export interface ReadContext {
  readonly name: string
  /** The most array elements that one message may have; each becomes an object many times its size on the wire. */
  readonly maxElements: number
}

/** Reads the primitive types, never past `end`. */
export class Reader {
  at: number
  readonly end: number
  readonly #bytes: Buffer
  readonly #context: ReadContext
  readonly #version: number
  #elements = 0

  constructor(bytes: Buffer, at: number, context: ReadContext, version: number) {
    this.#bytes = bytes
    this.at = at
    this.end = bytes.length
    this.#context = context
    this.#version = version
    if (!(at >= 0 && at <= bytes.length)) throw this.#truncated(0)
  }

  /** Moves past `count` bytes and returns where they begin. */
  #take(count: number): number {
    const at = this.at
    if (count > this.end - at) throw this.#truncated(count)
    this.at = at + count
    return at
  }

  bool(): boolean {
    return this.#bytes[this.#take(1)] !== 0
  }

  int8(): number {
    return (this.#bytes[this.#take(1)]! << 24) >> 24
  }

  int16(): number {
    const at = this.#take(2)
    return (((this.#bytes[at]! << 8) | this.#bytes[at + 1]!) << 16) >> 16
  }

  uint16(): number {
    const at = this.#take(2)
    return (this.#bytes[at]! << 8) | this.#bytes[at + 1]!
  }

  int32(): number {
    const at = this.#take(4)
    const bytes = this.#bytes
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  /** Saturates at ±(2^53 - 1): a peer may name any offset, and no answer depends on which impossible one it was. */
  int64(): number {
    if (this.end - this.at < 8) throw this.#truncated(8)
    const high = this.int32()
    const low = this.int32() >>> 0
    if (high > HIGHEST_SAFE_HIGH_WORD) return Number.MAX_SAFE_INTEGER
    if (high < -HIGHEST_SAFE_HIGH_WORD - 1 || (high === -HIGHEST_SAFE_HIGH_WORD - 1 && low === 0)) {
      return Number.MIN_SAFE_INTEGER
    }
    return high * TWO_32 + low
  }

  float64(): number {
    return this.#bytes.readDoubleBE(this.#take(8))
  }

  uuid(): string {
    const at = this.#take(16)
    for (let i = at; i < at + 16; i++) if (this.#bytes[i] !== 0) return uuidFromBytes(this.#bytes, at)
    return ZERO_UUID
  }

  /** An unsigned varint of at most 32 bits. */
  uvarint(): number {
    const first = this.#bytes[this.#take(1)]!
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let shift = 7; shift < 28; shift += 7) {
      const byte = this.#bytes[this.#take(1)]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    const last = this.#bytes[this.#take(1)]!
    if (last > 0x0f) throw this.malformed('a varint has more than 32 bits')
    return value + last * 0x1000_0000
  }

  /** A string's length, -1 for null. */
  stringLength(compact: boolean): number {
    const length = compact ? this.uvarint() - 1 : this.int16()
    // Kafka's strings are bounded alike in both encodings.
    if (length < -1 || length > 0x7fff) throw this.malformed(`a string declares a length of ${length}`)
    return length
  }

  /** The length of bytes or records, -1 for null. */
  bytesLength(compact: boolean): number {
    const length = compact ? this.uvarint() - 1 : this.int32()
    if (length < -1) throw this.malformed(`a byte field declares a length of ${length}`)
    return length
  }

  /**
   * An array's length, -1 for null.
   *
   * @param elementBytes the fewest bytes that an element takes, so that a length which the rest of the message cannot
   *   hold is refused before anything is allocated for it.
   */
  arrayLength(compact: boolean, elementBytes: number): number {
    const length = compact ? this.uvarint() - 1 : this.int32()
    if (length <= 0) {
      if (length < -1) throw this.malformed(`an array declares a length of ${length}`)
      return length
    }
    if (length > (this.end - this.at) / elementBytes) {
      throw this.fail(
        'VARVE_PROTOCOL_TRUNCATED',
        `an array declares ${length} elements of at least ${elementBytes} bytes, ${this.end - this.at} bytes are left`,
      )
    }
    this.#elements += length
    if (this.#elements > this.#context.maxElements) {
      throw this.malformed(`its arrays have more than ${this.#context.maxElements} elements`)
    }
    return length
  }

  text(length: number): string {
    if (length === 0) return ''
    const at = this.#take(length)
    return this.#bytes.toString('utf8', at, at + length)
  }

  /** A view of the message's own bytes. */
  view(length: number): Buffer {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  skip(length: number): void {
    this.#take(length)
  }

  malformed(what: string): ProtocolError {
    return this.fail('VARVE_PROTOCOL_MALFORMED', what)
  }

  fail(code: ProtocolErrorCode, what: string): ProtocolError {
    return new ProtocolError(
      code,
      `${this.#context.name} v${this.#version}, byte ${this.at} of ${this.end}: ${what}`,
    )
  }

  #truncated(needed: number): ProtocolError {
    return this.fail(
      'VARVE_PROTOCOL_TRUNCATED',
      `${needed} more bytes are needed, ${this.end - this.at} are left`,
    )
  }
}
