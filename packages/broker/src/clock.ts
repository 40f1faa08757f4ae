/** What {@link Clock.setTimeout} returns and {@link Clock.clearTimeout} takes. */
export type Timer = unknown

/** Where the broker takes the time and its timers from. Tests inject one that they turn by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls `callback` once, `delayMs` milliseconds from now, unless cleared before. */
  setTimeout(callback: () => void, delayMs: number): Timer
  /** Forgets a timer. A timer that has fired, or `undefined`, is ignored. */
  clearTimeout(timer: Timer): void
  /**
   * By what clock clients are waited for on their connections: long polls, handshakes, peers that make no progress, the end
   * of a broker that closes. Clients have clocks of their own, which nobody turns. Default: this one.
   */
  readonly connections?: Clock
  /**
   * Calls `turned` after each time that the clock was turned, and lets whoever turned it wait for the promise, until the
   * returned function is called. A clock that has this does not run by itself, and the broker's logs keep to it.
   */
  follow?(turned: (now: number) => Promise<void>): () => void
}

/** Node's timers saturate to 1 ms beyond this, which would turn a very long wait into none. */
const longestDelayMs = 2 ** 31 - 1

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, Math.min(delayMs, longestDelayMs)),
  clearTimeout: (timer) => {
    clearTimeout(timer as NodeJS.Timeout | undefined)
  },
}
