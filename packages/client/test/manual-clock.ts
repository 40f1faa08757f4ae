import type { Clock } from '../src/clock.js'

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  private time = 1_700_000_000_000
  private listeners: Array<() => void> = []
  private timers: Array<{ at: number; run: () => void }> = []

  now(): number {
    return this.time
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run }
    this.timers.push(timer)
    for (const listener of this.listeners.splice(0)) listener()
    return () => {
      this.timers = this.timers.filter((other) => other !== timer)
    }
  }

  get pending(): number {
    return this.timers.length
  }

  /** Waits until a timer is set that is due within `ms`, and moves to it. */
  async advanceToNext(ms: number): Promise<void> {
    for (;;) {
      const next = Math.min(...this.timers.map(({ at }) => at)) - this.time
      if (next <= ms) {
        this.advance(next)
        return
      }
      await new Promise<void>((resolve) => this.listeners.push(resolve))
    }
  }

  advance(ms: number): void {
    const until = this.time + ms
    for (;;) {
      const due = this.timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.timers = this.timers.filter((timer) => timer !== due)
      this.time = Math.max(this.time, due.at)
      due.run()
    }
    this.time = until
  }
}
