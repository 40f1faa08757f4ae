/** ListPartitionReassignments (46), version 0: with one broker there is nowhere to move a replica to, so that none is moved. */
import type {
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponseInput,
} from '@varve/protocol'

export function handleListPartitionReassignments(
  _request: ListPartitionReassignmentsRequest,
): ListPartitionReassignmentsResponseInput {
  return { throttleTimeMs: 0, errorCode: 0, errorMessage: null, topics: [] }
}
