import type { BrokerLog, LogFields, LogLevel } from './broker-log.js'
import type { Clock, Timer } from './clock.js'

const lineEveryMs = 1_000

/** Beyond these, reasons count as the same one: whoever can vary what is logged must not be able to flood the log. */
const mostReasons = 20

interface Recent {
  readonly level: LogLevel
  line: string
  fields: LogFields
  /** How many have come since the last line. */
  withheld: number
}

/** A log for what peers can cause at will: at most one line for each reason and second, with the number of the others. */
export class LimitedLog {
  readonly #log: BrokerLog
  readonly #clock: Clock
  readonly #recent = new Map<string, Recent>()
  #timer: Timer = undefined

  constructor(log: BrokerLog, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** @param reason what lines have in common that count as the same; numbers make no difference */
  write(level: LogLevel, reason: string, line: string, fields: LogFields = {}): void {
    let key = reason.replaceAll(/\d+/g, '#')
    if (!this.#recent.has(key) && this.#recent.size >= mostReasons) key = ''
    const recent = this.#recent.get(key)
    if (recent !== undefined) {
      recent.line = line
      recent.fields = fields
      recent.withheld++
      return
    }
    this.#recent.set(key, { level, line, fields, withheld: 0 })
    this.#log(level, line, fields)
    if (this.#recent.size === 1) this.#schedule()
  }

  /** Writes what has been withheld; to be called at the end, when nothing is logged any more. */
  close(): void {
    this.#clock.clearTimeout(this.#timer)
    this.#flush()
    this.#recent.clear()
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#flush()
      if (this.#recent.size > 0) this.#schedule()
    }, lineEveryMs)
  }

  /** One line for what came more than once; what did not come again is forgotten. */
  #flush(): void {
    for (const [key, recent] of this.#recent) {
      const { level, line, fields, withheld } = recent
      if (withheld === 0) {
        this.#recent.delete(key)
        continue
      }
      this.#log(level, withheld === 1 ? line : `${line} (and ${withheld - 1} more)`, fields)
      recent.withheld = 0
    }
  }
}
