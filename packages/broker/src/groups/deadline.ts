import type { Clock, Timer } from '../clock.js'

/**
 * A time by which something must have happened, and what is done otherwise. Moving it later costs an assignment: the
 * timer that is set already looks again when it fires. Heartbeats do that all the time.
 */
export class Deadline {
  readonly #clock: Clock
  readonly #missed: () => void
  #at = Infinity
  #timer: Timer = undefined
  #timerAt = Infinity

  constructor(clock: Clock, missed: () => void) {
    this.#clock = clock
    this.#missed = missed
  }

  /** Whether it is set and has not passed. */
  get pending(): boolean {
    return this.#at !== Infinity
  }

  set(delayMs: number): void {
    this.#at = this.#clock.now() + delayMs
    if (this.#at >= this.#timerAt) return
    this.#clock.clearTimeout(this.#timer)
    this.#arm(delayMs)
  }

  clear(): void {
    this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerAt = Infinity
    this.#at = Infinity
  }

  #arm(delayMs: number): void {
    this.#timerAt = this.#clock.now() + delayMs
    this.#timer = this.#clock.setTimeout(() => this.#onTimer(), delayMs)
  }

  #onTimer(): void {
    this.#timerAt = Infinity
    const left = this.#at - this.#clock.now()
    if (left > 0) {
      this.#arm(left)
      return
    }
    this.#at = Infinity
    this.#missed()
  }
}
