import { VarveError } from './error.js'

/** Reads the variable-length integers of record bodies out of bytes that nobody vouches for. */
export class RecordCursor {
  readonly bytes: Uint8Array
  at: number
  /** Reading stops here: the end of the record, or of all of them. */
  end: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  /** A zig-zag int32. @throws VarveError `VARVE_BATCH_INVALID` when it is cut short or longer than five bytes. */
  varint(): number {
    const { bytes, end } = this
    let zigzag = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.at >= end) throw malformed('a variable-length integer is cut short')
      const byte = bytes[this.at++]!
      zigzag |= (byte & 0x7f) << shift
      if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1)
    }
    throw malformed('a variable-length integer takes more than 5 bytes')
  }

  /** A zig-zag int64: a number while it is safe, a bigint beyond. @throws VarveError `VARVE_BATCH_INVALID` */
  varlong(): number | bigint {
    const { bytes, end } = this
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.at >= end) throw malformed('a variable-length integer is cut short')
      const byte = bytes[this.at++]!
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1)
    }
    let zigzag = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      if (this.at >= end) throw malformed('a variable-length integer is cut short')
      const byte = bytes[this.at++]!
      zigzag |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) {
        zigzag = BigInt.asUintN(64, zigzag)
        return narrow((zigzag >> 1n) ^ -(zigzag & 1n))
      }
    }
    throw malformed('a variable-length integer takes more than 10 bytes')
  }

  /** Skips a length-prefixed part and returns its length, −1 for null. @throws VarveError `VARVE_BATCH_INVALID` */
  skipBytes(what: string): number {
    const length = this.varint()
    if (length < -1) throw malformed(`${what} has the length ${length}`)
    if (length > this.end - this.at)
      throw malformed(`${what} of ${length} bytes runs past the end of its record`)
    if (length > 0) this.at += length
    return length
  }
}

/** A number if it is exact as one. */
export function narrow(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

export function malformed(problem: string): VarveError {
  return new VarveError('VARVE_BATCH_INVALID', `Malformed record: ${problem}`)
}
