import type { Socket } from 'node:net'
import type { NativeLog } from '@varve/native'
import { VarveError, type LogRecord, type RecordBatch, type RecordInput } from '@varve/records'
import { AppendQueue } from './append-queue.js'
import { LogWatch } from './diagnostics.js'
import { toError, unwrap } from './failure.js'
import { visibleOffset, type Isolation } from './isolation.js'
import { hold, release } from './keep-alive.js'
import type { Durability, LogOptions } from './options.js'
import {
  abortedIn,
  producersOf,
  type AbortedTransaction,
  type LogTransactions,
  type ProducerState,
} from './producers.js'
import { BatchReader, RecordReader, type ReadOptions } from './reader.js'
import { sendTo, type SendToOptions, type SentRange } from './send-to.js'
import { recordInBatch, type OffsetAndTimestamp } from './record-in-batch.js'
import { separateBatches } from './separate-batches.js'
import { checkSliceOptions, LogSlice, type Slice, type SliceOptions } from './slice.js'
import { statsOf, type LogStats } from './stats.js'
import { checkWholeNumber } from './whole-number.js'

/** Where records were appended. */
export interface AppendResult {
  /** The offset of the first record. */
  baseOffset: number
  /** The offset of the last record. */
  lastOffset: number
}

/** How to append. */
export interface AppendOptions {
  /**
   * Takes the append back when it is aborted: it rejects with the signal's reason and is never written. Once the engine has
   * it, mostly at the end of the tick, aborting changes nothing any more and the append settles as any other.
   */
  signal?: AbortSignal
}

/** Where a leader epoch ends. */
export interface EpochEnd {
  /** The epoch asked for, or the largest below it that the log has seen. */
  epoch: number
  /** The offset behind its last record. */
  endOffset: number
}

/** What an unclean stop left of a log. */
export interface Recovered {
  /** The log's end after the recovery. */
  endOffset: number
  /** Bytes behind it that were not kept: half-written batches. Whole ones are kept aside as `<offset>.cut`. */
  cutBytes: number
}

/**
 * `'failed'`: a write or an fsync failed, the log takes no more writes until it is opened again. `'corrupt'`: bytes
 * that were durable once do not parse, the log can only be read. `'readOnly'`: it was opened so.
 */
export type LogState = 'open' | 'failed' | 'corrupt' | 'readOnly' | 'closed'

/** An append-only log in a directory. One process has it at a time, and each of its threads one `Log` of it. */
export interface Log extends AsyncDisposable, LogTransactions {
  /** The absolute path of its directory. */
  readonly dir: string
  /** As it was opened with. */
  readonly durability: Durability
  /** The first offset that can be read. */
  readonly startOffset: number
  /** The offset that the next record gets. */
  readonly endOffset: number
  /** Up to where the log's durability holds: the end under `'os'`, the last fsync under `'fsync'`. Readers stop here. */
  readonly durableOffset: number
  /** Up to where everything is on disk for good, whatever the durability. */
  readonly flushedOffset: number
  /** What was found after an unclean stop; `null` after a clean one and for a new log. */
  readonly recovered: Recovered | null
  /** Whether it can be written and read. `'closed'` as soon as {@link close} is called. */
  readonly state: LogState
  /** Why the log is `'failed'` or `'corrupt'`; `null` when it is neither, and once it is closed. */
  readonly failure: VarveError | null
  /** Bytes of appends that have no result yet. From `maxPendingBytes` on, further appends are held. */
  readonly pendingBytes: number
  /** The epoch that appended batches carry. At first the latest that the log's batches have, or 0. */
  readonly leaderEpoch: number
  /**
   * Sets {@link leaderEpoch}, from 0 to 2^31 − 1.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_EPOCH_FENCED` for one below the latest that the log's batches have
   */
  setLeaderEpoch(epoch: number): void
  /**
   * Where a leader epoch ends in this log: the offset behind its last record. For an epoch that the log skipped the
   * largest smaller one is answered, for one before its first the start of the first, for one larger than any `null`
   * (KIP-101, KIP-279).
   */
  endOffsetForEpoch(epoch: number): EpochEnd | null

