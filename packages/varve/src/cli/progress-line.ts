const REDRAW_MS = 200

/** A line on standard error that says how far a command is, if that is a terminal. */
export class ProgressLine {
  #timer: NodeJS.Timeout | undefined

  /** Keeps the line up to date. */
  show(text: () => string): void {
    if (!process.stderr.isTTY) return
    this.#timer = setInterval(() => process.stderr.write(`\r\x1b[K${text()}`), REDRAW_MS)
    this.#timer.unref()
  }

  /** Removes the line. */
  hide(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    process.stderr.write('\r\x1b[K')
  }
}
