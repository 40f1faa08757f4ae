import type { Socket } from 'node:net'
import type { Failure, NativeLog } from '@varve/native'
import { VarveError, type LogRecord, type RecordBatch, type RecordInput } from '@varve/records'
import { AppendQueue } from './append-queue.js'
import { checkSettings, nativeConfig } from './checked-options.js'
import { LogWatch } from './diagnostics.js'
import { toError, unwrap } from './failure.js'
import { checkVisibility, visibleOffset, type Sight, type Visibility } from './isolation.js'
import { hold, release } from './keep-alive.js'
import type {
  AppendOptions,
  AppendResult,
  CloseOptions,
  EpochEnd,
  Log,
  LogState,
  OffsetAndTimestamp,
  Recovered,
  SubscribeOptions,
} from './log.js'
import { checkNames, type OptionNames } from './option-names.js'
import type { Durability, LogOptions, LogSettings } from './options.js'
import { abortedIn, producersOf, type AbortedTransaction, type ProducerState } from './producers.js'
import { BatchReader, RecordReader, type ReadOptions } from './reader.js'
import { sendTo, type SendToOptions, type SentRange } from './send-to.js'
import { separateBatches } from './separate-batches.js'
import { checkSliceOptions, LogSlice, type SliceOptions } from './slice.js'
import { statsOf, type LogStats } from './stats.js'
import { checkWholeNumber } from './whole-number.js'

const INT32_MAX = 0x7fff_ffff
const APPEND_OPTIONS: OptionNames<AppendOptions> = { signal: 1 }
const CLOSE_OPTIONS: OptionNames<CloseOptions> = { flush: 1 }
const PHASE_CLOSED = 3
/** By the engine's phases. */
const STATES: readonly LogState[] = ['open', 'open', 'failed', 'closed', 'readOnly']

/** A {@link Log} over the native engine. */
export class EngineLog implements Log {
  readonly dir: string
  readonly recovered: Recovered | null
  readonly #native: NativeLog
  readonly #queue: AppendQueue
  readonly #closed: () => Promise<void>
  readonly #listeners = new Set<() => void>()
  #writeWatchers = 0
  readonly #watch: LogWatch
  /** In the batches that readers were given. */
  recordsRead = 0
  #closing: Promise<void> | null = null

  /** `closed` is called when the engine has closed the log. */
  constructor(native: NativeLog, dir: string, options: Required<LogOptions>, closed: () => Promise<void>) {
    this.#native = native
    this.#closed = closed
    this.dir = dir
    this.recovered = native.recovered
    this.#watch = new LogWatch(native, dir)
    this.#queue = new AppendQueue(native, options, this.#watch, () => this.#notify())
    this.#watch.opened(this.durability)
  }

  get durability(): Durability {
    return this.#native.fsync ? 'fsync' : 'os'
  }

  get startOffset(): number {
    return this.#native.startOffset
  }

  get endOffset(): number {
    return this.#native.endOffset
  }

  get durableOffset(): number {
    return this.#native.durableOffset
  }

  get flushedOffset(): number {
    return this.#native.flushedOffset
  }

  get state(): LogState {
    const state = this.#closing === null ? STATES[this.#native.phase]! : 'closed'
    return state === 'failed' && this.#native.failure?.code === 'VARVE_LOG_CORRUPT' ? 'corrupt' : state
  }

  get failure(): VarveError | null {
    const failure = this.#native.failure
    return failure === null ? null : toError(failure)
  }

  get pendingBytes(): number {
    return this.#queue.pendingBytes
  }

  get leaderEpoch(): number {
    return this.#native.leaderEpoch
  }

  setLeaderEpoch(epoch: number): void {
    checkWholeNumber('leader epoch', epoch, 0, INT32_MAX)
    const refused = this.#native.setLeaderEpoch(epoch)
    if (refused !== null) throw toError(refused)
  }

  endOffsetForEpoch(epoch: number): EpochEnd | null {
    checkWholeNumber('leader epoch', epoch, -1, INT32_MAX)
    return this.#native.endOffsetForEpoch(epoch)
  }

