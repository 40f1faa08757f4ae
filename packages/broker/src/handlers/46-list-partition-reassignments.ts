/**
 * ListPartitionReassignments (46), version 0: the reassignments that are under way, as this broker knows them. A broker that is
 * alone has nowhere to move a replica to, so that there are none.
 */
import type {
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponseInput,
} from '@varve/protocol'
import { isReassigning } from '@varve/replication'
import type { RequestContext } from '../request-context.js'

export function handleListPartitionReassignments(
  request: ListPartitionReassignmentsRequest,
  { broker }: RequestContext,
): ListPartitionReassignmentsResponseInput {
  const asked =
    request.topics ??
    [...broker.topics.all()].map(({ name, partitions }) => ({
      name,
      partitionIndexes: partitions.map(({ index }) => index),
    }))
  const topics = asked.map(({ name, partitionIndexes }) => {
    const known = broker.topics.get(name)?.partitions ?? []
    const partitions = partitionIndexes.flatMap((partitionIndex) => {
      const state = known[partitionIndex]?.state
      if (state === undefined || !isReassigning(state)) return []
      const { replicas, addingReplicas, removingReplicas } = state
      return [{ partitionIndex, replicas, addingReplicas, removingReplicas }]
    })
    return { name, partitions }
  })
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    errorMessage: null,
    topics: topics.filter(({ partitions }) => partitions.length > 0),
  }
}
