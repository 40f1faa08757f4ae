import type { PartitionState } from '@varve/replication'

/** How far a replica that lost records has come on its way back. */
interface Loss {
  /** The broker has registered since: before that, what it may be taken for is what it was. */
  registered: boolean
  /** It was in neither set since it registered: what it holds from now on it has fetched again. */
  left: boolean
}

/**
 * Which losses the protocol promises to survive. Under `'fsync'` any number; under `'os'`, of each partition, at most
 * `min.insync.replicas` − 1 replicas between two times at which they were in sync.
 */
export class FaultModel {
  readonly #durability: 'os' | 'fsync'
  readonly #states = new Map<string, PartitionState>()
  /** The minimum that what is committed has been replicated under. */
  readonly #minimums = new Map<string, number>()
  readonly #losses = new Map<string, Map<number, Loss>>()

  constructor(durability: 'os' | 'fsync') {
    this.#durability = durability
  }

  stateCommitted(partition: string, state: PartitionState): void {
    this.#states.set(partition, state)
    const { isr, minInsyncReplicas } = state
    const before = this.#minimums.get(partition) ?? minInsyncReplicas
    this.#minimums.set(
      partition,
      isr.length >= minInsyncReplicas ? minInsyncReplicas : Math.min(before, minInsyncReplicas),
    )
    const losses = this.#losses.get(partition)
    if (losses === undefined) return
    for (const [broker, loss] of losses) {
      if (!state.replicas.includes(broker)) losses.delete(broker)
      else if (!isIn(state, broker)) loss.left ||= loss.registered
      else if (loss.left && isr.includes(broker)) losses.delete(broker)
    }
  }

  partitionRemoved(partition: string): void {
    this.#states.delete(partition)
    this.#minimums.delete(partition)
    this.#losses.delete(partition)
  }

  /** A broker has registered anew, after it was started. */
  registered(broker: number): void {
    for (const [partition, losses] of this.#losses) {
      const loss = losses.get(broker)
      if (loss === undefined) continue
      loss.registered = true
      loss.left ||= !isIn(this.#states.get(partition)!, broker)
    }
  }

  mayLoseRecords(broker: number): boolean {
    if (this.#durability === 'fsync') return true
    for (const [partition, { replicas }] of this.#states) {
      if (!replicas.includes(broker)) continue
      const lost = new Set(this.#losses.get(partition)?.keys()).add(broker)
      if (lost.size > this.#minimums.get(partition)! - 1) return false
    }
    return true
  }

  recordsLost(broker: number): void {
    if (this.#durability === 'fsync') return
    for (const [partition, { replicas }] of this.#states) {
      if (!replicas.includes(broker)) continue
      let losses = this.#losses.get(partition)
      if (losses === undefined) this.#losses.set(partition, (losses = new Map()))
      losses.set(broker, { registered: false, left: false })
    }
  }

  /** Whether a replica is not to be held to what it had, as long as it is taken for one that has it. */
  isExcused(partition: string, broker: number): boolean {
    const loss = this.#losses.get(partition)?.get(broker)
    return loss !== undefined && !loss.left
  }

  /** Whether a broker has registered after it lost records, and its replica has not left the sets that it was in. */
  isUnsettled(partition: string, broker: number): boolean {
    return this.isExcused(partition, broker) && this.#losses.get(partition)!.get(broker)!.registered
  }
}

function isIn({ isr, eligibleLeaderReplicas }: PartitionState, broker: number): boolean {
  return isr.includes(broker) || eligibleLeaderReplicas.includes(broker)
}
