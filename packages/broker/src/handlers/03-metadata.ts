/**
 * Metadata (3), versions 0 to 13.
 *
 * Topics that do not exist are created on the way where the broker, the request (version 4 on) and the name allow it.
 * Unlike Kafka, which answers UNKNOWN_TOPIC_OR_PARTITION while its controller is at work, the answer waits for the
 * creation and then names the partitions. One request creates at most 100 topics, so that one frame of names cannot fill
 * a disk with directories; the rest are answered UNKNOWN_TOPIC_OR_PARTITION, and a client that asks again gets them.
 * There is no authorizer: authorized operations are all of them, as in Kafka without one.
 */
import { topicNameProblem } from '@varve/log'
import { errors, type MetadataRequest, type MetadataResponseInput, ZERO_UUID } from '@varve/protocol'
import { noBroker } from '@varve/replication'
import { errorFields } from '../broker-log.js'
import { VarveError } from '@varve/records'
import { aliveNodes } from '../cluster-view.js'
import { allClusterOperations, allTopicOperations, operationsNotAsked } from '../authorized-operations.js'
import type { KafkaError } from '../kafka-error.js'
import { refusalOf } from '../refusal.js'
import { aboutRequest, type RequestContext } from '../request-context.js'
import { storageFailureText } from '../storage-failure.js'
import { isCoordinatorsTopic, isInternalTopic } from '../topic-name.js'
import type { Topic } from '../topic.js'

const mostCreations = 100

type ResponseTopic = NonNullable<MetadataResponseInput['topics']>[number]

export async function handleMetadata(
  request: MetadataRequest,
  context: RequestContext,
): Promise<MetadataResponseInput> {
  const { broker, endpoint, apiVersion } = context
  const asked = request.topics
  const all = asked === null || (apiVersion === 0 && asked.length === 0)
  const topics: ResponseTopic[] = []
  if (all) {
    for (const topic of broker.topics.all()) topics.push(describe(topic, request, context))
  } else if (apiVersion < 12 && asked.some(({ name, topicId }) => name === null || topicId !== ZERO_UUID)) {
    // The fields exist from version 10 on, but Kafka serves them from 12 on and refuses the whole request before.
    return refused(asked.map(({ name, topicId }) => unknown(errors.INVALID_REQUEST, name ?? '', topicId)))
  } else if (asked.some(({ name, topicId }) => name === null && topicId === ZERO_UUID)) {
    return refused([])
  } else if (asked.some(({ topicId }) => topicId !== ZERO_UUID)) {
    const ids = new Set(asked.map(({ topicId }) => topicId).filter((id) => id !== ZERO_UUID))
    for (const id of ids) {
      const topic = broker.topics.getById(id)
      topics.push(
        topic === undefined ? unknown(errors.UNKNOWN_TOPIC_ID, null, id) : describe(topic, request, context),
      )
    }
  } else {
    let creations = broker.autoCreateTopics && request.allowAutoTopicCreation ? mostCreations : 0
    for (const name of new Set(asked.map((topic) => topic.name!))) {
      let topic: Topic | KafkaError | undefined = broker.topics.get(name)
      if (topic === undefined) topic = await createIfAllowed(name, creations-- > 0, context)
      topics.push('code' in topic ? unknown(topic, name, ZERO_UUID) : describe(topic, request, context))
    }
  }
  return {
    brokers: aliveNodes(broker.cluster, endpoint, broker.nodeId),
    clusterId: broker.clusterId,
    controllerId: broker.cluster.controllerId,
    topics,
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? allClusterOperations
      : operationsNotAsked,
    errorCode: 0,
  }
}

/** The answer to a request that is wrong as a whole, which tells nothing of the cluster. */
function refused(topics: ResponseTopic[]): MetadataResponseInput {
  return { brokers: [], topics, errorCode: errors.INVALID_REQUEST.code }
}

async function createIfAllowed(
  name: string,
  allowed: boolean,
  context: RequestContext,
): Promise<Topic | KafkaError> {
  const { broker } = context
  if (topicNameProblem(name) !== null) return errors.INVALID_TOPIC_EXCEPTION
  if (!allowed || isInternalTopic(name)) return errors.UNKNOWN_TOPIC_OR_PARTITION
  await broker.topics.settled(name)
  const existing = broker.topics.get(name)
  if (existing !== undefined) return existing
  if (broker.topics.collidingWith(name) !== undefined) return errors.INVALID_TOPIC_EXCEPTION
  try {
    return await broker.topics.create(name, { partitions: broker.defaultPartitions })
  } catch (error) {
    if (VarveError.is(error) && error.code === 'VARVE_TOPIC_EXISTS') return errors.UNKNOWN_TOPIC_OR_PARTITION
    broker.log(
      'error',
      `could not create the topic ${name}: ${storageFailureText(error, 'ask for it again')}`,
      { topic: name, ...aboutRequest(context), ...errorFields(error) },
    )
    return refusalOf(error).error
  }
}

function describe(topic: Topic, request: MetadataRequest, { broker }: RequestContext): ResponseTopic {
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.id,
    isInternal: isCoordinatorsTopic(topic.name),
    partitions: topic.partitions.map((partition) => {
      const leaderId = broker.cluster.leaderOf(partition)
      const { leaderEpoch, replicas, isr } = partition.state
      return {
        errorCode: leaderId === noBroker ? errors.LEADER_NOT_AVAILABLE.code : 0,
        partitionIndex: partition.index,
        leaderId,
        leaderEpoch,
        replicaNodes: replicas,
        isrNodes: isr,
        offlineReplicas: broker.cluster.offlineReplicas(partition),
      }
    }),
    topicAuthorizedOperations: request.includeTopicAuthorizedOperations
      ? allTopicOperations
      : operationsNotAsked,
  }
}

function unknown(error: KafkaError, name: string | null, topicId: string): ResponseTopic {
  return {
    errorCode: error.code,
    name,
    topicId,
    isInternal: name !== null && isCoordinatorsTopic(name),
    partitions: [],
  }
}
