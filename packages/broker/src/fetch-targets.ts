import { errors, type FetchRequest } from '@varve/protocol'
import { elementsPerTurn, nextTurn } from './event-loop.js'
import { type FetchedRecords, noRecords } from './fetched-records.js'
import { type KafkaError, kafkaReadErrorOf } from './kafka-error.js'
import type { AbortedTransaction, Isolation, Partition } from './partition.js'
import type { ReplicationQuota } from './replication-quota.js'
import type { RequestContext } from './request-context.js'
import type { Topics } from './topics.js'

export type PartitionRequest = FetchRequest['topics'][number]['partitions'][number]

/** Who reads: what all partitions of a request have in common. */
export interface FetchReader {
  /** The version of the request, since old clients do not know every code. */
  readonly apiVersion: number
  readonly isolation: Isolation
  /** The broker that follows; null for a consumer. */
  readonly replica: { readonly id: number; readonly epoch: number } | null
  /** Of what followers are sent; null where nothing is replicated. */
  readonly quota: ReplicationQuota | null
  /** Where a consumer stands that is sent to the closest replica (KIP-392); null where it is not. */
  readonly rack: string | null
}

/** One partition of a Fetch request, resolved: where to read, or why not. */
export interface FetchTarget {
  /** Empty where only the topic's id is known. */
  readonly topic: string
  readonly topicId: string
  readonly partition: Partition | null
  readonly refusal: KafkaError | null
  readonly asked: PartitionRequest
  readonly reader: FetchReader
}

/** What a partition is answered with. */
export interface TargetRead {
  readonly error: KafkaError | null
  readonly divergingEpoch: { readonly epoch: number; readonly endOffset: number } | null
  readonly records: FetchedRecords
  /** The replica from which this consumer better reads; -1 for none. */
  readonly preferredReadReplica: number
  /** What a consumer of committed records has to leave out; null for others. */
  readonly abortedTransactions: readonly AbortedTransaction[] | null
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly logStartOffset: number
}

/** The first version whose clients understand KAFKA_STORAGE_ERROR. */
const storageErrorSince = 6
/** The first version whose clients may be sent to a follower (KIP-392). */
const followersSince = 11
const topicIdsSince = 13
const replicaStateSince = 15
/** The first version whose clients know zstd (KIP-110). */
const zstdSince = 10
const readCommitted = 1
const rackAwareSelector = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'

export function fetchReader(request: FetchRequest, { apiVersion, broker }: RequestContext): FetchReader {
  const { replicaId: id, replicaEpoch: epoch } =
    apiVersion < replicaStateSince ? { replicaId: request.replicaId, replicaEpoch: -1 } : request.replicaState
  return {
    apiVersion,
    isolation: request.isolationLevel === readCommitted ? 'readCommitted' : 'readUncommitted',
    replica: id < 0 ? null : { id, epoch },
    quota: broker.leaderQuota,
    rack:
      request.rackId !== '' && broker.configs.value('replica.selector.class') === rackAwareSelector
        ? request.rackId
        : null,
  }
}

/** Whether requests of this version name topics by id. */
export function usesTopicIds(apiVersion: number): boolean {
  return apiVersion >= topicIdsSince
}

/**
 * Finds a partition.
 *
 * @param name with an id, the name that the topic of this id had when it was last found; empty if it never was
 */
export function fetchTarget(
  name: string,
  topicId: string,
  asked: PartitionRequest,
  reader: FetchReader,
  topics: Topics,
): FetchTarget {
  const byId = usesTopicIds(reader.apiVersion)
  const found = byId ? topics.getById(topicId) : topics.get(name)
  const topic = byId ? (found?.name ?? name) : name
  const partition = found?.partitions[asked.partition] ?? null
  let refusal: KafkaError | null = null
  if (partition === null) {
    const unknownId = byId && found === undefined
    if (unknownId && name === '') refusal = errors.UNKNOWN_TOPIC_ID
    else if (unknownId && topics.get(name)?.partitions[asked.partition] !== undefined)
      refusal = errors.INCONSISTENT_TOPIC_ID
    else refusal = errors.UNKNOWN_TOPIC_OR_PARTITION
  } else if (reader.replica !== null) {
    const { replicas, leader } = partition.state
    if (!replicas.includes(reader.replica.id) || reader.replica.id === leader)
      refusal = errors.NOT_LEADER_OR_FOLLOWER
  } else if (reader.apiVersion < zstdSince && found!.settings.log.compression === 'zstd')
    refusal = errors.UNSUPPORTED_COMPRESSION_TYPE
  return { topic, topicId, partition, refusal, asked, reader }
}

/**
 * Finds the partitions of a request, in its order. A partition that is named more than once is one target, where it was
 * named first and with what was asked last, as in the map that Kafka makes of them.
 */
