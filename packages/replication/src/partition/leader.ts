import type { BrokerRegistration } from '../broker-registration.js'
import { ReplicationError } from '../error.js'
import type { MetadataOutcome, MetadataTransaction } from '../metadata-store.js'
import { isUnderMinIsr, type PartitionState } from '../partition-state.js'
import type { EpochEnd, ReplicaLog } from '../replica-log.js'
import type { FollowerFetch, FollowerFetchAnswer } from './fetch.js'
import { type Attendance, FollowerProgress } from './follower-progress.js'
import { advancedHighWatermark } from './high-watermark.js'
import { includesCompares, inSyncChange, type InSyncChange } from './in-sync-change.js'
import { closestReplica } from './read-replica.js'
import { readableEnd, type IsolationLevel } from './readable-end.js'

/** The registration of a broker as this broker's image of the store has it; `undefined` when it has none. */
export type BrokerLookup = (brokerId: number) => BrokerRegistration | undefined

/** What a leader is made of. */
export interface PartitionLeaderOptions {
  /** The broker that it is on. */
  readonly brokerId: number
  /** Its `leaderEpoch` has to be the state's before anything is appended. */
  readonly log: ReplicaLog
  /** The state in which this broker leads. */
  readonly state: PartitionState
  /** What the broker knows of the registrations of others. */
  readonly brokers: BrokerLookup
  /** The high watermark that was known before; what the log does not have of it, for good, is left out. */
  readonly highWatermark: number
  /** `replica.lag.time.max.ms`: a follower that has not had everything for longer leaves the in-sync replicas. */
  readonly replicaLagTimeMaxMs: number
  /** Milliseconds, by any clock. That it jumps costs in-sync replicas their place, never a record. */
  readonly now: number
}

/** A broker's leadership of one partition in one leader epoch. */
export class PartitionLeader {
  readonly #brokerId: number
  readonly #log: ReplicaLog
  readonly #brokers: BrokerLookup
  readonly #replicaLagTimeMaxMs: number
  /** The offset at which this leader epoch starts. */
  readonly epochStartOffset: number

  #state: PartitionState
  #highWatermark: number
  #followers = new Map<number, FollowerProgress>()

  #changeInFlight: InSyncChange | null = null
  /** The replicas of all changes that were asked for, from the state as it is known, without an answer: each may be applied yet. */
  #inDoubt = new Set<number>()
  /** What failed once fails for ever: revisions do not come back. */
  #failedTransaction: MetadataTransaction | null = null
  #maximalInSyncReplicas: readonly number[] = []

  /** @throws ReplicationError `VARVE_NOT_THE_LEADER` when the state names another one */
  constructor(options: PartitionLeaderOptions) {
    const { brokerId, log, state, now } = options
    this.#brokerId = brokerId
    this.#log = log
    this.#brokers = options.brokers
    this.#replicaLagTimeMaxMs = options.replicaLagTimeMaxMs
    this.#state = state
    this.epochStartOffset = log.endOffset
    this.#highWatermark = Math.min(Math.max(options.highWatermark, log.startOffset), log.durableOffset)
    this.#adopt(state, now)
  }

  /** The latest state that is known to be committed. */
  get state(): PartitionState {
    return this.#state
  }

  /** The epoch that it leads in. */
  get leaderEpoch(): number {
    return this.#state.leaderEpoch
  }

