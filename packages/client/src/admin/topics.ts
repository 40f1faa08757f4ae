import {
  createPartitions,
  createTopics,
  deleteTopics,
  errors,
  ZERO_UUID,
  type CreateTopicsRequestInput,
  type CreateTopicsResponse,
} from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { TopicMetadata } from '../cluster.js'
import { KafkaError } from '../kafka-error.js'
import { allOrThrow, inOrder, isPassing, throwIfMoved, type AdminRequests } from './requests.js'

export interface NewTopic {
  readonly name: string
  /** Default: the broker's. */
  readonly partitions?: number
  /** Default: the broker's. */
  readonly replicationFactor?: number
  /**
   * The node ids that shall have each partition, the preferred leader first; instead of `partitions` and
   * `replicationFactor`.
   */
  readonly replicas?: ReadonlyArray<readonly number[]>
  /** Kafka's topic settings by name, e.g. `{ 'cleanup.policy': 'compact' }`. */
  readonly configs?: Readonly<Record<string, string | null>>
}

export interface CreatedTopic {
  readonly name: string
  /** Null where the broker is too old to say. */
  readonly topicId: string | null
  /** −1 where the broker is too old to say. */
  readonly partitions: number
  readonly replicationFactor: number
}

export interface NewPartitions {
  readonly topic: string
  /** How many partitions there shall be, those that there are included. */
  readonly count: number
  /** The node ids that shall have each new partition, the preferred leader first. Default: the broker chooses. */
  readonly replicas?: ReadonlyArray<readonly number[]>
}

type TopicRequest = CreateTopicsRequestInput['topics'][number]

// The first version in which a broker fills in its own defaults.
const DEFAULTS_FROM_VERSION = 4
// The first version that takes topics as structs, by name or by id.
const TOPIC_STRUCTS_FROM_VERSION = 6

export async function create(
  requests: AdminRequests,
  topics: readonly NewTopic[],
  validateOnly: boolean,
  signal: AbortSignal | undefined,
): Promise<CreatedTopic[]> {
  if (topics.length === 0) return []
  topics.forEach(checkReplicas)
  const response = await requests.atController(signal, async (connection) => {
    const version = connection.versionOf(createTopics)
    const body = {
      topics: topics.map((topic) => requestOf(topic, version)),
      timeoutMs: requests.timeoutMs,
      validateOnly,
    }
    const answer = await connection.request(createTopics, body, { signal })
    for (const { name, errorCode } of answer.topics) throwIfMoved(errorCode, creating(name))
    return answer
  })
  const keys = { item: ({ name }: NewTopic) => name, answer: ({ name }: { name: string }) => name }
  return allOrThrow(inOrder(topics, response.topics, keys, 'CreateTopics', createdTopic))
}

export async function remove(
  requests: AdminRequests,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  if (names.length === 0) return
  const what = (name: string): string => `Deleting topic '${name}'`
  const { responses } = await requests.atController(signal, async (connection) => {
    const hasStructs = connection.versionOf(deleteTopics) >= TOPIC_STRUCTS_FROM_VERSION
    const topics = hasStructs ? { topics: names.map((name) => ({ name })) } : { topicNames: names }
    const answer = await connection.request(
      deleteTopics,
      { ...topics, timeoutMs: requests.timeoutMs },
      { signal },
    )
    for (const { name, errorCode } of answer.responses) throwIfMoved(errorCode, what(name ?? ''))
    return answer
  })
  const keys = {
    item: (name: string) => name,
    answer: ({ name }: { name: string | null }) => name ?? '',
  }
  const outcomes = inOrder(names, responses, keys, 'DeleteTopics', ({ errorCode, errorMessage }, name) =>
    errorCode === 0 ? undefined : new KafkaError(errorCode, what(name), errorMessage),
  )
  allOrThrow(outcomes)
}

export async function addPartitions(
  requests: AdminRequests,
  topics: readonly NewPartitions[],
  validateOnly: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (topics.length === 0) return
  const what = (name: string): string => `Adding partitions to topic '${name}'`
  const { results } = await requests.atController(signal, async (connection) => {
    const body = {
      topics: topics.map(({ topic, count, replicas }) => ({
        name: topic,
        count,
        assignments: replicas?.map((brokerIds) => ({ brokerIds })) ?? null,
      })),
      timeoutMs: requests.timeoutMs,
      validateOnly,
    }
    const answer = await connection.request(createPartitions, body, { signal })
    for (const { name, errorCode } of answer.results) throwIfMoved(errorCode, what(name))
    return answer
  })
  const keys = {
    item: ({ topic }: NewPartitions) => topic,
    answer: ({ name }: { name: string }) => name,
  }
  const outcomes = inOrder(topics, results, keys, 'CreatePartitions', ({ errorCode, errorMessage }, topic) =>
    errorCode === 0 ? undefined : new KafkaError(errorCode, what(topic.topic), errorMessage),
  )
  allOrThrow(outcomes)
}

export async function list(
  requests: AdminRequests,
  signal: AbortSignal | undefined,
): Promise<TopicMetadata[]> {
  return requests.retrying(signal, isPassing, async () => {
    const { topics } = await requests.cluster.refresh(null, { signal })
    return [...topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  })
}

export async function describe(
  requests: AdminRequests,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<TopicMetadata[]> {
  if (names.length === 0) return []
  return requests.retrying(signal, isPassing, async () => {
    const { topics, errors: failed } = await requests.cluster.refresh(names, { signal })
    return names.map((name) => {
      const topic = topics.get(name)
      if (topic !== undefined) return topic
      const errorCode = failed.get(name) ?? errors.UNKNOWN_TOPIC_OR_PARTITION.code
      throw new KafkaError(errorCode, `Describing topic '${name}'`)
    })
  })
}

const creating = (name: string): string => `Creating topic '${name}'`

function checkReplicas({ name, partitions, replicationFactor, replicas }: NewTopic): void {
  if (replicas === undefined || (partitions === undefined && replicationFactor === undefined)) return
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `Topic '${name}' has 'replicas', which say how many partitions and replicas there are; leave 'partitions' and 'replicationFactor' out`,
  )
}

function requestOf(topic: NewTopic, version: number): TopicRequest {
  const { name, partitions, replicationFactor, replicas, configs } = topic
  const fallback = version >= DEFAULTS_FROM_VERSION || replicas !== undefined ? -1 : 1
  return {
    name,
    numPartitions: partitions ?? fallback,
    replicationFactor: replicationFactor ?? fallback,
    assignments: (replicas ?? []).map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
    configs: Object.entries(configs ?? {}).map(([setting, value]) => ({ name: setting, value })),
  }
}

function createdTopic(topic: CreateTopicsResponse['topics'][number]): CreatedTopic | VarveError {
  const { name, errorCode, errorMessage, topicId, numPartitions, replicationFactor } = topic
  if (errorCode !== 0) return new KafkaError(errorCode, creating(name), errorMessage)
  return {
    name,
    topicId: topicId === ZERO_UUID ? null : topicId,
    partitions: numPartitions,
    replicationFactor,
  }
}
