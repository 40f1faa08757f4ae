import type { BrokerLog } from '../broker-log.js'
import type { Clock } from '../clock.js'
import type { Partition } from '../partition.js'
import type { ReplicationQuota } from '../replication-quota.js'
import type { FollowerLog } from './followed-partition.js'
import { type FetchConnection, ReplicaFetcher, type ReplicaFetchLimits } from './replica-fetcher.js'

export interface ReplicaFetchersOptions {
  readonly brokerId: number
  readonly limits: ReplicaFetchLimits
  /** Of what is fetched. */
  readonly quota: ReplicationQuota
  /** Gives a connection to a broker that nothing else uses. */
  readonly dial: (brokerId: number) => Promise<FetchConnection>
  readonly clock: Clock
  readonly log: BrokerLog
}

/** Follows every leader that this broker has partitions of. */
export class ReplicaFetchers {
  readonly #options: ReplicaFetchersOptions
  readonly #byLeader = new Map<number, ReplicaFetcher>()
  readonly #leaders = new Map<Partition, number>()
  #isLeaving = false
  #isClosed = false

  constructor(options: ReplicaFetchersOptions) {
    this.#options = options
  }

  /** Takes up the role of a partition, whatever it was before. */
  follow(partition: Partition, log: FollowerLog | null): void {
    const before = this.#leaders.get(partition)
    if (before !== undefined) {
      this.#leaders.delete(partition)
      this.#byLeader.get(before)!.remove(partition)
    }
    const { follower } = partition
    // A broker that leaves is told of roles to its end.
    if (follower === null || log === null || this.#isClosed) return
    this.#leaders.set(partition, follower.leader)
    this.#of(follower.leader).add(partition, follower, log)
  }

  /** This broker's epoch is another one. */
  brokerEpochChanged(): void {
    for (const fetcher of this.#byLeader.values()) fetcher.wake()
  }

  /** This broker is about to go; it follows as long as it is there. */
  leave(): void {
    this.#isLeaving = true
    for (const fetcher of this.#byLeader.values()) fetcher.leave()
  }

  close(): void {
    this.#isClosed = true
    for (const fetcher of this.#byLeader.values()) fetcher.close()
  }

  #of(leaderId: number): ReplicaFetcher {
    let fetcher = this.#byLeader.get(leaderId)
    if (fetcher === undefined) {
      const { dial, ...options } = this.#options
      fetcher = new ReplicaFetcher({ ...options, leaderId, dial: () => dial(leaderId) })
      if (this.#isLeaving) fetcher.leave()
      this.#byLeader.set(leaderId, fetcher)
    }
    return fetcher
  }
}
