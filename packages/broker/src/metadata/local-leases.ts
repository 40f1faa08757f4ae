import type { Clock, Timer } from '../clock.js'

interface Lease {
  readonly ttlMs: number
  timer: Timer
}

/** Leases of one process, in its memory: one timer each, and none when there is none. */
export class LocalLeases {
  readonly #clock: Clock
  readonly #expired: (lease: string) => void
  readonly #leases = new Map<string, Lease>()
  #last = 0

  /** @param expired called when a lease has just gone by itself */
  constructor(clock: Clock, expired: (lease: string) => void) {
    this.#clock = clock
    this.#expired = expired
  }

  has(lease: string): boolean {
    return this.#leases.has(lease)
  }

  grant(ttlSeconds: number): string {
    const lease = String(++this.#last)
    const ttlMs = ttlSeconds * 1000
    this.#leases.set(lease, { ttlMs, timer: this.#start(lease, ttlMs) })
    return lease
  }

  /** False when there is none. */
  keepAlive(lease: string): boolean {
    const found = this.#leases.get(lease)
    if (found === undefined) return false
    this.#clock.clearTimeout(found.timer)
    found.timer = this.#start(lease, found.ttlMs)
    return true
  }

  /** False when there is none. */
  end(lease: string): boolean {
    this.#clock.clearTimeout(this.#leases.get(lease)?.timer)
    return this.#leases.delete(lease)
  }

  close(): void {
    for (const lease of this.#leases.keys()) this.end(lease)
  }

  #start(lease: string, ttlMs: number): Timer {
    return this.#clock.setTimeout(() => {
      this.#leases.delete(lease)
      this.#expired(lease)
    }, ttlMs)
  }
}
