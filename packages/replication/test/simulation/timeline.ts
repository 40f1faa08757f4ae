/** What happened in a run, for people. Collects nothing unless it is asked to, since most runs are read by nobody. */
export class Timeline {
  readonly #lines: string[] | null
  readonly #now: () => number

  constructor(now: () => number, recording: boolean) {
    this.#now = now
    this.#lines = recording ? [] : null
  }

  /** Ask before a text is put together. */
  get recording(): boolean {
    return this.#lines !== null
  }

  tell(who: string, what: string): void {
    const seconds = (this.#now() / 1000).toFixed(3).padStart(8)
    this.#lines?.push(`${seconds}  ${who.padEnd(10)}  ${what}`)
  }

  get lines(): readonly string[] {
    return this.#lines ?? []
  }
}
