import type { AbortedTransaction, EpochEnd, Log, LogOptions, LogStats, ProducerState } from '@varve/log'
import { type LogRecord, type RecordBatch, VarveError } from '@varve/records'
import type { TopicSettings } from './configs/topic-settings.js'
import { type FetchedRecords, readRecords, type RecordsWanted } from './fetched-records.js'

export type { AbortedTransaction } from '@varve/log'

/** Whether a consumer sees what transactions have not decided on, or have aborted. */
export type Isolation = 'readUncommitted' | 'readCommitted'

/** What a partition asks of its log. */
export type PartitionLog = Pick<
  Log,
  | 'dir'
  | 'startOffset'
  | 'endOffset'
  | 'durableOffset'
  | 'lastStableOffset'
  | 'state'
  | 'failure'
  | 'leaderEpoch'
  | 'setLeaderEpoch'
  | 'endOffsetForEpoch'
  | 'appendBatches'
  | 'slice'
  | 'abortedTransactions'
  | 'producers'
  | 'read'
  | 'readBatches'
  | 'offsetForTime'
  | 'maxTimestamp'
  | 'subscribe'
  | 'configure'
  | 'flush'
  | 'deleteBefore'
  | 'truncateFullyAndStartAt'
  | 'stats'
  | 'close'
>

/** A produce that waits until the high watermark covers it. */
interface CommitWaiter {
  readonly offset: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Is told that a partition has changed; see {@link Partition.listen}. */
export type PartitionListener = (partition: Partition) => void

export interface PartitionOptions {
  readonly topic: string
  readonly index: number
  readonly leaderEpoch: number
  readonly settings: TopicSettings
  /** What the log's disk has to keep free; default 0. */
  readonly lowDiskBytes?: number
  /** Called once, when the log stops taking writes while it is served. */
  readonly onFailure?: (partition: Partition, failure: VarveError) => void
}

/**
 * One partition as the handlers see it: a log, the leader's epoch, the high watermark, and who waits for them to move.
 *
 * Only the high watermark separates what consumers may read and acks=all may acknowledge from what is merely durable
 * here. With this broker as the only replica it is the log's durable offset; replication changes how it advances, and
 * nothing above this class.
 */
export class Partition {
  readonly topic: string
  readonly index: number
  #leaderEpoch: number
  #log: PartitionLog | null = null
  #deleted = false
  #settings: TopicSettings
  readonly #lowDiskBytes: number
  #failure: VarveError | null = null
  #highWatermark = 0
  #beginnings = 1
  #unsubscribe: () => void = () => {}
  readonly #commitWaiters = new Set<CommitWaiter>()
  readonly #listeners = new Set<PartitionListener>()
  #onFailure: PartitionOptions['onFailure']

  constructor({ topic, index, leaderEpoch, settings, lowDiskBytes = 0, onFailure }: PartitionOptions) {
    this.#lowDiskBytes = lowDiskBytes
    this.#settings = settings
    this.#onFailure = onFailure
    this.topic = topic
    this.index = index
    this.#leaderEpoch = leaderEpoch
  }

  /** `topic-index`, also the name of its directory. */
  get name(): string {
    return `${this.topic}-${this.index}`
  }

