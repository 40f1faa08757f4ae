import { setTimeout as after } from 'node:timers/promises'
import type { Admin, ReplicaRead } from '@varve/client'
import { batchesIn, VarveError, type RecordBatch } from '@varve/records'
import type { Place } from './topic-places.js'
import { kafkaNameOf } from './with-admin.js'

/** In what a replica is not like the others. */
export type Difference =
  /** Another batch than the reference has, or none, at this offset. */
  | { readonly kind: 'differs'; readonly offset: number }
  /** It ends at this offset, and the reference goes on. */
  | { readonly kind: 'ends-early'; readonly offset: number; readonly expected: number }
  /** It begins at this offset, and another one before. */
  | { readonly kind: 'begins-late'; readonly offset: number; readonly expected: number }
  /** It could not be read. */
  | { readonly kind: 'unreadable'; readonly message: string }

export interface ComparedReplica {
  readonly nodeId: number
  /** −1 where it could not be asked. */
  readonly startOffset: number
  readonly endOffset: number
  readonly differences: readonly Difference[]
}

export interface ComparedPartition extends Place {
  /** Whose replica the others are compared with. */
  readonly reference: number
  /** What was compared; the same where there was nothing. */
  readonly from: number
  readonly to: number
  readonly replicas: readonly ComparedReplica[]
}

export interface ComparisonOptions {
  /** Of one read from each replica. */
  readonly maxBytes: number
  /** How long a replica may take to show what the reference shows, in ms. */
  readonly patienceMs: number
  /** Told of bytes that have been compared. */
  readonly compared: (bytes: number) => void
  /** Ends it early. */
  readonly signal: AbortSignal
}

const POLL_MS = 100
const NOTHING = Buffer.alloc(0)

class Replica {
  readonly nodeId: number
  readonly differences: Difference[] = []
  startOffset = -1
  endOffset = -1

  constructor(nodeId: number) {
    this.nodeId = nodeId
  }

  /** Whether there is any use in reading on. */
  get isComparable(): boolean {
    return this.differences.every(({ kind }) => kind === 'begins-late')
  }
}

/**
 * Reads a partition's replicas side by side and compares what they store, byte for byte. What comes in after it has begun is left
 * out. Of each replica one read is in memory at a time.
 */
export class ReplicaComparison {
  readonly #admin: Admin
  readonly #place: Place
  readonly #options: ComparisonOptions
  readonly #replicas: Replica[]
  readonly #reference: Replica
  /** Retention goes on meanwhile: what lies before is not to be compared any more. */
  #deletedBefore = 0

  /** @param nodeIds whose replicas; the first is what the others are compared with */
  constructor(admin: Admin, place: Place, nodeIds: readonly number[], options: ComparisonOptions) {
    this.#admin = admin
    this.#place = { topic: place.topic, partition: place.partition }
    this.#options = options
    this.#replicas = nodeIds.map((nodeId) => new Replica(nodeId))
    this.#reference = this.#replicas[0]!
  }

  /** Does it. */
  async run(): Promise<ComparedPartition> {
    const end = await this.#highWatermark()
    await Promise.all(this.#replicas.map((replica) => this.#bounds(replica)))
    const from = this.#begin()
    const to = Math.max(from, end)
    let at = from
    const { signal } = this.#options
    while (at < to && !signal.aborted && this.#others.length > 0 && this.#reference.isComparable)
      at = await this.#step(at, to)
    const replicas = this.#replicas.map(({ nodeId, startOffset, endOffset, differences }) => ({
      nodeId,
      startOffset,
      endOffset,
      differences,
    }))
    return { ...this.#place, reference: this.#reference.nodeId, from, to: at, replicas }
  }

