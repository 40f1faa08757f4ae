import {
  deleteRecords,
  describeProducers,
  describeTopicPartitions,
  ZERO_UUID,
  type DescribeTopicPartitionsResponse,
} from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { PartitionMetadata } from '../cluster.js'
import { KafkaError } from '../kafka-error.js'
import { lookUpOffsets, type FoundOffset, type LookUpOptions, type OffsetQuery } from '../offset-lookup.js'
import { byTopic, partitionName, type TopicPartition } from '../topic-partition.js'
import {
  allOrThrow,
  answerName,
  inOrder,
  isPassing,
  unknownPartition,
  type AdminRequests,
  type Outcome,
} from './requests.js'
import { describe } from './topics.js'

export interface RecordDeletion extends TopicPartition {
  /** Records before this offset are deleted; `'latest'` deletes all that are committed. */
  readonly before: number | 'latest'
}

export interface DeletedRecords extends TopicPartition {
  /** Where the log begins now. */
  readonly logStartOffset: number
}

/** A producer that a partition remembers (KIP-664). */
export interface ActiveProducer {
  readonly producerId: number
  readonly producerEpoch: number
  /** Of its last record; −1 for none. */
  readonly lastSequence: number
  /** Of its last record, in ms since 1970; −1 for none. */
  readonly lastTimestamp: number
  /** Of the coordinator that last ended a transaction of it; −1 for none. */
  readonly coordinatorEpoch: number
  /** Where its open transaction begins; −1 for none. */
  readonly transactionStartOffset: number
}

export interface PartitionProducers extends TopicPartition {
  readonly producers: readonly ActiveProducer[]
}

/** A partition with what Metadata does not tell (KIP-966). */
export interface PartitionDescription extends PartitionMetadata {
  /** Replicas out of sync that may become leader all the same; null where the cluster does not know of them. */
  readonly eligibleLeaderReplicas: readonly number[] | null
  readonly lastKnownEligibleLeaderReplicas: readonly number[] | null
}

export interface TopicDescription {
  readonly name: string
  readonly topicId: string | null
  readonly isInternal: boolean
  readonly partitions: readonly PartitionDescription[]
}

type Cursor = NonNullable<DescribeTopicPartitionsResponse['nextCursor']>

// DeleteRecords' way to say: up to the high watermark.
const HIGH_WATERMARK = -1

export async function findOffsets(
  requests: AdminRequests,
  queries: readonly OffsetQuery[],
  options: LookUpOptions,
): Promise<FoundOffset[]> {
  if (queries.length === 0) return []
  const { signal } = options
  return requests.retrying(signal, isPassing, async () => {
    const topics = await describe(requests, [...byTopic(queries).keys()], signal)
    const counts = new Map(topics.map(({ name, partitions }) => [name, partitions.length]))
    for (const query of queries) {
      const count = counts.get(query.topic)!
      if (!(query.partition >= 0 && query.partition < count)) throw unknownPartition(query, count)
    }
    const outcomes = await lookUpOffsets(requests.cluster, queries, options)
    return outcomes.map((outcome) => {
      if (VarveError.is(outcome)) throw outcome
      return outcome
    })
  })
}

export async function removeRecords(
  requests: AdminRequests,
  deletions: readonly RecordDeletion[],
  signal: AbortSignal | undefined,
): Promise<DeletedRecords[]> {
  const { timeoutMs } = requests
  const outcomes = await requests.atLeaders(deletions, signal, async (connection, asked) => {
    const topics = [...byTopic(asked)].map(([name, partitions]) => ({
      name,
      partitions: partitions.map(({ partition, before }) => ({
        partitionIndex: partition,
        offset: before === 'latest' ? HIGH_WATERMARK : before,
      })),
    }))
    const response = await connection.request(deleteRecords, { topics, timeoutMs }, { signal })
    const answers = response.topics.flatMap(({ name, partitions }) =>
      partitions.map((answer) => ({ topic: name, ...answer })),
    )
    const keys = { item: partitionName, answer: answerName }
    return inOrder(
      asked,
      answers,
      keys,
      'DeleteRecords',
      ({ errorCode, lowWatermark }, where): Outcome<DeletedRecords> => {
        if (errorCode !== 0) return new KafkaError(errorCode, `Deleting records of ${partitionName(where)}`)
        return { topic: where.topic, partition: where.partition, logStartOffset: lowWatermark }
      },
    )
  })
  return allOrThrow(outcomes)
}