  /** The epoch in which this broker leads. */
  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  /**
   * Begins to serve from an open log, which the partition owns from now on. A log that comes from elsewhere may have seen
   * later epochs than this broker; it goes on in the latest, since epochs never go back.
   */
  attach(log: PartitionLog): void {
    this.#leaderEpoch = Math.max(this.#leaderEpoch, log.leaderEpoch)
    log.setLeaderEpoch(this.#leaderEpoch)
    this.#log = log
    this.#highWatermark = log.durableOffset
    this.#unsubscribe = log.subscribe(() => this.#onLogChange())
  }

  /** How its log is opened. */
  get logOptions(): LogOptions {
    return { ...this.#settings.log, lowDiskBytes: this.#lowDiskBytes, gather: 'immediate' }
  }

  /** Puts a topic's settings in force, for what comes from now on. */
  configure(settings: TopicSettings): void {
    this.#settings = settings
    // One that takes no settings any more has failed or is being closed, which is said where it matters.
    void this.#log?.configure(settings.log).catch(() => {})
  }

  /** Whether its topic has been deleted: whoever still refers to it is told that there is no such partition. */
  get deleted(): boolean {
    return this.#deleted
  }

  /** Marks a partition whose log could not be opened: everything asked of it is refused with this failure. */
  refuse(failure: VarveError): void {
    this.#failure = failure
  }

  /** Why this partition cannot be written, or null while it can. */
  get failure(): VarveError | null {
    if (this.#failure !== null) return this.#failure
    const log = this.#log
    if (log === null) return unopened(this.name)
    if (log.state === 'open') return null
    return log.failure ?? new VarveError('VARVE_LOG_CLOSED', `the log of ${this.name} is closed`)
  }

  /** Whether there is a log to read from, be it one that takes no writes any more. */
  get readable(): boolean {
    return this.#log !== null && this.#log.state !== 'closed'
  }

  get highWatermark(): number {
    return this.#highWatermark
  }

  /** The end of what read_committed consumers see: below it every transaction has ended. */
  get lastStableOffset(): number {
    return Math.min(this.#log?.lastStableOffset ?? Infinity, this.#highWatermark)
  }

  /** The end of what a consumer sees. */
  visibleOffset(isolation: Isolation): number {
    return isolation === 'readCommitted' ? this.lastStableOffset : this.#highWatermark
  }

  get logStartOffset(): number {
    return this.#log?.startOffset ?? -1
  }

  get logEndOffset(): number {
    return this.#log?.endOffset ?? -1
  }

  /**
   * Appends one encoded batch, whose base offset and leader epoch are assigned in its bytes. The buffer belongs to the
   * log until the promise settles.
   *
   * @param committed wait for the high watermark (acks=all) instead of this replica's own durability
   * @returns the base offset
   */
  append(batch: Uint8Array, committed: boolean): Promise<number> {
    const log = this.#log
    if (log === null) return Promise.reject(this.failure)
    const appended = log.appendBatches([batch])[0]!
    return appended.then(
      ({ baseOffset, lastOffset }) => this.#acknowledge(baseOffset, lastOffset, committed),
      (error: unknown) => {
        throw this.#deleted ? this.failure : error
      },
    )
  }

  #acknowledge(baseOffset: number, lastOffset: number, committed: boolean): number | Promise<number> {
    if (!committed || this.#covers(lastOffset)) return baseOffset
    return this.#committed(lastOffset).then(() => baseOffset)
  }

  /** Whether the high watermark has passed an offset, after taking in what the log knows by now. */
  #covers(offset: number): boolean {
    this.#advanceHighWatermark()
    return this.#highWatermark > offset
  }

  #committed(offset: number): Promise<void> {
    const failure = this.failure
    if (failure !== null) return Promise.reject(failure)
    return new Promise((resolve, reject) => {
      this.#commitWaiters.add({ offset, resolve, reject })
    })
  }

  /**
   * Slices of whole batches from `from`, at most up to the high watermark.
   *
   * @throws VarveError as the log's `slice`, for example `VARVE_LOG_CORRUPT` in a damaged range
   */
  read(from: number, wanted: Omit<RecordsWanted, 'from'>): FetchedRecords | Promise<FetchedRecords> {
    if (this.#log === null) throw this.failure
    return readRecords(this.#log, { from, ...wanted, upTo: Math.min(wanted.upTo, this.#highWatermark) })
  }

  /** The aborted transactions with a record from `from` up to but not including `to`, in the order of their markers. */
  abortedTransactions(from: number, to: number): Promise<AbortedTransaction[]> {
    if (this.#log === null) return Promise.reject(this.failure)
    return this.#log.abortedTransactions(from, to)
  }

  /**
   * Every batch there is now, for whoever keeps its state in this partition.
   *
   * @throws VarveError as the log's `readBatches`, for example `VARVE_LOG_CORRUPT` in a damaged range
   */
  readBatches(): AsyncIterable<RecordBatch> {
    if (this.#log === null) throw this.failure
    return this.#log.readBatches()
  }

  /** The records from an offset up to but not including another one; their keys and values are views of what was read. */
  readRecords(from: number, to: number, isolation: Isolation): AsyncIterable<LogRecord> {
    if (this.#log === null) throw this.failure
    return this.#log.read({ from, to, isolation })
  }

  /** The first record at or after a timestamp, or null. */
  offsetForTime(timestamp: number): Promise<{ offset: number; timestamp: number } | null> {
    if (this.#log === null) return Promise.reject(this.failure)
    return this.#log.offsetForTime(timestamp)
  }

  /** The record with the largest timestamp, or null in an empty log. */
  maxTimestamp(): Promise<{ offset: number; timestamp: number } | null> {
    if (this.#log === null) return Promise.reject(this.failure)
    return this.#log.maxTimestamp()
  }

  /**
   * Where a leader epoch ends in this log, or the largest one below it that the log has seen; null for an epoch later than
   * the current one (KIP-101, KIP-279). The current one ends at the log's end, also before its first record.
   */
  endOffsetForEpoch(epoch: number): EpochEnd | null {
    if (epoch === this.leaderEpoch) return { epoch, endOffset: this.logEndOffset }
    return this.#log?.endOffsetForEpoch(epoch) ?? null
  }

  /** The idempotent and transactional producers that the log remembers, in the order of their ids. */
  producers(): ProducerState[] {
    return this.#log?.producers() ?? []
  }

  /** Calls `listener` after each move of the high watermark and each change of the log's state. */
  listen(listener: PartitionListener): void {
    this.#listeners.add(listener)
  }

  unlisten(listener: PartitionListener): void {
    this.#listeners.delete(listener)
  }

  /** Stops following the log; whoever still waits for the high watermark is refused. The log itself is not closed. */
  detach(): void {
    this.#unsubscribe()
    this.#unsubscribe = () => {}
    this.#settleCommitWaiters(new VarveError('VARVE_LOG_CLOSED', `the broker is closing ${this.name}`))
    this.#notify()
  }

  /** When the batch at an offset was appended, in a log that gives its records that time; −1 when it is gone. */
  async appendTime(offset: number): Promise<number> {
    try {
      for await (const batch of this.#log!.readBatches({ from: offset, to: offset + 1 }))
        return batch.maxTimestamp
    } catch {
      // Deleted, or unreadable: the record was taken all the same.
    }
    return -1
  }

  /** Deletes the records before an offset, and resolves with where the log starts then. */
  deleteBefore(offset: number): Promise<number> {
    if (this.#log === null) return Promise.reject(this.failure)
    return this.#log.deleteBefore(offset)
  }

  /** Deletes all records and forgets all producers: the next record is at offset 0 again. */
  async startOver(): Promise<void> {
    const log = this.#log
    if (log === null) throw this.failure
    await log.truncateFullyAndStartAt(0).catch((error: unknown) => {
      throw this.#deleted ? this.failure : error
    })
    if (this.#deleted) throw this.failure
    this.#beginnings++
    this.#highWatermark = log.durableOffset
    this.#notify()
  }

  /** How often its records have begun at offset 0. */
  get beginnings(): number {
    return this.#beginnings
  }

  /** Where its log is; null where none is open. */
  get directory(): string | null {
    return this.#log?.dir ?? null
  }

  /** The bytes of its segment files, their indexes left out. */
  get sizeBytes(): number {
    return this.readable ? this.#log!.stats().segments.bytes : 0
  }

  /** What its log has done since it was opened; null where none is open. */
  get stats(): LogStats | null {
    return this.readable ? this.#log!.stats() : null
  }

  /** Lets go of the log of a deleted topic. Whoever waits here is told that there is no such partition any more. */
  async remove(): Promise<void> {
    const log = this.#log
    this.#deleted = true
    this.#failure = new VarveError('VARVE_TOPIC_DELETED', `the topic of ${this.name} has been deleted`)
    this.#log = null
    this.#unsubscribe()
    this.#settleCommitWaiters(this.#failure)
    this.#notify()
    // What cannot be closed in order is about to be removed.
    await log?.close({ flush: false }).catch(() => {})
  }

  /** Closes the log of a partition whose creation failed. */
  async abandon(): Promise<void> {
    this.detach()
    await this.#log?.close().catch(() => {})
  }

  #onLogChange(): void {
    this.#advanceHighWatermark()
    const state = this.#log?.state
    if (state !== 'open') {
      const { failure } = this
      this.#settleCommitWaiters(failure)
      if (failure !== null && state !== 'closed') {
        this.#onFailure?.(this, failure)
        this.#onFailure = undefined
      }
    } else if (this.#commitWaiters.size > 0) {
      this.#settleCommitWaiters(null)
    }
    this.#notify()
  }

  #advanceHighWatermark(): void {
    const durable = this.#log?.durableOffset ?? 0
    if (durable > this.#highWatermark) this.#highWatermark = durable
  }

  #settleCommitWaiters(failure: VarveError | null): void {
    for (const waiter of this.#commitWaiters) {
      if (waiter.offset < this.#highWatermark) waiter.resolve()
      else if (failure !== null) waiter.reject(failure)
      else continue
      this.#commitWaiters.delete(waiter)
    }
  }

  #notify(): void {
    for (const listener of this.#listeners) listener(this)
  }
}

function unopened(name: string): VarveError {
  return new VarveError('VARVE_LOG_CLOSED', `the log of ${name} is not open`)
}
