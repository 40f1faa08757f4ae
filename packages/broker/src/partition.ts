import type { AbortedTransaction, EpochEnd, Log, LogOptions, LogStats, ProducerState } from '@varve/log'
import { errors } from '@varve/protocol'
import { type LogRecord, type RecordBatch, VarveError } from '@varve/records'
import {
  type FollowerFetch,
  type FollowerFetchAnswer,
  type InSyncChange,
  type MetadataOutcome,
  type PartitionFollower,
  type PartitionLeader,
  PartitionReplica,
  type PartitionState,
} from '@varve/replication'
import { CommitWaiters } from './commit-waiters.js'
import type { TopicSettings } from './configs/topic-settings.js'
import type { FetchedRecords, RecordsWanted } from './fetched-records.js'
import type { KafkaError } from './kafka-error.js'
import { LogReading, type ReadLog } from './log-reading.js'
import type { Membership } from './membership.js'
import { notLeader, tooFewReplicas, unopened } from './partition-errors.js'
import { PartitionTraffic } from './partition-traffic.js'

export type { AbortedTransaction } from '@varve/log'

/** Whether a consumer sees what transactions have not decided on, or have aborted. */
export type Isolation = 'readUncommitted' | 'readCommitted'

/** What a partition asks of its log. */
export type PartitionLog = ReadLog &
  Pick<
    Log,
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
    | 'setHighWatermark'
    | 'producers'
    | 'subscribe'
    | 'configure'
    | 'flush'
    | 'deleteBefore'
    | 'truncateFullyAndStartAt'
    | 'stats'
    | 'close'
  >

/** Is told that a partition has changed; see {@link Partition.listen}. */
export type PartitionListener = (partition: Partition) => void

export interface PartitionOptions {
  readonly topic: string
  /** As far as the broker knows it. */
  readonly state: PartitionState
  readonly membership: Membership
  readonly settings: TopicSettings
  /** What the log's disk has to keep free; default 0. */
  readonly lowDiskBytes?: number
  /** Called once, when the log stops taking writes while it is served. */
  readonly onFailure?: (partition: Partition, failure: VarveError) => void
  /** Called when the disk has not answered something that the log survives, as a read. */
  readonly onUnanswered?: (partition: Partition, failure: VarveError) => void
  /** Called when a follower that is not in sync has fetched, and may have caught up. */
  readonly onOutOfSyncFetch?: (partition: Partition) => void
  /** Called when the broker begins or ceases to lead or to follow, or does so in another leader epoch. */
  readonly onRole?: (partition: Partition) => void
}

/**
 * One partition as the handlers see it: its state, and where this broker has a replica its log, the part that it plays, and
 * who waits for the high watermark to move.
 *
 * Only the high watermark separates what consumers may read and acks=all may acknowledge from what is merely durable
 * here. How it advances are the rules of `@varve/replication`; of a single broker, too, whose replica is the only one.
 */
export class Partition {
  readonly topic: string
  readonly index: number
  readonly traffic = new PartitionTraffic()
  readonly #membership: Membership
  #state: PartitionState
  #log: PartitionLog | null = null
  #reading: LogReading | null = null
  #replica: PartitionReplica | null = null
  #role: PartitionLeader | PartitionFollower | null = null
  #deleted = false
  #settings: TopicSettings
  readonly #lowDiskBytes: number
  #failure: VarveError | null = null
  /** What was last told of. */
  #toldPartitionEpoch: number
  #toldHighWatermark = 0
  #toldLowWatermark = -1
  #changes = 0
  #beginnings = 1
  #unsubscribe: () => void = () => {}
  readonly #commitWaiters = new CommitWaiters()
  readonly #listeners = new Set<PartitionListener>()
  #onFailure: PartitionOptions['onFailure']
  readonly #onUnanswered: PartitionOptions['onUnanswered']
  readonly #onRole: PartitionOptions['onRole']
  readonly #onOutOfSyncFetch: PartitionOptions['onOutOfSyncFetch']

