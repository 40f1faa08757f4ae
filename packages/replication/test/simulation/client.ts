import type { ClientMetadata, ClientPartition, Message } from './messages.js'
import type { Packet } from './network.js'
import type { SimulatedNode } from './node.js'
import type { Random } from './random.js'
import type { Simulation } from './simulation.js'
import type { EntryKind } from './timeline.js'
import type { Timer } from './virtual-time.js'

const requestTimeoutMs = 1500
export const retryBackoffMs = 150

/** What each client does: it asks brokers, waits for a bounded time, and finds out where things are. */
export class SimulatedClient {
  readonly node: SimulatedNode
  readonly random: Random
  protected readonly simulation: Simulation
  metadata: ClientMetadata = { controller: -1, partitions: [] }
  #lastRequestId = 0
  readonly #requests = new Map<number, { done: (answer: Message | null) => void; timer: Timer }>()

  constructor(simulation: Simulation, node: SimulatedNode) {
    this.simulation = simulation
    this.node = node
    this.random = simulation.random.fork(`client ${node.id}`)
    simulation.network.join(node, (packet) => this.#receive(packet))
  }

  /** Sends a request; `done` gets the answer, or null when none came in time. */
  protected ask(
    broker: number,
    message: (requestId: number) => Message,
    done: (answer: Message | null) => void,
  ): void {
    const requestId = ++this.#lastRequestId
    const timer = this.node.after(requestTimeoutMs, () => this.#settle(requestId, null))
    this.#requests.set(requestId, { done, timer })
    this.simulation.network.send(this.node.id, broker, message(requestId))
  }

  #receive({ message }: Packet<Message>): void {
    if ('requestId' in message) this.#settle(message.requestId, message)
  }

  #settle(requestId: number, answer: Message | null): void {
    const request = this.#requests.get(requestId)
    if (request === undefined) return
    this.#requests.delete(requestId)
    request.timer.cancel()
    request.done(answer)
  }

  /** Asks any broker where things are. */
  protected refresh(done: () => void): void {
    const broker = this.random.pick(this.simulation.brokerIds)
    this.ask(
      broker,
      (requestId) => ({ kind: 'metadata', requestId }),
      (answer) => {
        if (answer?.kind === 'metadata answer') this.#take(answer.metadata)
        done()
      },
    )
  }

  /** What a broker behind the others tells of a partition counts for less (KIP-320). */
  #take(metadata: ClientMetadata): void {
    const known = new Map(this.metadata.partitions.map((each) => [each.partition, each]))
    const partitions = metadata.partitions.map((each) => {
      const before = known.get(each.partition)
      return before !== undefined && before.leaderEpoch > each.leaderEpoch ? before : each
    })
    this.metadata = { controller: metadata.controller, partitions }
  }

  protected find(partition: string): ClientPartition | undefined {
    return this.metadata.partitions.find((each) => each.partition === partition)
  }

  protected tell(kind: EntryKind, who: string, text: () => string, partition: string): void {
    const { timeline } = this.simulation
    if (timeline.recording) timeline.tell(kind, who, text(), partition)
  }
}
