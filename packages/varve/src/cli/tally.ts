import { count } from './counted.js'
import { ProgressLine } from './progress-line.js'

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`
  const [unit, scale] = bytes < 1e6 ? ['kB', 1e3] : bytes < 1e9 ? ['MB', 1e6] : ['GB', 1e9]
  return `${(bytes / scale).toFixed(1)} ${unit}`
}

export const recordsText = (records: number): string => count(records, 'record')

/** What a command has moved so far, and how that reads: on a terminal while it runs, in one line at the end. */
export class Tally {
  records = 0
  bytes = 0
  readonly #started = performance.now()
  readonly #line = new ProgressLine()

  /** Keeps a line on standard error up to date, if that is a terminal. */
  show(verb: string): void {
    this.#line.show(() => `${verb} ${this.#amount()}`)
  }

  #amount(): string {
    return `${recordsText(this.records)} (${bytesText(this.bytes)})`
  }

  /** Removes the line that {@link show} keeps. */
  hide(): void {
    this.#line.hide()
  }

  summary(): string {
    const seconds = (performance.now() - this.#started) / 1000
    // Of a few records the time says more about whoever typed them.
    const rate =
      this.records >= 1000 && seconds > 0 ? `, ${whole.format(this.records / seconds)} a second` : ''
    return `${this.#amount()} in ${seconds.toFixed(2)} s${rate}`
  }
}
