import type { Clock, Timer } from '../../src/clock.js'

interface Entry {
  readonly at: number
  readonly callback: () => void
}

/** A clock that stands still until a test turns it. */
export class ManualClock implements Clock {
  /** Ahead of the machine's clock: no record that a test stamps by that one comes from the future. */
  #now = 4_000_000_000_000
  readonly #timers = new Set<Entry>()

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const entry = { at: this.#now + delayMs, callback }
    this.#timers.add(entry)
    return entry
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as Entry)
  }

  /** How many timers are set; a test that ends with some has a leak. */
  get pending(): number {
    return this.#timers.size
  }

  /** Turns the clock forward and fires what is due on the way, in order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      let next: Entry | null = null
      for (const entry of this.#timers)
        if (entry.at <= end && (next === null || entry.at < next.at)) next = entry
      if (next === null) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.callback()
    }
    this.#now = end
  }
}