export function fetchTargets(request: FetchRequest, reader: FetchReader, topics: Topics): FetchTarget[] {
  const targets: FetchTarget[] = []
  const places = new Map<string, Map<number, number>>()
  for (const { topic, topicId, partitions } of request.topics) {
    const key = usesTopicIds(reader.apiVersion) ? topicId : topic
    let placesInTopic = places.get(key)
    if (placesInTopic === undefined) places.set(key, (placesInTopic = new Map()))
    for (const asked of partitions) {
      const place = placesInTopic.get(asked.partition) ?? targets.length
      placesInTopic.set(asked.partition, place)
      targets[place] = fetchTarget(topic, topicId, asked, reader, topics)
    }
  }
  return targets
}

/**
 * Whether there is something to wait for in these partitions. As in Kafka, one that does not exist is answered with the
 * others, in their time; any other refusal is answered at once.
 *
 * @param readable whether there are others that can be read
 */
export function mayChange(targets: readonly FetchTarget[], readable: boolean): boolean {
  for (const { refusal } of targets) {
    if (refusal === null) readable = true
    else if (!isUnknown(refusal)) return false
  }
  return readable
}

/** What a client must hear of at once, whatever it would wait for. */
export function mustBeKnown({ refusal }: FetchTarget, read: TargetRead): boolean {
  const { error, divergingEpoch, preferredReadReplica } = read
  return divergingEpoch !== null || preferredReadReplica >= 0 || (error !== null && refusal === null)
}

function isUnknown(refusal: KafkaError): boolean {
  return refusal === errors.UNKNOWN_TOPIC_ID || refusal === errors.UNKNOWN_TOPIC_OR_PARTITION
}

/**
 * Reads the targets in order, as the bytes allow. The first batch found is returned whatever its size, so that a
 * consumer whose limit is smaller than a batch still gets on (KIP-74).
 *
 * @param fetchError an error that is answered instead of reading
 */
