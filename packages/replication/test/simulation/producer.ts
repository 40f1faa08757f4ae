import { noBroker } from '@varve/replication'
import { SimulatedClient, retryBackoffMs } from './client.js'
import { describeValues } from './committed-prefix.js'
import type { SimulatedNode } from './node.js'
import type { Simulation } from './simulation.js'
import type { ProducedBatch } from './simulated-batch.js'

interface Batch {
  readonly produced: ProducedBatch
  state: 'waiting' | 'in flight' | 'acknowledged'
  attempts: number
}

/** What a producer has for one partition, in its order. */
interface Lane {
  readonly partition: string
  /** Null while it is asked for; what is to go out under it is in `withoutId`. */
  producerId: number | null
  withoutId: readonly (readonly number[])[]
  nextSequence: number
  readonly batches: Batch[]
  isBackingOff: boolean
  /**
   * Something of this id has been acknowledged. A leader that knows nothing of a producer takes any sequence for its first, so
   * until then a second batch could overtake the first one.
   */
  isKnown: boolean
  outOfOrderSince: number
}

/**
 * How many batches from the earliest that is not acknowledged on may be under way, as `max.in.flight.requests.per.connection`:
 * a leader remembers five of a producer.
 */
const maxInFlight = 3

/** A producer that goes on until its batch is acknowledged, or with `acks` 0 or 1 until it takes it for acknowledged. */
export class SimulatedProducer extends SimulatedClient {
  readonly name: string
  readonly acks: 0 | 1 | -1
  readonly isIdempotent: boolean
  readonly #meanIntervalMs: number
  readonly #lanes = new Map<string, Lane>()
  #isProducing = true
  acknowledged = 0

  constructor(simulation: Simulation, node: SimulatedNode, index: number) {
    super(simulation, node)
    this.name = `producer ${index}`
    this.acks = index === 0 ? -1 : this.random.pick([-1, -1, -1, 1, 0])
    this.isIdempotent = this.acks === -1 && this.random.chance(0.75)
    this.#meanIntervalMs = this.random.pick([60, 150, 400])
    this.#produceLater()
  }

  /** No more records from now on; those that there are still go out. */
  stop(): void {
    this.#isProducing = false
  }

  /** What waits for an acknowledgement; nothing is ''. */
  waitsFor(counts: (partition: string) => boolean): string {
    return [...this.#lanes.values()]
      .map(({ partition, batches, withoutId }) => ({ partition, count: batches.length + withoutId.length }))
      .filter(({ partition, count }) => count > 0 && counts(partition))
      .map(({ partition, count }) => `${count} for ${partition}`)
      .join(', ')
  }

  #produceLater(): void {
    this.node.after(this.random.exponential(this.#meanIntervalMs), () => {
      if (!this.#isProducing) return
      this.#produce()
      this.#produceLater()
    })
  }

  #produce(): void {
    const { partitions } = this.metadata
    if (partitions.length === 0) {
      this.refresh(() => {})
      return
    }
    const { partition } = this.random.pick(partitions)
    let lane = this.#lanes.get(partition)
    if (lane === undefined) {
      lane = {
        partition,
        producerId: this.isIdempotent ? null : -1,
        withoutId: [],
        nextSequence: 0,
        batches: [],
        isBackingOff: false,
        isKnown: false,
        outOfOrderSince: Infinity,
      }
      this.#lanes.set(partition, lane)
      if (lane.producerId === null) this.#initProducerId(lane)
    }
    if (lane.producerId === null || lane.batches.length >= 20) return
    const count = this.random.int(1, 4)
    const values = Array.from({ length: count }, () => this.simulation.nextValue())
    this.#add(lane, values)
    this.#send(lane)
  }

  /** Any broker has some. One that was given out and did not arrive is given to nobody else. */
  #initProducerId(lane: Lane): void {
    const broker = this.random.pick(this.simulation.brokerIds)
    this.ask(
      broker,
      (requestId) => ({ kind: 'init producer id', requestId }),
      (answer) => {
        if (answer?.kind !== 'producer id') {
          this.node.after(retryBackoffMs, () => this.#initProducerId(lane))
          return
        }
        lane.producerId = answer.producerId
        for (const values of lane.withoutId) this.#add(lane, values)
        lane.withoutId = []
        this.#send(lane)
      },
    )
  }

