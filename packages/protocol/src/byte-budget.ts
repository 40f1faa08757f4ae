/**
 * A bound for bytes held by many, in the order in which they came.
 *
 * `reserve` says no when the budget is used up, or when somebody is already waiting, and `wait` queues. The budget is
 * soft in two places, because a hard one can jam: frames that are half received hold it, and none can be completed
 * without more. So the first in the queue gets its grant even beyond the limit, as long as no other such grant is
 * outstanding (`settle` ends it): at any time one holder at least can finish. And `overdraw` takes what is already in
 * hand and cannot be refused any more.
 */
export class ByteBudget {
  readonly limitBytes: number
  #usedBytes = 0
  #overdrawn = false
  readonly #queue: Waiter[] = []

  constructor(limitBytes: number) {
    if (!(limitBytes > 0)) throw new RangeError(`a byte budget must be positive, not ${limitBytes}`)
    this.limitBytes = limitBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** How many wait. While there are any, the owner should look for holders that make no progress. */
  get waiting(): number {
    return this.#queue.length
  }

  /** Takes the bytes if they are free and nobody waits. */
  reserve(bytes: number): boolean {
    if (this.#queue.length > 0 || this.#usedBytes + bytes > this.limitBytes) return false
    this.#usedBytes += bytes
    return true
  }

  /** Takes the bytes whatever the limit is. */
  overdraw(bytes: number): void {
    this.#usedBytes += bytes
  }

  /** Gives bytes back, and grants what waits for them before it returns. */
  release(bytes: number): void {
    if (bytes > this.#usedBytes) {
      throw new RangeError(`${bytes} bytes are released, ${this.#usedBytes} are in use`)
    }
    this.#usedBytes -= bytes
    this.#grant()
  }

  /**
   * Queues for bytes.
   *
   * @param onGrant called once when they have been taken, perhaps before `wait` returns. `overdrawn` says that this is
   *   the one grant beyond the limit: the holder may `overdraw` what else it needs to finish, and must `settle`.
   * @returns leaves the queue; of no effect after the grant.
   */
  wait(bytes: number, onGrant: (overdrawn: boolean) => void): () => void {
    const waiter: Waiter = { bytes, onGrant }
    this.#queue.push(waiter)
    this.#grant()
    return () => {
      const at = this.#queue.indexOf(waiter)
      if (at < 0) return
      this.#queue.splice(at, 1)
      this.#grant()
    }
  }

  /** Ends the grant beyond the limit. The holder has given back, or is about to give back, all that it held. */
  settle(): void {
    this.#overdrawn = false
    this.#grant()
  }

  #grant(): void {
    for (;;) {
      const first = this.#queue[0]
      if (first === undefined) return
      const fits = this.#usedBytes + first.bytes <= this.limitBytes
      if (!fits && this.#overdrawn) return
      this.#queue.shift()
      this.#usedBytes += first.bytes
      if (!fits) this.#overdrawn = true
      first.onGrant(!fits)
    }
  }
}

interface Waiter {
  readonly bytes: number
  readonly onGrant: (overdrawn: boolean) => void
}
