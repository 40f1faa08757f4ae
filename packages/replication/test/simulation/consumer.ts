import { noBroker } from '@varve/replication'
import { SimulatedClient, retryBackoffMs } from './client.js'
import type { SimulatedNode } from './node.js'
import type { Simulation } from './simulation.js'

const pollMs = 250

/** A consumer that reads every partition from its start, from the leader or from the replica that the leader names. */
export class SimulatedConsumer extends SimulatedClient {
  readonly name: string
  readonly #rack: string
  readonly #offsets = new Map<string, number>()
  readonly #readReplicas = new Map<string, number>()
  #isReading = true

  constructor(simulation: Simulation, node: SimulatedNode, index: number, rack: string) {
    super(simulation, node)
    this.name = `consumer ${index}`
    this.#rack = rack
    this.#refresh()
  }

  stop(): void {
    this.#isReading = false
  }

  offset(partition: string): number {
    return this.#offsets.get(partition) ?? 0
  }

  #refresh(): void {
    if (!this.#isReading) return
    this.refresh(() => {
      for (const { partition } of this.metadata.partitions) {
        if (this.#offsets.has(partition)) continue
        this.#offsets.set(partition, 0)
        this.#poll(partition)
      }
      this.node.after(1000, () => this.#refresh())
    })
  }

  #poll(partition: string): void {
    if (!this.#isReading || this.simulation.isDeleted(partition)) return
    const leader = this.find(partition)?.leader ?? noBroker
    const replica = this.#readReplicas.get(partition) ?? leader
    const again = (ms: number): void => {
      this.node.after(ms, () => this.#poll(partition))
    }
    if (replica === noBroker) return again(retryBackoffMs)
    const offset = this.#offsets.get(partition)!
    this.ask(
      replica,
      (requestId) => ({
        kind: 'consume',
        partition,
        requestId,
        offset,
        rack: this.#rack,
        fromLeader: replica === leader,
      }),
      (answer) => {
        if (answer?.kind !== 'consumed' || answer.error !== null) {
          this.#readReplicas.delete(partition)
          // Below the start what it wanted has been deleted; at the end an unclean election has taken it back.
          if (answer?.kind === 'consumed' && answer.error === 'OFFSET_OUT_OF_RANGE')
            this.#offsets.set(partition, Math.max(0, answer.logStartOffset))
          return again(retryBackoffMs)
        }
        const { preferredReadReplica, batches, generation } = answer
        if (preferredReadReplica !== null) {
          this.#readReplicas.set(partition, preferredReadReplica)
          return again(1)
        }
        this.simulation.invariants.consumed(partition, batches, generation)
        const last = batches.at(-1)
        if (last !== undefined) {
          this.#offsets.set(partition, last.baseOffset + last.count)
          this.tell(
            'consumers',
            this.name,
            () => `has read up to ${last.baseOffset + last.count} from broker ${replica}`,
            partition,
          )
        }
        again(last === undefined ? pollMs : 20)
      },
    )
  }
}
