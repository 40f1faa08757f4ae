import { defaultPartitioner, roundRobin, sticky, type Partitioner } from '@varve/partitioning'
import type { RecordInput } from '@varve/records'
import { invalidOption } from './whole-number.js'

/**
 * Where a topic's records go that name no partition. `'default'` is Kafka's own way: by the murmur2 hash of the key, so
 * that every Kafka client finds a key where this one put it, and `'sticky'` for records without a key. `'sticky'`: the
 * records of one `append` to one partition at random, those of the next to another, whatever their keys.
 * `'round-robin'`: each record to the next partition. A function gets the record and the number of partitions and gives
 * a number from 0 on below that.
 */
export type TopicPartitioner =
  | 'default'
  | 'round-robin'
  | 'sticky'
  | Partitioner
  | ((record: RecordInput, partitions: number) => number)

/** Chooses partitions for one topic. */
export interface PartitionChoice {
  /** `available` is given where not every partition can be written. */
  choose(record: RecordInput, partitions: number, available?: readonly number[]): number
  /** The records of one `append` are all placed. */
  placed(): void
}

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function partitionChoice(topic: string, option: TopicPartitioner): PartitionChoice {
  if (typeof option === 'function') return { choose: option, placed: () => {} }
  const partitioner = partitionerOf(option)
  return {
    choose: ({ key }, partitions, available) =>
      partitioner.partition(topic, bytesOf(key), partitions, available),
    placed: () => partitioner.onNewBatch?.(topic),
  }
}

function partitionerOf(option: Exclude<TopicPartitioner, (...args: never[]) => number>): Partitioner {
  if (option === 'default') return defaultPartitioner()
  if (option === 'round-robin') return roundRobin()
  if (option === 'sticky') return sticky(Math.random)
  if (typeof option === 'object' && option !== null && typeof option.partition === 'function') return option
  throw invalidOption(
    'partitioner',
    option,
    "'default', 'round-robin', 'sticky', a Partitioner or a function",
  )
}

/** What is no key at all is refused when the record is encoded. */
function bytesOf(key: RecordInput['key']): Uint8Array | null {
  if (typeof key === 'string') return Buffer.from(key)
  return key instanceof Uint8Array ? key : null
}