  #add(lane: Lane, values: readonly number[]): void {
    const producerId = lane.producerId!
    const produced: ProducedBatch = {
      producerId,
      producerEpoch: producerId === -1 ? -1 : 0,
      baseSequence: producerId === -1 ? -1 : lane.nextSequence,
      values,
    }
    lane.nextSequence += values.length
    lane.batches.push({ produced, state: 'waiting', attempts: 0 })
  }

  #send(lane: Lane): void {
    if (lane.isBackingOff) return
    const leader = this.find(lane.partition)?.leader ?? noBroker
    if (leader === noBroker) {
      this.#backOff(lane)
      return
    }
    if (this.acks === 0) {
      for (const batch of lane.batches.splice(0)) this.#throwAway(lane, batch, leader)
      return
    }
    for (const batch of lane.batches.slice(0, lane.isKnown ? maxInFlight : 1)) {
      if (batch.state !== 'waiting') continue
      // Without sequences a retry behind a later batch would change their order.
      if (!this.isIdempotent && batch !== lane.batches[0]) return
      batch.state = 'in flight'
      batch.attempts++
      this.#sendBatch(lane, batch, leader)
    }
  }

  /** With `acks=0`: whether it arrives nobody tells. */
  #throwAway({ partition }: Lane, { produced }: Batch, leader: number): void {
    this.simulation.network.send(this.node.id, leader, {
      kind: 'produce',
      partition,
      requestId: -1,
      acks: 0,
      batch: produced,
    })
    // Nor that the leader has changed.
    if (this.random.chance(0.1)) this.refresh(() => {})
  }

  #sendBatch(lane: Lane, batch: Batch, leader: number): void {
    const { partition } = lane
    this.ask(
      leader,
      (requestId) => ({ kind: 'produce', partition, requestId, acks: this.acks, batch: batch.produced }),
      (answer) => {
        if (batch.state !== 'in flight') return
        batch.state = 'waiting'
        const error = answer === null ? 'REQUEST_TIMED_OUT' : answer.kind === 'produced' ? answer.error : ''
        if (error === null) {
          this.acknowledged++
          this.#tell(lane, () => `${describeValues(batch.produced.values)} acknowledged`)
          batch.state = 'acknowledged'
          lane.isKnown = true
          lane.outOfOrderSince = Infinity
          while (lane.batches[0]?.state === 'acknowledged') lane.batches.shift()
          this.#send(lane)
        } else {
          this.#failed(lane, batch, error)
        }
      },
    )
  }

  #tell({ partition }: Lane, text: () => string): void {
    this.tell('producers', this.name, text, partition)
  }

  #failed(lane: Lane, batch: Batch, error: string): void {
    this.#tell(lane, () => `${describeValues(batch.produced.values)}: ${error}`)
    if (batch === lane.batches[0]) {
      // A leader that does not know that it is none any more says so as well, and so does one that a later batch reaches first.
      const isOutOfOrder = error === 'OUT_OF_ORDER_SEQUENCE_NUMBER'
      lane.outOfOrderSince = isOutOfOrder
        ? Math.min(lane.outOfOrderSince, this.simulation.time.now)
        : Infinity
    }
    if (this.simulation.time.now - lane.outOfOrderSince > 10_000) this.#startOver(lane)
    this.#backOff(lane)
  }

  /**
   * The earliest that is not acknowledged does not follow what the leader has: only what an unclean election gave up can
   * be missing. What is left goes out under another id, as a producer's new epoch does.
   */
  #startOver(lane: Lane): void {
    if (lane.batches.some(({ state }) => state === 'in flight')) return
    const { producerId, baseSequence } = lane.batches[0]!.produced
    this.simulation.sequenceLost(lane.partition, producerId, baseSequence)
    lane.withoutId = lane.batches
      .filter(({ state }) => state !== 'acknowledged')
      .map(({ produced }) => produced.values)
    lane.batches.length = 0
    lane.producerId = null
    lane.nextSequence = 0
    lane.isKnown = false
    lane.outOfOrderSince = Infinity
    this.#initProducerId(lane)
  }

  #backOff(lane: Lane): void {
    if (lane.isBackingOff) return
    lane.isBackingOff = true
    this.node.after(this.random.float(retryBackoffMs / 2, retryBackoffMs * 2), () =>
      this.refresh(() => {
        lane.isBackingOff = false
        // Its topic has been deleted.
        if (this.simulation.isDeleted(lane.partition)) lane.batches.length = 0
        else this.#send(lane)
      }),
    )
  }
}