  /**
   * Appends records, stored as a whole or not at all, and resolves when the log's durability covers them. Appends that are
   * not awaited one by one are written, and fsynced, together, and share batches of up to 16 KiB where none of them has a
   * `signal`; their order is that of the calls. The records are encoded before this returns, unless more than `maxPendingBytes` are on their way: then they are held and encoded when it is their turn, and
   * must not be changed until the promise has settled. Holding costs no copy, but the records stay in memory: whoever
   * produces faster than the disk writes waits for some of the promises, or looks at {@link pendingBytes}.
   *
   * @throws VarveError (as a rejection, as everything here) `VARVE_EMPTY_BATCH`, `VARVE_RECORD_INVALID`,
   * `VARVE_BATCH_TOO_LARGE`, `VARVE_LOW_DISK`, `VARVE_LOG_CLOSED` (nothing is stored); `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT` (the records
   * may be stored or not). The signal's reason when the append is taken back.
   */
  append(records: readonly RecordInput[], options?: AppendOptions): Promise<AppendResult>

  /**
   * As {@link append}, for scripts: blocks the thread until the log's durability covers the records, and everything that was
   * appended before them. Nothing else happens in the process meanwhile, so a server has no use for it.
   *
   * @throws VarveError as {@link append}
   */
  appendSync(records: readonly RecordInput[]): AppendResult

  /**
   * Appends encoded record batches (magic 2), one per buffer, with one result each: a bad one never fails its
   * neighbours. Base offset and leader epoch are written into the buffers, which belong to the log until their
   * promise settles. The same buffer may be given more than once.
   *
   * @throws VarveError (as a rejection of that batch) as {@link append}; and `VARVE_BATCH_CORRUPT` for bytes that are not
   * exactly one batch or do not agree with their checksum, `VARVE_BATCH_MAGIC` for another format, `VARVE_BATCH_INVALID` for
   * counts or records that contradict each other and for what is no `Uint8Array`. At once `VARVE_BATCH_INVALID` when
   * `batches` is no array. For a batch of an idempotent or transactional producer (KIP-98) `VARVE_OUT_OF_ORDER_SEQUENCE`,
   * `VARVE_PRODUCER_FENCED`, `VARVE_INVALID_TXN_STATE`, and for a marker `VARVE_TRANSACTION_COORDINATOR_FENCED`; one of the
   * producer's last five batches again is answered with the offsets that it has, once those are durable.
   */
  appendBatches(batches: readonly Uint8Array[]): Array<Promise<AppendResult>>

  /**
   * Appends record batches of another log as they are: several in one buffer, one behind the other, with the offsets and
   * leader epochs that they have there. Offsets may have gaps, as those of a compacted log do, but neither they nor the
   * epochs may go backwards. The buffer belongs to the log until the promise settles. Resolves when the durability covers
   * all of them; a batch that is refused leaves those in front of it appended.
   *
   * @throws VarveError (as a rejection) as {@link appendBatches}, and `VARVE_EPOCH_FENCED`
   */
  appendReplicated(batches: Uint8Array): Promise<AppendResult>

  /**
   * Reads records in the order of their offsets; a transaction's markers are left out. Keys and values are views of
   * memory that the reading holds: copy what must outlive it.
   *
   * @throws VarveError at once `VARVE_INVALID_OPTION`, `VARVE_LOG_CLOSED`, with `follow` `VARVE_READ_ONLY`; from the iterator, which then has ended,
   * `VARVE_OFFSET_OUT_OF_RANGE` for a `from` outside of `startOffset` to `endOffset`, and when deletion overtakes it,
   * `VARVE_TRUNCATED` when what it has read is cut off, `VARVE_LOG_CORRUPT` behind the records
   * in front of the damage, `VARVE_UNSUPPORTED_CODEC` and `VARVE_BATCH_INVALID` for a batch that cannot be decoded,
   * `VARVE_LOG_CLOSED`, `VARVE_IO`, and with `follow` `VARVE_LOG_FAILED`.
   */
  read(options?: ReadOptions): AsyncIterableIterator<LogRecord>
  /**
   * Reads whole batches, checked against their checksums: the first may start before `from`, the last may reach beyond
   * `to`, and a transaction's markers are among them.
   *
   * @throws VarveError as {@link read}
   */
  readBatches(options?: ReadOptions): AsyncIterableIterator<RecordBatch>

