import { elementsPerTurn, nextTurn } from './event-loop.js'
import type { FetchedRecords } from './fetched-records.js'
import type { FetchTarget, TargetRead } from './fetch-targets.js'
import type { Isolation, Partition } from './partition.js'

/** How far into one partition a waiting Fetch has looked. */
interface Seen {
  nextOffset: number
  bytes: number
  readonly maxBytes: number
  readonly leaderEpoch: number
}

/**
 * Estimates how many bytes a waiting Fetch would be answered with. Every append is looked at once: reading all that has
 * been there before again and again is what makes long polls expensive.
 */
export class FetchEstimate {
  readonly #seen = new Map<Partition, Seen>()
  readonly #isolation: Isolation
  #bytes = 0

  /** @param reads what the targets were answered with before the wait, without an error among them */
  constructor(targets: readonly FetchTarget[], reads: readonly TargetRead[]) {
    this.#isolation = targets[0]?.reader.isolation ?? 'readUncommitted'
    for (const [index, { partition, refusal, asked }] of targets.entries()) {
      if (partition === null || refusal !== null) continue
      const { byteLength, slices } = reads[index]!.records
      const nextOffset = slices.at(-1)?.nextOffset ?? asked.fetchOffset
      const { leaderEpoch } = partition
      this.#seen.set(partition, {
        nextOffset,
        bytes: byteLength,
        maxBytes: asked.partitionMaxBytes,
        leaderEpoch,
      })
      this.#bytes += byteLength
    }
  }

  /** Looks at what changed: whether there are `minBytes` now, or something that the client must be told. */
  async reaches(minBytes: number, changed: Iterable<Partition>): Promise<boolean> {
    let looks = 0
    for (const partition of changed) {
      // Nothing more comes here, or from another leader.
      const { leaderEpoch } = this.#seen.get(partition)!
      if (partition.failure !== null || partition.leaderEpoch !== leaderEpoch) return true
      const pending = this.#look(partition)
      const known = pending instanceof Promise ? await pending : pending
      if (!known || this.#bytes >= minBytes) return true
      if (++looks % elementsPerTurn === 0) await nextTurn()
    }
    return false
  }

  /** False when the log cannot be read there, which the client is told by a proper read. */
  #look(partition: Partition): boolean | Promise<boolean> {
    const seen = this.#seen.get(partition)!
    // A limit below the first batch is none, since that batch is returned anyway.
    const left = Math.max(1, seen.maxBytes) - seen.bytes
    const upTo = partition.visibleOffset(this.#isolation)
    if (left <= 0 || upTo <= seen.nextOffset) return true
    const add = (records: FetchedRecords): boolean => {
      const { byteLength, slices } = records
      records.close()
      seen.nextOffset = slices.at(-1)?.nextOffset ?? seen.nextOffset
      const more = Math.min(byteLength, left)
      seen.bytes += more
      this.#bytes += more
      return true
    }
    try {
      const records = partition.read(seen.nextOffset, { upTo, maxBytes: left, minOneBatch: true })
      return records instanceof Promise ? records.then(add, () => false) : add(records)
    } catch {
      return false
    }
  }
}
