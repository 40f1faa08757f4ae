import type { ListOffsets, PartitionName, Poll } from './event.js'
import type { Operation, Write } from './operation.js'

/** A record as a consumer saw it. */
export interface Read {
  readonly offset: number
  readonly value: string
  readonly poll: Operation<Poll>
}

/** What a reader of everything saw at the end. */
export interface FinalRead {
  readonly start: number
  readonly end: number
  readonly listed: Operation<ListOffsets>
  readonly values: ReadonlyMap<number, Read>
  /** How far it came. */
  readonly reached: number
}

/** What was written to a partition, and who saw what of it. */
export class PartitionHistory {
  readonly name: PartitionName
  /** In the order in which they were invoked. */
  readonly writes: Write[] = []
  /** By offset the first read of each value that was seen there: one, if all is well. */
  readonly readsAt = new Map<number, Read[]>()
  /** By value the first read of it at each offset: one, unless it is there twice. */
  readonly readsOf = new Map<string, Read[]>()
  readonly #final = new Map<number, Read>()
  #finalReached = 0
  #ends: { start: number; end: number; listed: Operation<ListOffsets> } | null = null
  #known: number[] | null = null
  /** How many records were returned by polls. */
  readCount = 0

  constructor(name: PartitionName) {
    this.name = name
  }

  add(read: Read, isFinal: boolean): void {
    this.readCount++
    remember(this.readsAt, read.offset, read, (other) => other.value === read.value)
    remember(this.readsOf, read.value, read, (other) => other.offset === read.offset)
    if (!isFinal) return
    this.#final.set(read.offset, read)
    this.finalReachedTo(read.offset + 1)
  }

  finalReachedTo(position: number): void {
    this.#finalReached = Math.max(this.#finalReached, position)
  }

  endsAt(start: number, end: number, listed: Operation<ListOffsets>): void {
    this.#ends = { start, end, listed }
  }

  /** null if nobody has read all of it at the end. */
  get final(): FinalRead | null {
    if (this.#ends === null) return null
    // Of nothing, nobody reads to the end.
    const reached = Math.max(this.#finalReached, this.#ends.start)
    return { ...this.#ends, values: this.#final, reached }
  }

  /** All offsets at which a write is known to be, of those that no crash may take back. */
  offsetsOf(write: Write): number[] {
    const offsets = (this.readsOf.get(write.invoke.value) ?? []).map(({ offset }) => offset)
    return write.isPromised && write.offset !== null ? [write.offset, ...offsets] : offsets
  }

  /**
   * The first offset in [from, to) that a reader cannot pass without seeing a record: what a read of everything saw at the end,
   * or what anybody saw if there is none. What lies below the log's start then may have been deleted before.
   */
  firstKnown(from: number, to: number): number | null {
    this.#known ??= [...(this.#ends === null ? this.readsAt : this.#final).keys()].sort((a, b) => a - b)
    const known = this.#known
    let low = 0
    let high = known.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (known[middle]! < from) low = middle + 1
      else high = middle
    }
    const offset = known[low]
    return offset !== undefined && offset < to ? offset : null
  }
}

function remember<Key>(map: Map<Key, Read[]>, key: Key, read: Read, isSame: (other: Read) => boolean): void {
  const reads = map.get(key)
  if (reads === undefined) map.set(key, [read])
  else if (!reads.some(isSame)) reads.push(read)
}
