import type { BrokerLog } from './broker-log.js'
import type { Clock, Timer } from './clock.js'

/** A start that takes longer tells so each time. */
const tellEachMs = 5_000

/** How many logs are opened, and recovered where they have to be, of how many. */
export interface OpenedLogs {
  readonly opened: number
  readonly all: number
}

/** Tells how far a start has come, so that one that takes long is not taken for one that hangs. */
export class OpeningProgress {
  readonly #clock: Clock
  readonly #log: BrokerLog
  #opened = 0
  #all = 0
  #began = 0
  #told = false
  #timer: Timer = undefined

  constructor(clock: Clock, log: BrokerLog) {
    this.#clock = clock
    this.#log = log
  }

  get logs(): OpenedLogs {
    return { opened: this.#opened, all: this.#all }
  }

  /** @returns to be called when one has been opened, or refused */
  begin(all: number): () => void {
    this.#all = all
    this.#began = this.#clock.now()
    this.#await()
    return () => {
      this.#opened++
    }
  }

  end(): void {
    this.#clock.clearTimeout(this.#timer)
    if (!this.#told) return
    const seconds = Math.round((this.#clock.now() - this.#began) / 1000)
    this.#log('info', `opened ${this.#opened} of ${this.#all} logs in ${seconds} s`)
  }

  #await(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#told = true
      this.#log('info', `opened ${this.#opened} of ${this.#all} logs so far`)
      this.#await()
    }, tellEachMs)
  }
}
