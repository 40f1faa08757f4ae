import type { Cancellation } from './cancellation.js'
import type { Clock, Timer } from './clock.js'
import type { Partition } from './partition.js'

/**
 * What a long poll waits on: a change of any of its partitions, the end of its time, or a cancellation. A change that comes
 * while nobody waits is kept for the next wait.
 */
export class ChangeSignal {
  readonly #clock: Clock
  readonly #timer: Timer
  readonly #stops: (() => void)[] = []
  #expired = false
  #changed = false
  #wake: (() => void) | null = null

  /** @param cancellations any of these ends the wait as the end of the time does */
  constructor(clock: Clock, timeoutMs: number, cancellations: readonly Cancellation[]) {
    this.#clock = clock
    const expire = (): void => {
      this.#expired = true
      this.#change()
    }
    this.#timer = clock.setTimeout(expire, timeoutMs)
    for (const cancellation of cancellations) this.#stops.push(cancellation.onCancel(expire))
  }

  /** Whether there is nothing left to wait for. */
  get expired(): boolean {
    return this.#expired
  }

  listenTo(partition: Partition): void {
    this.#stops.push(partition.onChange(() => this.#change()))
  }

  /** Resolves at the first change since the last call, at once if there has been one. */
  async next(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#changed = false
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer)
    for (const stop of this.#stops) stop()
  }

  #change(): void {
    this.#changed = true
    this.#wake?.()
    this.#wake = null
  }
}