  append(records: readonly RecordInput[], options?: AppendOptions): Promise<AppendResult> {
    // Not an async function: its extra promise would cost as much as the append.
    try {
      if (options !== undefined) checkNames(options, APPEND_OPTIONS)
      options?.signal?.throwIfAborted()
      this.#assertOpen()
      return this.#queue.appendRecords(records, options?.signal)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  appendSync(records: readonly RecordInput[]): AppendResult {
    this.#assertOpen()
    return this.#queue.appendSync(records)
  }

  appendBatches(batches: readonly Uint8Array[], options?: AppendOptions): Array<Promise<AppendResult>> {
    if (!Array.isArray(batches)) {
      throw new VarveError('VARVE_BATCH_INVALID', 'appendBatches takes an array of encoded record batches')
    }
    if (options !== undefined) checkNames(options, APPEND_OPTIONS)
    const { signal } = options ?? {}
    if (signal?.aborted) return batches.map(() => Promise.reject(signal.reason))
    if (this.#closing !== null) return batches.map(() => Promise.reject(this.#closedError()))
    return batches.map((batch) => this.#queue.appendBatch(batch, { signal }))
  }

  async appendReplicated(batches: Uint8Array): Promise<AppendResult> {
    this.#assertOpen()
    const appended = separateBatches(batches).map((batch) =>
      this.#queue.appendBatch(batch, { replicated: true }),
    )
    const settled = await Promise.allSettled(appended)
    const results = settled.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return result.value
    })
    return { baseOffset: results[0]!.baseOffset, lastOffset: results.at(-1)!.lastOffset }
  }

  read(options: ReadOptions = {}): AsyncIterableIterator<LogRecord> {
    this.#assertOpen()
    return new RecordReader(this, options)
  }

  readBatches(options: ReadOptions = {}): AsyncIterableIterator<RecordBatch> {
    this.#assertOpen()
    return new BatchReader(this, options)
  }

  slice(options: SliceOptions): LogSlice | Promise<LogSlice> {
    this.#assertOpen()
    checkSliceOptions(options)
    const { from, upTo = Infinity, maxBytes = 1 << 20, minOneBatch = true } = options
    const range = [from, upTo, maxBytes, minOneBatch, options.visibility === 'written'] as const
    const native = this.#native.slice(...range)
    if (native !== null) return new LogSlice(unwrap(native), from)
    return this.#native.sliceCold(...range).then((cold) => new LogSlice(unwrap(cold), from))
  }

  sendTo(socket: Socket, options: SendToOptions): Promise<SentRange> {
    return sendTo(this, socket, options)
  }

  get lastStableOffset(): number {
    return this.#native.lastStableOffset
  }

  setHighWatermark(offset: number): void {
    checkWholeNumber('high watermark', offset, 0, Number.MAX_SAFE_INTEGER)
    this.#native.setHighWatermark(offset)
  }

  async abortedTransactions(from: number, to: number): Promise<AbortedTransaction[]> {
    this.#assertOpen()
    return abortedIn(this.#native, from, to)
  }

  producers(): ProducerState[] {
    return producersOf(this.#native)
  }

  async offsetForTime(timestamp: number): Promise<OffsetAndTimestamp | null> {
    this.#assertOpen()
    checkWholeNumber('timestamp', timestamp, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
    return unwrap(await this.#native.offsetForTime(timestamp))
  }

  async maxTimestamp(): Promise<OffsetAndTimestamp | null> {
    this.#assertOpen()
    return unwrap(await this.#native.maxTimestamp())
  }

  subscribe(listener: () => void, { visibility = 'durable' }: SubscribeOptions = {}): () => void {
    checkVisibility(visibility)
    // A listener of its own, so that one function subscribed twice is two subscriptions.
    const own = (): void => listener()
    this.#listeners.add(own)
    const isWritten = visibility === 'written'
    if (isWritten) this.#watchWrites(1)
    return () => {
      if (this.#listeners.delete(own) && isWritten) this.#watchWrites(-1)
    }
  }

  #watchWrites(more: 1 | -1): void {
    this.#native.watchWrites(more > 0)
    this.#writeWatchers += more
    this.#queue.tellsWrites = this.#writeWatchers > 0
  }

  /** Resolves when readers may see beyond `offset`. @throws VarveError when that cannot happen any more. */
  visibleBeyond(offset: number, sight: Sight, ...signals: Array<AbortSignal | undefined>): Promise<void> {
    const isVisible = (): boolean => {
      // Where the end has been cut off in front of it the reader has to be told, too.
      if (visibleOffset(this, sight) > offset || this.endOffset < offset) return true
      const { state } = this
      if (state === 'open') return false
      throw state === 'closed' ? this.#closedError() : this.failure!
    }
    return this.#until(isVisible, signals, sight === 'written' ? 'written' : 'durable')
  }

  async configure(settings: LogSettings): Promise<void> {
    this.#assertOpen()
    checkSettings(settings)
    const change = nativeConfig(settings)
    const { durability } = this
    // What was appended before goes by what was in force.
    const release = await this.#queue.hold()
    try {
      const refused = this.#native.configure(change)
      if (refused !== null) throw toError(refused)
      this.#queue.takeLimits()
      if (settings.maxPendingBytes !== undefined) this.#queue.maxPendingBytes = settings.maxPendingBytes
    } finally {
      release()
    }
    if (this.durability !== durability && this.durability === 'fsync') await this.flush()
  }

  async flush(): Promise<number> {
    this.#assertOpen()
    await this.#queue.written()
    if (this.#closing !== null) {
      // Closing flushes as well, and nothing is appended behind it.
      await this.#closing
      return this.endOffset
    }
    const target = unwrap(this.#native.requestFlush())
    hold()
    try {
      await this.#until(() => {
        // What was cut off meanwhile will not be flushed.
        if (this.#native.flushedOffset >= Math.min(target, this.endOffset)) return true
        const { failure } = this
        if (failure !== null) throw failure
        if (this.#native.phase === PHASE_CLOSED) throw this.#closedError()
        return false
      })
    } finally {
      release()
    }
    return target
  }

  async deleteBefore(offset: number): Promise<number> {
    this.#assertOpen()
    checkWholeNumber('offset', offset, 0, Number.MAX_SAFE_INTEGER)
    return unwrap(await this.#native.deleteBefore(offset))
  }

  async compact(): Promise<number> {
    this.#assertOpen()
    return unwrap(await this.#native.compact())
  }

  get compactionFailure(): VarveError | null {
    const failure = this.#native.compactionFailure
    return failure === null ? null : toError(failure)
  }

  async applyRetention(): Promise<number> {
    this.#assertOpen()
    return unwrap(await this.#native.applyRetention())
  }

  truncateTo(offset: number): Promise<number> {
    return this.#truncate(offset, () => this.#native.truncateTo(offset))
  }

  truncateFullyAndStartAt(offset: number): Promise<number> {
    return this.#truncate(offset, () => this.#native.truncateFullyAndStartAt(offset))
  }

  async #truncate(offset: number, truncate: () => Promise<number | Failure>): Promise<number> {
    this.#assertOpen()
    checkWholeNumber('offset', offset, 0, Number.MAX_SAFE_INTEGER)
    // What is appended from here on belongs behind the cut.
    const release = await this.#queue.hold()
    try {
      return unwrap(await truncate())
    } finally {
      release()
    }
  }

  /** How often the log was truncated. */
  get truncations(): number {
    return this.#native.truncations
  }

  /** The lowest offset at which the log has ended since there were `seen` truncations. */
  lowestEndSince(seen: number): number | null {
    return this.#native.lowestEndSince(seen)
  }

  close(options: CloseOptions = {}): Promise<void> {
    try {
      checkNames(options, CLOSE_OPTIONS)
    } catch (error) {
      return Promise.reject(error)
    }
    // In a later microtask, so that whoever is told meanwhile finds the log closing.
    this.#closing ??= Promise.resolve().then(() => this.#close(options.flush ?? true))
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  stats(): LogStats {
    return statsOf(this.#native.stats(), this.recordsRead)
  }

  async #close(flush: boolean): Promise<void> {
    await this.#queue.settled()
    this.#watch.changed()
    let failure: VarveError | null = null
    try {
      const refused = await (flush ? this.#native.close() : this.#native.discard())
      failure = refused === undefined ? null : toError(refused)
    } finally {
      this.#notify()
      await this.#closed()
    }
    this.#watch.changed()
    this.#watch.closed(failure)
    if (failure !== null) throw failure
  }

  /** The engine's word that something changed. */
  changed = (): void => {
    this.#watch.changed()
    this.#queue.takeLimits()
    this.#queue.settle()
    // More may have become durable while that ran: whoever appended it finds it told.
    this.#watch.changed()
    this.#notify()
  }

  #notify(): void {
    for (const listener of Array.from(this.#listeners)) {
      try {
        listener()
      } catch (error) {
        // A listener's mistake is its own: neither the others nor an append may fail for it.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  /** Resolves when `condition` holds, which is asked now and after every change. */
  #until(
    condition: () => boolean,
    signals: Array<AbortSignal | undefined> = [],
    visibility: Visibility = 'durable',
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        unsubscribe()
        for (const signal of signals) signal?.removeEventListener('abort', ask)
        settle()
      }
      const ask = (): void => {
        try {
          for (const signal of signals) signal?.throwIfAborted()
          if (condition()) finish(resolve)
        } catch (error) {
          finish(() => reject(error))
        }
      }
      const unsubscribe = this.subscribe(ask, { visibility })
      for (const signal of signals) signal?.addEventListener('abort', ask)
      ask()
    })
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw this.#closedError()
  }

  #closedError(): VarveError {
    return new VarveError('VARVE_LOG_CLOSED', `the log ${this.dir} is closed; open it again`)
  }
}
