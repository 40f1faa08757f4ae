import { placeReplicas } from '@varve/partitioning'
import type { ClusterImage } from '../cluster-image.js'
import { encodeTopicRegistration, topicKey, type TopicRegistration } from '../metadata-keys.js'
import { putMissingPartitions, type NewPartitions } from './partition-puts.js'
import { placementBrokers, type ReplicaSpread } from './placement.js'
import { targetReplicas } from './reassignment.js'
import { resultOf, type ControllerErrorName, type CreatePartitionsRequest } from './request.js'
import { configuredMinimum } from './topic-configs.js'
import { checkedAssignments } from './topic-creation.js'
import type { PendingRequest, RequestStep } from './pending-request.js'

/**
 * The creation of more partitions of a topic. Their number is put together with them, and with as many as go into one transaction each time: one
 * that the topic did not count and an interrupted request left behind could not be removed, since the partition that came in its place would
 * begin in the same leader epoch.
 */
export class PartitionCreation implements PendingRequest {
  readonly #request: CreatePartitionsRequest
  readonly #image: ClusterImage
  readonly #spread: ReplicaSpread
  readonly #defaultMinInsyncReplicas: number
  #partitions: NewPartitions | null = null

  constructor(
    request: CreatePartitionsRequest,
    image: ClusterImage,
    spread: ReplicaSpread,
    defaultMinInsyncReplicas: number,
  ) {
    this.#request = request
    this.#image = image
    this.#spread = spread
    this.#defaultMinInsyncReplicas = defaultMinInsyncReplicas
  }

  get topic(): string {
    return this.#request.name
  }

  get partitions(): NewPartitions | null {
    return this.#partitions
  }

  next(): RequestStep {
    const { name, count } = this.#request
    const topic = this.#image.topics.get(name)
    if (topic === undefined || (this.#partitions !== null && this.#partitions.topicId !== topic.topicId)) {
      return { kind: 'done', result: resultOf('UNKNOWN_TOPIC_OR_PARTITION') }
    }
    if (topic.partitions >= count) {
      return { kind: 'done', result: resultOf(this.#partitions === null ? 'INVALID_PARTITIONS' : null) }
    }
    if (this.#partitions === null) {
      const assignments = this.#assignments(topic)
      if (typeof assignments === 'string') {
        return { kind: 'done', result: resultOf(assignments) }
      }
      this.#spread.placed(assignments)
      this.#partitions = { topicId: topic.topicId, first: topic.partitions, assignments }
    }
    const minimum = configuredMinimum(topic.configs, this.#defaultMinInsyncReplicas)
    const { compares, puts } = putMissingPartitions(this.#image, this.#partitions, minimum)!
    const value = encodeTopicRegistration({ ...topic, partitions: topic.partitions + puts.length })
    return {
      kind: 'transaction',
      transaction: {
        compares: [...compares, { key: topicKey(name), revision: topic.revision }],
        puts: [...puts, { key: topicKey(name), value }],
      },
    }
  }

  #assignments({
    topicId,
    partitions,
  }: TopicRegistration): readonly (readonly number[])[] | ControllerErrorName {
    const { count, assignments } = this.#request
    const [first] = this.#image.partitionsOfTopic(topicId).values()
    const replicationFactor = first === undefined ? 1 : targetReplicas(first).length
    if (assignments !== undefined) {
      return assignments.length === count - partitions
        ? checkedAssignments(assignments, replicationFactor, this.#image)
        : 'INVALID_REPLICA_ASSIGNMENT'
    }
    const brokers = placementBrokers(this.#image)
    if (replicationFactor > brokers.length) {
      return 'INVALID_REPLICATION_FACTOR'
    }
    const existing = this.#spread.ofTopic(topicId)
    const others = this.#spread.all.without(existing)
    return placeReplicas({ brokers, existing, others, partitions: count - partitions, replicationFactor })
  }
}