  /**
   * A range of whole batches of one segment for somebody who sends them on; synchronous unless an index or a header
   * must be fetched from the disk. Empty at the durable end. Close it when it is done with.
   *
   * @throws VarveError (as a rejection where it is a promise) `VARVE_OFFSET_OUT_OF_RANGE` for a `from` outside of
   * `startOffset` to `durableOffset`, `VARVE_INVALID_OPTION`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`.
   */
  slice(options: SliceOptions): Slice | Promise<Slice>

  /**
   * Sends whole batches from `from` on to a socket, as {@link slice} and `send` together do, over as many segments as it
   * takes: up to `upTo`, `maxBytes` (default 1 MiB) or the durable end, whichever comes first.
   *
   * @throws VarveError (as a rejection) as {@link slice}, with nothing sent; as `send`
   * @example
   * ```ts
   * const { nextOffset } = await log.sendTo(socket, { from: 0, maxBytes: 4 << 20 })
   * ```
   */
  sendTo(socket: Socket, options: SendToOptions): Promise<SentRange>

  /**
   * The first record at or after `timestamp` (ms since 1970, a whole number); `null` when all are older. For a batch with
   * a codec that cannot be read, its first offset and its largest time.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  offsetForTime(timestamp: number): Promise<OffsetAndTimestamp | null>
  /** The first record with the largest timestamp; `null` for an empty log. @throws VarveError as {@link offsetForTime} */
  maxTimestamp(): Promise<OffsetAndTimestamp | null>

  /**
   * Calls `listener` after `durableOffset` moved or `state` changed, and at times when neither did. Returns how to stop
   * that. What a listener throws becomes an uncaught exception.
   */
  subscribe(listener: () => void): () => void
  /**
   * Makes everything appended so far durable, whatever the log's durability. Returns the offset reached.
   *
   * @throws VarveError `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`
   */
  flush(): Promise<number>
  /**
   * Deletes the records before `offset`, as Kafka's DeleteRecords does: the log starts there from now on, also after a
   * crash, and segments that end before it are removed. Slices of them stay readable. Returns the log's start offset.
   *
   * @throws VarveError `VARVE_OFFSET_OUT_OF_RANGE` for an offset beyond `durableOffset`, `VARVE_INVALID_OPTION`,
   * `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  deleteBefore(offset: number): Promise<number>
  /**
   * Compacts everything in sealed segments, without waiting for the next look at it in the background and however little
   * of it is new. Returns the offset up to which the log is compacted. A compaction that fails leaves the log as it was.
   *
   * @throws VarveError `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  compact(): Promise<number>
  /** Why the last compaction, in the background too, came to nothing; `null` when it did not. */
  readonly compactionFailure: VarveError | null
  /**
   * Deletes the segments that `retentionMs` and `retentionBytes` do not cover, without waiting for the next look at them
   * in the background. Returns the log's start offset.
   *
   * @throws VarveError `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  applyRetention(): Promise<number>
  /**
   * Cuts off the batch that holds `offset` and everything behind it, as a follower does that has more than its leader.
   * Appends made meanwhile wait for it. Slices that reach beyond the new end cannot be read any more, and readings that
   * have passed it end with `VARVE_TRUNCATED`. Returns the new end offset: `offset`, or less where it lies within a batch
   * or behind a gap.
   *
   * @throws VarveError `VARVE_OFFSET_OUT_OF_RANGE` for an offset before `startOffset`, `VARVE_INVALID_OPTION`,
   * `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  truncateTo(offset: number): Promise<number>
  /**
   * What the log did since it was opened, and how long it took. Counting costs an append nanoseconds, asking tens of
   * microseconds. After {@link close} the last figures are given. What happens is told on the channels of
   * {@link LogEvents}.
   */
  stats(): LogStats
  /**
   * Waits for pending appends, flushes and lets go of the directory and all files. Nothing can be appended or read from
   * the call on, and readings under way end with `VARVE_LOG_CLOSED`; slices stay readable. Calling it again gives the same
   * promise.
   *
   * @throws VarveError `VARVE_LOG_FAILED` when something written could not be made durable, now or before. The log is
   * closed nevertheless.
   */
  close(): Promise<void>
}

