import type { PartitionState } from '@varve/replication'

/** How far a replica that lost records has come on its way back. */
interface Loss {
  /** The broker has registered since: before that, what it may be taken for is what it was. */
  registered: boolean
  /** It was in neither set since it registered: what it holds from now on it has fetched again. */
  left: boolean
  /**
   * It came into the set when the broker had registered already, without knowing yet that a controller had taken note: it lacks
   * nothing there, and gives its place up all the same if it has to register once more.
   */
  isCautious: boolean
}

/** What a broker has lost and a controller has not taken note of, as far as the broker knows. */
interface Unadmitted {
  readonly life: number
  registered: boolean
}

/**
 * Which losses the protocol promises to survive: of each partition, at most `min.insync.replicas` − 1 replicas between two times
 * at which they were in sync. A power loss is one under `'os'` only, a disk that is replaced under `'fsync'`, too.
 */
export class FaultModel {
  readonly #durability: 'os' | 'fsync'
  readonly #states = new Map<string, PartitionState>()
  /** The minimum that what is committed has been replicated under. */
  readonly #minimums = new Map<string, number>()
  /** By partition, of those that were in sync or eligible. */
  readonly #losses = new Map<string, Map<number, Loss>>()
  readonly #unadmitted = new Map<number, Unadmitted>()
  readonly #beyond = new Set<string>()

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
    for (const [broker, loss] of this.#losses.get(partition) ?? []) {
      if (!isIn(state, broker)) loss.left ||= loss.registered
      else if (loss.left && isr.includes(broker)) this.#losses.get(partition)!.delete(broker)
    }
    for (const [broker, { registered }] of this.#unadmitted) this.#note(partition, state, broker, registered)
    this.#lookBeyond(partition, state)
  }

  partitionRemoved(partition: string): void {
    this.#states.delete(partition)
    this.#minimums.delete(partition)
    this.#losses.delete(partition)
  }

  /** A broker has registered anew, after it was started. */
  registered(broker: number): void {
    const unadmitted = this.#unadmitted.get(broker)
    if (unadmitted !== undefined) unadmitted.registered = true
    for (const [partition, losses] of this.#losses) {
      const loss = losses.get(broker)
      if (loss === undefined) continue
      loss.registered = true
      loss.isCautious = false
      loss.left ||= !isIn(this.#states.get(partition)!, broker)
    }
  }

  /** In this life a broker has learned that a controller has taken note of what it may have lost. */
  admitted(broker: number, life: number): void {
    const unadmitted = this.#unadmitted.get(broker)
    if (unadmitted === undefined || unadmitted.life >= life) return
    this.#unadmitted.delete(broker)
    for (const losses of this.#losses.values()) {
      const loss = losses.get(broker)
      if (loss?.isCautious && !loss.left) losses.delete(broker)
    }
  }

  /** What no fsync has covered. */
  mayLosePower(broker: number): boolean {
    return this.#durability === 'fsync' || this.mayLoseRecords(broker)
  }

  powerLost(broker: number, life: number): void {
    if (this.#durability === 'os') this.recordsLost(broker, life)
  }

  mayLoseRecords(broker: number): boolean {
    for (const [partition, state] of this.#states) {
      if (!isIn(state, broker)) continue
      const lost = new Set(this.#losses.get(partition)?.keys()).add(broker)
      if (lost.size > this.#minimums.get(partition)! - 1) return false
    }
    return true
  }

  recordsLost(broker: number, life: number): void {
    this.#unadmitted.set(broker, { life, registered: false })
    for (const [partition, state] of this.#states) {
      this.#losses.get(partition)?.delete(broker)
      this.#note(partition, state, broker, false)
      this.#lookBeyond(partition, state)
    }
  }

  #note(partition: string, state: PartitionState, broker: number, registered: boolean): void {
    if (!isIn(state, broker)) return
    let losses = this.#losses.get(partition)
    if (losses === undefined) this.#losses.set(partition, (losses = new Map()))
    if (!losses.has(broker)) losses.set(broker, { registered, left: false, isCautious: registered })
  }

  /** A partition may be made of replicas that have lost before it was there. */
  #lookBeyond(partition: string, { isr, eligibleLeaderReplicas }: PartitionState): void {
    const holders = [...isr, ...eligibleLeaderReplicas]
    if (holders.length > 0 && holders.every((broker) => this.isExcused(partition, broker)))
      this.#beyond.add(partition)
  }

  /** Whether nobody is left to hold what is committed: more has been lost than the protocol promises to survive. */
  isBeyond(partition: string): boolean {
    return this.#beyond.has(partition)
  }

  /** Whether a replica is not to be held to what it had, as long as it is taken for one that has it. */
  isExcused(partition: string, broker: number): boolean {
    const loss = this.#losses.get(partition)?.get(broker)
    return loss !== undefined && !loss.left
  }

  /** Whether a broker has registered after it lost records, and its replica has not left the sets that it was in. */
  isUnsettled(partition: string, broker: number): boolean {
    if (!this.isExcused(partition, broker)) return false
    const { registered, isCautious } = this.#losses.get(partition)!.get(broker)!
    return registered && !isCautious
  }
}

function isIn({ isr, eligibleLeaderReplicas }: PartitionState, broker: number): boolean {
  return isr.includes(broker) || eligibleLeaderReplicas.includes(broker)
}
