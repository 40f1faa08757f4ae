/**
 * ListOffsets (2), versions 1 to 11.
 *
 * Consumers see offsets up to the high watermark, for read_committed up to the last stable offset; brokers see the log's
 * end. A new leader answers OFFSET_NOT_AVAILABLE until its high watermark has reached its epoch (KIP-207). There is no tiered storage: "earliest local" is the log's start,
 * "latest tiered" and "earliest pending upload" are answered with offset -1, as in a Kafka without it. A special
 * timestamp that the request's version does not know is answered UNSUPPORTED_VERSION.
 */
import { errors, type ListOffsetsRequest, type ListOffsetsResponseInput } from '@varve/protocol'
import { elementsPerTurn, nextTurn } from '../event-loop.js'
import { kafkaReadErrorOf } from '../kafka-error.js'
import type { Partition } from '../partition.js'
import type { RequestContext } from '../request-context.js'

const latest = -1
const earliest = -2
const maxTimestamp = -3
const earliestLocal = -4
const latestTiered = -5
const earliestPendingUpload = -6

/** The first version that knows each special timestamp. */
const knownSince: ReadonlyMap<number, number> = new Map([
  [latest, 1],
  [earliest, 1],
  [maxTimestamp, 7],
  [earliestLocal, 8],
  [latestTiered, 9],
  [earliestPendingUpload, 11],
])

const consumer = -1
/** Somebody who wants to see what a replica has, a follower's too. */
const debuggingReplica = -2
const readCommitted = 1

type PartitionRequest = ListOffsetsRequest['topics'][number]['partitions'][number]
type PartitionResponse = NonNullable<ListOffsetsResponseInput['topics']>[number]['partitions'][number]

interface Found {
  readonly offset: number
  readonly timestamp: number
  readonly leaderEpoch: number
}

const nothing: Found = { offset: -1, timestamp: -1, leaderEpoch: -1 }

export async function handleListOffsets(
  request: ListOffsetsRequest,
  context: RequestContext,
): Promise<ListOffsetsResponseInput> {
  const count = new Map<string, number>()
  const keyOf = (topic: string, partition: number): string => `${topic}-${partition}`
  for (const { name, partitions } of request.topics) {
    for (const { partitionIndex } of partitions) {
      const key = keyOf(name, partitionIndex)
      count.set(key, (count.get(key) ?? 0) + 1)
    }
  }
  const topics = []
  let answered = 0
  for (const { name, partitions } of request.topics) {
    const topic = context.broker.topics.get(name)
    const responses: PartitionResponse[] = []
    for (const asked of partitions) {
      if (count.get(keyOf(name, asked.partitionIndex))! > 1) {
        responses.push(refused(asked, errors.INVALID_REQUEST.code))
      } else {
        responses.push(await answer(asked, topic?.partitions[asked.partitionIndex], request, context))
      }
      if (++answered % elementsPerTurn === 0) await nextTurn()
    }
    topics.push({ name, partitions: responses })
  }
  return { topics }
}

async function answer(
  asked: PartitionRequest,
  partition: Partition | undefined,
  request: ListOffsetsRequest,
  { apiVersion }: RequestContext,
): Promise<PartitionResponse> {
  const { timestamp } = asked
  if (timestamp < 0 && (knownSince.get(timestamp) ?? Infinity) > apiVersion) {
    return refused(asked, errors.UNSUPPORTED_VERSION.code)
  }
  if (partition === undefined) return refused(asked, errors.UNKNOWN_TOPIC_OR_PARTITION.code)
  const fenced = partition.clientError(asked.currentLeaderEpoch, request.replicaId === debuggingReplica)
  if (fenced !== null) return refused(asked, fenced.code)
  if (partition.isOffline) return refused(asked, errors.KAFKA_STORAGE_ERROR.code)
  try {
    const end = endFor(partition, request)
    if (end === null) return refused(asked, errors.OFFSET_NOT_AVAILABLE.code)
    const found = await find(partition, timestamp, end)
    return { partitionIndex: asked.partitionIndex, errorCode: 0, ...found }
  } catch (error) {
    return refused(asked, kafkaReadErrorOf(error).code)
  }
}

/** Where the requester's view of the partition ends; null while that is not known. */
function endFor(partition: Partition, { replicaId, isolationLevel }: ListOffsetsRequest): number | null {
  if (replicaId !== consumer) return partition.logEndOffset
  return partition.latestOffset(isolationLevel === readCommitted ? 'readCommitted' : 'readUncommitted')
}

async function find(partition: Partition, timestamp: number, end: number): Promise<Found> {
  const { leaderEpoch } = partition
  switch (timestamp) {
    case latest:
      return { offset: end, timestamp: -1, leaderEpoch }
    case earliest:
    case earliestLocal:
      return { offset: partition.logStartOffset, timestamp: -1, leaderEpoch }
    case latestTiered:
    case earliestPendingUpload:
      return nothing
  }
  const found =
    timestamp === maxTimestamp ? await partition.maxTimestamp() : await partition.offsetForTime(timestamp)
  if (found === null || found.offset >= end) return nothing
  return { offset: found.offset, timestamp: found.timestamp, leaderEpoch }
}

function refused({ partitionIndex }: PartitionRequest, errorCode: number): PartitionResponse {
  return { partitionIndex, errorCode, timestamp: -1, offset: -1 }
}
