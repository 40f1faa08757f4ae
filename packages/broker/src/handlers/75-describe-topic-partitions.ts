/**
 * DescribeTopicPartitions (75), version 0: topics in the order of their names, all of them where none is named, page by page.
 * A page has at most as many partitions as were asked for, and as `max.request.partition.size.limit` allows; the cursor
 * names the first of the next one. Unknown topics count for nothing.
 */
import {
  type DescribeTopicPartitionsRequest,
  type DescribeTopicPartitionsResponseInput,
  errors,
  ZERO_UUID,
} from '@varve/protocol'
import { topicNameProblem } from '@varve/log'
import { noBroker } from '@varve/replication'
import { allTopicOperations } from '../authorized-operations.js'
import type { ClusterView } from '../cluster-view.js'
import type { Partition } from '../partition.js'
import type { RequestContext } from '../request-context.js'
import { isCoordinatorsTopic } from '../topic-name.js'

type TopicResponse = DescribeTopicPartitionsResponseInput['topics'][number]

export function handleDescribeTopicPartitions(
  { topics: asked, responsePartitionLimit, cursor }: DescribeTopicPartitionsRequest,
  { broker }: RequestContext,
): DescribeTopicPartitionsResponseInput {
  const { topics: known, configs } = broker
  const all = asked.length === 0
  const names = all ? [...known.all()].map(({ name }) => name) : [...new Set(asked.map(({ name }) => name))]
  const fromCursor = names.sort().filter((name) => cursor === null || name >= cursor.topicName)
  let left = Math.max(1, Math.min(responsePartitionLimit, configs.number('max.request.partition.size.limit')))
  const topics: TopicResponse[] = []
  for (const name of fromCursor) {
    const topic = known.get(name)
    if (topic === undefined) {
      topics.push(unknown(name))
      continue
    }
    if (left === 0) return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: 0 } }
    const first = cursor?.topicName === name ? Math.max(0, cursor.partitionIndex) : 0
    const page = topic.partitions.slice(first, first + left)
    left -= page.length
    topics.push({
      errorCode: 0,
      name,
      topicId: topic.id,
      isInternal: isCoordinatorsTopic(name),
      partitions: page.map((partition) => describe(partition, broker.cluster)),
      topicAuthorizedOperations: allTopicOperations,
    })
    const next = first + page.length
    if (next < topic.partitions.length) {
      return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: next } }
    }
  }
  return { throttleTimeMs: 0, topics, nextCursor: null }
}

function describe(partition: Partition, cluster: ClusterView): TopicResponse['partitions'][number] {
  const { leaderEpoch, replicas, isr, eligibleLeaderReplicas, lastKnownLeader } = partition.state
  const leaderId = cluster.leaderOf(partition)
  return {
    errorCode: leaderId === noBroker ? errors.LEADER_NOT_AVAILABLE.code : 0,
    partitionIndex: partition.index,
    leaderId,
    leaderEpoch,
    replicaNodes: replicas,
    isrNodes: isr,
    eligibleLeaderReplicas,
    lastKnownElr: leaderId === noBroker && lastKnownLeader !== noBroker ? [lastKnownLeader] : [],
    offlineReplicas: cluster.offlineReplicas(partition),
  }
}

function unknown(name: string): TopicResponse {
  const isValid = topicNameProblem(name) === null
  const error = isValid ? errors.UNKNOWN_TOPIC_OR_PARTITION : errors.INVALID_TOPIC_EXCEPTION
  return {
    errorCode: error.code,
    name,
    topicId: ZERO_UUID,
    isInternal: isCoordinatorsTopic(name),
    partitions: [],
    ...(isValid && { topicAuthorizedOperations: allTopicOperations }),
  }
}
