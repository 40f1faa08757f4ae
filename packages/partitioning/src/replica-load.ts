/**
 * How many replicas of some partitions each broker has, and of how many it is the preferred leader: all that a placement has to know of other
 * partitions. Kept up, it saves counting them for each of many placements.
 */
export class ReplicaLoad {
  readonly #replicas = new Map<number, number>()
  readonly #preferredLeaders = new Map<number, number>()

  /** @param partitions the replicas of each, the preferred leader first */
  constructor(partitions: Iterable<readonly number[]> = []) {
    for (const replicas of partitions) this.add(replicas)
  }

  /** Counts a partition. */
  add(replicas: readonly number[]): void {
    this.#count(replicas, 1)
  }

  /** Counts a partition no more. */
  remove(replicas: readonly number[]): void {
    this.#count(replicas, -1)
  }

  #count(replicas: readonly number[], by: 1 | -1): void {
    for (const id of replicas) this.#replicas.set(id, this.replicasOn(id) + by)
    const [preferred] = replicas
    if (preferred !== undefined)
      this.#preferredLeaders.set(preferred, this.preferredLeadersOn(preferred) + by)
  }

  /** How many replicas the broker has. */
  replicasOn(brokerId: number): number {
    return this.#replicas.get(brokerId) ?? 0
  }

  /** Of how many partitions the broker is the preferred leader. */
  preferredLeadersOn(brokerId: number): number {
    return this.#preferredLeaders.get(brokerId) ?? 0
  }

  /** The load of those partitions of this one that are not of the other. */
  without(other: ReplicaLoad): ReplicaLoad {
    const rest = new ReplicaLoad()
    for (const [id, count] of this.#replicas) rest.#replicas.set(id, count - other.replicasOn(id))
    for (const [id, count] of this.#preferredLeaders)
      rest.#preferredLeaders.set(id, count - other.preferredLeadersOn(id))
    return rest
  }
}
