/** What is not to be done before some time, by name. The clock may go back; what was to wait for a second still waits for one. */
export class Waits<Name extends string> {
  readonly #ends = new Map<Name, number>()
  #now: number

  constructor(now: number) {
    this.#now = now
  }

  /** When the first of them ends; null without any. */
  get next(): number | null {
    return this.#ends.size === 0 ? null : Math.min(...this.#ends.values())
  }

  turn(now: number): void {
    const back = Math.max(0, this.#now - now)
    this.#now = now
    for (const [name, end] of this.#ends) {
      const moved = end - back
      if (moved <= now) this.#ends.delete(name)
      else this.#ends.set(name, moved)
    }
  }

  has(name: Name): boolean {
    return this.#ends.has(name)
  }

  set(name: Name, durationMs: number): void {
    this.#ends.set(name, this.#now + durationMs)
  }
}
