import { NodeClock, type Action, type Timer, type VirtualTime } from './virtual-time.js'

interface Waiting {
  readonly incarnation: number
  readonly action: Action<never, never>
  readonly a: unknown
  readonly b: unknown
}

/**
 * A machine that runs one process at a time: what was meant for one that has ended never reaches its successor, and what
 * comes while it is paused reaches it when it goes on.
 */
export class SimulatedNode {
  readonly id: number
  readonly clock: NodeClock
  readonly #time: VirtualTime
  #state: 'up' | 'paused' | 'down' = 'up'
  #incarnation = 1
  #waiting: Waiting[] = []

  constructor(time: VirtualTime, id: number, clock = new NodeClock(time)) {
    this.#time = time
    this.id = id
    this.clock = clock
  }

  get state(): 'up' | 'paused' | 'down' {
    return this.#state
  }

  /** Which life of the node this is, or was the last. */
  get incarnation(): number {
    return this.#incarnation
  }

  get isUp(): boolean {
    return this.#state === 'up'
  }

  crash(): void {
    this.#state = 'down'
    this.#waiting = []
  }

  start(): void {
    if (this.#state !== 'down') throw new Error(`node ${this.id} runs`)
    this.#state = 'up'
    this.#incarnation++
  }

  pause(): void {
    if (this.#state === 'up') this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'up'
    const waiting = this.#waiting
    this.#waiting = []
    // An event for each, so that whoever looks after every event sees them one by one.
    for (const { incarnation, action, a, b } of waiting) {
      this.#time.after(0, runDelivery, { node: this, incarnation, action, a, b })
    }
  }

  /** By the node's clock. Void once this life of the node has ended. */
  after<A = void, B = void>(localMs: number, action: Action<A, B>, a?: NoInfer<A>, b?: NoInfer<B>): Timer {
    const delivery = {
      node: this,
      incarnation: this.#incarnation,
      action: action as Action<never, never>,
      a,
      b,
    }
    return this.#time.after(this.clock.virtual(localMs), runDelivery, delivery)
  }

  /** Runs `action` in the given life of the node: now, or when it goes on, or never. */
  deliver<A, B>(incarnation: number, action: Action<A, B>, a: NoInfer<A>, b: NoInfer<B>): void {
    if (incarnation !== this.#incarnation || this.#state === 'down') return
    if (this.#state === 'up') action(a, b)
    else this.#waiting.push({ incarnation, action: action as Action<never, never>, a, b })
  }
}

function runDelivery({ node, incarnation, action, a, b }: Waiting & { readonly node: SimulatedNode }): void {
  node.deliver(incarnation, action, a as never, b as never)
}
