import type { SimulatedNode } from './node.js'
import type { Random } from './random.js'
import type { Action, VirtualTime } from './virtual-time.js'

/** A message under way, between one life of a node and one of another, as on a TCP connection. */
export interface Packet<Message> {
  readonly from: number
  readonly fromIncarnation: number
  readonly to: number
  readonly toIncarnation: number
  readonly message: Message
}

export interface Latency {
  min: number
  mean: number
  max: number
}

export interface NetworkOptions<Message> {
  readonly time: VirtualTime
  readonly random: Random
  /** In ms. */
  readonly latency?: Latency
  /** Of a message, that it does not arrive, arrives twice, or may overtake others. */
  readonly loss?: number
  readonly duplicate?: number
  readonly reorder?: number
  /** Which messages may arrive twice; by default all. */
  readonly mayArriveTwice?: (message: Message) => boolean
}

export interface Member<Message> {
  readonly node: SimulatedNode
  readonly receive: (packet: Packet<Message>) => void
  readonly connectionReset: ((peer: number) => void) | undefined
}

/** One life of a node. */
export interface Life {
  readonly node: SimulatedNode
  readonly incarnation: number
}

/** What the network is to those who carry on a conversation of their own over it. */
export interface Carrier {
  /** Runs `action` at the other end if it arrives, at most once. */
  carry<A, B>(from: Life, to: Life, action: Action<A, B>, a: NoInfer<A>, b: NoInfer<B>): void
  delay(from: number, to: number): number
  loses(from: number, to: number): boolean
  isCut(from: number, to: number): boolean
}

interface Parcel {
  readonly from: Life
  readonly to: Life
  readonly action: Action<never, never>
  readonly a: unknown
  readonly b: unknown
}

interface Link {
  cut: boolean
  factor: number
  /** When the last message that keeps its place arrives. */
  lastArrival: number
}

export class Network<Message> implements Carrier {
  latency: Latency
  loss: number
  duplicate: number
  reorder: number
  sent = 0
  delivered = 0
  dropped = 0
  readonly #time: VirtualTime
  readonly #random: Random
  readonly #mayArriveTwice: (message: Message) => boolean
  readonly #members = new Map<number, Member<Message>>()
  readonly #links = new Map<number, Link>()

  constructor({
    time,
    random,
    latency,
    loss = 0,
    duplicate = 0,
    reorder = 0,
    mayArriveTwice = () => true,
  }: NetworkOptions<Message>) {
    this.#mayArriveTwice = mayArriveTwice
    this.#time = time
    this.#random = random
    this.latency = latency ?? { min: 0.2, mean: 1, max: 50 }
    this.loss = loss
    this.duplicate = duplicate
    this.reorder = reorder
  }

  /** A second call for a node replaces the first, as a new life of it does. `connectionReset` hears of peers that crashed. */
  join(
    node: SimulatedNode,
    receive: (packet: Packet<Message>) => void,
    connectionReset?: (peer: number) => void,
  ): void {
    this.#members.set(node.id, { node, receive, connectionReset })
  }

  /** To the life of the receiver that there is now. */
  send(from: number, to: number, message: Message): void {
    const sender = this.#member(from).node
    const toIncarnation = this.#member(to).node.incarnation
    this.#transmit({ from, fromIncarnation: sender.incarnation, to, toIncarnation, message })
  }

  /** To the life that sent the packet, from the one that got it. */
  reply(packet: Packet<unknown>, message: Message): void {
    const { from: to, fromIncarnation: toIncarnation, to: from, toIncarnation: fromIncarnation } = packet
    this.#transmit({ from, fromIncarnation, to, toIncarnation, message })
  }

  cut(from: number, to: number): void {
    this.#link(from, to).cut = true
  }

  heal(from: number, to: number): void {
    this.#link(from, to).cut = false
  }

  /** Both ways. */
  split(group: readonly number[], others: readonly number[]): void {
    for (const one of group) {
      for (const other of others) {
        this.cut(one, other)
        this.cut(other, one)
      }
    }
  }

