import { VarveError } from './error.js'
import { RecordCursor } from './record-cursor.js'
import type { LogRecord } from './record.js'

const inspect = Symbol.for('nodejs.util.inspect.custom')
type Headers = ReadonlyArray<readonly [string, Buffer | null]>
const noHeaders: Headers = Object.freeze([])

/**
 * A record inside decoded memory. The iterator that makes it has checked every length in it, so that cutting
 * the parts out, which most readers do for only some of them, can wait until somebody asks and cannot fail.
 */
export class DecodedRecord implements LogRecord {
  readonly offset: number
  private readonly time: number | bigint
  private readonly bytes: Buffer
  private readonly keyAt: number
  private readonly keyLength: number
  private readonly valueAt: number
  private readonly valueLength: number
  private readonly headersAt: number
  private readonly headersCount: number
  private cutKey: Buffer | null | undefined
  private cutValue: Buffer | null | undefined
  private cutHeaders: Headers | undefined

  constructor(
    offset: number,
    time: number | bigint,
    bytes: Buffer,
    keyAt: number,
    keyLength: number,
    valueAt: number,
    valueLength: number,
    headersAt: number,
    headersCount: number,
  ) {
    this.offset = offset
    this.time = time
    this.bytes = bytes
    this.keyAt = keyAt
    this.keyLength = keyLength
    this.valueAt = valueAt
    this.valueLength = valueLength
    this.headersAt = headersAt
    this.headersCount = headersCount
    this.cutKey = undefined
    this.cutValue = undefined
    this.cutHeaders = undefined
  }

  get timestamp(): number {
    if (typeof this.time === 'number') return this.time
    throw unsafeTimestamp(`The timestamp of the record at offset ${this.offset}`, this.time)
  }

  get timestampBigInt(): bigint {
    return BigInt(this.time)
  }

  get key(): Buffer | null {
    return (this.cutKey ??= cut(this.bytes, this.keyAt, this.keyLength))
  }

  get value(): Buffer | null {
    return (this.cutValue ??= cut(this.bytes, this.valueAt, this.valueLength))
  }

  get headers(): Headers {
    return (this.cutHeaders ??= this.headersCount === 0 ? noHeaders : this.cutOutHeaders())
  }

  toJSON(): object {
    const { offset, key, value, headers } = this
    const timestamp = typeof this.time === 'number' ? this.time : String(this.time)
    return { offset, timestamp, key, value, headers }
  }

  [inspect](): object {
    const { offset, time, key, value, headers } = this
    return { offset, timestamp: time, key, value, headers }
  }

  private cutOutHeaders(): Headers {
    const cursor = new RecordCursor(this.bytes, this.headersAt, this.bytes.length)
    const headers: Array<readonly [string, Buffer | null]> = []
    for (let index = 0; index < this.headersCount; index++) {
      const nameLength = cursor.varint()
      const name = this.bytes.toString('utf8', cursor.at, cursor.at + nameLength)
      cursor.at += nameLength
      const valueLength = cursor.varint()
      headers.push([name, cut(this.bytes, cursor.at, valueLength)])
      if (valueLength > 0) cursor.at += valueLength
    }
    return headers
  }
}

function cut(bytes: Buffer, at: number, length: number): Buffer | null {
  return length < 0 ? null : bytes.subarray(at, at + length)
}

export function unsafeTimestamp(what: string, time: bigint): VarveError {
  return new VarveError(
    'VARVE_UNSAFE_TIMESTAMP',
    `${what} is ${time}, more than a JavaScript number can hold exactly; read it as a BigInt instead`,
  )
}
