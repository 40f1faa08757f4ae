/** What a command has moved so far, and how that reads: on a terminal while it runs, in one line at the end. */
const REDRAW_MS = 200

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`
  const [unit, scale] = bytes < 1e6 ? ['kB', 1e3] : bytes < 1e9 ? ['MB', 1e6] : ['GB', 1e9]
  return `${(bytes / scale).toFixed(1)} ${unit}`
}

export function recordsText(records: number): string {
  return `${whole.format(records)} ${records === 1 ? 'record' : 'records'}`
}

export class Tally {
  records = 0
  bytes = 0
  readonly #started = performance.now()
  #timer: NodeJS.Timeout | undefined

  /** Keeps a line on standard error up to date, if that is a terminal. */
  show(verb: string): void {
    if (!process.stderr.isTTY) return
    this.#timer = setInterval(() => process.stderr.write(`\r\x1b[K${verb} ${this.#amount()}`), REDRAW_MS)
    this.#timer.unref()
  }

  #amount(): string {
    return `${recordsText(this.records)} (${bytesText(this.bytes)})`
  }

  /** Removes the line that {@link show} keeps. */
  hide(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    process.stderr.write('\r\x1b[K')
  }

  summary(): string {
    const seconds = (performance.now() - this.#started) / 1000
    // Of a few records the time says more about whoever typed them.
    const rate =
      this.records >= 1000 && seconds > 0 ? `, ${whole.format(this.records / seconds)} a second` : ''
    return `${this.#amount()} in ${seconds.toFixed(2)} s${rate}`
  }
}
