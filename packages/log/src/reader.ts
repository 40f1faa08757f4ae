import { RecordBatch, VarveError, type LogRecord } from '@varve/records'
import {
  isAborted,
  sightOf,
  visibleOffset,
  type Isolation,
  type Sight,
  type Visibility,
} from './isolation.js'
import { holdWorker } from './keep-alive.js'
import { checkNames, type OptionNames } from './option-names.js'
import type { EngineLog } from './engine-log.js'
import type { AbortedTransaction } from './producers.js'
import { checkStart, startOffset, type ReadStart } from './read-start.js'
import type { CheckedBytes, LogSlice } from './slice.js'
import { ReadMemory } from './read-memory.js'
import { checkBound } from './whole-number.js'

/** What to read, and how long. */
export interface ReadOptions {
  /** Default `'start'`. */
  from?: ReadStart
  /** Exclusive. Default: the end of what it sees when the reading starts, or none with `follow`. */
  to?: number
  /**
   * `'readCommitted'` leaves out what belongs to an aborted transaction, and sees no further than the first one that is
   * open ({@link Log.lastStableOffset}). Default `'readUncommitted'`. Kafka's consumers call it `isolation.level`.
   */
  isolation?: Isolation
  /**
   * `'written'` sees what is written and not durable yet as well, as a follower's replication does: a power loss may take
   * it back. A time to start `from` is looked for in what is durable. Not together with `'readCommitted'`. Default
   * `'durable'`.
   */
  visibility?: Visibility
  /**
   * Whether to wait for more at the end, until the log closes (`VARVE_LOG_CLOSED`) or fails. Waiting does not keep the
   * process alive: only this process can append, and when nothing else in it is left to do nothing more will come. A
   * worker thread it does keep, since others append. Default `false`.
   */
  follow?: boolean
  /** Ends the reading with the signal's reason. */
  signal?: AbortSignal
  /**
   * Bytes read at once, at least one batch. Default 256 KiB. Of a log that is not in memory, a reading that goes on fetches
   * the next bytes while it gives out the last ones, and by default up to 1 MiB of them.
   */
  maxBytes?: number
  /**
   * Whether what is read takes the place in memory of what was read before: buffers, keys and values must not be used any
   * more, save for copies, once the next batch or record is asked for. For whoever goes through much and keeps nothing:
   * memory that is new for every read costs as much as the reading. A reading that goes on then comes to fetch 1 MiB at
   * once, unless `maxBytes` says otherwise. Default `false`.
   */
  reuseMemory?: boolean
}

const READ_OPTIONS: OptionNames<ReadOptions> = {
  from: 1,
  to: 1,
  isolation: 1,
  visibility: 1,
  follow: 1,
  signal: 1,
  maxBytes: 1,
  reuseMemory: 1,
}

const READ_BYTES = 256 << 10
/** What a reading that goes on comes to fetch at once, where the caller has not said and memory is no reason against it. */
const GROWN_READ_BYTES = 1 << 20

interface Chunk extends CheckedBytes {
  nextOffset: number
  aborted: AbortedTransaction[]
}

/**
 * What iterates asynchronously over things that mostly are in memory. Written out instead of as a generator because that
 * costs several promises for each of them, and this one.
 */
abstract class Reader<T> implements AsyncIterableIterator<T> {
  protected ended = false
  /** Calls of `next` are answered in turn, also when the caller does not wait for each. */
  #last: Promise<unknown> = Promise.resolve()
  #busy = 0

  /** The next one, if it is in memory. */
  abstract take(): T | null
  /** Gets more into memory; false at the end. */
  abstract more(): Promise<boolean>
  /** Nothing is wanted any more, nor waited for. */
  abstract end(): void

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#busy === 0) {
      try {
        const value = this.take()
        if (value !== null) return Promise.resolve({ value, done: false })
      } catch (error) {
        this.end()
        return Promise.reject(error)
      }
    }
    this.#busy++
    const result = this.#last.then(() => this.#later())
    const answered = (): void => void this.#busy--
    this.#last = result.then(answered, answered)
    return result
  }

  /** Also ends a `next` that is waiting for more. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.end()
    await this.#last
    return { value: undefined, done: true }
  }

  /** An error ends the reading: going on behind what could not be read would hide it. */
  async #later(): Promise<IteratorResult<T, undefined>> {
    try {
      do {
        const value = this.take()
        if (value !== null) return { value, done: false }
      } while (await this.more())
    } catch (error) {
      this.end()
      throw error
    }
    this.end()
    return { value: undefined, done: true }
  }
}

