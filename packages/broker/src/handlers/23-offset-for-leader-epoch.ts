/**
 * OffsetForLeaderEpoch (23), versions 2 to 4: where a leader epoch ends, for a consumer that wants to know whether what it
 * has read was truncated (KIP-320). An epoch later than the current one is answered with -1 and -1, as in
 * Kafka, by a broker that is alone. In a cluster somebody else leads by now, and its consumers would start over: UNKNOWN_LEADER_EPOCH.
 */
import {
  errors,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponseInput,
} from '@varve/protocol'
import { elementsPerTurn, nextTurn } from '../event-loop.js'
import { type KafkaError, kafkaReadErrorOf } from '../kafka-error.js'
import type { Partition } from '../partition.js'
import type { RequestContext } from '../request-context.js'

type PartitionRequest = OffsetForLeaderEpochRequest['topics'][number]['partitions'][number]
type PartitionResponse = NonNullable<
  OffsetForLeaderEpochResponseInput['topics']
>[number]['partitions'][number]

export async function handleOffsetForLeaderEpoch(
  request: OffsetForLeaderEpochRequest,
  { broker }: RequestContext,
): Promise<OffsetForLeaderEpochResponseInput> {
  const topics = []
  let answered = 0
  for (const { topic, partitions } of request.topics) {
    const found = broker.topics.get(topic)
    const responses: PartitionResponse[] = []
    for (const asked of partitions) {
      responses.push(answer(asked, found?.partitions[asked.partition]))
      if (++answered % elementsPerTurn === 0) await nextTurn()
    }
    topics.push({ topic, partitions: responses })
  }
  return { throttleTimeMs: 0, topics }
}

function answer(asked: PartitionRequest, partition: Partition | undefined): PartitionResponse {
  if (partition === undefined) return refused(asked, errors.UNKNOWN_TOPIC_OR_PARTITION)
  if (partition.isOffline) return refused(asked, errors.KAFKA_STORAGE_ERROR)
  const fenced = partition.clientError(asked.currentLeaderEpoch, false, asked.leaderEpoch)
  if (fenced !== null) return refused(asked, fenced)
  // Before every epoch, so that it ends where the log begins.
  if (asked.leaderEpoch < -1) {
    const { leaderEpoch, partition: index } = asked
    return { errorCode: 0, partition: index, leaderEpoch, endOffset: partition.logStartOffset }
  }
  try {
    const end = partition.endOffsetForEpoch(asked.leaderEpoch)
    const [leaderEpoch, endOffset] = end === null ? [-1, -1] : [end.epoch, end.endOffset]
    return { errorCode: 0, partition: asked.partition, leaderEpoch, endOffset }
  } catch (error) {
    return refused(asked, kafkaReadErrorOf(error))
  }
}

function refused({ partition }: PartitionRequest, { code }: KafkaError): PartitionResponse {
  return { errorCode: code, partition }
}
