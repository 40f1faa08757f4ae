/** Time as the clients see it. Tests hand in one of their own; everybody else gets {@link systemClock}. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Runs `run` once, after `ms` milliseconds, unless the returned function is called before. */
  after(ms: number, run: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    // A longer delay than setTimeout can count would fire at once.
    const timer = setTimeout(run, Math.min(ms, 0x7fff_ffff))
    return () => clearTimeout(timer)
  },
}
