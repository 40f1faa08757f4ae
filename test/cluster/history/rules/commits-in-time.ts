import type { Commit } from '../event.js'
import type { Operation } from '../operation.js'

/** The commits of a group's partition, none of which failed, and which of them may be what is committed at some time. */
export class CommitsInTime {
  /** In the order in which they were invoked. */
  readonly #commits: readonly Operation<Commit>[]
  /** Of each and all before it, those of unknown outcome left out, the latest end. */
  readonly #latestEnd: number[] = []
  readonly #unknown: Operation<Commit>[]
  /** A commit that somebody has been told of took effect by then, whatever its own client was told. */
  readonly #seenAt = new Map<Operation<Commit>, number>()

  constructor(commits: readonly Operation<Commit>[]) {
    this.#commits = commits
    this.#unknown = commits.filter(({ outcome }) => outcome === 'info')
    let latest = -Infinity
    for (const { outcome, endedAt } of commits) {
      if (outcome === 'ok') latest = Math.max(latest, endedAt)
      this.#latestEnd.push(latest)
    }
  }

  wasSeen(commit: Operation<Commit>, time: number): void {
    this.#seenAt.set(commit, Math.min(time, this.#seenAt.get(commit) ?? Infinity))
  }

  invokedUntil(time: number): readonly Operation<Commit>[] {
    return this.#commits.slice(0, this.#countUntil(time))
  }

  /**
   * Which commits may be the last one at some moment between two: not those that were over before another began that was over
   * before `since`. One of unknown outcome may always take effect yet.
   */
  between(since: number, until: number): { current: readonly Operation<Commit>[]; mayBeNone: boolean } {
    let index = this.#countUntil(until) - 1
    const current: Operation<Commit>[] = []
    let lastDone = -Infinity
    for (; index >= 0 && this.#latestEnd[index]! >= lastDone; index--) {
      const commit = this.#commits[index]!
      if (commit.outcome === 'ok' && commit.endedAt >= lastDone) current.push(commit)
      if (lastDone === -Infinity && this.#endedBy(commit) < since) lastDone = commit.invoke.time
    }
    current.push(...this.#unknown.filter(({ invoke }) => invoke.time <= until))
    return { current: current.reverse(), mayBeNone: lastDone === -Infinity }
  }

  #endedBy(commit: Operation<Commit>): number {
    return Math.min(commit.endedAt, this.#seenAt.get(commit) ?? Infinity)
  }

  #countUntil(time: number): number {
    let low = 0
    let high = this.#commits.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#commits[middle]!.invoke.time <= time) low = middle + 1
      else high = middle
    }
    return low
  }
}
