import type { ClusterImage } from '../cluster-image.js'
import { encodePartitionState, partitionKey } from '../metadata-keys.js'
import { maxTransactionOperations, type MetadataTransaction } from '../metadata-store.js'
import { newPartition } from './new-partition.js'

/** As many as one transaction may compare beside who is the controller. */
const partitionsPerTransaction = maxTransactionOperations - 1

/** The partitions of a topic that are to be there before the topic says so. */
export interface NewPartitions {
  readonly topicId: string
  /** The number of the first. */
  readonly first: number
  /** The replicas of each. */
  readonly assignments: readonly (readonly number[])[]
}

/**
 * The next transaction that puts those of the partitions that are not there yet. Each is compared with its absence: one that is applied late
 * cannot set back what has gone on since.
 *
 * @returns null when all are there
 */
export function putMissingPartitions(
  image: ClusterImage,
  { topicId, first, assignments }: NewPartitions,
  configuredMinimum: number,
): MetadataTransaction | null {
  const missing = assignments
    .map((replicas, index) => ({ replicas, partition: first + index }))
    .filter(({ partition }) => image.partition(topicId, partition) === undefined)
    .slice(0, partitionsPerTransaction)
  if (missing.length === 0) {
    return null
  }
  return {
    compares: missing.map(({ partition }) => ({ key: partitionKey(topicId, partition), revision: 0 })),
    puts: missing.map(({ partition, replicas }) => ({
      key: partitionKey(topicId, partition),
      value: encodePartitionState(
        newPartition(topicId, partition, replicas, configuredMinimum, (id) => image.brokers.get(id)),
      ),
    })),
  }
}

/** Whether a partition is one of them. */
export function isAmong(
  { topicId, first, assignments }: NewPartitions,
  ofTopicId: string,
  partition: number,
): boolean {
  return topicId === ofTopicId && partition >= first && partition < first + assignments.length
}
