import { listOffsets, type ListOffsetsResponse } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Cluster } from './cluster.js'
import { KafkaError } from './kafka-error.js'

/** A time in ms since 1970, the two ends of the log, or the record with the highest timestamp. */
export type OffsetSpec = number | 'earliest' | 'latest' | 'maxTimestamp'

export type Isolation = 'read_uncommitted' | 'read_committed'

export interface OffsetQuery {
  readonly topic: string
  readonly partition: number
  readonly timestamp: OffsetSpec
}

export interface FoundOffset {
  readonly topic: string
  readonly partition: number
  /** −1 where no record is as late as the time asked for. */
  readonly offset: number
  /** Of the record found, in ms since 1970; −1 for the ends of the log. */
  readonly timestamp: number
}

// Kafka's names for these negative timestamps: LATEST, EARLIEST, MAX_TIMESTAMP.
const specs = { latest: -1, earliest: -2, maxTimestamp: -3 }
const MAX_TIMESTAMP_FROM_VERSION = 7

export const isolationLevel = (isolation: Isolation): number => (isolation === 'read_committed' ? 1 : 0)

// As whom a question comes: a consumer asks leaders, Kafka's own tools may ask any replica, and are told of its log's end.
const CONSUMER = -1
const DEBUGGING_REPLICA = -2

export interface LookUpOptions {
  readonly isolation: Isolation
  /** The broker to ask, leader or not, instead of each partition's leader. */
  readonly replicaOn?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Asks the leader of every query's partition once. The outcome of each query is in its place: what was found, or why
 * it was not.
 */
export async function lookUpOffsets(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  options: LookUpOptions,
): Promise<Array<FoundOffset | VarveError>> {
  const outcomes: Array<FoundOffset | VarveError> = []
  const requests = new Map<string, { leader: number; indexes: number[] }>()
  const asked = new Map<string, number>()
  queries.forEach(({ topic, partition }, index) => {
    const leader = options.replicaOn ?? cluster.leaderOf(topic, partition)
    if (leader === undefined) {
      outcomes[index] = noLeader(topic, partition)
      return
    }
    // A request may name a partition once: the second question about it goes into a second request.
    const times = asked.get(`${topic}-${partition}`) ?? 0
    asked.set(`${topic}-${partition}`, times + 1)
    const request = requests.get(`${leader}/${times}`) ?? { leader, indexes: [] }
    requests.set(`${leader}/${times}`, request)
    request.indexes.push(index)
  })
  await Promise.all(
    [...requests.values()].map(async ({ leader, indexes }) => {
      try {
        const asking = indexes.map((index) => queries[index]!)
        const found = await ask(cluster, leader, asking, options)
        indexes.forEach((index, position) => (outcomes[index] = found[position]!))
      } catch (error) {
        if (!VarveError.is(error)) throw error
        for (const index of indexes) outcomes[index] = error
      }
    }),
  )
  return outcomes
}

async function ask(
  cluster: Cluster,
  leader: number,
  queries: readonly OffsetQuery[],
  { isolation, replicaOn, signal }: LookUpOptions,
): Promise<Array<FoundOffset | VarveError>> {
  const connection = await cluster.connectionTo(leader)
  const version = connection.versionOf(listOffsets)
  if (version < MAX_TIMESTAMP_FROM_VERSION && queries.some(({ timestamp }) => timestamp === 'maxTimestamp')) {
    throw new VarveError(
      'VARVE_UNSUPPORTED_VERSION',
      `The broker at ${connection.address} is too old to be asked for the highest timestamp`,
    )
  }
  const topics = [...new Set(queries.map(({ topic }) => topic))].map((name) => ({
    name,
    partitions: queries
      .filter(({ topic }) => topic === name)
      .map(({ partition, timestamp }) => ({
        partitionIndex: partition,
        // Whoever was the leader before must not answer.
        currentLeaderEpoch:
          replicaOn === undefined ? (cluster.partition(name, partition)?.leaderEpoch ?? -1) : -1,
        timestamp: typeof timestamp === 'number' ? timestamp : specs[timestamp],
      })),
  }))
  const replicaId = replicaOn === undefined ? CONSUMER : DEBUGGING_REPLICA
  const response = await connection.request(
    listOffsets,
    { replicaId, isolationLevel: isolationLevel(isolation), topics, timeoutMs: 30_000 },
    { signal },
  )
  const answers = new Map<string, ListOffsetsResponse['topics'][number]['partitions'][number]>()
  for (const { name, partitions } of response.topics) {
    for (const answer of partitions) answers.set(`${name}-${answer.partitionIndex}`, answer)
  }
  return queries.map(({ topic, partition }) => {
    const answer = answers.get(`${topic}-${partition}`)
    if (answer === undefined) {
      const problem = `The broker's response to ListOffsets says nothing about ${topic}-${partition}`
      return new VarveError('VARVE_INVALID_RESPONSE', problem)
    }
    const { errorCode, offset, timestamp } = answer
    if (errorCode !== 0) return new KafkaError(errorCode, `Looking up an offset of ${topic}-${partition}`)
    return { topic, partition, offset, timestamp }
  })
}

function noLeader(topic: string, partition: number): VarveError {
  return new VarveError('VARVE_NO_LEADER', `No leader of ${topic}-${partition} is known`, { retriable: true })
}
