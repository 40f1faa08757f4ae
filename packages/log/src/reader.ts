import { batchesIn, VarveError, type LogRecord, type RecordBatch } from '@varve/records'
import type { EngineLog } from './log.js'
import { checkStart, startOffset, type ReadStart } from './read-start.js'
import { checkBound } from './whole-number.js'

/** What to read, and how long. */
export interface ReadOptions {
  /** Default `'start'`. */
  from?: ReadStart
  /** Exclusive. Default: the durable end when the reading starts, or none with `follow`. */
  to?: number
  /**
   * Whether to wait for more at the end, until the log closes (`VARVE_LOG_CLOSED`) or fails. Waiting does not keep the
   * process alive: only this process can append, and when nothing else in it is left to do nothing more will come.
   * Default `false`.
   */
  follow?: boolean
  /** Ends the reading with the signal's reason. */
  signal?: AbortSignal
  /** Bytes read at once, at least one batch. Default 256 KiB. */
  maxBytes?: number
}

interface Range {
  /** Known once the first batch is there. */
  from: number
  to: number
  follow: boolean
  signal: AbortSignal | undefined
  maxBytes: number
}

const READ_BYTES = 256 << 10

/** @throws VarveError `VARVE_INVALID_OPTION` */
function rangeOf(log: EngineLog, options: ReadOptions): Range {
  const { follow = false, signal, maxBytes = READ_BYTES } = options
  const to = options.to ?? (follow ? Infinity : log.durableOffset)
  const from = 0
  checkBound('to', to)
  checkBound('maxBytes', maxBytes)
  return { from, to, follow, signal, maxBytes }
}

/** Batches of a range, each checked against its checksum. Reads no further than the log's durability reaches. */
async function* batchesOf(
  log: EngineLog,
  range: Range,
  start: () => number | Promise<number>,
  stopped: AbortSignal,
): AsyncGenerator<RecordBatch, void, undefined> {
  const { to, follow, signal, maxBytes } = range
  range.from = await start()
  for (let next = range.from; ;) {
    signal?.throwIfAborted()
    // What is written but not durable yet is no error to wait for; what lies beyond the end is.
    const isHidden = next > log.durableOffset && next <= log.endOffset
    const slice = isHidden ? null : await log.slice({ from: next, upTo: to, maxBytes })
    if (slice === null || slice.byteLength === 0 || next >= to) {
      slice?.close()
      if (!follow || next >= to) return
      try {
        await log.durableBeyond(next, signal, stopped)
      } catch (error) {
        if (stopped.aborted) return
        throw error
      }
      continue
    }
    const { bytes, failure } = await slice.readChecked()
    for (const batch of batchesIn(bytes)) {
      yield batch
      signal?.throwIfAborted()
    }
    if (failure !== null) throw failure
    next = slice.nextOffset
    if (next >= to) return
  }
}

/** Whole batches from an offset on. */
export class BatchReader implements AsyncIterableIterator<RecordBatch> {
  readonly range: Readonly<Range>
  readonly #batches: AsyncGenerator<RecordBatch, void, undefined>
  readonly #stop = new AbortController()

  constructor(log: EngineLog, options: ReadOptions) {
    const { from = 'start' } = options
    checkStart(from)
    const range = rangeOf(log, options)
    const end = log.durableOffset
    this.range = range
    this.#batches = batchesOf(log, range, () => startOffset(log, from, end), this.#stop.signal)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<RecordBatch, undefined>> {
    return this.#batches.next() as Promise<IteratorResult<RecordBatch, undefined>>
  }

  /** Also ends a `next` that is waiting for more, behind which a generator's own `return` would queue. */
  async return(): Promise<IteratorResult<RecordBatch, undefined>> {
    this.#stop.abort()
    await this.#batches.return()
    return { value: undefined, done: true }
  }
}

/**
 * Records from an offset on. Written out instead of as a generator because a generator costs several promises a record
 * and this one.
 */
export class RecordReader implements AsyncIterableIterator<LogRecord> {
  readonly #log: EngineLog
  readonly #batches: BatchReader
  #records: Iterator<LogRecord, undefined> | null = null
  #ended = false
  /** Calls of `next` are answered in turn, also when the caller does not wait for each. */
  #last: Promise<unknown> = Promise.resolve()
  #busy = 0

  constructor(log: EngineLog, options: ReadOptions) {
    this.#log = log
    this.#batches = new BatchReader(log, options)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<LogRecord, undefined>> {
    if (this.#busy === 0) {
      try {
        const record = this.#nextInBatch()
        if (record !== null) return Promise.resolve({ value: record, done: false })
      } catch (error) {
        return Promise.reject(this.#failed(error))
      }
    }
    this.#busy++
    const result = this.#last.then(() => this.#nextOfLaterBatch())
    const answered = (): void => void this.#busy--
    this.#last = result.then(answered, answered)
    return result
  }

  async return(): Promise<IteratorResult<LogRecord, undefined>> {
    this.#end()
    await this.#batches.return()
    return { value: undefined, done: true }
  }

  #end(): void {
    this.#ended = true
    this.#records = null
  }

  #nextInBatch(): LogRecord | null {
    const { from, to, signal } = this.#batches.range
    while (this.#records !== null) {
      signal?.throwIfAborted()
      const { value, done } = this.#inLog(this.#records, nextOf)
      if (done === true || value.offset >= to) this.#records = null
      else if (value.offset >= from) return value
    }
    return null
  }

  async #nextOfLaterBatch(): Promise<IteratorResult<LogRecord, undefined>> {
    try {
      while (!this.#ended) {
        const record = this.#nextInBatch()
        if (record !== null) return { value: record, done: false }
        const { value: batch, done } = await this.#batches.next()
        if (done === true) this.#end()
        // A transaction's markers are no records of the application's.
        else if (!this.#ended && !batch.isControl) this.#records = this.#inLog(batch, recordsOf)
      }
      return { value: undefined, done: true }
    } catch (error) {
      throw this.#failed(error)
    }
  }

  /** Decodes; what a batch says of itself lacks the log that it is in. */
  #inLog<T, R>(from: T, decode: (from: T) => R): R {
    try {
      return decode(from)
    } catch (error) {
      if (!VarveError.is(error)) throw error
      throw new VarveError(error.code, `${this.#log.dir}: ${error.message}`, { cause: error })
    }
  }

  /** Ends the reading: going on behind what could not be read would hide it. */
  #failed(error: unknown): unknown {
    this.#end()
    void this.#batches.return()
    return error
  }
}

const nextOf = (records: Iterator<LogRecord, undefined>): IteratorResult<LogRecord, undefined> =>
  records.next()
const recordsOf = (batch: RecordBatch): IterableIterator<LogRecord> => batch.records()
