import { ReplicationError } from '../error.js'
import type { PartitionState } from '../partition-state.js'
import type { EpochEnd, ReplicaLog } from '../replica-log.js'
import type { FetchedRecords, FollowerFetch } from './fetch.js'
import { readableEnd, type IsolationLevel } from './readable-end.js'

/**
 * What a follower does about an answer. While a step other than `'nothing'` and `'retry'` is under way nothing is fetched, until
 * it is said how it ended.
 */
export type FollowerStep =
  /** Append the records that came along, then `appended()`. */
  | { readonly kind: 'append' }
  /** Cut the log so that it ends at `to`, then `truncated()`. */
  | { readonly kind: 'truncate'; readonly to: number }
  /** Drop all records and let the log start, and end, at `at`, then `truncated()`. */
  | { readonly kind: 'start over'; readonly at: number }
  /** Fetch on. */
  | { readonly kind: 'nothing' }
  /** Fetch again, but not at once: the leader is none, or one of another leader epoch. */
  | { readonly kind: 'retry' }

/** What a follower is made of. */
export interface PartitionFollowerOptions {
  /** The broker that it is on. */
  readonly brokerId: number
  /** The broker epoch as it is now; -1 while the broker has none, and then it does not fetch. */
  readonly brokerEpoch: () => number
  /** The log that it appends to. */
  readonly log: ReplicaLog
  /** The state in which another broker leads. */
  readonly state: PartitionState
  /** The high watermark that was known before; what the log does not have of it is left out. */
  readonly highWatermark: number
}

const append: FollowerStep = { kind: 'append' }
const nothing: FollowerStep = { kind: 'nothing' }
const retry: FollowerStep = { kind: 'retry' }

/** More than one, for a durable offset that moves while a Fetch waits at the leader. */
const mostFetchesInFlight = 2

/** A broker that follows the leader of a partition in one leader epoch. */
export class PartitionFollower {
  readonly #brokerId: number
  readonly #brokerEpoch: () => number
  readonly #log: ReplicaLog
  /** The broker to fetch from. */
  readonly leader: number
  /** The epoch of the leader that is followed. */
  readonly leaderEpoch: number

  #highWatermark: number
  #leaderLogStartOffset = -1
  #inFlight: FollowerFetch[] = []
  #fetches = 0
  #isStopped = false
  #stepUnderWay: 'append' | 'truncate' | null = null
  /** What the answer whose records are being appended says beside. */
  #withRecords: FetchedRecords | null = null

  constructor(options: PartitionFollowerOptions) {
    this.#brokerId = options.brokerId
    this.#brokerEpoch = options.brokerEpoch
    this.#log = options.log
    this.leader = options.state.leader
    this.leaderEpoch = options.state.leaderEpoch
    this.#highWatermark = this.#withinLog(options.highWatermark)
  }

  /** Everything below is committed, as far as this log has it. It goes back only with a log that is cut below it. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  /** Everything below is committed, as far as this log has it, and of no open transaction (KIP-98). */
  get lastStableOffset(): number {
    return Math.min(this.#highWatermark, this.#log.lastStableOffset)
  }

  /** Everything below may be deleted: the leader has done so. Never above the high watermark. */
  get logStartOffset(): number {
    return Math.min(this.#leaderLogStartOffset, this.#highWatermark)
  }

  /** Whether a step that an answer asked for has still to end. */
  get isBusy(): boolean {
    return this.#stepUnderWay !== null
  }

  /** The Fetch to send now, `null` when there is none. To be asked whenever something has happened to the log or to a Fetch. */
  fetch(): FollowerFetch | null {
    const replicaEpoch = this.#brokerEpoch()
    if (this.#isStopped || replicaEpoch < 0 || this.isBusy || this.#inFlight.length >= mostFetchesInFlight) {
      return null
    }
    const { startOffset, endOffset, durableOffset } = this.#log
    const lastFetchedEpoch = this.#lastEpoch
    const latest = this.#inFlight.at(-1)
    if (
      latest?.fetchOffset === endOffset &&
      latest.lastFetchedEpoch === lastFetchedEpoch &&
      latest.durableOffset === durableOffset &&
      latest.logStartOffset === startOffset &&
      latest.replicaEpoch === replicaEpoch
    ) {
      return null
    }
    const fetch: FollowerFetch = {
      fetchId: ++this.#fetches,
      replicaId: this.#brokerId,
      replicaEpoch,
      currentLeaderEpoch: this.leaderEpoch,
      fetchOffset: endOffset,
      lastFetchedEpoch,
      logStartOffset: startOffset,
      durableOffset,
      highWatermark: this.#highWatermark,
    }
    this.#inFlight.push(fetch)
    return fetch
  }

  /** The leader epoch of the last record, -1 for a log without any. The log may name one in which it led and wrote nothing. */
  get #lastEpoch(): number {
    const { startOffset, endOffset, leaderEpoch } = this.#log
    if (startOffset === endOffset) {
      return -1
    }
    const before = this.#log.endOffsetForEpoch(leaderEpoch - 1)
    return before?.endOffset === endOffset ? before.epoch : leaderEpoch
  }

  /** No answer to this Fetch will come. */
  lost(fetchId: number): void {
    this.#take(fetchId)
  }

  #take(fetchId: number): FollowerFetch | undefined {
    const at = this.#inFlight.findIndex((fetch) => fetch.fetchId === fetchId)
    return at === -1 ? undefined : this.#inFlight.splice(at, 1)[0]
  }