  get #others(): Replica[] {
    return this.#replicas.filter((replica) => replica !== this.#reference && replica.isComparable)
  }

  /** Of the reference, as it is now: −1 where that cannot be had. */
  async #highWatermark(): Promise<number> {
    try {
      const [found] = await this.#admin.listOffsets([{ ...this.#place, timestamp: 'latest' }])
      return found!.offset
    } catch (error) {
      note(this.#reference, error)
      return -1
    }
  }

  async #bounds(replica: Replica): Promise<void> {
    try {
      const queries = (['earliest', 'latest'] as const).map((timestamp) => ({ ...this.#place, timestamp }))
      const [start, end] = await this.#admin.listOffsets(queries, { replicaOn: replica.nodeId })
      replica.startOffset = start!.offset
      replica.endOffset = end!.offset
    } catch (error) {
      note(replica, error)
    }
  }

  /** Where all begin; whoever begins later than another has that noted. */
  #begin(): number {
    const known = this.#replicas.filter(({ startOffset }) => startOffset >= 0)
    const first = Math.min(...known.map(({ startOffset }) => startOffset))
    for (const replica of known) {
      const { startOffset: offset } = replica
      if (offset > first && replica.isComparable)
        replica.differences.push({ kind: 'begins-late', offset, expected: first })
    }
    return Math.max(0, ...known.map(({ startOffset }) => startOffset))
  }

  /** Compares what one read brings; the offset to go on at. */
  async #step(at: number, to: number): Promise<number> {
    const expected = await this.#expected(at, to)
    if (expected.length === 0) return Math.max(at, this.#deletedBefore)
    const ends = await Promise.all(this.#others.map((replica) => this.#compare(replica, expected, at, to)))
    const next = Math.min(expected.at(-1)!.nextOffset, ...ends.filter((end) => end !== null))
    const compared = expected.filter(({ nextOffset }) => nextOffset <= next)
    this.#options.compared(compared.reduce((sum, { byteLength }) => sum + byteLength, 0))
    return Math.max(next, this.#deletedBefore)
  }

  /** Of the reference; empty where it has nothing to compare with, which is noted. */
  async #expected(at: number, to: number): Promise<RecordBatch[]> {
    const records = await this.#read(this.#reference, at, to)
    if (records === null) return []
    try {
      const batches = [...batchesIn(records)].filter(({ baseOffset }) => baseOffset < to)
      if (batches.length > 0) return batches
      const message = `the batch at offset ${at} did not come whole`
      this.#reference.differences.push({ kind: 'unreadable', message })
    } catch (error) {
      note(this.#reference, error)
    }
    return []
  }

  /** Up to where the replica has what the reference has; null where there is no use in going on. */
  async #compare(
    replica: Replica,
    expected: readonly RecordBatch[],
    at: number,
    to: number,
  ): Promise<number | null> {
    const records = await this.#read(replica, at, to)
    if (records === null) return replica.isComparable ? at : null
    let position = 0
    for (const { buffer, byteLength, baseOffset, nextOffset } of expected) {
      const own = records.subarray(position, position + byteLength)
      if (!own.equals(buffer.subarray(0, own.length))) {
        replica.differences.push({ kind: 'differs', offset: Math.max(baseOffset, at) })
        return null
      }
      // The read ended here; the next one goes on.
      if (own.length < byteLength && position > 0) return baseOffset
      if (own.length < byteLength) {
        const message = `the batch at offset ${baseOffset} did not come whole`
        replica.differences.push({ kind: 'unreadable', message })
        return null
      }
      position += byteLength
      if (position === records.length) return nextOffset
    }
    return expected.at(-1)!.nextOffset
  }

  /** What a replica shows at `at`, once it does; null where it does not, which is noted unless it has been deleted. */
  async #read(replica: Replica, at: number, to: number): Promise<Buffer | null> {
    const { maxBytes, patienceMs } = this.#options
    const where = { ...this.#place, nodeId: replica.nodeId, offset: at }
    const until = performance.now() + patienceMs
    try {
      for (;;) {
        const records = await this.#readOnce(where, maxBytes)
        if (records.length > 0) return records
        await this.#bounds(replica)
        if (replica.startOffset > at) {
          this.#deletedBefore = Math.max(this.#deletedBefore, replica.startOffset)
          return null
        }
        if (performance.now() >= until) break
        await after(POLL_MS)
      }
      replica.differences.push({ kind: 'ends-early', offset: at, expected: to })
    } catch (error) {
      note(replica, error)
    }
    return null
  }

  /** Nothing where the replica's log does not reach that far, or does not any more. */
  async #readOnce(where: ReplicaRead, maxBytes: number): Promise<Buffer> {
    try {
      const { records } = await this.#admin.readReplica(where, { maxBytes })
      return records
    } catch (error) {
      if (kafkaNameOf(error) === 'OFFSET_OUT_OF_RANGE') return NOTHING
      throw error
    }
  }
}

function note(replica: Replica, error: unknown): void {
  if (!VarveError.is(error)) throw error
  replica.differences.push({ kind: 'unreadable', message: error.message })
}
