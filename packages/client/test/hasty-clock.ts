import type { Clock } from '../src/clock.js'

/**
 * A clock whose timers come a millisecond early, as real ones do: they count another time than `now` does. Timers of
 * a second or more never come.
 */
export class HastyClock implements Clock {
  private time = 1_700_000_000_000

  now(): number {
    return this.time
  }

  after(ms: number, run: () => void): () => void {
    if (ms >= 1000) return () => undefined
    const immediate = setImmediate(() => {
      this.time += ms > 1 ? ms - 1 : ms
      run()
    })
    return () => clearImmediate(immediate)
  }
}
