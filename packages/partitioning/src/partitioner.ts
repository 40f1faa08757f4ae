import { murmur2, toPositive } from './murmur2.js'

/** Chooses the partition of each record that does not name one itself. */
export interface Partitioner {
  /**
   * The partition, from 0 to `partitions − 1`.
   *
   * @param key the record's key as bytes, null for none
   * @param partitions how many partitions the topic has
   * @param available those of them that have a leader; absent where all do
   */
  partition(topic: string, key: Uint8Array | null, partitions: number, available?: readonly number[]): number
  /**
   * A batch of the topic was closed: the moment to move on for a partitioner that fills one batch after another.
   *
   * @param partition whose batch it was; absent where all batches of the topic were closed
   */
  onNewBatch?(topic: string, partition?: number): void
}

/** `random()` gives a number from 0 up to, not including, 1. */
export type Random = () => number

/**
 * Thrown for a topic without partitions. `VarveError.is` of `@varve/records` tells it too.
 *
 * @example
 * ```ts
 * import { keyPartition, PartitioningError } from '@varve/partitioning'
 *
 * try {
 *   keyPartition(Buffer.from('user-1'), 0)
 * } catch (error) {
 *   if (!(error instanceof PartitioningError)) throw error
 *   console.error(error.code, error.message)
 * }
 * ```
 */
export class PartitioningError extends RangeError {
  /** Stable. */
  readonly code = 'VARVE_NO_PARTITIONS'
  /** Another call is of no use as long as the topic has no partitions. */
  readonly retriable = false

  /** `'PartitioningError'`, also in code that was minified. */
  override get name(): string {
    return 'PartitioningError'
  }

  get [Symbol.for('varve.error')](): true {
    return true
  }
}

/**
 * Where Kafka's default partitioner sends a key, so that all clients agree on it: a number from 0 to `partitions − 1`. It does
 * not look at availability.
 *
 * @throws PartitioningError for a number of partitions below 1
 */
export function keyPartition(key: Uint8Array, partitions: number): number {
  checkPartitions(partitions)
  return toPositive(murmur2(key)) % partitions
}

/**
 * Each record of a topic to the next available partition, whatever its key.
 *
 * @throws PartitioningError (from `partition`) for a topic without partitions
 */
export function roundRobin(): Partitioner {
  const counters = new Map<string, number>()
  return {
    partition(topic, _key, partitions, available) {
      const candidates = candidatesOf(topic, partitions, available)
      const counter = counters.get(topic) ?? 0
      counters.set(topic, counter === 0x7fff_ffff ? 0 : counter + 1)
      return candidate(candidates, counter % count(candidates))
    },
  }
}

/**
 * All records of a topic to one partition until a batch is full, then to another: fewer and larger batches than
 * round robin gives, and as even a spread in the long run (KIP-480). Ignores keys.
 *
 * @throws PartitioningError (from `partition`) for a topic without partitions
 */
export function sticky(random: Random): Partitioner {
  const chosen = new Map<string, number>()
  // The partition of the last batch, so that a new one goes elsewhere.
  const previous = new Map<string, number>()
  return {
    partition(topic, _key, partitions, available) {
      const current = chosen.get(topic)
      if (
        current !== undefined &&
        current < partitions &&
        (available === undefined || available.includes(current))
      ) {
        return current
      }
      const candidates = candidatesOf(topic, partitions, available)
      const size = count(candidates)
      let index = Math.floor(random() * size)
      if (size > 1 && candidate(candidates, index) === previous.get(topic)) index = (index + 1) % size
      const partition = candidate(candidates, index)
      chosen.set(topic, partition)
      previous.set(topic, partition)
      return partition
    },
    onNewBatch(topic, partition) {
      // Batches of keyed records are closed as well, elsewhere.
      if (partition === undefined || partition === chosen.get(topic)) chosen.delete(topic)
    },
  }
}

/**
 * What Kafka's own producers do: the hash of the key where there is one, sticky where there is none.
 *
 * @param random default `Math.random`
 * @throws PartitioningError (from `partition`) for a topic without partitions
 */
export function defaultPartitioner(random: Random = Math.random): Partitioner {
  const unkeyed = sticky(random)
  return {
    partition(topic, key, partitions, available) {
      return key === null
        ? unkeyed.partition(topic, key, partitions, available)
        : keyPartition(key, partitions)
    },
    onNewBatch(topic, partition) {
      unkeyed.onNewBatch!(topic, partition)
    },
  }
}

// Either the available partitions, or how many there are where every one can be chosen.
type Candidates = readonly number[] | number

function candidatesOf(
  topic: string,
  partitions: number,
  available: readonly number[] | undefined,
): Candidates {
  checkPartitions(partitions, topic)
  // With no leader at all, any choice is as good: the record waits for its partition's leader.
  return available === undefined || available.length === 0 ? partitions : available
}

function count(candidates: Candidates): number {
  return typeof candidates === 'number' ? candidates : candidates.length
}

function candidate(candidates: Candidates, index: number): number {
  return typeof candidates === 'number' ? index : candidates[index]!
}

function checkPartitions(partitions: number, topic?: string): void {
  if (Number.isSafeInteger(partitions) && partitions > 0) return
  const which = topic === undefined ? 'a topic' : `topic '${topic}'`
  throw new PartitioningError(`Cannot choose a partition of ${which}: it has ${partitions} partitions`)
}
