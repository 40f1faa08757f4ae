import type { MetadataOutcome, MetadataTransaction } from '@varve/replication'
import type { BrokerLog } from '../broker-log.js'
import type { Clock, Timer } from '../clock.js'
import type { Partition } from '../partition.js'

/** How often it is looked who has fallen behind, in parts of the time that may take; Kafka looks twice. */
const lagChecks = 10
/** After a change that the store could not be asked for, or of which nobody knows what has become of it. */
const backoffMs = 500

export interface InSyncChangesOptions {
  readonly clock: Clock
  /** `replica.lag.time.max.ms`. */
  readonly replicaLagTimeMaxMs: number
  readonly log: BrokerLog
  readonly transact: (transaction: MetadataTransaction) => Promise<MetadataOutcome>
}

/** Has the in-sync replicas changed of those partitions that this broker leads, one change of each at a time. */
export class InSyncChanges {
  readonly #options: InSyncChangesOptions
  readonly #led = new Set<Partition>()
  readonly #backingOff = new Set<Partition>()
  readonly #timers = new Set<Timer>()
  #timer: Timer = undefined
  #isClosed = false

  constructor(options: InSyncChangesOptions) {
    this.#options = options
    this.#scheduleCheck()
  }

  /** Takes up the role of a partition. */
  follow(partition: Partition): void {
    if (partition.leader === null) this.#led.delete(partition)
    else {
      this.#led.add(partition)
      this.look(partition)
    }
  }

  /** Looks whether somebody is to come into the in-sync replicas of a partition, or to leave them. */
  look(partition: Partition): void {
    const { leader } = partition
    if (leader === null || this.#isClosed || this.#backingOff.has(partition)) return
    const change = partition.inSyncChange()
    if (change === null) return
    const { isr, eligibleLeaderReplicas } = change.state
    const before = partition.state.isr
    void this.#options.transact(change.transaction).then((outcome) => {
      if (this.#isClosed) return
      if (outcome.kind === 'succeeded') {
        const eligible =
          eligibleLeaderReplicas.length > 0 ? `, eligible ${eligibleLeaderReplicas.join(', ')}` : ''
        this.#options.log(
          'info',
          `${partition.name}: in sync ${isr.join(', ')}${eligible} (before: ${before.join(', ')})`,
          { topic: partition.topic, partition: partition.index },
        )
      } else if (outcome.kind !== 'failed') this.#backOff(partition)
      partition.inSyncChangeSettled(leader, change, outcome)
      this.look(partition)
    })
  }

  close(): void {
    this.#isClosed = true
    this.#options.clock.clearTimeout(this.#timer)
    for (const timer of this.#timers) this.#options.clock.clearTimeout(timer)
  }

  #backOff(partition: Partition): void {
    this.#backingOff.add(partition)
    const timer = this.#options.clock.setTimeout(() => {
      this.#timers.delete(timer)
      this.#backingOff.delete(partition)
      this.look(partition)
    }, backoffMs)
    this.#timers.add(timer)
  }

  #scheduleCheck(): void {
    const { clock, replicaLagTimeMaxMs } = this.#options
    this.#timer = clock.setTimeout(() => {
      this.#scheduleCheck()
      for (const partition of this.#led) this.look(partition)
    }, replicaLagTimeMaxMs / lagChecks)
  }
}
