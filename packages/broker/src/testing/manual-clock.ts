import { VarveError } from '@varve/records'
import { type Clock, systemClock, type Timer } from '../clock.js'

interface Alarm {
  readonly at: number
  readonly callback: () => void
}

/**
 * A clock that stands still until a test turns it: no session ends, no rebalance gives up waiting, nothing expires unless the
 * test says so, and then all of it without waiting. Any number of brokers can share one.
 *
 * By it go the timeouts of sessions, rebalances and produces, the expiry of offsets and producers, retention, compaction,
 * `LogAppendTime`, the removal of deleted topics' files, and delays that were injected. Long polls and whatever else
 * has to do with connections go by the machine's clock, as their clients do. A segment's age (`segment.ms`) is told by
 * its records' timestamps, as in Kafka.
 */
export class ManualClock implements Clock {
  #now: number
  readonly #alarms = new Set<Alarm>()
  readonly #followers = new Set<(now: number) => Promise<void>>()
  #followed: Promise<void> = Promise.resolve()

  /** @param now what it shows first, in ms since 1970; by default the machine's time, so that records of clients are new */
  constructor(now: number = Date.now()) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const alarm = { at: this.#now + Math.max(0, delayMs), callback }
    this.#alarms.add(alarm)
    return alarm
  }

  clearTimeout(timer: Timer): void {
    this.#alarms.delete(timer as Alarm)
  }

  get connections(): Clock {
    return systemClock
  }

  follow(turned: (now: number) => Promise<void>): () => void {
    this.#followers.add(turned)
    return () => this.#followers.delete(turned)
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#alarms.size
  }

  /**
   * Turns the clock forward. What becomes due on the way happens in its order before this returns; the promise resolves when
   * its consequences are stored and the brokers' logs have done what is due: expired records are gone then.
   *
   * Clients do not feel the time pass: no heartbeat of theirs comes in between, so that a session which is shorter than
   * `ms` ends. Turn it in smaller steps to keep members whose clients run.
   *
   * @param ms a whole number from 0 on
   * @throws VarveError `VARVE_INVALID_OPTION` for any other
   */
  advance(ms: number): Promise<void> {
    if (!Number.isSafeInteger(ms) || ms < 0) {
      throw new VarveError('VARVE_INVALID_OPTION', `a clock is advanced by whole milliseconds, not by ${ms}`)
    }
    const end = this.#now + ms
    for (let next = this.#nextBy(end); next !== null; next = this.#nextBy(end)) {
      this.#alarms.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.callback()
    }
    this.#now = end
    // One after the other: a follower need not expect to be told of two turns at once.
    this.#followed = this.#followed
      .catch(() => {})
      .then(async () => {
        await Promise.all([...this.#followers].map((turned) => turned(end)))
      })
    return this.#followed
  }

  #nextBy(end: number): Alarm | null {
    let next: Alarm | null = null
    for (const alarm of this.#alarms) {
      if (alarm.at <= end && (next === null || alarm.at < next.at)) next = alarm
    }
    return next
  }
}