/** Whole batches from an offset on, each checked against its checksum. Reads no further than the log's durability reaches. */
export class BatchReader extends Reader<RecordBatch> {
  readonly to: number
  readonly signal: AbortSignal | undefined
  readonly #log: EngineLog
  readonly #follow: boolean
  readonly #maxGrownBytes: number
  #maxBytes: number
  /** The next chunk, on its way already. */
  #ahead: Promise<Chunk | null> | null = null
  readonly #sight: Sight
  readonly #start: () => number | Promise<number>
  /** The first offset wanted, known once a batch is there. */
  from = 0
  /** Where the next slice starts; −1 before the first. */
  #next = -1
  /** Truncations of the log that {@link #next} does not lie behind. */
  #truncations = 0
  /** Batches that have been read, and how far they have been taken. */
  #bytes: Buffer | null = null
  #at = 0
  /** The aborted transactions that have records in them. */
  #aborted: AbortedTransaction[] = []
  /** What is wrong behind them. */
  #failure: VarveError | null = null
  /** Ends the wait for more. There is none as long as nothing waits: it costs as much as reading a batch. */
  #stop: AbortController | null = null
  readonly #memory: ReadMemory | null

  /** @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_READ_ONLY` */
  constructor(log: EngineLog, options: ReadOptions) {
    super()
    checkNames(options, READ_OPTIONS)
    const { from = 'start', follow = false, signal, maxBytes = READ_BYTES } = options
    const { isolation = 'readUncommitted', visibility = 'durable', reuseMemory = false } = options
    checkStart(from)
    const sight = sightOf(isolation, visibility)
    const end = visibleOffset(log, sight)
    this.to = options.to ?? (follow ? Infinity : end)
    checkBound('to', this.to)
    checkBound('maxBytes', maxBytes)
    if (follow && log.state === 'readOnly') {
      throw new VarveError(
        'VARVE_READ_ONLY',
        `the log ${log.dir} was opened to be read only, as it was then; open it again for what was appended since, or without readOnly to follow it`,
      )
    }
    this.signal = signal
    this.#log = log
    this.#follow = follow
    this.#maxBytes = maxBytes
    this.#maxGrownBytes = options.maxBytes ?? GROWN_READ_BYTES
    this.#sight = sight
    this.#memory = reuseMemory ? new ReadMemory() : null
    this.#start = () => startOffset(log, from, end)
  }

