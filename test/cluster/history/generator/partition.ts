import type { PartitionName, ReadRecord } from '../event.js'

/** A send of a producer. What it wrote, and may write again, outlives what the producer is told. */
export interface Send {
  readonly operation: number
  readonly value: string
  readonly partition: SimulatedPartition
  /** Where it was appended, and not cut off since. */
  readonly offsets: number[]
  isReported: boolean
  /** It will not be appended any more. */
  isAbandoned: boolean
}

/** A partition's leader: records, of which those below the high watermark are safe. null is one that no consumer is shown. */
export class SimulatedPartition {
  readonly name: PartitionName
  readonly #sends: (Send | null)[] = []
  start = 0
  highWatermark = 0

  constructor(name: PartitionName) {
    this.name = name
  }

  get end(): number {
    return this.#sends.length
  }

  append(send: Send | null): void {
    send?.offsets.push(this.end)
    this.#sends.push(send)
  }

  /** Another leader, with all that is safe and nothing else. */
  failOver(): void {
    while (this.end > this.highWatermark) this.#sends.pop()?.offsets.pop()
    this.append(null)
  }

  /** Returns at most so many safe records from an offset on, and the offset behind them. */
  read(from: number, most: number): { records: ReadRecord[]; next: number } {
    const records: ReadRecord[] = []
    let next = from
    for (; next < this.highWatermark && records.length < most; next++) {
      const send = this.#sends[next]
      if (send != null) records.push([next, send.value])
    }
    return { records, next }
  }
}
