import {
  createTopics,
  errors,
  ZERO_UUID,
  type CreateTopicsRequestInput,
  type CreateTopicsResponse,
} from '@varve/protocol'
import { VarveError } from '@varve/records'
import { systemClock, type Clock } from './clock.js'
import { Cluster, type ClusterOptions, type TopicMetadata } from './cluster.js'
import { KafkaError } from './kafka-error.js'
import { lookUpOffsets, type FoundOffset, type Isolation, type OffsetQuery } from './offset-lookup.js'

export type { PartitionMetadata, TopicMetadata } from './cluster.js'
export type { FoundOffset, OffsetQuery, OffsetSpec } from './offset-lookup.js'

export interface AdminOptions extends Pick<
  ClusterOptions,
  'brokers' | 'clientId' | 'connectTimeoutMs' | 'clock'
> {
  /** How long one request may take, in ms. Default 30 000. */
  requestTimeoutMs?: number
  /** How long a call goes on retrying what may pass, in ms. Default 30 000. */
  timeoutMs?: number
}

export interface NewTopic {
  readonly name: string
  /** Default: the broker's. */
  readonly partitions?: number
  /** Default: the broker's. */
  readonly replicationFactor?: number
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

export interface CallOptions {
  signal?: AbortSignal
}

type TopicRequest = CreateTopicsRequestInput['topics'][number]

const RETRY_MS = 100
// The first version in which a broker fills in its own defaults.
const DEFAULTS_FROM_VERSION = 4

/** Looks after topics. Every method connects by itself and retries errors that may pass until `timeoutMs` is over. */
export class Admin {
  private readonly cluster: Cluster
  private readonly clock: Clock
  private readonly timeoutMs: number

  /** @throws VarveError `VARVE_INVALID_OPTION` */
  constructor(options: AdminOptions) {
    const { brokers, clientId, connectTimeoutMs, requestTimeoutMs, clock, timeoutMs = 30_000 } = options
    this.cluster = new Cluster({ brokers, clientId, connectTimeoutMs, requestTimeoutMs, clock })
    this.clock = clock ?? systemClock
    this.timeoutMs = timeoutMs
  }

  /**
   * Creates topics, or with `validateOnly` only says whether it would work.
   *
   * @throws KafkaError of the first topic that failed (e.g. TOPIC_ALREADY_EXISTS, INVALID_CONFIG), with an
   * AggregateError of all as its `cause` when several did; the other topics of the call have been created.
   */
  async createTopics(
    topics: readonly NewTopic[],
    options: CallOptions & { validateOnly?: boolean } = {},
  ): Promise<CreatedTopic[]> {
    const { validateOnly = false, signal } = options
    if (topics.length === 0) return []
    const response = await this.retrying(signal, isNotController, async () => {
      // Metadata is what says which broker is the controller.
      await this.cluster.refresh([], { signal })
      const connection = await this.cluster.controllerConnection()
      const version = connection.versionOf(createTopics)
      const body = {
        topics: topics.map((topic) => requestOf(topic, version)),
        timeoutMs: this.timeoutMs,
        validateOnly,
      }
      const response = await connection.request(createTopics, body, { signal })
      const moved = response.topics.find(({ errorCode }) => errorCode === errors.NOT_CONTROLLER.code)
      if (moved !== undefined) throw new KafkaError(moved.errorCode, `Creating topic '${moved.name}'`)
      return response
    })
    const outcomes = topics.map(({ name }) => createdTopic(name, response))
    const failures = outcomes.filter((outcome) => outcome instanceof VarveError)
    if (failures.length > 1)
      failures[0]!.cause = new AggregateError(failures, 'Several topics could not be created')
    if (failures[0] !== undefined) throw failures[0]
    return outcomes as CreatedTopic[]
  }