  isolate(node: number): void {
    this.split(
      [node],
      [...this.#members.keys()].filter((id) => id !== node),
    )
  }

  /** Nothing is cut or slow any more. */
  healAll(): void {
    for (const link of this.#links.values()) {
      link.cut = false
      link.factor = 1
    }
  }

  isCut(from: number, to: number): boolean {
    return this.#link(from, to).cut
  }

  /** Everything takes `factor` times as long; 1 is as usual. */
  slow(from: number, to: number, factor: number): void {
    this.#link(from, to).factor = factor
  }

  /** How long a message takes now. */
  delay(from: number, to: number): number {
    const { min, mean, max } = this.latency
    return this.#random.latency(min, mean, max) * this.#link(from, to).factor
  }

  /** Whether one sent now gets lost. */
  loses(from: number, to: number): boolean {
    return this.#link(from, to).cut || this.#random.chance(this.loss)
  }

  /**
   * Ends the process of a node. With `reset` its machine goes on and tells the others, whom it reaches, that their
   * connections are gone; without, as with a power loss, nobody hears of it.
   */
  crash(node: number, reset: boolean): void {
    this.#member(node).node.crash()
    this.#endConnections(node)
    if (!reset) return
    for (const [id, member] of this.#members) {
      if (id === node || member.connectionReset === undefined || this.loses(node, id)) continue
      const delivery: Reset<Message> = { member, incarnation: member.node.incarnation, peer: node }
      this.#time.after(this.delay(node, id), deliverReset<Message>, delivery)
    }
  }

  /** What the next life of a node sends waits for nothing that this one has sent: it does not go over the same connections. */
  #endConnections(node: number): void {
    for (const id of this.#members.keys()) {
      this.#link(node, id).lastArrival = 0
      this.#link(id, node).lastArrival = 0
    }
  }

  carry<A, B>(from: Life, to: Life, action: Action<A, B>, a: NoInfer<A>, b: NoInfer<B>): void {
    if (!this.#leaves(from.node, from.incarnation, to.node.id)) return
    const parcel: Parcel = { from, to, action: action as Action<never, never>, a, b }
    this.#schedule(from.node.id, to.node.id, carried, parcel)
  }

  #transmit(packet: Packet<Message>): void {
    const { from, fromIncarnation, to } = packet
    if (!this.#leaves(this.#member(from).node, fromIncarnation, to)) return
    this.#schedule(from, to, arrived<Message>, packet)
    if (this.#mayArriveTwice(packet.message) && this.#random.chance(this.duplicate))
      this.#schedule(from, to, arrived<Message>, packet)
  }

  #leaves(node: SimulatedNode, incarnation: number, to: number): boolean {
    this.sent++
    const leaves = node.isUp && node.incarnation === incarnation && !this.loses(node.id, to)
    if (!leaves) this.dropped++
    return leaves
  }

  #schedule<Item>(from: number, to: number, arrive: Action<Network<Message>, Item>, item: Item): void {
    const link = this.#link(from, to)
    let arrival = this.#time.now + this.delay(from, to)
    if (!this.#random.chance(this.reorder)) {
      arrival = Math.max(arrival, link.lastArrival)
      link.lastArrival = arrival
    }
    this.#time.at(arrival, arrive, this, item)
  }

  /** For {@link arrived}. */
  packetArrived(packet: Packet<Message>): void {
    const { node, receive } = this.#member(packet.to)
    if (this.#isLate(node, packet.toIncarnation, packet.from)) return
    node.deliver(packet.toIncarnation, receive, packet, undefined)
  }

  /** For {@link carried}. */
  parcelArrived({ from, to, action, a, b }: Parcel): void {
    if (this.#isLate(to.node, to.incarnation, from.node.id)) return
    to.node.deliver(to.incarnation, action, a as never, b as never)
  }

  #isLate(node: SimulatedNode, incarnation: number, from: number): boolean {
    const isLate = node.state === 'down' || node.incarnation !== incarnation || this.isCut(from, node.id)
    if (isLate) this.dropped++
    else this.delivered++
    return isLate
  }

  #member(id: number): Member<Message> {
    const member = this.#members.get(id)
    if (member === undefined) throw new Error(`no node ${id} in the network`)
    return member
  }

  #link(from: number, to: number): Link {
    const key = from * 65_536 + to
    let link = this.#links.get(key)
    if (link === undefined) {
      link = { cut: false, factor: 1, lastArrival: 0 }
      this.#links.set(key, link)
    }
    return link
  }
}

interface Reset<Message> {
  readonly member: Member<Message>
  readonly incarnation: number
  readonly peer: number
}

function arrived<Message>(network: Network<Message>, packet: Packet<Message>): void {
  network.packetArrived(packet)
}

function carried<Message>(network: Network<Message>, parcel: Parcel): void {
  network.parcelArrived(parcel)
}

function deliverReset<Message>({ member, incarnation, peer }: Reset<Message>): void {
  member.node.deliver(incarnation, member.connectionReset!, peer, undefined)
}
