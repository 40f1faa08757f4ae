import { placeReplicas } from '@varve/partitioning'
import type { ClusterImage } from '../cluster-image.js'
import { encodeTopicRegistration, partitionKey, topicKey } from '../metadata-keys.js'
import type { MetadataTransaction } from '../metadata-store.js'
import { putMissingPartitions, type NewPartitions } from './partition-puts.js'
import { isValidAssignment, placementBrokers, type ReplicaSpread } from './placement.js'
import { resultOf, type ControllerErrorName, type CreateTopicRequest } from './request.js'
import { areValidConfigs, configuredMinimum } from './topic-configs.js'
import type { PendingRequest, RequestStep } from './pending-request.js'

/** The creation of a topic: its partitions first, and the topic last, so that it is there as a whole. */
export class TopicCreation implements PendingRequest {
  readonly #request: CreateTopicRequest
  readonly #image: ClusterImage
  readonly #spread: ReplicaSpread
  readonly #defaultMinInsyncReplicas: number
  #partitions: NewPartitions | null = null

  constructor(
    request: CreateTopicRequest,
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

  next(): RequestStep {
    const { name, topicId, configs = {} } = this.#request
    const existing = this.#image.topics.get(name)
    if (existing !== undefined) {
      const isOurs = existing.topicId === topicId && this.#partitions !== null
      return { kind: 'done', result: resultOf(isOurs ? null : 'TOPIC_ALREADY_EXISTS') }
    }
    if (this.#partitions === null) {
      const assignments = this.#assignments()
      if (typeof assignments === 'string') {
        return { kind: 'done', result: resultOf(assignments) }
      }
      this.#spread.placed(assignments)
      this.#partitions = { topicId, first: 0, assignments }
    }
    const minimum = configuredMinimum(configs, this.#defaultMinInsyncReplicas)
    const missing = putMissingPartitions(this.#image, this.#partitions, minimum)
    return { kind: 'transaction', transaction: missing ?? this.#putTopic(this.#partitions) }
  }

  get partitions(): NewPartitions | null {
    return this.#partitions
  }

  makes(topicId: string, partition: number): boolean {
    return this.#partitions?.topicId === topicId && partition < this.#partitions.assignments.length
  }

  /**
   * Compared with a partition, too, as it is now: a put that is applied late, when the topic has been made and deleted again, would
   * find its name free, but never that partition.
   */
  #putTopic({ topicId, assignments }: NewPartitions): MetadataTransaction {
    const { name, configs = {} } = this.#request
    const first = this.#image.partition(topicId, 0)!
    return {
      compares: [
        { key: topicKey(name), revision: 0 },
        { key: partitionKey(topicId, 0), revision: first.partitionEpoch },
      ],
      puts: [
        {
          key: topicKey(name),
          value: encodeTopicRegistration({ topicId, partitions: assignments.length, configs }),
        },
      ],
    }
  }

  #assignments(): readonly (readonly number[])[] | ControllerErrorName {
    const { partitions, configs = {} } = this.#request
    if (!areValidConfigs(configs)) {
      return 'INVALID_CONFIG'
    }
    const brokers = placementBrokers(this.#image)
    if ('assignments' in partitions) {
      return checkedAssignments(partitions.assignments, partitions.assignments[0]?.length ?? 0, this.#image)
    }
    const { count, replicationFactor } = partitions
    if (!isCount(count)) {
      return 'INVALID_PARTITIONS'
    }
    if (!isCount(replicationFactor) || replicationFactor > brokers.length) {
      return 'INVALID_REPLICATION_FACTOR'
    }
    return placeReplicas({ brokers, partitions: count, replicationFactor, others: this.#spread.all })
  }
}

/** Replicas named by hand: as many for each partition, of brokers that are registered, and one of them available. */
export function checkedAssignments(
  assignments: readonly (readonly number[])[],
  replicationFactor: number,
  image: ClusterImage,
): readonly (readonly number[])[] | ControllerErrorName {
  if (assignments.length === 0) {
    return 'INVALID_PARTITIONS'
  }
  const available = new Set(placementBrokers(image).map(({ id }) => id))
  const areValid = assignments.every(
    (replicas) =>
      replicas.length === replicationFactor &&
      isValidAssignment(replicas, (id) => image.brokers.has(id)) &&
      replicas.some((id) => available.has(id)),
  )
  return areValid ? assignments : 'INVALID_REPLICA_ASSIGNMENT'
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}
