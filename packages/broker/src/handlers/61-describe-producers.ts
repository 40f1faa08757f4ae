/** DescribeProducers (61), version 0: the producers that a replica on this broker remembers, a follower's too (KIP-664). */
import { topicNameProblem } from '@varve/log'
import { errors, type DescribeProducersRequest, type DescribeProducersResponseInput } from '@varve/protocol'
import type { KafkaError } from '../kafka-error.js'
import type { Partition } from '../partition.js'
import type { RequestContext } from '../request-context.js'

type PartitionResponse = NonNullable<DescribeProducersResponseInput['topics']>[number]['partitions'][number]

export function handleDescribeProducers(
  request: DescribeProducersRequest,
  { broker }: RequestContext,
): DescribeProducersResponseInput {
  const topics = request.topics.map(({ name, partitionIndexes }) => {
    const invalid = topicNameProblem(name)
    const found = broker.topics.get(name)
    const partitions = partitionIndexes.map((index) => {
      if (invalid !== null) return refused(index, errors.INVALID_TOPIC_EXCEPTION, invalid)
      const unknown = errors.UNKNOWN_TOPIC_OR_PARTITION
      return found === undefined
        ? refused(index, unknown, unknown.message)
        : answer(index, found.partitions[index])
    })
    return { name, partitions }
  })
  return { throttleTimeMs: 0, topics }
}

function answer(partitionIndex: number, partition: Partition | undefined): PartitionResponse {
  if (partition === undefined) return refused(partitionIndex, errors.UNKNOWN_TOPIC_OR_PARTITION)
  if (partition.isOffline) return refused(partitionIndex, errors.KAFKA_STORAGE_ERROR)
  if (!partition.readable) {
    const error = errors.NOT_LEADER_OR_FOLLOWER
    return refused(partitionIndex, error, error.message)
  }
  const activeProducers = partition.producers().map(({ currentTxnStartOffset, ...state }) => ({
    ...state,
    currentTxnStartOffset: currentTxnStartOffset ?? -1,
  }))
  return { partitionIndex, errorCode: 0, errorMessage: null, activeProducers }
}

function refused(
  partitionIndex: number,
  { code }: KafkaError,
  errorMessage: string | null = null,
): PartitionResponse {
  return { partitionIndex, errorCode: code, errorMessage, activeProducers: [] }
}
