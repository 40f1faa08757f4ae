import { errors, type FetchRequest } from '@varve/protocol'
import { elementsPerTurn, nextTurn } from './event-loop.js'
import { type FetchedRecords, noRecords } from './fetched-records.js'
import { type KafkaError, kafkaReadErrorOf } from './kafka-error.js'
import { leaderEpochError } from './leader-epoch.js'
import type { Partition } from './partition.js'
import type { RequestContext } from './request-context.js'

type PartitionRequest = FetchRequest['topics'][number]['partitions'][number]

/** One partition of a Fetch request, resolved: where to read, or why not. */
export interface FetchTarget {
  readonly topic: string
  readonly topicId: string
  readonly partition: Partition | null
  readonly refusal: KafkaError | null
  readonly asked: PartitionRequest
  /** The version of the request, since old clients do not know every code. */
  readonly apiVersion: number
}

/** What a partition is answered with. */
export interface TargetRead {
  readonly error: KafkaError | null
  readonly divergingEpoch: { readonly epoch: number; readonly endOffset: number } | null
  readonly records: FetchedRecords
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly logStartOffset: number
}

/** The first version whose clients understand KAFKA_STORAGE_ERROR. */
const storageErrorSince = 6
const topicIdsSince = 13
const replicaStateSince = 15

/**
 * Finds the partitions of a request, in its order. A partition that is named more than once is one target, where it was
 * named first and with what was asked last, as in the map that Kafka makes of them.
 */
export function fetchTargets(request: FetchRequest, { apiVersion, broker }: RequestContext): FetchTarget[] {
  const replicaId = apiVersion < replicaStateSince ? request.replicaId : request.replicaState.replicaId
  const byId = apiVersion >= topicIdsSince
  const targets: FetchTarget[] = []
  const places = new Map<string, Map<number, number>>()
  for (const { topic: name, topicId, partitions } of request.topics) {
    const topic = byId ? broker.topics.getById(topicId) : broker.topics.get(name)
    const key = byId ? topicId : name
    let placesInTopic = places.get(key)
    if (placesInTopic === undefined) places.set(key, (placesInTopic = new Map()))
    for (const asked of partitions) {
      const partition = topic?.partitions[asked.partition] ?? null
      let refusal: KafkaError | null = null
      if (topic === undefined && byId) refusal = errors.UNKNOWN_TOPIC_ID
      else if (partition === null) refusal = errors.UNKNOWN_TOPIC_OR_PARTITION
      else if (replicaId >= 0) refusal = errors.NOT_LEADER_OR_FOLLOWER
      const place = placesInTopic.get(asked.partition) ?? targets.length
      placesInTopic.set(asked.partition, place)
      targets[place] = { topic: name, topicId, partition, refusal, asked, apiVersion }
    }
  }
  return targets
}

/**
 * Reads the targets in order, as the bytes allow. The first batch found is returned whatever its size, so that a
 * consumer whose limit is smaller than a batch still gets on (KIP-74).
 */
export async function readTargets(targets: readonly FetchTarget[], maxBytes: number): Promise<TargetRead[]> {
  const reads: TargetRead[] = []
  let remaining = maxBytes
  let minOneBatch = true
  for (const target of targets) {
    const pending = readTarget(target, remaining, minOneBatch)
    const read = pending instanceof Promise ? await pending : pending
    if (read.records.byteLength > 0) minOneBatch = false
    remaining = Math.max(0, remaining - read.records.byteLength)
    reads.push(read)
    if (reads.length % elementsPerTurn === 0) await nextTurn()
  }
  return reads
}

/** Gives back what has been read and will not be sent. */
export function closeAll(reads: readonly TargetRead[]): void {
  for (const { records } of reads) records.close()
}

function readTarget(
  target: FetchTarget,
  remaining: number,
  minOneBatch: boolean,
): TargetRead | Promise<TargetRead> {
  const { partition, refusal, asked } = target
  if (partition === null || refusal !== null)
    return failed(target, refusal ?? errors.UNKNOWN_TOPIC_OR_PARTITION)
  if (!partition.readable) return failed(target, errors.KAFKA_STORAGE_ERROR)
  const fenced = leaderEpochError(asked.currentLeaderEpoch, partition.leaderEpoch)
  if (fenced !== null) return failed(target, fenced)
  const from = asked.fetchOffset
  if (asked.lastFetchedEpoch >= 0) {
    const endOffset = partition.endOffsetForEpoch(asked.lastFetchedEpoch)
    if (endOffset === null) return failed(target, errors.OFFSET_OUT_OF_RANGE)
    if (endOffset < from) {
      return {
        ...succeeded(partition, noRecords),
        divergingEpoch: { epoch: asked.lastFetchedEpoch, endOffset },
      }
    }
  }
  if (from < partition.logStartOffset || from > partition.logEndOffset)
    return failed(target, errors.OFFSET_OUT_OF_RANGE)
  if (from >= partition.highWatermark) {
    // Nothing will ever be appended here: whoever waits must hear of it now.
    return partition.failure === null
      ? succeeded(partition, noRecords)
      : failed(target, errors.KAFKA_STORAGE_ERROR)
  }
  const maxBytes = Math.min(Math.max(0, asked.partitionMaxBytes), remaining)
  try {
    const records = partition.read(from, maxBytes, minOneBatch)
    if (!(records instanceof Promise)) return succeeded(partition, records)
    return records.then(
      (read) => succeeded(partition, read),
      (error: unknown) => failed(target, kafkaReadErrorOf(error)),
    )
  } catch (error) {
    return failed(target, kafkaReadErrorOf(error))
  }
}

function succeeded(partition: Partition, records: FetchedRecords): TargetRead {
  const { highWatermark, lastStableOffset, logStartOffset } = partition
  return { error: null, divergingEpoch: null, records, highWatermark, lastStableOffset, logStartOffset }
}

function failed({ apiVersion }: FetchTarget, error: KafkaError): TargetRead {
  const unknownToClient = error === errors.KAFKA_STORAGE_ERROR && apiVersion < storageErrorSince
  return {
    error: unknownToClient ? errors.NOT_LEADER_OR_FOLLOWER : error,
    divergingEpoch: null,
    records: noRecords,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
  }
}
