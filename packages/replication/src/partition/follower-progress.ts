import type { FollowerFetch } from './fetch.js'

/**
 * The Fetches of a follower in one life of its broker. Partitions of which it has everything have one in common: each Fetch says
 * of all of them what the one before said, so that none of them need be looked at.
 */
export interface Attendance {
  /** The broker id of the follower. */
  readonly replicaId: number
  /** Its broker epoch, that of its Fetches. */
  readonly replicaEpoch: number
  /** When it last fetched, in the milliseconds of the leader's clock. */
  time: number
}

/** What a leader knows of one follower in its epoch. */
export class FollowerProgress {
  /** The broker epoch of its Fetches; -1 before the first (KIP-903). */
  brokerEpoch = -1
  /** Where its log ends, as far as it has told. */
  fetchOffset = -1
  /** How far its log is durable: with this it counts for the high watermark and the in-sync replicas. */
  durableOffset = -1
  /** Where its log starts; -1 before its first Fetch. */
  logStartOffset = -1
  /** The log start that it was told. */
  toldLogStartOffset = -1
  /** The high watermark that it knows; -1 before its first Fetch. */
  highWatermark = -1
  #lastCaughtUpTime: number
  #attendance: Attendance | null = null
  /** Once the follower has this, it has what the leader had at `#markTime`. */
  #markOffset = Infinity
  #markTime = -Infinity

  constructor(lastCaughtUpTime: number) {
    this.#lastCaughtUpTime = lastCaughtUpTime
  }

  /** The latest time at which the leader had nothing that this follower does not have now. */
  get lastCaughtUpTime(): number {
    return Math.max(this.#lastCaughtUpTime, this.#attendance?.time ?? -Infinity)
  }

  /**
   * Takes note of a valid Fetch, as late and as often as it may arrive: in a leader epoch the log of a follower that has once
   * agreed with the leader's only grows, so the highest counts. A newer life of the broker starts from nothing.
   */
  record(fetch: FollowerFetch, leader: { startOffset: number; endOffset: number }, now: number): void {
    this.#endAttendance()
    if (fetch.replicaEpoch > this.brokerEpoch) {
      this.#reset(fetch.replicaEpoch)
    }
    this.fetchOffset = Math.max(this.fetchOffset, fetch.fetchOffset)
    this.durableOffset = Math.max(this.durableOffset, Math.min(fetch.durableOffset, fetch.fetchOffset))
    this.logStartOffset = Math.max(this.logStartOffset, fetch.logStartOffset)
    this.highWatermark = Math.max(this.highWatermark, fetch.highWatermark)
    this.toldLogStartOffset = leader.startOffset
    this.#noteCaughtUp(leader.endOffset, now)
  }

  /**
   * Goes by an attendance from here on, until it is looked at again: {@link record} ends that, too.
   *
   * @returns false where it did not have everything at its last Fetch
   */
  attend(attendance: Attendance): boolean {
    if (this.durableOffset < this.#markOffset) return false
    this.#endAttendance()
    this.#attendance = attendance
    return true
  }

  /** Goes by an attendance no longer, if it does; the times at which it did stay. */
  leave(attendance: Attendance): void {
    if (this.#attendance === attendance) this.#endAttendance()
  }

  #endAttendance(): void {
    if (this.#attendance === null) return
    this.#lastCaughtUpTime = this.lastCaughtUpTime
    this.#markTime = this.#lastCaughtUpTime
    this.#attendance = null
  }

  #reset(brokerEpoch: number): void {
    this.brokerEpoch = brokerEpoch
    this.fetchOffset = -1
    this.durableOffset = -1
    this.logStartOffset = -1
    this.highWatermark = -1
    this.#markOffset = Infinity
  }

  /** While the leader writes nobody is ever at its end, so what it has at one Fetch is compared with what comes later. */
  #noteCaughtUp(leaderEndOffset: number, now: number): void {
    if (this.durableOffset >= leaderEndOffset) {
      this.#lastCaughtUpTime = now
    } else if (this.durableOffset >= this.#markOffset) {
      this.#lastCaughtUpTime = this.#markTime
    } else if (this.#markOffset !== Infinity) {
      return
    }
    this.#markOffset = leaderEndOffset
    this.#markTime = now
  }
}
