import type { PartitionLeader } from '@varve/replication'

interface CommitWaiter {
  readonly endOffset: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Produces that wait until the high watermark covers them. */
export class CommitWaiters {
  readonly #waiters = new Set<CommitWaiter>()

  /** Resolves once everything below an offset is committed. */
  until(endOffset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.add({ endOffset, resolve, reject })
    })
  }

  /**
   * Answers those whose outcome is known.
   *
   * @param failure what the others are refused with; null where they go on waiting
   * @param tooFewReplicas what those are refused with that are committed while too few replicas are in sync
   */
  settle(leader: PartitionLeader | null, failure: Error | null, tooFewReplicas: () => Error): void {
    for (const waiter of this.#waiters) {
      const outcome = leader?.acknowledges(waiter.endOffset, -1) ?? 'waiting'
      if (outcome === 'acknowledged') waiter.resolve()
      else if (outcome !== 'waiting') waiter.reject(tooFewReplicas())
      else if (failure !== null) waiter.reject(failure)
      else continue
      this.#waiters.delete(waiter)
    }
  }
}
