import type { ClusterImage } from '../cluster-image.js'
import { encodePartitionState, partitionKey } from '../metadata-keys.js'
import { maxTransactionOperations, type MetadataTransaction } from '../metadata-store.js'
import { newPartition } from './new-partition.js'

/** As many as one transaction may compare beside who is the controller and the topic. */
const partitionsPerTransaction = maxTransactionOperations - 2

/** The partitions of a topic that are to be there. */
export interface NewPartitions {
  readonly topicId: string
  /** The number of the first. */
  readonly first: number
  /** The replicas of each. */
  readonly assignments: readonly (readonly number[])[]
}

/**
 * Puts those of the partitions that are not there yet, as many as go into one transaction. Each is compared with its absence: one that is
 * applied late cannot set back what has gone on since.
 *
 * @returns null when all are there
 */
export function putMissingPartitions(
  image: ClusterImage,
  { topicId, first, assignments }: NewPartitions,
  configuredMinimum: number,
): Required<Pick<MetadataTransaction, 'compares' | 'puts'>> | null {
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
