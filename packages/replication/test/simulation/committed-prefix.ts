import type { SimulatedBatch } from './simulated-batch.js'
import type { SimulatedLog } from './simulated-log.js'
import { Violation } from './violation.js'

/**
 * What has been committed of a partition: everything that any of its leaders has had below its high watermark. It only
 * ever grows, but for what an unclean election gives up.
 */
export class CommittedPrefix {
  readonly partition: string
  readonly #batches: SimulatedBatch[] = []
  readonly #nextSequences = new Map<number, number>()
  /** Up to where a log is known to have it: what is once written stays as it is until the log is cut. */
  #compared = new WeakMap<SimulatedLog, number>()
  #end = 0
  /** A replica has begun with a log whose first records had been deleted: of their producers it knows nothing. */
  hasForgotten = false
  /** How often records were given up. */
  generation = 0
  /** Leaders of earlier epochs are not bound by what is committed since; an unclean election raises it. */
  boundFromEpoch = 0
  /** There was an unclean election whose leader has not begun yet: what is committed is open until then. */
  isOpen = false

  constructor(partition: string) {
    this.partition = partition
  }

  get end(): number {
    return this.#end
  }

  batchAt(offset: number): SimulatedBatch | undefined {
    return this.#batches[this.#indexOf(offset)]
  }

  #indexOf(offset: number): number {
    let low = 0
    let high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >> 1
      const { baseOffset, count } = this.#batches[middle]!
      if (baseOffset + count <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Takes in what a log has below a high watermark. */
  advance(log: SimulatedLog, highWatermark: number): void {
    while (this.#end < highWatermark) {
      const batch = log.batchAt(this.#end)
      if (batch === undefined || batch.baseOffset > this.#end)
        throw new Violation(
          'committed prefix',
          `${this.partition}: offset ${this.#end} is committed and was never there`,
        )
      this.#add(batch)
    }
    if (this.#end > highWatermark && highWatermark > log.startOffset) {
      const batch = log.batchAt(highWatermark - 1)
      if (batch !== this.batchAt(highWatermark - 1))
        throw new Violation(
          'committed prefix',
          `${this.partition}: the record at ${highWatermark - 1} has changed`,
        )
    }
  }

  /** Whether a log has everything up to an offset, from the first record on. */
  isIn(log: SimulatedLog | undefined, end: number, upTo = this.#end): boolean {
    if (upTo === 0) return true
    if (log === undefined || end < upTo) return false
    const compared = this.#compared.get(log) ?? 0
    if (compared >= upTo) return true
    for (let index = this.#indexOf(compared); index < this.#batches.length; index++) {
      const batch = this.#batches[index]!
      if (batch.baseOffset >= upTo) break
      const isDeleted = batch.baseOffset + batch.count <= log.startOffset
      if (!isDeleted && log.batchAt(batch.baseOffset) !== batch) return false
    }
    this.#compared.set(log, upTo)
    return true
  }

  /** Whether the last record before an offset is the one that a log has there. */
  agreesAt(log: SimulatedLog, offset: number): boolean {
    return log.startOffset >= offset || log.batchAt(offset - 1) === this.batchAt(offset - 1)
  }

  /** A log has been cut, or opened again: what it has has to be compared once more. */
  compareAgain(log: SimulatedLog): void {
    this.#compared.delete(log)
  }

  /** Where a log that should have everything differs; null where it has it. */
  differenceTo(log: SimulatedLog): string | null {
    for (const batch of this.#batches) {
      if (batch.baseOffset + batch.count <= log.startOffset) continue
      const there = log.batchAt(batch.baseOffset)
      if (there !== batch)
        return `offset ${batch.baseOffset} is ${describe(batch)}, and there ${describe(there)}`
    }
    return null
  }

  /** After an unclean election: what the elected replica does not have, up to where it counts, is given up. */
  giveUpBehind(log: SimulatedLog, end: number): void {
    const first = this.#batches.findIndex(
      (batch) =>
        batch.baseOffset + batch.count > log.startOffset &&
        (batch.baseOffset + batch.count > end || log.batchAt(batch.baseOffset) !== batch),
    )
    if (first !== -1) {
      const kept = this.#batches.slice(0, first)
      this.#batches.length = 0
      this.#nextSequences.clear()
      this.#end = kept[0]?.baseOffset ?? 0
      for (const batch of kept) this.#add(batch)
    }
    // What it has deleted of its own nobody can compare any more.
    this.#end = Math.max(this.#end, log.startOffset)
    this.#forgetProducersBefore(log.startOffset)
    this.#compared = new WeakMap()
    this.generation++
    this.isOpen = false
  }

  /** Of a producer a log may know nothing that starts behind all of its records. */
  #forgetProducersBefore(offset: number): void {
    const known = new Set<number>()
    for (const { baseOffset, count, producerId } of this.#batches)
      if (baseOffset + count > offset) known.add(producerId)
    for (const producerId of this.#nextSequences.keys())
      if (!known.has(producerId)) this.#nextSequences.delete(producerId)
  }

  #add(batch: SimulatedBatch): void {
    const { producerId, baseSequence, count } = batch
    if (producerId !== -1) {
      // What was given up may have been all that was known of a producer.
      const expected = this.#nextSequences.get(producerId) ?? (this.generation > 0 ? baseSequence : 0)
      const isForgotten = this.hasForgotten && this.#nextSequences.has(producerId)
      if (baseSequence !== expected && !isForgotten)
        throw new Violation(
          'idempotent producer',
          `${this.partition}: producer ${producerId} has sequence ${baseSequence} committed at offset ${batch.baseOffset}, where ${expected} should follow`,
        )
      this.#nextSequences.set(producerId, baseSequence + count)
    }
    this.#batches.push(batch)
    this.#end = batch.baseOffset + count
  }
}

export function describe(batch: SimulatedBatch | undefined): string {
  if (batch === undefined) return 'nothing'
  const { baseOffset, leaderEpoch, values } = batch
  return `${describeValues(values)} at offset ${baseOffset} in epoch ${leaderEpoch}`
}

/** Records have their numbers one behind the other. */
export function describeValues(values: readonly number[]): string {
  return values.length === 1 ? `record ${values[0]}` : `records ${values[0]}–${values.at(-1)}`
}