  constructor(options: PartitionOptions) {
    const { topic, state, membership, settings, lowDiskBytes = 0, onFailure, onRole } = options
    this.#lowDiskBytes = lowDiskBytes
    this.#settings = settings
    this.#onFailure = onFailure
    this.#onUnanswered = options.onUnanswered
    this.#onRole = onRole
    this.#onOutOfSyncFetch = options.onOutOfSyncFetch
    this.#membership = membership
    this.#state = state
    this.#toldPartitionEpoch = state.partitionEpoch
    this.topic = topic
    this.index = state.partition
  }

  /** `topic-index`, also the name of its directory. */
  get name(): string {
    return `${this.topic}-${this.index}`
  }

  /** The latest state that is known to be committed. */
  get state(): PartitionState {
    return this.#replica?.state ?? this.#state
  }

  /** The epoch of its leader, whoever that is. */
  get leaderEpoch(): number {
    return this.state.leaderEpoch
  }

  /** Whether one of the replicas is on this broker. */
  get hosted(): boolean {
    return this.state.replicas.includes(this.#membership.brokerId)
  }

  /** The leader that this broker is; null while it is none. */
  get leader(): PartitionLeader | null {
    return this.#replica?.leader ?? null
  }

  /** The follower that this broker is; null while it is none. */
  get follower(): PartitionFollower | null {
    return this.#replica?.follower ?? null
  }

  /** Begins to serve from an open log, which the partition owns from now on. */
  attach(log: PartitionLog): void {
    // A log that comes from elsewhere may have seen later epochs than a broker that is alone. Epochs never go back.
    if (this.#membership.isSole && log.leaderEpoch > this.#state.leaderEpoch)
      this.#state = { ...this.#state, leaderEpoch: log.leaderEpoch }
    this.#log = log
    this.#reading = new LogReading(log, (failure) => this.#onUnanswered?.(this, failure))
    this.#begin(log)
    const replicated = { visibility: 'written' } as const
    this.#unsubscribe = log.subscribe(
      () => this.#onLogChange(),
      this.#membership.isSole ? undefined : replicated,
    )
  }

  #begin(log: PartitionLog): void {
    this.#replica = new PartitionReplica({ ...this.#membership, log })
    // What has failed where another replica can take over plays no part until the broker is started again.
    if (!this.#membership.isSole && log.state !== 'open') this.#replica.logFailed(this.#membership.now())
    this.#replica.stateChanged(this.#state, this.#membership.now())
    this.#toldHighWatermark = this.#replica.highWatermark
    // A log that has been told of none takes the end of transactions for committed that is not.
    if (!this.#membership.isSole) log.setHighWatermark(this.#toldHighWatermark)
    this.#follow()
  }

  /** Takes a state as the store has it. */
  stateChanged(state: PartitionState): void {
    this.#state = state
    this.#replica?.stateChanged(state, this.#membership.now())
    this.#follow()
  }

  /** To be called where the role may be another although the state is not. */
  reconsider(): void {
    this.#replica?.reconsider(this.#membership.now())
    this.#follow()
  }

  /** Plays the part that the replica has now. */
  #follow(): void {
    const role = this.leader ?? this.follower
    const changed = role !== this.#role
    if (changed) {
      this.#role = role
      this.#settleCommitWaiters(notLeader(this.name))
      const { leader } = this
      if (leader !== null) this.#log!.setLeaderEpoch(leader.leaderEpoch)
      this.#onRole?.(this)
    }
    if (this.#moved() || changed) this.#notify()
  }

  /** What is in force of its topic's configurations. */
  get settings(): TopicSettings {
    return this.#settings
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

  /** Marks a partition whose log could not be opened: everything asked of it is refused with this failure. Null: not any more. */
  refuse(failure: VarveError | null): void {
    this.#failure = failure
  }

  /** Why the replica on this broker cannot be written, or null while it can, or there is none. */
  get failure(): VarveError | null {
    if (this.#failure !== null) return this.#failure
    const log = this.#log
    if (log === null) return this.#membership.isSole ? unopened(this.name) : null
    if (log.state === 'open') return null
    return log.failure ?? new VarveError('VARVE_LOG_CLOSED', `the log of ${this.name} is closed`)
  }

  /** Whether there is a log to read from, be it one that takes no writes any more. */
  get readable(): boolean {
    return this.#log !== null && this.#log.state !== 'closed'
  }

  /** Whether this broker has a replica that cannot even be read. One whose log is about to be opened is none yet. */
  get isOffline(): boolean {
    return this.hosted && !this.readable && this.failure !== null
  }

  get highWatermark(): number {
    return this.#replica?.highWatermark ?? 0
  }

  /** The end of what read_committed consumers see: below it every transaction has ended. */
  get lastStableOffset(): number {
    return Math.min(this.#log?.lastStableOffset ?? Infinity, this.highWatermark)
  }

  /** The end of what a consumer sees. */
  visibleOffset(isolation: Isolation): number {
    return this.#role?.readableEnd(isolation === 'readCommitted' ? 'read_committed' : 'read_uncommitted') ?? 0
  }

  /** The same as ListOffsets tells it; null while a new leader cannot know whether it has been further (KIP-207). */
  latestOffset(isolation: Isolation): number | null {
    const latest = this.leader?.latestOffset(
      isolation === 'readCommitted' ? 'read_committed' : 'read_uncommitted',
    )
    return latest === 'OFFSET_NOT_AVAILABLE' ? null : (latest ?? this.visibleOffset(isolation))
  }

  /**
   * Why a client's request is not answered from here, as far as that is a matter of who leads.
   *
   * @param currentLeaderEpoch that the client believes in (KIP-320); -1 when it does not say
   * @param fromFollower whether a follower may answer, as it may a consumer's Fetch (KIP-392)
   * @param readEpoch of which the client has read; who knows none so late has fallen behind, and must not tell it that records are lost
   */
  clientError(currentLeaderEpoch: number, fromFollower = false, readEpoch = -1): KafkaError | null {
    if (currentLeaderEpoch < -1) return errors.FENCED_LEADER_EPOCH
    if (readEpoch > this.leaderEpoch && !this.#membership.isSole) return errors.UNKNOWN_LEADER_EPOCH
    if (this.#replica !== null) {
      const name = this.#replica.clientError({ currentLeaderEpoch, fromFollower })
      return name === null ? null : errors[name]
    }
    const { leaderEpoch } = this
    if (currentLeaderEpoch >= 0 && currentLeaderEpoch !== leaderEpoch)
      return currentLeaderEpoch < leaderEpoch ? errors.FENCED_LEADER_EPOCH : errors.UNKNOWN_LEADER_EPOCH
    return this.#membership.isSole ? null : errors.NOT_LEADER_OR_FOLLOWER
  }

  /** Why a consumer cannot be served an offset from here: a follower may know less than its leader, and have what that has deleted. */
  consumerFetchError(offset: number): KafkaError | null {
    const name = this.#role === null ? 'OFFSET_OUT_OF_RANGE' : this.#role.consumerFetchError(offset)
    return name === null ? null : errors[name]
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
   * @throws VarveError `VARVE_NOT_LEADER`, and when leadership is lost before what is waited for has come, whatever becomes of
   * the batch; `VARVE_NOT_ENOUGH_REPLICAS` with nothing appended, `VARVE_NOT_ENOUGH_REPLICAS_AFTER_APPEND`; as the log
   */
  append(batch: Uint8Array, committed: boolean): Promise<number> {
    const { leader } = this
    const log = this.#log
    if (log === null || leader === null) return Promise.reject(this.failure ?? notLeader(this.name))
    if (committed && leader.admits(-1) !== null) return Promise.reject(tooFewReplicas(this.state, this.name))
    const appended = log.appendBatches([batch])[0]!
    return appended.then(
      ({ baseOffset, lastOffset }) => {
        this.traffic.produced(lastOffset - baseOffset + 1, batch.byteLength)
        // It may have been written behind what this broker led, where it is cut off again.
        if (this.leader !== leader) throw this.#failure ?? notLeader(this.name)
        if (!committed) return baseOffset
        const pending = this.#committed(leader, lastOffset + 1)
        return pending === null ? baseOffset : pending.then(() => baseOffset)
      },
      (error: unknown) => {
        throw this.#deleted ? this.failure : error
      },
    )
  }

  /** Waits until the high watermark has come as far; null when it has, after taking in what the log knows by now. */
  #committed(leader: PartitionLeader, endOffset: number): Promise<void> | null {
    leader.logChanged()
    const outcome = leader.acknowledges(endOffset, -1)
    if (outcome === 'acknowledged') return null
    if (outcome !== 'waiting') return Promise.reject(tooFewReplicas(this.state, this.name, true))
    const { failure } = this
    if (failure !== null) return Promise.reject(failure)
    return this.#commitWaiters.until(endOffset)
  }

  /** Notes what a follower's Fetch says, and says what to read for it. Only a leader is asked. */
  fetchedBy(fetch: FollowerFetch): FollowerFetchAnswer {
    const leader = this.leader!
    const answer = leader.fetch(fetch, this.#membership.now())
    if (!leader.isInSync(fetch.replicaId)) this.#onOutOfSyncFetch?.(this)
    if (this.#moved()) this.#notify()
    return answer
  }

  /** The change of the in-sync replicas to put now; null where none is due. */
  inSyncChange(): InSyncChange | null {
    const change = this.leader?.change(this.#membership.now()) ?? null
    if (change !== null && this.#moved()) this.#notify()
    return change
  }

  /** Says how a change that `leader` asked for has ended. */
  inSyncChangeSettled(leader: PartitionLeader, change: InSyncChange, outcome: MetadataOutcome): void {
    leader.changeSettled(change, outcome, this.#membership.now())
    if (this.#moved()) this.#notify()
  }

  /** What this follower has been told of its leader may have moved the high watermark. */
  followed(): void {
    if (this.#moved()) this.#notify()
  }

  /** Slices of whole batches for a follower, which are committed or not. */
  readWritten(wanted: RecordsWanted): FetchedRecords | Promise<FetchedRecords> {
    return this.#readable().slices(wanted, 'written')
  }

  /**
   * Slices of whole batches from `from`, at most up to the high watermark.
   *
   * @throws VarveError as the log's `slice`, for example `VARVE_LOG_CORRUPT` in a damaged range
   */
  read(from: number, wanted: Omit<RecordsWanted, 'from'>): FetchedRecords | Promise<FetchedRecords> {
    const upTo = Math.min(wanted.upTo, this.highWatermark)
    return this.#readable().slices({ from, ...wanted, upTo })
  }

  /** The aborted transactions with a record from `from` up to but not including `to`, in the order of their markers. */
  async abortedTransactions(from: number, to: number): Promise<AbortedTransaction[]> {
    return await this.#readable().abortedTransactions(from, to)
  }

  /**
   * Every batch there is now, for whoever keeps its state in this partition.
   *
   * @throws VarveError as the log's `readBatches`, for example `VARVE_LOG_CORRUPT` in a damaged range
   */
  readBatches(): AsyncIterable<RecordBatch> {
    return this.#readable().batches()
  }

  /** The records from an offset up to but not including another one; their keys and values are views of what was read. */
  readRecords(from: number, to: number, isolation: Isolation): AsyncIterable<LogRecord> {
    return this.#readable().records({ from, to, isolation })
  }

  /** The first record at or after a timestamp, or null. */
  async offsetForTime(timestamp: number): Promise<{ offset: number; timestamp: number } | null> {
    return await this.#readable().offsetForTime(timestamp)
  }

  /** The record with the largest timestamp, or null in an empty log. */
  async maxTimestamp(): Promise<{ offset: number; timestamp: number } | null> {
    return await this.#readable().maxTimestamp()
  }

  #readable(): LogReading {
    if (this.#reading === null) throw this.failure ?? notLeader(this.name)
    return this.#reading
  }

  /** To be called with what kept a step from being taken with its log, which need not have noticed that its disk has failed. */
  stepFailed(error: unknown): void {
    this.#reading?.failed(error)
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

  /** Calls `listener` after each move of a watermark, each change of the state, of the log's, of the role, and, where there are other replicas, after appends. */
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
    return (await this.#reading?.appendTime(offset)) ?? -1
  }

  /** Deletes the records before an offset, and resolves with where the log starts then. */
  deleteBefore(offset: number): Promise<number> {
    if (this.#log === null) return Promise.reject(this.failure ?? notLeader(this.name))
    return this.#log.deleteBefore(offset).then((startOffset) => {
      this.#notify()
      return startOffset
    })
  }

  /** Deletes all records and forgets all producers: the next record is at offset 0 again. */
  async startOver(): Promise<void> {
    const log = this.#log
    if (log === null) throw this.failure ?? notLeader(this.name)
    await log.truncateFullyAndStartAt(0).catch((error: unknown) => {
      throw this.#deleted ? this.failure : error
    })
    if (this.#deleted) throw this.failure
    this.#beginnings++
    this.#begin(log)
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
    this.markDeleted()
    await this.release()
  }

  /** Closes the log of a partition whose creation failed. */
  async abandon(): Promise<void> {
    this.detach()
    await this.#log?.close().catch(() => {})
  }

  /** Notes that the topic has been deleted: whoever waits here is told that there is no such partition any more. */
  markDeleted(): void {
    this.#deleted = true
    this.#failure = new VarveError('VARVE_TOPIC_DELETED', `the topic of ${this.name} has been deleted`)
    this.#settleCommitWaiters(this.#failure)
    this.#notify()
  }

  /** Closes the log of a replica that is this broker's no more, or that it has refused, and goes on without. */
  async release(options = { flush: false }): Promise<void> {
    const log = this.#log
    this.#letGo()
    this.#unsubscribe()
    this.#settleCommitWaiters(notLeader(this.name))
    this.#notify()
    // What cannot be closed in order is about to be removed, or recovered by the next start.
    await log?.close(options).catch(() => {})
  }

  #letGo(): void {
    this.#state = this.state
    this.#log = null
    this.#reading = null
    this.#replica = null
    if (this.#role === null) return
    this.#role = null
    this.#onRole?.(this)
  }

  #onLogChange(): void {
    const state = this.#log?.state
    if (state === 'open') {
      this.leader?.logChanged()
      this.#moved()
    } else {
      const { failure } = this
      this.#settleCommitWaiters(failure)
      if (failure !== null && state !== 'closed') {
        if (!this.#membership.isSole) this.#replica?.logFailed(this.#membership.now())
        this.#onFailure?.(this, failure)
        this.#onFailure = undefined
        this.#follow()
      }
    }
    this.#notify()
  }

  /** Whether a watermark or the state has moved since it was last looked at; who has waited for the high one has been answered then. */
  #moved(): boolean {
    const { highWatermark } = this
    const { partitionEpoch } = this.state
    const lowWatermark = this.leader?.lowWatermark ?? -1
    const isRestEqual = lowWatermark === this.#toldLowWatermark && partitionEpoch === this.#toldPartitionEpoch
    this.#toldLowWatermark = lowWatermark
    this.#toldPartitionEpoch = partitionEpoch
    if (highWatermark === this.#toldHighWatermark) return !isRestEqual
    this.#toldHighWatermark = highWatermark
    if (!this.#membership.isSole) this.#log?.setHighWatermark(highWatermark)
    this.#settleCommitWaiters(null)
    return true
  }

  #settleCommitWaiters(failure: VarveError | null): void {
    this.#commitWaiters.settle(this.leader, failure, () => tooFewReplicas(this.state, this.name, true))
  }

  /** How often listeners have been told of something. */
  get changes(): number {
    return this.#changes
  }

  #notify(): void {
    this.#changes++
    for (const listener of this.#listeners) listener(this)
  }
}
