import { VarveError } from './error.js'
import { DecodedRecord } from './log-record.js'
import { malformed, narrow, RecordCursor } from './record-cursor.js'
import type { LogRecord } from './record.js'

/** What the records of a batch take from its header. */
export interface RecordContext {
  readonly baseOffset: number
  readonly lastOffsetDelta: number
  readonly recordsCount: number
  readonly baseTimestamp: number | bigint
  /** The timestamp of every record where the broker assigned it; undefined where producers did. */
  readonly logAppendTime: number | bigint | undefined
}

/**
 * Walks the uncompressed records of one batch, checking each whole record before handing it out: lengths,
 * offsets that ascend and stay within the batch, and after the last one that no bytes are left over.
 */
export class RecordIterator implements IterableIterator<LogRecord> {
  private readonly bytes: Buffer
  private readonly context: RecordContext
  private readonly cursor: RecordCursor
  private remaining: number
  private lastDelta = -1

  constructor(bytes: Buffer, context: RecordContext) {
    this.bytes = bytes
    this.context = context
    this.cursor = new RecordCursor(bytes, 0, bytes.length)
    this.remaining = context.recordsCount
  }

  [Symbol.iterator](): this {
    return this
  }

  next(): IteratorResult<LogRecord, undefined> {
    if (this.remaining === 0) {
      if (this.cursor.at < this.bytes.length) throw this.fail('bytes are left over after the last record')
      return { done: true, value: undefined }
    }
    try {
      const value = this.readRecord()
      this.remaining--
      return { done: false, value }
    } catch (error) {
      this.remaining = 0
      this.cursor.at = this.bytes.length
      if (VarveError.is(error)) throw this.fail(error.message)
      throw error
    }
  }

  return(): IteratorResult<LogRecord, undefined> {
    this.remaining = 0
    this.cursor.at = this.bytes.length
    return { done: true, value: undefined }
  }

  private readRecord(): LogRecord {
    const { cursor, bytes, context } = this
    cursor.end = bytes.length
    const length = cursor.varint()
    if (length < 0 || length > bytes.length - cursor.at) {
      throw malformed(
        `its length ${length} does not fit into the ${bytes.length - cursor.at} bytes that are left`,
      )
    }
    const end = cursor.at + length
    cursor.end = end
    // The record's attributes byte has no meaning yet; readers must ignore it.
    cursor.at++
    const timestampDelta = cursor.varlong()
    const offsetDelta = cursor.varint()
    if (offsetDelta <= this.lastDelta || offsetDelta > context.lastOffsetDelta) {
      throw malformed(
        `offset delta ${offsetDelta} after ${this.lastDelta} in a batch that ends at ${context.lastOffsetDelta}`,
      )
    }
    this.lastDelta = offsetDelta
    const keyLength = cursor.skipBytes('a key')
    const keyAt = cursor.at - Math.max(keyLength, 0)
    const valueLength = cursor.skipBytes('a value')
    const valueAt = cursor.at - Math.max(valueLength, 0)
    const headersCount = cursor.varint()
    const headersAt = cursor.at
    // A header takes two bytes at least, which bounds the loop by the bytes that are there.
    if (headersCount < 0 || headersCount > length / 2) throw malformed(`it declares ${headersCount} headers`)
    for (let index = 0; index < headersCount; index++) {
      if (cursor.skipBytes('a header name') < 0) throw malformed('a header name is null')
      cursor.skipBytes('a header value')
    }
    if (cursor.at !== end) throw malformed('its parts do not add up to its length')
    return new DecodedRecord(
      Math.min(context.baseOffset + offsetDelta, Number.MAX_SAFE_INTEGER),
      context.logAppendTime ?? sum(context.baseTimestamp, timestampDelta),
      bytes,
      keyAt,
      keyLength,
      valueAt,
      valueLength,
      headersAt,
      headersCount,
    )
  }

  private fail(problem: string): VarveError {
    const { baseOffset, recordsCount } = this.context
    const number = recordsCount - this.remaining
    return new VarveError(
      'VARVE_BATCH_INVALID',
      `Batch at offset ${baseOffset}, record ${number} of ${recordsCount}: ${problem}`,
    )
  }
}

function sum(base: number | bigint, delta: number | bigint): number | bigint {
  if (typeof base === 'number' && typeof delta === 'number') {
    const total = base + delta
    if (Number.isSafeInteger(total)) return total
  }
  return narrow(BigInt.asIntN(64, BigInt(base) + BigInt(delta)))
}
