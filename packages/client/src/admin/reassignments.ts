import { alterPartitionReassignments, listPartitionReassignments } from '@varve/protocol'
import type { Connection } from '../connection.js'
import { KafkaError } from '../kafka-error.js'
import { byTopic, partitionName, type TopicPartition } from '../topic-partition.js'
import { allOrThrow, answerName, inOrder, type AdminRequests, type Outcome } from './requests.js'

export interface Reassignment extends TopicPartition {
  /** The node ids that shall have the partition, the preferred leader first; null ends a reassignment that is under way. */
  readonly replicas: readonly number[] | null
}

/** A reassignment that is under way. */
export interface OngoingReassignment extends TopicPartition {
  /** All that have the partition now or will have it, those on their way in and out included. */
  readonly replicas: readonly number[]
  /** Those that become replicas once they have all records. */
  readonly addingReplicas: readonly number[]
  /** Those that are replicas no more then. */
  readonly removingReplicas: readonly number[]
}

/** What became of one partition of several. */
export interface PartitionOutcome extends TopicPartition {
  /** Why it was refused; null where it was not. */
  readonly error: KafkaError | null
}

export async function alter(
  requests: AdminRequests,
  reassignments: readonly Reassignment[],
  signal: AbortSignal | undefined,
): Promise<PartitionOutcome[]> {
  if (reassignments.length === 0) return []
  const { timeoutMs } = requests
  const topics = [...byTopic(reassignments)].map(([name, partitions]) => ({
    name,
    partitions: partitions.map(({ partition, replicas }) => ({ partitionIndex: partition, replicas })),
  }))
  const ask = async (connection: Connection) => {
    const response = await connection.request(alterPartitionReassignments, { timeoutMs, topics }, { signal })
    const { errorCode, errorMessage } = response
    if (errorCode !== 0) throw new KafkaError(errorCode, 'Reassigning partitions', errorMessage)
    return response
  }
  const { responses } = await requests.atController(signal, ask, true)
  const answers = responses.flatMap(({ name, partitions }) =>
    partitions.map((answer) => ({ topic: name, ...answer })),
  )
  const keys = { item: partitionName, answer: answerName }
  return allOrThrow(
    inOrder(
      reassignments,
      answers,
      keys,
      'AlterPartitionReassignments',
      ({ errorCode, errorMessage }, { topic, partition, replicas }): Outcome<PartitionOutcome> => {
        const what = `${replicas === null ? 'Ending the reassignment of' : 'Reassigning'} ${topic}-${partition}`
        const error = errorCode === 0 ? null : new KafkaError(errorCode, what, errorMessage)
        return { topic, partition, error }
      },
    ),
  )
}

export async function list(
  requests: AdminRequests,
  partitions: readonly TopicPartition[] | null,
  signal: AbortSignal | undefined,
): Promise<OngoingReassignment[]> {
  if (partitions?.length === 0) return []
  const topics =
    partitions === null
      ? null
      : [...byTopic(partitions)].map(([name, found]) => ({
          name,
          partitionIndexes: found.map(({ partition }) => partition),
        }))
  const ask = async (connection: Connection) => {
    const body = { timeoutMs: requests.timeoutMs, topics }
    const answer = await connection.request(listPartitionReassignments, body, { signal })
    const { errorCode, errorMessage } = answer
    if (errorCode !== 0) throw new KafkaError(errorCode, 'Listing reassignments', errorMessage)
    return answer
  }
  const response = await requests.atController(signal, ask, true)
  return response.topics.flatMap(({ name, partitions: found }) =>
    found.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }) => ({
      topic: name,
      partition: partitionIndex,
      replicas,
      addingReplicas,
      removingReplicas,
    })),
  )
}
