import type { HistoryEvent, Invoke, Ok, Start } from '../event.js'
import { Random } from '../../../../packages/replication/test/simulation/random.js'

type Without<Event, Key extends string> = Event extends unknown ? Omit<Event, Key> : never

/** Takes down what the clients of a simulated cluster do, at times of its own. */
export class Recorder {
  readonly events: HistoryEvent[] = []
  readonly random: Random
  #now = 0
  #clients = 0

  constructor(seed: number) {
    this.random = new Random(seed, 'history')
  }

  /** Lets time pass, or not: events may be at the same moment. */
  wait(): void {
    this.#now += this.random.int(0, 40)
  }

  /** Names a client after what it is and gives it a start. */
  start(kind: string, settings: Pick<Start, 'producer' | 'consumer'>): string {
    const client = `${kind}-${++this.#clients}`
    this.record(client, { type: 'start', ...settings })
    return client
  }

  record(client: string, event: Without<HistoryEvent, 'time' | 'client'>): void {
    this.events.push({ time: this.#now, client, ...event } as HistoryEvent)
  }
}

/** The operations of a client, by number. */
export class Operations {
  readonly #recorder: Recorder
  readonly client: string
  #last = 0

  constructor(recorder: Recorder, client: string) {
    this.#recorder = recorder
    this.client = client
  }

  invoke(call: Without<Invoke, 'time' | 'client' | 'type' | 'operation'>): number {
    this.#last++
    this.#recorder.record(this.client, { type: 'invoke', operation: this.#last, ...call } as HistoryEvent)
    return this.#last
  }

  ok(
    operation: number,
    result: Pick<Ok, 'offset' | 'records' | 'positions' | 'offsets' | 'ends'> = {},
  ): void {
    this.#recorder.record(this.client, { type: 'ok', operation, ...result })
  }

  end(operation: number, type: 'fail' | 'info', error: string): void {
    this.#recorder.record(this.client, { type, operation, error })
  }
}
