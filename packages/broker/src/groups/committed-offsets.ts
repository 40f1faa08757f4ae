/** An offset that a group has committed for one partition. */
export interface CommittedOffset {
  readonly offset: number
  /** The leader epoch of the last record consumed; −1 if the client did not say. */
  readonly leaderEpoch: number
  readonly metadata: string
  /** When the commit came in, in ms since the epoch. */
  readonly commitTimestamp: number
  /** When it is forgotten, where an old client asked for a retention of its own; else null. */
  readonly expireTimestamp: number | null
  /** The topic that it was committed for: a topic of the same name that comes later begins anew. Null if not known. */
  readonly topicId: string | null
}

interface Slot {
  committed: CommittedOffset | null
  /** Commits of this partition on their way into the log. */
  pending: number
}

/** What a group has committed, by topic and partition, and what is on its way. */
export class CommittedOffsets {
  readonly #topics = new Map<string, Map<number, Slot>>()

  get isEmpty(): boolean {
    return this.#topics.size === 0
  }

  /** How many are committed. */
  get size(): number {
    return [...this.entries()].length
  }

  get(topic: string, partition: number): CommittedOffset | null {
    return this.#topics.get(topic)?.get(partition)?.committed ?? null
  }

  /** Every committed offset, a topic's together. */
  *entries(): IterableIterator<[topic: string, partition: number, offset: CommittedOffset]> {
    for (const [topic, partitions] of this.#topics) {
      for (const [partition, { committed }] of partitions) {
        if (committed !== null) yield [topic, partition, committed]
      }
    }
  }

  topics(): string[] {
    return [...this.#topics.keys()]
  }

  /** The partitions of a topic that have an offset, or will once what is on its way has been stored. */
  partitions(topic: string): number[] {
    return [...(this.#topics.get(topic)?.keys() ?? [])]
  }

  isPending(topic: string, partition: number): boolean {
    return (this.#topics.get(topic)?.get(partition)?.pending ?? 0) > 0
  }

  /** A commit is on its way, until {@link settle} is called for it. */
  begin(topic: string, partition: number): void {
    this.#slot(topic, partition).pending++
  }

  settle(topic: string, partition: number): void {
    this.#slot(topic, partition).pending--
    this.#prune(topic, partition)
  }

  set(topic: string, partition: number, committed: CommittedOffset): void {
    this.#slot(topic, partition).committed = committed
  }

  delete(topic: string, partition: number): void {
    const slot = this.#topics.get(topic)?.get(partition)
    if (slot === undefined) return
    slot.committed = null
    this.#prune(topic, partition)
  }

  #slot(topic: string, partition: number): Slot {
    let partitions = this.#topics.get(topic)
    if (partitions === undefined) this.#topics.set(topic, (partitions = new Map()))
    let slot = partitions.get(partition)
    if (slot === undefined) partitions.set(partition, (slot = { committed: null, pending: 0 }))
    return slot
  }

  #prune(topic: string, partition: number): void {
    const partitions = this.#topics.get(topic)!
    const slot = partitions.get(partition)!
    if (slot.committed !== null || slot.pending > 0) return
    partitions.delete(partition)
    if (partitions.size === 0) this.#topics.delete(topic)
  }
}
