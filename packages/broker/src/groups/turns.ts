/**
 * Lets the commands of one group run one after the other. A command runs to its end at once, unless what it decided has to
 * be stored first: then those behind it wait, so that none of them sees a state that a failed append takes back.
 */
export class Turns {
  readonly #waiting: (() => void)[] = []
  #holding = false

  /** Runs `command` now, or when what is being stored has been. */
  take(command: () => void): void {
    if (this.#holding || this.#waiting.length > 0) this.#waiting.push(command)
    else command()
  }

  /** Whether something is being stored. */
  get holding(): boolean {
    return this.#holding
  }

  /** Lets commands wait until `stored` has settled and `then` has drawn the consequences. */
  hold(stored: Promise<unknown>, then: (error: unknown) => void): void {
    this.#holding = true
    const end = (error: unknown): void => {
      this.#holding = false
      try {
        then(error)
      } finally {
        this.#drain()
      }
    }
    stored.then(() => end(null), end)
  }

  /** Resolves when nothing is being stored: at once if so now. */
  settled(): Promise<void> {
    if (!this.#holding) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.unshift(resolve)
    })
  }

  #drain(): void {
    while (!this.#holding && this.#waiting.length > 0) this.#waiting.shift()!()
  }
}
