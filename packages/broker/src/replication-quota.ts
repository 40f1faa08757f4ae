import { ReplicationThrottle } from '@varve/replication'
import type { Clock } from './clock.js'
import type { BrokerConfigs } from './configs/broker-configs.js'
import type { Partition } from './partition.js'

/** Which end of a replication: what leaders here send, or followers here fetch. */
export type ReplicationEnd = 'leader' | 'follower'

export interface ReplicationQuotaOptions {
  readonly end: ReplicationEnd
  readonly brokerId: number
  readonly configs: Pick<BrokerConfigs, 'number' | 'onChange'>
  readonly clock: Pick<Clock, 'now'>
}

/**
 * Keeps what this broker replicates below a rate, as far as it is of replicas that are to be throttled and not in sync (KIP-73), so that
 * partitions which move leave the network to clients. Whoever moves them names the replicas in the configurations
 * `….replication.throttled.replicas` of their topics and the rate in `….replication.throttled.rate` of each broker, as
 * `kafka-reassign-partitions.sh --throttle` does.
 */
export class ReplicationQuota {
  readonly #end: ReplicationEnd
  readonly #brokerId: number
  readonly #clock: Pick<Clock, 'now'>
  readonly #throttle: ReplicationThrottle

  constructor({ end, brokerId, configs, clock }: ReplicationQuotaOptions) {
    this.#end = end
    this.#brokerId = brokerId
    this.#clock = clock
    const rate = (): number => configs.number(`${end}.replication.throttled.rate`)
    this.#throttle = new ReplicationThrottle({ bytesPerSecond: rate(), now: clock.now() })
    configs.onChange(() => this.#throttle.setRate(rate(), clock.now()))
  }

  /** For how many ms nothing is to be replicated of a partition to a replica, whose broker may be this one; 0 where it may be at once. */
  waitMs(partition: Partition, replicaId: number): number {
    if (!this.#isThrottled(partition) || partition.state.isr.includes(replicaId)) return 0
    return this.#throttle.waitMs(this.#clock.now())
  }

  /** Counts what has been replicated of a partition. As in Kafka that counts of replicas in sync, too, which do not wait. */
  record(partition: Partition, bytes: number): void {
    if (this.#isThrottled(partition)) this.#throttle.record(bytes, this.#clock.now())
  }

  #isThrottled({ index, settings }: Partition): boolean {
    const replicas = settings.throttledReplicas[this.#end]
    return replicas.size > 0 && (replicas.has('*') || replicas.has(`${index}:${this.#brokerId}`))
  }
}
