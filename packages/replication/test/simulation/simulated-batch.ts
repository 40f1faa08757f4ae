/** A record batch. Immutable, and one object in every log that has it. */
export interface SimulatedBatch {
  readonly baseOffset: number
  readonly count: number
  readonly leaderEpoch: number
  /** -1: without idempotence. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** Which records they are, one each. */
  readonly values: readonly number[]
}

/** As a producer sends it. */
export type ProducedBatch = Omit<SimulatedBatch, 'baseOffset' | 'leaderEpoch' | 'count'>

/** The offset behind its last record. */
export function nextOffset(batch: SimulatedBatch): number {
  return batch.baseOffset + batch.count
}