  /** All topics, by name. */
  async listTopics(options: CallOptions = {}): Promise<TopicMetadata[]> {
    const { signal } = options
    return this.retrying(signal, isPassing, async () => {
      const { topics } = await this.cluster.refresh(null, { signal })
      return [...topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    })
  }

  /** @throws KafkaError, e.g. UNKNOWN_TOPIC_OR_PARTITION. */
  async describeTopics(names: readonly string[], options: CallOptions = {}): Promise<TopicMetadata[]> {
    const { signal } = options
    if (names.length === 0) return []
    return this.retrying(signal, isPassing, async () => this.describe(names, signal))
  }

  /**
   * Looks up offsets by time. `latest` is the offset after the last record.
   *
   * @throws KafkaError; `VARVE_UNKNOWN_PARTITION`
   */
  async listOffsets(
    queries: readonly OffsetQuery[],
    options: CallOptions & { isolation?: Isolation } = {},
  ): Promise<FoundOffset[]> {
    const { isolation = 'read_uncommitted', signal } = options
    if (queries.length === 0) return []
    return this.retrying(signal, isPassing, async () => {
      const topics = await this.describe([...new Set(queries.map(({ topic }) => topic))], signal)
      const counts = new Map(topics.map(({ name, partitions }) => [name, partitions.length]))
      for (const { topic, partition } of queries) {
        const count = counts.get(topic)!
        if (partition >= 0 && partition < count) continue
        throw new VarveError(
          'VARVE_UNKNOWN_PARTITION',
          `Topic '${topic}' has no partition ${partition}: it has ${count}`,
        )
      }
      const outcomes = await lookUpOffsets(this.cluster, queries, isolation, signal)
      return outcomes.map((outcome) => {
        if (VarveError.is(outcome)) throw outcome
        return outcome
      })
    })
  }

  /** Closes the connections; calls under way are rejected. */
  async close(): Promise<void> {
    this.cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private async describe(
    names: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<TopicMetadata[]> {
    const { topics, errors: failed } = await this.cluster.refresh(names, { signal })
    return names.map((name) => {
      const topic = topics.get(name)
      if (topic !== undefined) return topic
      throw new KafkaError(
        failed.get(name) ?? errors.UNKNOWN_TOPIC_OR_PARTITION.code,
        `Describing topic '${name}'`,
      )
    })
  }

  private async retrying<T>(
    signal: AbortSignal | undefined,
    mayRetry: (error: unknown) => boolean,
    attempt: () => Promise<T>,
  ): Promise<T> {
    const until = this.clock.now() + this.timeoutMs
    for (;;) {
      signal?.throwIfAborted()
      try {
        return await attempt()
      } catch (error) {
        if (!mayRetry(error) || this.clock.now() + RETRY_MS >= until) throw error
      }
      await new Promise<void>((resolve) => this.clock.after(RETRY_MS, resolve))
    }
  }
}

function isNotController(error: unknown): boolean {
  return error instanceof KafkaError && error.kafkaCode === errors.NOT_CONTROLLER.code
}

/** Leaders move and connections end; but a topic that is not there, or a cluster, is an answer to these questions. */
function isPassing(error: unknown): boolean {
  if (!VarveError.is(error) || !error.retriable || error.code === 'VARVE_NO_BROKER') return false
  return !(error instanceof KafkaError && error.kafkaCode === errors.UNKNOWN_TOPIC_OR_PARTITION.code)
}

function requestOf(
  { name, partitions, replicationFactor, configs }: NewTopic,
  version: number,
): TopicRequest {
  const fallback = version >= DEFAULTS_FROM_VERSION ? -1 : 1
  return {
    name,
    numPartitions: partitions ?? fallback,
    replicationFactor: replicationFactor ?? fallback,
    assignments: [],
    configs: Object.entries(configs ?? {}).map(([setting, value]) => ({ name: setting, value })),
  }
}

function createdTopic(name: string, response: CreateTopicsResponse): CreatedTopic | VarveError {
  const topic = response.topics.find((candidate) => candidate.name === name)
  if (topic === undefined) {
    return new VarveError(
      'VARVE_INVALID_RESPONSE',
      `The broker's response to CreateTopics does not name '${name}'`,
    )
  }
  if (topic.errorCode !== 0)
    return new KafkaError(topic.errorCode, `Creating topic '${name}'`, topic.errorMessage)
  const { topicId, numPartitions, replicationFactor } = topic
  return {
    name,
    topicId: topicId === ZERO_UUID ? null : topicId,
    partitions: numPartitions,
    replicationFactor,
  }
}
