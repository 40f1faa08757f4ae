import { noBroker } from '@varve/replication'
import type { Simulation } from './simulation.js'
import { Violation } from './violation.js'

/** How long a cluster may take, once nothing breaks any more, until all is as it should be. */
const boundMs = 30_000
const lookEveryMs = 250

/**
 * What has to become true once faults end: every partition has a leader and all its replicas in sync, everything that was
 * produced is acknowledged, and everything that is committed is read.
 */
export class Liveness {
  readonly #simulation: Simulation
  #endsAt = Infinity
  #isProducingStopped = false
  isReached = false

  constructor(simulation: Simulation) {
    this.#simulation = simulation
  }

  get hasBegun(): boolean {
    return this.#endsAt < Infinity
  }

  begin(): void {
    const { time } = this.#simulation
    this.#endsAt = time.now + boundMs
    // Records that are produced from here on show that partitions accept writes again.
    time.after(1000, () => {
      this.#isProducingStopped = true
      for (const producer of this.#simulation.producers) producer.stop()
      this.#look()
    })
  }

  #look(): void {
    const missing = this.#missing()
    if (missing === null) {
      this.isReached = true
      return
    }
    const { time } = this.#simulation
    if (time.now > this.#endsAt)
      throw new Violation('liveness', `${boundMs / 1000} s after the last fault ${missing}`)
    time.after(lookEveryMs, () => this.#look())
  }

  #missing(): string | null {
    const { invariants, producers, consumers, brokers, faultModel } = this.#simulation
    if (!this.#isProducingStopped) return 'records are still produced'
    for (const [partition, state] of invariants.states) {
      if (faultModel.isBeyond(partition)) continue
      const { leader, isr, replicas, addingReplicas, removingReplicas, leaderEpoch } = state
      if (leader === noBroker) return `${partition} has no leader`
      if (leader !== replicas[0]) return `${partition} is led by ${leader}, preferred is ${replicas[0]}`
      if (addingReplicas.length > 0 || removingReplicas.length > 0)
        return `the reassignment of ${partition} is not complete`
      if (isr.length < replicas.length)
        return `${partition} has in sync ${isr.join(' ')} of ${replicas.join(' ')}`
      const leading = brokers.get(leader)?.life?.replicas.get(partition)?.replica.leader
      if (leading?.leaderEpoch !== leaderEpoch) return `broker ${leader} does not lead ${partition}`
      if (leading.highWatermark < brokers.get(leader)!.logs.get(partition)!.endOffset)
        return `${partition} has records that are not committed`
    }
    for (const producer of producers) {
      const waiting = producer.waitsFor((partition) => !faultModel.isBeyond(partition))
      if (waiting !== '') return `${producer.name} waits for acknowledgements: ${waiting}`
    }
    for (const partition of invariants.states.keys()) {
      if (faultModel.isBeyond(partition)) continue
      const { end } = invariants.prefix(partition)
      const late = consumers.find((consumer) => consumer.offset(partition) < end)
      if (late !== undefined)
        return `${late.name} has read ${partition} up to ${late.offset(partition)} of ${end}`
    }
    // One that has just lost what it had may count as in sync until the controller hears of it.
    return invariants.differenceInSync()
  }
}
