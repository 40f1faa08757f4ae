import type { ConsumerRecord } from './consumer-record.js'
import type { AssignedPartition, ConsumerBatch } from './fetched-partition.js'

export interface DeliveredBatch {
  readonly batch: ConsumerBatch
  readonly assigned: AssignedPartition
}

/** Walks records batch by batch; within a batch nothing is awaited. */
export class RecordIteration implements AsyncIterableIterator<ConsumerRecord> {
  private readonly nextBatch: () => Promise<DeliveredBatch | null>
  private readonly signal: AbortSignal | undefined
  private readonly isInterrupted: () => boolean
  private delivered: DeliveredBatch | null = null
  private records: IterableIterator<ConsumerRecord> | null = null
  private ended = false

  /** @param isInterrupted whether there is something to do before the next record, which `nextBatch` does */
  constructor(
    nextBatch: () => Promise<DeliveredBatch | null>,
    signal: AbortSignal | undefined,
    isInterrupted: () => boolean,
  ) {
    this.nextBatch = nextBatch
    this.signal = signal
    this.isInterrupted = isInterrupted
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<ConsumerRecord, undefined>> {
    try {
      const result = this.nextInBatch()
      return result === undefined ? this.fromNextBatch() : Promise.resolve(result)
    } catch (error) {
      this.ended = true
      return Promise.reject(error)
    }
  }

  return(): Promise<IteratorResult<ConsumerRecord, undefined>> {
    this.ended = true
    this.records = null
    return Promise.resolve({ done: true, value: undefined })
  }

  private nextInBatch(): IteratorResult<ConsumerRecord, undefined> | undefined {
    if (this.ended) return { done: true, value: undefined }
    this.signal?.throwIfAborted()
    if (this.records === null) return undefined
    if (this.isInterrupted()) {
      // The same batch comes again, from the position on, if it is still to be read.
      this.records = null
      return undefined
    }
    const { assigned, batch } = this.delivered!
    if (!assigned.revoked) {
      const result = this.records.next()
      if (result.done !== true) {
        assigned.position = result.value.offset + 1
        return result
      }
      assigned.advanceTo(batch.batch.nextOffset)
    }
    this.records = null
    return undefined
  }

  private async fromNextBatch(): Promise<IteratorResult<ConsumerRecord, undefined>> {
    for (;;) {
      try {
        this.delivered = await this.nextBatch()
      } catch (error) {
        this.ended = true
        throw error
      }
      if (this.delivered === null) this.ended = true
      else this.records = this.delivered.batch.records()
      const result = this.nextInBatch()
      if (result !== undefined) return result
    }
  }
}