const INT32_MAX = 0x7fff_ffff
const PHASE_CLOSED = 3
/** By the engine's phases. */
const STATES: readonly LogState[] = ['open', 'open', 'failed', 'closed', 'readOnly']

/** A {@link Log} over the native engine. */
export class EngineLog implements Log {
  readonly dir: string
  readonly durability: Durability
  readonly recovered: Recovered | null
  readonly #native: NativeLog
  readonly #queue: AppendQueue
  readonly #closed: () => Promise<void>
  readonly #listeners = new Set<() => void>()
  readonly #watch: LogWatch
  /** In the batches that readers were given. */
  recordsRead = 0
  #closing: Promise<void> | null = null

  /** `closed` is called when the engine has closed the log. */
  constructor(native: NativeLog, dir: string, options: Required<LogOptions>, closed: () => Promise<void>) {
    this.#native = native
    this.#closed = closed
    this.dir = dir
    this.durability = options.durability
    this.recovered = native.recovered
    this.#watch = new LogWatch(native, dir)
    this.#queue = new AppendQueue(native, options, this.#watch, () => this.#notify())
    this.#watch.opened(this.durability)
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

  appendBatches(batches: readonly Uint8Array[]): Array<Promise<AppendResult>> {
    if (!Array.isArray(batches)) {
      throw new VarveError('VARVE_BATCH_INVALID', 'appendBatches takes an array of encoded record batches')
    }
    if (this.#closing !== null) return batches.map(() => Promise.reject(this.#closedError()))
    return batches.map((batch) => this.#queue.appendBatch(batch))
  }

  async appendReplicated(batches: Uint8Array): Promise<AppendResult> {
    this.#assertOpen()
    const appended = separateBatches(batches).map((batch) => this.#queue.appendBatch(batch, true))
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
    const native = this.#native.slice(from, upTo, maxBytes, minOneBatch)
    if (native === null) return this.#sliceCold(from, upTo, maxBytes, minOneBatch)
    return new LogSlice(unwrap(native), from)
  }

  async #sliceCold(from: number, upTo: number, maxBytes: number, minOne: boolean): Promise<LogSlice> {
    return new LogSlice(unwrap(await this.#native.sliceCold(from, upTo, maxBytes, minOne)), from)
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
    const base = unwrap(await this.#native.batchForTime(timestamp))
    return base === null ? null : recordInBatch(this, base, (time) => time >= timestamp)
  }

  async maxTimestamp(): Promise<OffsetAndTimestamp | null> {
    this.#assertOpen()
    const base = unwrap(await this.#native.batchOfMaxTimestamp())
    return base === null ? null : recordInBatch(this, base, (time, max) => time === max)
  }

  subscribe(listener: () => void): () => void {
    // A listener of its own, so that one function subscribed twice is two subscriptions.
    const own = (): void => listener()
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  /** Resolves when readers may see beyond `offset`. @throws VarveError when that cannot happen any more. */
  visibleBeyond(
    offset: number,
    isolation: Isolation,
    ...signals: Array<AbortSignal | undefined>
  ): Promise<void> {
    return this.#until(() => {
      // Where the end has been cut off in front of it the reader has to be told, too.
      if (visibleOffset(this, isolation) > offset || this.endOffset < offset) return true
      const { state } = this
      if (state === 'open') return false
      throw state === 'closed' ? this.#closedError() : this.failure!
    }, signals)
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

  async truncateTo(offset: number): Promise<number> {
    this.#assertOpen()
    checkWholeNumber('offset', offset, 0, Number.MAX_SAFE_INTEGER)
    // What is appended from here on belongs behind the cut.
    const release = await this.#queue.hold()
    try {
      return unwrap(await this.#native.truncateTo(offset))
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

  close(): Promise<void> {
    // In a later microtask, so that whoever is told meanwhile finds the log closing.
    this.#closing ??= Promise.resolve().then(() => this.#close())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  stats(): LogStats {
    return statsOf(this.#native.stats(), this.recordsRead)
  }

  async #close(): Promise<void> {
    await this.#queue.settled()
    this.#watch.changed()
    let failure: VarveError | null = null
    try {
      const refused = await this.#native.close()
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
  #until(condition: () => boolean, signals: Array<AbortSignal | undefined> = []): Promise<void> {
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
      const unsubscribe = this.subscribe(ask)
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