  /** Everything below is committed. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  /** Everything below is committed, and of no open transaction (KIP-98). */
  get lastStableOffset(): number {
    return Math.min(this.#highWatermark, this.#log.lastStableOffset)
  }

  /** The in-sync replicas that are committed and all that may become so, this broker among them (KIP-497). */
  get maximalInSyncReplicas(): readonly number[] {
    return this.#maximalInSyncReplicas
  }

  /** What DeleteRecords answers: the smallest log start of live replicas, -1 while one's is not known (KIP-107). */
  get lowWatermark(): number {
    let lowest = this.#log.startOffset
    for (const [id, follower] of this.#followers) {
      if (this.#brokers(id)?.fenced === false) {
        lowest = Math.min(lowest, follower.logStartOffset)
      }
    }
    return lowest
  }

  /** What is known of a follower, for descriptions and throttles; `undefined` when it is none. */
  follower(replicaId: number): Readonly<Omit<FollowerProgress, 'record' | 'attend' | 'leave'>> | undefined {
    return this.#followers.get(replicaId)
  }

  /** Whether a replica is in sync as far as is committed. */
  isInSync(replicaId: number): boolean {
    return this.#state.isr.includes(replicaId)
  }

  /**
   * To be called when the end or the durable offset of the log has moved.
   *
   * @throws ReplicationError `VARVE_WRONG_LEADER_EPOCH` when records were appended in another leader epoch
   */
  logChanged(): void {
    if (this.#log.endOffset > this.epochStartOffset && this.#log.leaderEpoch !== this.leaderEpoch) {
      throw new ReplicationError(
        'VARVE_WRONG_LEADER_EPOCH',
        `records were appended in leader epoch ${this.#log.leaderEpoch} while leading in ${this.leaderEpoch}`,
      )
    }
    this.#advance()
  }

  /** Notes what a follower's Fetch says, and says what to read for it. The same Fetch may come again. */
  fetch(fetch: FollowerFetch, now: number): FollowerFetchAnswer {
    if (fetch.currentLeaderEpoch !== this.leaderEpoch) {
      const isOlder = fetch.currentLeaderEpoch < this.leaderEpoch
      return { kind: 'error', error: isOlder ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH' }
    }
    const follower = this.#followers.get(fetch.replicaId)
    if (follower === undefined) {
      // It may know of an assignment that this broker has yet to see.
      return { kind: 'error', error: 'UNKNOWN_LEADER_EPOCH' }
    }
    const registered = this.#brokers(fetch.replicaId)?.brokerEpoch ?? -1
    if (fetch.replicaEpoch < Math.max(registered, follower.brokerEpoch)) {
      return { kind: 'error', error: 'NOT_LEADER_OR_FOLLOWER' }
    }
    const unusable = this.#mismatch(fetch)
    if (unusable !== null) {
      return unusable
    }
    follower.record(fetch, this.#log, now)
    this.#advance()
    return {
      kind: 'records',
      from: fetch.fetchOffset,
      upTo: this.#log.endOffset,
      highWatermark: this.#highWatermark,
      logStartOffset: this.#log.startOffset,
    }
  }

  /**
   * Goes by an attendance, to which the Fetches of a follower are noted that say what its last one said: an in-sync follower that has
   * everything keeps its place without being looked at. It is for the caller to {@link leave} before
   * another Fetch is noted, once this log, its high watermark or the state has changed.
   *
   * @returns false where {@link fetch} has to look at each of them
   */
  attend(attendance: Attendance): boolean {
    const { replicaId, replicaEpoch } = attendance
    const follower = this.#followers.get(replicaId)
    return follower?.brokerEpoch === replicaEpoch && this.isInSync(replicaId) && follower.attend(attendance)
  }

  /** Notes a Fetch for all partitions that go by an attendance; false, with nothing noted, in a former life of the follower's broker. */
  noteAttendance(attendance: Attendance, now: number): boolean {
    const { replicaId, replicaEpoch } = attendance
    if (replicaEpoch < (this.#brokers(replicaId)?.brokerEpoch ?? -1)) {
      return false
    }
    attendance.time = now
    return true
  }

  /** Goes by an attendance no longer, if it does. */
  leave(attendance: Attendance): void {
    this.#followers.get(attendance.replicaId)?.leave(attendance)
  }

  /** Where the follower's log cannot be continued from this one (KIP-101, KIP-279, KIP-595): nothing it says counts then. */
  #mismatch({ fetchOffset, lastFetchedEpoch }: FollowerFetch): FollowerFetchAnswer | null {
    const { startOffset, endOffset } = this.#log
    if (fetchOffset >= startOffset && lastFetchedEpoch >= 0) {
      const end = this.#log.endOffsetForEpoch(lastFetchedEpoch) ?? { epoch: this.#log.leaderEpoch, endOffset }
      if (end.epoch !== lastFetchedEpoch || end.endOffset < fetchOffset) {
        return {
          kind: 'diverging',
          epoch: end.epoch,
          endOffset: end.endOffset,
          highWatermark: this.#highWatermark,
          logStartOffset: startOffset,
        }
      }
    }
    if (fetchOffset < startOffset || fetchOffset > endOffset) {
      return { kind: 'error', error: 'OFFSET_OUT_OF_RANGE', logStartOffset: startOffset }
    }
    return null
  }

  /** Whether a Fetch of this follower that waits is to be answered now. */
  hasNewsFor(replicaId: number): boolean {
    const follower = this.#followers.get(replicaId)
    return (
      follower !== undefined &&
      (this.#log.endOffset > follower.fetchOffset ||
        this.#highWatermark > follower.highWatermark ||
        this.#log.startOffset > follower.toldLogStartOffset)
    )
  }

  /**
   * Takes over a later state of the same leader epoch; an earlier one is ignored.
   *
   * @throws ReplicationError `VARVE_NOT_THE_LEADER` for another leader epoch, or another leader
   */
  stateChanged(state: PartitionState, now: number): void {
    if (state.partitionEpoch > this.#state.partitionEpoch) {
      this.#adopt(state, now)
    }
  }

  #adopt(state: PartitionState, now: number): void {
    if (state.leader !== this.#brokerId || state.leaderEpoch !== this.#state.leaderEpoch) {
      throw new ReplicationError(
        'VARVE_NOT_THE_LEADER',
        `broker ${this.#brokerId} is not the leader in epoch ${this.#state.leaderEpoch}: ${state.leader} is in ${state.leaderEpoch}`,
      )
    }
    const followers = new Map<number, FollowerProgress>()
    for (const id of state.replicas) {
      if (id !== this.#brokerId) {
        // Who is in sync has as long as any other to show it.
        const isInSync = state.isr.includes(id)
        followers.set(id, this.#followers.get(id) ?? new FollowerProgress(isInSync ? now : -Infinity))
      }
    }
    this.#state = state
    this.#followers = followers
    // Whatever was asked for has been applied in this state, or can be no more.
    this.#changeInFlight = null
    this.#inDoubt.clear()
    this.#inSyncReplicasChanged()
  }

  /**
   * The change of the in-sync replicas to put now; `null` when none is due, or one is on its way. Who enters counts for the
   * high watermark from here on, who leaves counts until that is committed.
   */
  change(now: number): InSyncChange | null {
    const { replicas, isr } = this.#state
    if (
      this.#changeInFlight !== null ||
      replicas.every((id) => this.#belongsInSync(id, now) === isr.includes(id))
    ) {
      return null
    }
    const inSync = replicas.filter((id) => this.#belongsInSync(id, now))
    const entering = inSync.filter((id) => !isr.includes(id)).map((id) => this.#brokers(id)!)
    const change = inSyncChange(this.#state, inSync, entering)
    const failed = this.#failedTransaction?.compares
    if (failed && includesCompares(change.transaction.compares!, failed)) {
      return null
    }
    this.#changeInFlight = change
    this.#inSyncReplicasChanged()
    return change
  }

  #belongsInSync(id: number, now: number): boolean {
    const isInSync = this.#state.isr.includes(id)
    if (id === this.#brokerId) {
      return isInSync
    }
    return !this.#lags(id, now) && (isInSync || this.#mayEnter(id))
  }

  #lags(id: number, now: number): boolean {
    const since = this.#followers.get(id)!.lastCaughtUpTime
    return this.#endOf(id) < this.#log.endOffset && now - since > this.#replicaLagTimeMaxMs
  }

  /**
   * With all that is committed, in the life that its registration is of, and to stay (KIP-841, KIP-903). And with nothing from before
   * this log's start: there is no telling any more whether that is what was committed.
   */
  #mayEnter(id: number): boolean {
    const registration = this.#brokers(id)
    const follower = this.#followers.get(id)!
    const end = this.#endOf(id)
    return (
      registration !== undefined &&
      registration.brokerEpoch === follower.brokerEpoch &&
      follower.logStartOffset >= this.#log.startOffset &&
      !registration.fenced &&
      !registration.shuttingDown &&
      !registration.offlineReplicas.includes(`${this.#state.topicId}:${this.#state.partition}`) &&
      end >= this.#highWatermark &&
      end >= this.epochStartOffset
    )
  }

  /**
   * Says how {@link change} has ended. One whose outcome is unknown counts until a later state is known. {@link change} asks for it
   * again at once, and for one that was not applied: it is for the caller to wait before that.
   */
  changeSettled(change: InSyncChange, outcome: MetadataOutcome, now: number): void {
    if (change !== this.#changeInFlight) {
      return
    }
    this.#changeInFlight = null
    if (outcome.kind === 'succeeded') {
      this.#adopt({ ...change.state, partitionEpoch: outcome.revision }, now)
      return
    }
    if (outcome.kind === 'failed') {
      this.#failedTransaction = change.transaction
    } else if (outcome.kind === 'unknown') {
      for (const id of change.state.isr) {
        this.#inDoubt.add(id)
      }
    }
    this.#inSyncReplicasChanged()
  }

  #inSyncReplicasChanged(): void {
    const asked = this.#changeInFlight?.state.isr ?? []
    this.#maximalInSyncReplicas = [
      ...new Set([this.#brokerId, ...this.#state.isr, ...asked, ...this.#inDoubt]),
    ]
    this.#advance()
  }

  /** Whether a batch may be appended with these `acks`. */
  admits(acks: 0 | 1 | -1): null | 'NOT_ENOUGH_REPLICAS' {
    return acks === -1 && isUnderMinIsr(this.#state) ? 'NOT_ENOUGH_REPLICAS' : null
  }

  /** How a batch that was appended and ends before `endOffset` is to be answered. */
  acknowledges(
    endOffset: number,
    acks: 0 | 1 | -1,
  ): 'waiting' | 'acknowledged' | 'NOT_ENOUGH_REPLICAS_AFTER_APPEND' {
    if (acks === 0) {
      return 'acknowledged'
    }
    if (acks === 1) {
      return this.#log.durableOffset >= endOffset ? 'acknowledged' : 'waiting'
    }
    if (this.#highWatermark < endOffset) {
      return 'waiting'
    }
    return isUnderMinIsr(this.#state) ? 'NOT_ENOUGH_REPLICAS_AFTER_APPEND' : 'acknowledged'
  }

  /**
   * The end of what a consumer may read, as ListOffsets tells it. A new leader does not know it before the high watermark has
   * reached its epoch: it could go back from what an earlier one told (KIP-207).
   */
  latestOffset(isolation: IsolationLevel): number | 'OFFSET_NOT_AVAILABLE' {
    if (this.#highWatermark < this.epochStartOffset) {
      return 'OFFSET_NOT_AVAILABLE'
    }
    return isolation === 'read_committed' ? this.lastStableOffset : this.#highWatermark
  }

  /** Why a consumer cannot be served from here, `null` when it can. */
  consumerFetchError(fetchOffset: number): null | 'OFFSET_OUT_OF_RANGE' {
    const { startOffset, endOffset } = this.#log
    return fetchOffset < startOffset || fetchOffset > endOffset ? 'OFFSET_OUT_OF_RANGE' : null
  }

  /** Where what a consumer may read ends. An offset from there on is answered without records. */
  readableEnd(isolation: IsolationLevel): number {
    return readableEnd(isolation, this, this.#log)
  }

  /**
   * What OffsetForLeaderEpoch answers: the end of a leader epoch in this log, of a skipped one that of the largest smaller one; `null`, which
   * Kafka's protocol writes as epoch and offset -1, for one larger than any (KIP-101, KIP-279, KIP-320).
   */
  endOffsetForEpoch(epoch: number): EpochEnd | null {
    return this.#log.endOffsetForEpoch(epoch)
  }

  /** The replica from which a consumer of this rack better reads `fetchOffset`; `null` for this one (KIP-392). */
  readReplica(consumer: { readonly rack: string | null; readonly fetchOffset: number }): number | null {
    const { rack, fetchOffset } = consumer
    const ownRack = this.#brokers(this.#brokerId)?.rack ?? null
    const candidates = []
    for (const [brokerId, follower] of this.#followers) {
      const registration = this.#brokers(brokerId)
      if (
        registration?.fenced === false &&
        this.isInSync(brokerId) &&
        follower.logStartOffset <= fetchOffset &&
        follower.fetchOffset >= fetchOffset
      ) {
        candidates.push({ brokerId, rack: registration.rack, endOffset: follower.fetchOffset })
      }
    }
    return closestReplica(rack, ownRack, candidates)
  }

  /** How far a replica's log counts. Of a broker that has been restarted since it last fetched nothing is known. */
  readonly #endOf = (id: number): number => {
    if (id === this.#brokerId) {
      return this.#log.durableOffset
    }
    const follower = this.#followers.get(id)
    if (follower === undefined || (this.#brokers(id)?.brokerEpoch ?? -1) > follower.brokerEpoch) {
      return -1
    }
    return follower.durableOffset
  }

  #advance(): void {
    this.#highWatermark = advancedHighWatermark(
      this.#highWatermark,
      this.#state,
      this.#maximalInSyncReplicas,
      this.#endOf,
    )
  }
}
