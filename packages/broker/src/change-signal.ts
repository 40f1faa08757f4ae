import type { Cancellation } from './cancellation.js'
import type { Clock, Timer } from './clock.js'
import { nextTurn } from './event-loop.js'
import type { Partition } from './partition.js'

/**
 * What a long poll waits on: changes of its partitions, the end of its time, or a cancellation. A change that comes
 * while nobody waits is kept for the next wait, and however many come in one turn of the event loop wake it once.
 */
export class ChangeSignal {
  readonly #clock: Clock
  #timer: Timer
  #expiresAt: number
  readonly #stops: (() => void)[] = []
  readonly #partitions = new Set<Partition>()
  #changed = new Set<Partition>()
  #expired = false
  #wake: (() => void) | null = null

  /** @param cancellations any of these ends the wait as the end of the time does */
  constructor(clock: Clock, timeoutMs: number, cancellations: readonly Cancellation[]) {
    this.#clock = clock
    this.#expiresAt = clock.now() + timeoutMs
    this.#timer = clock.setTimeout(this.#expire, timeoutMs)
    for (const cancellation of cancellations) this.#stops.push(cancellation.onCancel(this.#expire))
  }

  /** Whether there is nothing left to wait for. */
  get expired(): boolean {
    return this.#expired
  }

  /** Ends the time after `timeoutMs`, if it does not end sooner. */
  expireWithin(timeoutMs: number): void {
    const expiresAt = this.#clock.now() + timeoutMs
    if (expiresAt >= this.#expiresAt || this.#expired) return
    this.#expiresAt = expiresAt
    this.#clock.clearTimeout(this.#timer)
    this.#timer = this.#clock.setTimeout(this.#expire, timeoutMs)
  }

  /** Listens to a partition; one that is listened to already makes no difference. */
  listenTo(partition: Partition): void {
    if (this.#partitions.has(partition)) return
    this.#partitions.add(partition)
    partition.listen(this.onChange)
  }

  /** Resolves with the partitions that have changed since the last call, in a later turn than that of their change. */
  async next(): Promise<ReadonlySet<Partition>> {
    if (this.#changed.size === 0 && !this.#expired) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    await nextTurn()
    const changed = this.#changed
    this.#changed = new Set()
    return changed
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer)
    for (const stop of this.#stops) stop()
    for (const partition of this.#partitions) partition.unlisten(this.onChange)
    this.#partitions.clear()
  }

  readonly #expire = (): void => {
    this.#expired = true
    this.#wakeUp()
  }

  /** To be called when a partition has changed. One function for all: a poll of thousands of them costs no closure for each. */
  readonly onChange = (partition: Partition): void => {
    this.#changed.add(partition)
    this.#wakeUp()
  }

  #wakeUp(): void {
    this.#wake?.()
    this.#wake = null
  }
}
