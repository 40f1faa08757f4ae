import type { Clock, Timer } from './clock.js'
import type { Connection } from './connection.js'

/** How often connections are asked whether their peers still make progress. */
const checkEveryMs = 1_000

/** All open connections of a broker: whether they make progress, and their end. */
export class Connections {
  readonly #clock: Clock
  readonly #open = new Set<Connection>()
  #timer: Timer = undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#open.size
  }

  add(connection: Connection): void {
    this.#open.add(connection)
    if (this.#open.size === 1) this.#schedule()
  }

  delete(connection: Connection): void {
    if (!this.#open.delete(connection) || this.#open.size > 0) return
    this.#clock.clearTimeout(this.#timer)
  }

  /**
   * Ends every connection: each when what it has asked for is answered, and all of them after `timeoutMs`.
   *
   * @returns how many ended unanswered
   */
  async drain(timeoutMs: number): Promise<number> {
    if (this.#open.size === 0) return 0
    let unanswered = 0
    const timer = this.#clock.setTimeout(() => {
      unanswered = this.#open.size
      for (const connection of this.#open) connection.destroy()
    }, timeoutMs)
    await Promise.all([...this.#open].map((connection) => connection.drain()))
    this.#clock.clearTimeout(timer)
    return unanswered
  }

  /** Ends every connection at once, whatever it waits for. */
  breakOff(): void {
    for (const connection of this.#open) connection.destroy()
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => {
      const now = this.#clock.now()
      for (const connection of this.#open) connection.checkProgress(now)
      if (this.#open.size > 0) this.#schedule()
    }, checkEveryMs)
  }
}