export async function readTargets(
  targets: readonly FetchTarget[],
  maxBytes: number,
  fetchError: RequestContext['fetchError'],
): Promise<TargetRead[]> {
  const reads: TargetRead[] = []
  let remaining = maxBytes
  let minOneBatch = true
  for (const target of targets) {
    const imposed = fetchError?.(target.topic, target.asked.partition) ?? null
    const pending = imposed === null ? readTarget(target, remaining, minOneBatch) : failed(target, imposed)
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
  const { partition, refusal, asked, reader } = target
  if (partition === null || refusal !== null)
    return failed(target, refusal ?? errors.UNKNOWN_TOPIC_OR_PARTITION)
  if (partition.deleted) {
    const byId = usesTopicIds(reader.apiVersion)
    return failed(target, byId ? errors.UNKNOWN_TOPIC_ID : errors.UNKNOWN_TOPIC_OR_PARTITION)
  }
  if (reader.replica !== null)
    return readForReplica(partition, target, reader.replica, remaining, minOneBatch)
  if (partition.isOffline) return failed(target, errors.KAFKA_STORAGE_ERROR)
  const fenced = partition.clientError(
    Math.max(-1, asked.currentLeaderEpoch),
    reader.apiVersion >= followersSince,
    asked.lastFetchedEpoch,
  )
  if (fenced !== null) return failed(target, fenced)
  const from = asked.fetchOffset
  const closest =
    reader.rack === null ? null : partition.leader?.readReplica({ rack: reader.rack, fetchOffset: from })
  if (typeof closest === 'number')
    return { ...succeeded(target, partition, noRecords, []), preferredReadReplica: closest }
  if (asked.lastFetchedEpoch >= 0) {
    const end = partition.endOffsetForEpoch(asked.lastFetchedEpoch)
    if (end === null || from < partition.logStartOffset) return failed(target, errors.OFFSET_OUT_OF_RANGE)
    if (end.epoch < asked.lastFetchedEpoch || end.endOffset < from)
      return { ...succeeded(target, partition, noRecords, []), divergingEpoch: end }
  }
  const unreadable = partition.consumerFetchError(from)
  if (unreadable !== null) return failed(target, unreadable)
  const upTo = partition.visibleOffset(reader.isolation)
  if (from >= upTo) {
    // Nothing will ever be appended here: whoever waits must hear of it now.
    return partition.failure === null
      ? succeeded(target, partition, noRecords, [])
      : failed(target, errors.KAFKA_STORAGE_ERROR)
  }
  const maxBytes = Math.min(Math.max(0, asked.partitionMaxBytes), remaining)
  try {
    const records = partition.read(from, { upTo, maxBytes, minOneBatch })
    if (!(records instanceof Promise)) return withAborted(target, partition, records)
    return records.then(
      (read) => withAborted(target, partition, read),
      (error: unknown) => failed(target, kafkaReadErrorOf(error)),
    )
  } catch (error) {
    return failed(target, kafkaReadErrorOf(error))
  }
}

/** What a follower gets: what is written, committed or not, from where its log agrees with the leader's. */
function readForReplica(
  partition: Partition,
  target: FetchTarget,
  replica: NonNullable<FetchReader['replica']>,
  remaining: number,
  minOneBatch: boolean,
): TargetRead | Promise<TargetRead> {
  const { asked } = target
  if (partition.leader === null)
    return failed(target, partition.clientError(-1) ?? errors.NOT_LEADER_OR_FOLLOWER)
  const answer = partition.fetchedBy({
    fetchId: 0,
    replicaId: replica.id,
    replicaEpoch: replica.epoch,
    currentLeaderEpoch: asked.currentLeaderEpoch,
    fetchOffset: asked.fetchOffset,
    lastFetchedEpoch: asked.lastFetchedEpoch,
    logStartOffset: asked.logStartOffset,
    // A follower fetches from what is durable there.
    durableOffset: asked.fetchOffset,
    highWatermark: asked.highWatermark,
  })
  if (answer.kind === 'error') {
    const { error, logStartOffset = -1 } = answer
    return { ...failed(target, errors[error]), logStartOffset }
  }
  if (answer.kind === 'diverging') {
    const { epoch, endOffset } = answer
    return { ...succeeded(target, partition, noRecords, []), divergingEpoch: { epoch, endOffset } }
  }
  if ((target.reader.quota?.waitMs(partition, replica.id) ?? 0) > 0)
    return succeeded(target, partition, noRecords, [])
  const { from, upTo } = answer
  const maxBytes = Math.min(Math.max(0, asked.partitionMaxBytes), remaining)
  try {
    const records = partition.readWritten({ from, upTo, maxBytes, minOneBatch })
    if (!(records instanceof Promise)) return succeeded(target, partition, records, [])
    return records.then(
      (read) => succeeded(target, partition, read, []),
      (error: unknown) => failed(target, kafkaReadErrorOf(error)),
    )
  } catch (error) {
    return failed(target, kafkaReadErrorOf(error))
  }
}

/** What a follower that waits has not been told of these partitions: records, or that there is no leader; or how far others are. */
export function newsForReplica(
  partitions: Iterable<Partition>,
  { replica, quota }: FetchReader,
): 'records' | 'offsets' | null {
  const { id } = replica!
  let news: 'offsets' | null = null
  for (const partition of partitions) {
    const { leader, logEndOffset } = partition
    if (leader === null) return 'records'
    if (!leader.hasNewsFor(id)) continue
    const isBehind = logEndOffset > (leader.follower(id)?.fetchOffset ?? -1)
    // What a replica has to wait for is no news, and what else there is can wait with it.
    if (isBehind && (quota?.waitMs(partition, id) ?? 0) > 0) continue
    if (isBehind) return 'records'
    news = 'offsets'
  }
  return news
}

function withAborted(
  target: FetchTarget,
  partition: Partition,
  records: FetchedRecords,
): TargetRead | Promise<TargetRead> {
  const end = records.slices.at(-1)?.nextOffset
  if (target.reader.isolation !== 'readCommitted' || end === undefined)
    return succeeded(target, partition, records, [])
  return partition.abortedTransactions(target.asked.fetchOffset, end).then(
    (aborted) => succeeded(target, partition, records, aborted),
    (error: unknown) => {
      records.close()
      return failed(target, kafkaReadErrorOf(error))
    },
  )
}

function succeeded(
  { reader }: FetchTarget,
  partition: Partition,
  records: FetchedRecords,
  aborted: readonly AbortedTransaction[],
): TargetRead {
  const { highWatermark, lastStableOffset, logStartOffset } = partition
  return {
    error: null,
    divergingEpoch: null,
    records,
    preferredReadReplica: -1,
    abortedTransactions: reader.isolation === 'readCommitted' ? aborted : null,
    highWatermark,
    lastStableOffset,
    logStartOffset,
  }
}

function failed({ reader, refusal }: FetchTarget, error: KafkaError): TargetRead {
  const unknownToClient = error === errors.KAFKA_STORAGE_ERROR && reader.apiVersion < storageErrorSince
  return {
    error: unknownToClient ? errors.NOT_LEADER_OR_FOLLOWER : error,
    divergingEpoch: null,
    records: noRecords,
    preferredReadReplica: -1,
    // As Kafka has it, whose partitions that are not read have an empty list and those that cannot be read have none.
    abortedTransactions: refusal === null ? null : [],
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
  }
}
