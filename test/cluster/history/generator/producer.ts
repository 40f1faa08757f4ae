import type { ProducerSettings } from '../event.js'
import type { Send, SimulatedPartition } from './partition.js'
import { Operations, type Recorder } from './recorder.js'

const kinds: readonly (ProducerSettings & { maxInFlight: number })[] = [
  { acks: 'all', idempotent: true, maxInFlight: 5 },
  { acks: 'all', idempotent: true, maxInFlight: 1 },
  { acks: 'all', idempotent: false, maxInFlight: 5 },
  { acks: 'all', idempotent: false, maxInFlight: 1 },
  { acks: 1, idempotent: false, maxInFlight: 5 },
  { acks: 0, idempotent: false, maxInFlight: 2 },
]

/** Requests of the past that may still arrive. */
const mostRemembered = 12

export class SimulatedProducer {
  readonly #recorder: Recorder
  readonly #partitions: readonly SimulatedPartition[]
  readonly #operations: Operations
  readonly #settings: ProducerSettings
  readonly #maxInFlight: number
  #sends: Send[] = []
  #sent = 0
  isAlive = true

  constructor(recorder: Recorder, partitions: readonly SimulatedPartition[]) {
    this.#recorder = recorder
    this.#partitions = partitions
    const { maxInFlight, ...producer } = recorder.random.pick(kinds)
    this.#settings = producer
    this.#maxInFlight = maxInFlight
    this.#operations = new Operations(recorder, recorder.start('producer', { producer }))
  }

  /** Whether nothing that it sent can happen any more. */
  get isOver(): boolean {
    return !this.isAlive && this.#sends.length === 0
  }

  step(): void {
    const { random } = this.#recorder
    if (!this.isAlive && random.chance(0.1)) this.#sends.shift()
    if (this.isAlive && random.chance(0.35)) this.#send()
    else if (this.isAlive && random.chance(0.5)) this.#report()
    else this.#arrive()
    this.#forget()
  }

  crash(): void {
    this.isAlive = false
    this.#recorder.record(this.#operations.client, { type: 'crash' })
    for (const send of this.#sends) {
      send.isReported = true
      if (this.#recorder.random.chance(0.4)) send.isAbandoned = true
    }
  }

  /** No request is under way any more. */
  settle(): void {
    while (this.isAlive && this.#sends.some(({ isReported }) => !isReported)) {
      this.#arrive()
      for (const partition of this.#partitions) partition.highWatermark = partition.end
      this.#recorder.wait()
      this.#report()
    }
    this.#sends = []
  }

  #send(): void {
    const { random } = this.#recorder
    if (this.#sends.filter(({ isReported }) => !isReported).length >= this.#maxInFlight) return
    const partition = random.pick(this.#partitions)
    const value = `${this.#operations.client}.${this.#sent++}`
    const operation = this.#operations.invoke({ call: 'produce', partition: partition.name, value })
    this.#sends.push({ operation, value, partition, offsets: [], isReported: false, isAbandoned: false })
  }

  /** A request reaches the leader: for the first time, or, of a producer that is not idempotent, once more. */
  #arrive(): void {
    const { random } = this.#recorder
    if (this.#settings.idempotent) {
      const partition = random.pick(this.#partitions)
      const next = this.#sends.find(
        (send) => send.partition === partition && send.offsets.length === 0 && !send.isAbandoned,
      )
      if (next !== undefined) partition.append(next)
      return
    }
    const open = this.#sends.filter(({ isAbandoned }) => !isAbandoned)
    if (open.length === 0) return
    const send = random.pick(open)
    if (send.offsets.length === 0 || random.chance(0.1)) send.partition.append(send)
  }

  #report(): void {
    const { random } = this.#recorder
    const open = this.#sends.filter(({ isReported }) => !isReported)
    if (open.length === 0) return
    const send = random.pick(open)
    const { operation, partition, offsets } = send
    const { acks } = this.#settings
    const offset = acks === 'all' ? offsets.findLast((at) => at < partition.highWatermark) : offsets.at(-1)
    const fate = random.next()
    if (fate < 0.04) {
      // It may arrive all the same, later than what is sent from now on.
      this.#operations.end(operation, 'info', 'REQUEST_TIMED_OUT')
      send.isAbandoned = random.chance(0.5)
    } else if (fate < 0.08 && offsets.length === 0) {
      this.#operations.end(operation, 'fail', 'MESSAGE_TOO_LARGE')
      send.isAbandoned = true
    } else if (acks === 0) this.#operations.ok(operation)
    else if (offset !== undefined) this.#operations.ok(operation, random.chance(0.03) ? {} : { offset })
    else return
    send.isReported = true
  }

  /** What is known to be over, and the oldest of the rest: an idempotent producer's when it was appended for good. */
  #forget(): void {
    this.#sends = this.#sends.filter(({ isReported, isAbandoned, offsets, partition }) => {
      if (!isReported) return true
      if (isAbandoned) return false
      if (this.#settings.acks !== 'all' && this.#recorder.random.chance(0.3)) return false
      return this.#settings.idempotent ? offsets.every((at) => at >= partition.highWatermark) : true
    })
    const late = this.#sends.filter(({ isReported }) => isReported)
    for (const send of late.slice(0, Math.max(0, late.length - mostRemembered))) {
      if (!this.#settings.idempotent) this.#sends.splice(this.#sends.indexOf(send), 1)
    }
  }
}