export async function listProducers(
  requests: AdminRequests,
  partitions: readonly TopicPartition[],
  signal: AbortSignal | undefined,
): Promise<PartitionProducers[]> {
  const outcomes = await requests.atLeaders(partitions, signal, async (connection, asked) => {
    const topics = [...byTopic(asked)].map(([name, found]) => ({
      name,
      partitionIndexes: found.map(({ partition }) => partition),
    }))
    const response = await connection.request(describeProducers, { topics }, { signal })
    const answers = response.topics.flatMap(({ name, partitions: found }) =>
      found.map((answer) => ({ topic: name, ...answer })),
    )
    const keys = { item: partitionName, answer: answerName }
    return inOrder(
      asked,
      answers,
      keys,
      'DescribeProducers',
      (answer, { topic, partition }): Outcome<PartitionProducers> => {
        const { errorCode, errorMessage, activeProducers } = answer
        const what = `Describing the producers of ${topic}-${partition}`
        if (errorCode !== 0) return new KafkaError(errorCode, what, errorMessage)
        const producers = activeProducers.map(({ currentTxnStartOffset, ...producer }): ActiveProducer => ({
          ...producer,
          transactionStartOffset: currentTxnStartOffset,
        }))
        return { topic, partition, producers }
      },
    )
  })
  return allOrThrow(outcomes)
}

export async function describePartitions(
  requests: AdminRequests,
  names: readonly string[],
  pageSize: number,
  signal: AbortSignal | undefined,
): Promise<TopicDescription[]> {
  if (names.length === 0) return []
  const isServed = await requests.anywhere(signal, async ({ versions }) =>
    versions.has(describeTopicPartitions.key),
  )
  if (!isServed) return describedByMetadata(requests, names, signal)
  const found = new Map<string, TopicDescription & { partitions: PartitionDescription[] }>()
  // The broker goes through the topics in this order, and its cursor stands for a place in it.
  const sorted = [...new Set(names)].sort()
  let cursor: Cursor | null = null
  do {
    const from: string = cursor?.topicName ?? ''
    const topics = sorted.filter((name) => name >= from).map((name) => ({ name }))
    const body = { topics, responsePartitionLimit: pageSize, cursor }
    const page: DescribeTopicPartitionsResponse = await requests.anywhere(signal, async (connection) =>
      connection.request(describeTopicPartitions, body, { signal }),
    )
    for (const topic of page.topics) {
      const name = topic.name ?? ''
      if (topic.errorCode !== 0) throw new KafkaError(topic.errorCode, `Describing topic '${name}'`)
      const { topicId, isInternal } = topic
      const known = found.get(name) ?? {
        name,
        topicId: topicId === ZERO_UUID ? null : topicId,
        isInternal,
        partitions: [],
      }
      found.set(name, known)
      known.partitions.push(...topic.partitions.map(partitionDescription))
    }
    checkProgress(cursor, page.nextCursor)
    cursor = page.nextCursor
  } while (cursor !== null)
  return allOrThrow(
    inOrder(
      names,
      found.values(),
      { item: (name) => name, answer: ({ name }) => name },
      'DescribeTopicPartitions',
      (topic) => topic,
    ),
  )
}

/** As far as brokers tell that are too old for DescribeTopicPartitions. */
async function describedByMetadata(
  requests: AdminRequests,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<TopicDescription[]> {
  const topics = await describe(requests, names, signal)
  return topics.map((topic) => ({
    ...topic,
    partitions: topic.partitions.map((partition) => ({
      ...partition,
      eligibleLeaderReplicas: null,
      lastKnownEligibleLeaderReplicas: null,
    })),
  }))
}

/** A cursor that stands still would be an endless loop. */
function checkProgress(before: Cursor | null, after: Cursor | null): void {
  if (before === null || after === null || after.topicName > before.topicName) return
  if (after.topicName === before.topicName && after.partitionIndex > before.partitionIndex) return
  throw new VarveError(
    'VARVE_INVALID_RESPONSE',
    `The broker's response to DescribeTopicPartitions does not get past ${after.topicName}-${after.partitionIndex}`,
  )
}

function partitionDescription(
  found: DescribeTopicPartitionsResponse['topics'][number]['partitions'][number],
): PartitionDescription {
  return {
    partition: found.partitionIndex,
    leader: found.leaderId,
    leaderEpoch: found.leaderEpoch,
    replicas: found.replicaNodes,
    isr: found.isrNodes,
    offlineReplicas: found.offlineReplicas,
    eligibleLeaderReplicas: found.eligibleLeaderReplicas,
    lastKnownEligibleLeaderReplicas: found.lastKnownElr,
  }
}
