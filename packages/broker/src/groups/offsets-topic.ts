import type { ConfigValues } from '../configs/stored-configs.js'
import type { GroupOptions } from './group-options.js'

/** Where groups keep their offsets and members: a compacted topic like any other, in Kafka's record formats. */
export const offsetsTopicName = '__consumer_offsets'

/** By their numbers in Kafka. */
export const offsetsTopicCodecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

/** As Kafka creates it. Segments are small, because compaction leaves the active one alone. */
export function offsetsTopicConfigs({ offsetsTopicSegmentBytes }: Required<GroupOptions>): ConfigValues {
  return new Map([
    ['cleanup.policy', 'compact'],
    ['compression.type', 'producer'],
    ['segment.bytes', String(offsetsTopicSegmentBytes)],
  ])
}

/** The partition that holds a group: Kafka's choice, so that a directory of Kafka's is understood. */
export function offsetsPartitionOf(groupId: string, partitions: number): number {
  let hash = 0
  for (let index = 0; index < groupId.length; index++) {
    hash = (Math.imul(31, hash) + groupId.charCodeAt(index)) | 0
  }
  return (hash === -(2 ** 31) ? 0 : Math.abs(hash)) % partitions
}
