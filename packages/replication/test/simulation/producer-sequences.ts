import type { ProducedBatch, SimulatedBatch } from './simulated-batch.js'

export type SequenceError = 'OUT_OF_ORDER_SEQUENCE_NUMBER' | 'INVALID_PRODUCER_EPOCH'

interface ProducerState {
  epoch: number
  /** The last ones of the epoch, oldest first. */
  batches: SimulatedBatch[]
}

const remembered = 5
const maxSequence = 0x7fff_ffff

/** What a log knows of idempotent producers, implied by its batches and by those that were deleted in front of them (KIP-98, KIP-360). */
export class ProducerSequences {
  #producers = new Map<number, ProducerState>()
  /** By the batches that were deleted. */
  #before = new Map<number, ProducerState>()

  /** `null`: it may be appended; a batch: it was, as that one. */
  check({
    producerId,
    producerEpoch,
    baseSequence,
    values,
  }: ProducedBatch): SimulatedBatch | SequenceError | null {
    if (producerId < 0) return null
    const known = this.#producers.get(producerId)
    if (known === undefined) return null
    if (producerEpoch < known.epoch) return 'INVALID_PRODUCER_EPOCH'
    if (producerEpoch > known.epoch) return baseSequence === 0 ? null : 'OUT_OF_ORDER_SEQUENCE_NUMBER'
    for (const batch of known.batches) {
      if (batch.baseSequence === baseSequence && batch.count === values.length) return batch
    }
    const last = known.batches.at(-1)!
    const expected = (last.baseSequence + last.count) & maxSequence
    return baseSequence === expected ? null : 'OUT_OF_ORDER_SEQUENCE_NUMBER'
  }

  appended(batch: SimulatedBatch): void {
    note(this.#producers, batch)
  }

  /** The first batches of the log are deleted. What is known of their producers stays. */
  deleted(batches: readonly SimulatedBatch[]): void {
    for (const batch of batches) note(this.#before, batch)
  }

  /** These are left. */
  rebuild(batches: readonly SimulatedBatch[]): void {
    this.#producers = new Map()
    for (const [id, { epoch, batches }] of this.#before)
      this.#producers.set(id, { epoch, batches: [...batches] })
    for (const batch of batches) note(this.#producers, batch)
  }

  clear(): void {
    this.#producers = new Map()
    this.#before = new Map()
  }
}

function note(producers: Map<number, ProducerState>, batch: SimulatedBatch): void {
  if (batch.producerId < 0) return
  const known = producers.get(batch.producerId)
  if (known === undefined || known.epoch !== batch.producerEpoch) {
    producers.set(batch.producerId, { epoch: batch.producerEpoch, batches: [batch] })
    return
  }
  if (known.batches.length === remembered) known.batches.shift()
  known.batches.push(batch)
}
