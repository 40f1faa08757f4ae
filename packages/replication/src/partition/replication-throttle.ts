/**
 * Keeps replication to replicas that are not in sync below a rate (KIP-73). It counts what has been sent, so a Fetch may overdraw
 * it once, and what was overdrawn is waited for: over time the rate holds, however large the batches.
 */
export class ReplicationThrottle {
  readonly #windowMs: number
  #bytesPerSecond: number
  #allowance: number
  #time: number

  /**
   * @param options.bytesPerSecond the rate; `Infinity` for none
   * @param options.windowMs how much of the rate may be saved up while little is replicated; Kafka's default is a second
   */
  constructor(options: {
    readonly bytesPerSecond: number
    readonly windowMs?: number
    readonly now: number
  }) {
    this.#windowMs = options.windowMs ?? 1_000
    this.#bytesPerSecond = options.bytesPerSecond
    this.#time = options.now
    this.#allowance = this.#most
  }

  /** Whether throttled replicas have to wait. */
  exceeded(now: number): boolean {
    this.#earn(now)
    return this.#allowance <= 0
  }

  /** For how many ms throttled replicas have to wait; 0 where they need not, `Infinity` where nothing may be replicated at all. */
  waitMs(now: number): number {
    if (!this.exceeded(now)) return 0
    return this.#bytesPerSecond === 0
      ? Infinity
      : Math.floor((-this.#allowance * 1_000) / this.#bytesPerSecond) + 1
  }

  /** Counts what was replicated to, or by, throttled replicas. */
  record(bytes: number, now: number): void {
    this.#earn(now)
    this.#allowance -= bytes
  }

  /** Another rate from now on. What was overdrawn stays so. */
  setRate(bytesPerSecond: number, now: number): void {
    this.#earn(now)
    this.#bytesPerSecond = bytesPerSecond
    this.#allowance = Math.min(this.#allowance, this.#most)
  }

  get #most(): number {
    return (this.#bytesPerSecond * this.#windowMs) / 1_000
  }

  /** A clock that goes back earns nothing until it goes on. */
  #earn(now: number): void {
    const elapsed = now - this.#time
    this.#time = now
    if (elapsed > 0) {
      this.#allowance = Math.min(this.#most, this.#allowance + (this.#bytesPerSecond * elapsed) / 1_000)
    }
  }
}