  take(): RecordBatch | null {
    if (this.ended) return null
    this.signal?.throwIfAborted()
    while (this.#bytes !== null) {
      const batch = RecordBatch.parse(this.#bytes, this.#at)
      this.#at += batch.byteLength
      this.#log.recordsRead += batch.recordsCount
      if (this.#at === this.#bytes.length) this.#bytes = null
      if (!isAborted(batch, this.#aborted)) return batch
    }
    if (this.#failure !== null) throw this.#failure
    return null
  }

  async more(): Promise<boolean> {
    if (this.ended) return false
    const isFirst = this.#next < 0
    if (isFirst) {
      this.#truncations = this.#log.truncations
      this.#next = this.from = await this.#start()
    }
    const truncations = this.#truncations
    this.#assertNotCut()
    // What was fetched ahead may hold what has been cut off since.
    if (this.#truncations !== truncations && this.#ahead !== null) {
      this.#ahead = null
      this.#memory?.leave()
    }
    // Of the first, the engine says whether there is such an offset.
    if (this.#next >= this.to && !isFirst) return false
    const ahead = this.#ahead
    this.#ahead = null
    if (ahead !== null) {
      const chunk = await ahead
      if (chunk !== null) this.#receive(chunk, isFirst)
      return true
    }
    const slice = await this.#slice()
    if (slice === null || slice.byteLength === 0 || this.#next >= this.to) {
      slice?.close()
      if (!this.#follow || this.#next >= this.to) return false
      await this.#wait()
      return true
    }
    const chunk = await this.#read(slice)
    if (chunk !== null) this.#receive(chunk, isFirst)
    return true
  }

  #receive({ bytes, failure, isCold, nextOffset, aborted }: Chunk, isFirst: boolean): void {
    this.#bytes = bytes.length > 0 ? bytes : null
    this.#at = 0
    this.#failure = failure
    this.#aborted = aborted
    this.#next = nextOffset
    // Whoever wants a second chunk goes on; a lookup ends with the first.
    if (isFirst || failure !== null || this.ended) return
    if (isCold || this.#memory !== null) {
      this.#maxBytes = Math.max(this.#maxBytes, Math.min(this.#maxBytes * 2, this.#maxGrownBytes))
    }
    if (isCold) this.#readAhead()
  }

  #readAhead(): void {
    if (this.#next >= Math.min(this.to, visibleOffset(this.#log, this.#sight))) return
    this.#ahead = this.#chunk()
    // Told to whoever takes it; nobody may any more.
    this.#ahead.catch(() => {})
  }

  async #chunk(): Promise<Chunk | null> {
    const slice = await this.#slice()
    return this.#read(slice!)
  }

  /** Null for what was cut off meanwhile. */
  async #read(slice: LogSlice): Promise<Chunk | null> {
    const from = this.#next
    const checked = await readUnlessCut(slice, this.#memory?.next(slice.byteLength))
    if (checked === null) return null
    const { nextOffset } = slice
    const isCommitted = this.#sight === 'readCommitted'
    const aborted = isCommitted ? await this.#log.abortedTransactions(from, nextOffset) : []
    return { ...checked, nextOffset, aborted }
  }

  end(): void {
    this.ended = true
    this.#bytes = null
    this.#ahead = null
    this.#stop?.abort()
  }

  /** Null for what is written but not durable yet, which is no error to wait for; what lies beyond the end is. */
  #slice(): LogSlice | Promise<LogSlice> | null {
    const visible = visibleOffset(this.#log, this.#sight)
    const isHidden = this.#next > visible && this.#next <= this.#log.endOffset
    if (isHidden) return null
    const upTo = Math.min(this.to, visible)
    const visibility = this.#sight === 'written' ? 'written' : 'durable'
    return this.#log.slice({ from: this.#next, upTo, maxBytes: this.#maxBytes, visibility })
  }

  /** What has been read beyond a new end is not what will stand there. */
  #assertNotCut(): void {
    const { truncations } = this.#log
    if (truncations === this.#truncations) return
    const end = this.#log.lowestEndSince(this.#truncations)
    this.#truncations = truncations
    if (end === null || this.#next <= end) return
    throw new VarveError(
      'VARVE_TRUNCATED',
      `the log ${this.#log.dir} was truncated to offset ${end} and the reading had reached ${this.#next}; read again from ${end}`,
    )
  }

  async #wait(): Promise<void> {
    this.#stop ??= new AbortController()
    const letGo = holdWorker()
    try {
      await this.#log.visibleBeyond(this.#next, this.#sight, this.signal, this.#stop.signal)
    } catch (error) {
      if (!this.ended) throw error
    } finally {
      letGo()
    }
  }
}

/** What the slice holds, or `null` where a truncation has cut it: what is left of it is in another one. */
async function readUnlessCut(slice: LogSlice, memory?: Buffer): Promise<CheckedBytes | null> {
  try {
    return await slice.readChecked(memory)
  } catch (error) {
    if (VarveError.is(error) && error.code === 'VARVE_TRUNCATED') return null
    throw error
  }
}

/** Records from an offset on. */
export class RecordReader extends Reader<LogRecord> {
  readonly #log: EngineLog
  readonly #batches: BatchReader
  #records: Iterator<LogRecord, undefined> | null = null

  /** @throws VarveError `VARVE_INVALID_OPTION` */
  constructor(log: EngineLog, options: ReadOptions) {
    super()
    this.#log = log
    this.#batches = new BatchReader(log, options)
  }

  take(): LogRecord | null {
    const { from, to, signal } = this.#batches
    for (;;) {
      while (this.#records !== null) {
        signal?.throwIfAborted()
        const { value, done } = this.#inLog(this.#records, nextOf)
        if (done === true || value.offset >= to) this.#records = null
        else if (value.offset >= from) return value
      }
      const batch = this.#batches.take()
      if (batch === null) return null
      // A transaction's markers are no records of the application's.
      if (!batch.isControl) this.#records = this.#inLog(batch, recordsOf)
    }
  }

  more(): Promise<boolean> {
    return this.#batches.more()
  }

  end(): void {
    this.ended = true
    this.#records = null
    this.#batches.end()
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
}

const nextOf = (records: Iterator<LogRecord, undefined>): IteratorResult<LogRecord, undefined> =>
  records.next()
const recordsOf = (batch: RecordBatch): IterableIterator<LogRecord> => batch.records()
