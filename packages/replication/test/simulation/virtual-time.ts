/** What runs at a time; what it needs is handed to it, so that nothing has to be enclosed. */
export type Action<A, B> = (a: A, b: B) => void

export class Timer {
  readonly time: number
  /** Of two for the same time the one that was asked for first runs first. */
  readonly sequence: number
  #action: Action<never, never> | null
  readonly #a: unknown
  readonly #b: unknown

  constructor(time: number, sequence: number, action: Action<never, never>, a: unknown, b: unknown) {
    this.time = time
    this.sequence = sequence
    this.#action = action
    this.#a = a
    this.#b = b
  }

  get isPending(): boolean {
    return this.#action !== null
  }

  cancel(): void {
    this.#action = null
  }

  run(): void {
    const action = this.#action
    this.#action = null
    action?.(this.#a as never, this.#b as never)
  }
}

/** Runs everything in the order of virtual time, in ms. */
export class VirtualTime {
  #now = 0
  #sequence = 0
  #executed = 0
  readonly #heap: Timer[] = []

  get now(): number {
    return this.#now
  }

  /** How many events have run. */
  get executed(): number {
    return this.#executed
  }

  at<A = void, B = void>(time: number, action: Action<A, B>, a?: NoInfer<A>, b?: NoInfer<B>): Timer {
    const timer = new Timer(Math.max(time, this.#now), this.#sequence++, action as Action<never, never>, a, b)
    this.#push(timer)
    return timer
  }

  after<A = void, B = void>(ms: number, action: Action<A, B>, a?: NoInfer<A>, b?: NoInfer<B>): Timer {
    return this.at(this.#now + ms, action, a, b)
  }

  /** When the next event is; Infinity when nothing is left. */
  nextTime(): number {
    while (this.#heap.length > 0 && !this.#heap[0]!.isPending) this.#pop()
    return this.#heap.length > 0 ? this.#heap[0]!.time : Infinity
  }

  /** Runs one event; false when there is none. */
  runNext(): boolean {
    if (this.nextTime() === Infinity) return false
    const timer = this.#pop()
    this.#now = timer.time
    this.#executed++
    timer.run()
    return true
  }

  /** Runs everything up to and at `time`, which is the time then. */
  runUntil(time: number): void {
    while (this.nextTime() <= time) this.runNext()
    this.#now = Math.max(this.#now, time)
  }

  #push(timer: Timer): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, timer)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = timer
  }

  #pop(): Timer {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    const length = heap.length
    if (length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.time < other.time || (one.time === other.time && one.sequence < other.sequence)
}

/** A clock as a machine has it: it goes too fast or too slow, and jumps. */
export class NodeClock {
  readonly #time: VirtualTime
  #since: number
  #base: number
  #rate: number

  constructor(time: VirtualTime, { rate = 1, offset = 0 }: { rate?: number; offset?: number } = {}) {
    this.#time = time
    this.#since = time.now
    this.#base = time.now + offset
    this.#rate = rate
  }

  now(): number {
    return this.#base + (this.#time.now - this.#since) * this.#rate
  }

  /** From now on it goes `rate` ms in a ms. */
  setRate(rate: number): void {
    this.#base = this.now()
    this.#since = this.#time.now
    this.#rate = rate
  }

  /** Timers keep their distance. */
  jump(ms: number): void {
    this.#base += ms
  }

  /** How long it really takes until this clock has gone `localMs`, if nothing happens to it. */
  virtual(localMs: number): number {
    return localMs / this.#rate
  }
}