  /** Takes an answer, in whatever order and as often as they arrive. */
  answered(fetchId: number, answer: FetchedRecords): FollowerStep {
    const sent = this.#take(fetchId)
    if (sent === undefined || this.isBusy || !this.#isFromHere(sent)) {
      return nothing
    }
    if (answer.leaderEpoch !== this.leaderEpoch) {
      return retry
    }
    if (answer.error !== null) {
      return answer.error === 'OFFSET_OUT_OF_RANGE' ? this.#outOfRange(answer) : retry
    }
    if (answer.diverging !== null) {
      return this.#diverged(answer.diverging, answer)
    }
    if (answer.records === null) {
      this.#learn(answer)
      return nothing
    }
    if (answer.records.baseOffset < this.#log.endOffset) {
      return this.#beginsInside(answer.records)
    }
    this.#withRecords = answer
    this.#stepUnderWay = 'append'
    return append
  }

  /** An empty log may begin in the middle of a batch of the leader's, which it can only have as a whole. */
  #beginsInside({ baseOffset, endOffset: end }: { baseOffset: number; endOffset: number }): FollowerStep {
    const { startOffset, endOffset } = this.#log
    if (startOffset !== endOffset || end <= endOffset) {
      return retry
    }
    this.#stepUnderWay = 'truncate'
    return { kind: 'start over', at: baseOffset }
  }

  #isFromHere({ fetchOffset, lastFetchedEpoch }: FollowerFetch): boolean {
    return fetchOffset === this.#log.endOffset && lastFetchedEpoch === this.#lastEpoch
  }

  #learn({ highWatermark, logStartOffset }: FetchedRecords): void {
    const known = Math.min(highWatermark, this.#log.endOffset)
    this.#highWatermark = Math.max(this.#highWatermark, known)
    this.#leaderLogStartOffset = Math.max(this.#leaderLogStartOffset, logStartOffset)
  }

  /** The leader has nothing that this log could be continued with, and this log nothing that the leader has. */
  #outOfRange(answer: FetchedRecords): FollowerStep {
    const { startOffset, endOffset } = this.#log
    const isEmpty = startOffset === endOffset
    if (answer.logStartOffset > endOffset || (isEmpty && answer.logStartOffset !== endOffset)) {
      return this.#startOver(answer)
    }
    return retry
  }

  #startOver({ logStartOffset }: FetchedRecords): FollowerStep {
    if (logStartOffset < 0) {
      return retry
    }
    this.#stepUnderWay = 'truncate'
    return { kind: 'start over', at: logStartOffset }
  }

  /**
   * The records of `epoch` that both logs have are the same up to the smaller of its two ends (KIP-101, KIP-279). With the high
   * watermark this has nothing to do: the one that is known may be far behind.
   */
  #diverged({ epoch, endOffset }: EpochEnd, answer: FetchedRecords): FollowerStep {
    const ownEndOffset = this.#log.endOffsetForEpoch(epoch)?.endOffset ?? endOffset
    const to = Math.min(ownEndOffset, endOffset)
    if (to < this.#log.startOffset) {
      return this.#startOver(answer)
    }
    if (to >= this.#log.endOffset) {
      return retry
    }
    this.#stepUnderWay = 'truncate'
    return { kind: 'truncate', to }
  }

  /** The records of an `'append'` are in the log, or as many as went in. */
  appended(): void {
    this.#end('append')
    this.#learn(this.#withRecords!)
    this.#withRecords = null
  }

  /** The log was cut, or started over. */
  truncated(): void {
    this.#end('truncate')
    this.#highWatermark = this.#withinLog(this.#highWatermark)
  }

  #end(step: 'append' | 'truncate'): void {
    if (this.#stepUnderWay !== step) {
      throw new ReplicationError('VARVE_NO_SUCH_STEP', `no ${step} is under way on broker ${this.#brokerId}`)
    }
    this.#stepUnderWay = null
  }

  /** What a step asked for did not work. What it has done to the log all the same, the next Fetch goes by. */
  stepFailed(): void {
    this.#stepUnderWay = null
    this.#withRecords = null
    this.#highWatermark = this.#withinLog(this.#highWatermark)
  }

  /** The leader is another from now on: nothing more is fetched and no answer taken. A step under way is still to end. */
  stop(): void {
    this.#isStopped = true
    this.#inFlight = []
  }

  #withinLog(offset: number): number {
    return Math.min(Math.max(offset, this.#log.startOffset), this.#log.endOffset)
  }

  /**
   * Why a consumer cannot be served from here, `null` when it can (KIP-392). What the leader has deleted may be here yet, and
   * need not be what was committed.
   */
  consumerFetchError(fetchOffset: number): null | 'OFFSET_NOT_AVAILABLE' | 'OFFSET_OUT_OF_RANGE' {
    const startOffset = Math.max(this.#log.startOffset, this.#leaderLogStartOffset)
    if (fetchOffset < startOffset || fetchOffset > this.#log.endOffset) {
      return 'OFFSET_OUT_OF_RANGE'
    }
    return fetchOffset > this.#highWatermark ? 'OFFSET_NOT_AVAILABLE' : null
  }

  /** Where what a consumer may read ends, as at the leader. */
  readableEnd(isolation: IsolationLevel): number {
    return readableEnd(isolation, this, this.#log)
  }
}
