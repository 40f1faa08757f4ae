/**
 * Produce (0), versions 3 to 13, advertised from 0 on for the sake of old librdkafka.
 *
 * acks 1 is answered when the log's durability covers the batch, acks -1 when the high watermark does, acks 0 never: an
 * error then closes the connection, as in Kafka. A topic that asks for more replicas in sync than it has contents itself
 * with those (min.insync.replicas), as Kafka 4.4 does and earlier ones did not. Deviations:
 * - Transactional batches are refused with UNSUPPORTED_FOR_MESSAGE_FORMAT, Kafka's code for logs that cannot hold them and
 *   one that no client retries. There is no transaction that they could be part of.
 * - A null records field is answered as an empty one, INVALID_RECORD, which Kafka does not answer at all.
 * - A producer of which a later leader than the first knows nothing begins with the sequence 0 while the log is too young to have
 *   forgotten anybody; in Kafka with any, so that a batch can overtake earlier ones that the leader before was sent.
 * - A batch that claims LogAppendTime is refused with INVALID_TIMESTAMP; Kafka rewrites it.
 * - RECORD_LIST_TOO_LARGE is for batches that are stored as they come; Kafka looks at the size after a change of codec, too.
 * - The timeout of acks -1 covers the whole append, since here a disk's flush is part of it.
 */
import { errors, type ProduceRequest, type ProduceResponseInput, ZERO_UUID } from '@varve/protocol'
import { errorFields } from '../broker-log.js'
import { VarveError } from '@varve/records'
import { leaderNodes } from '../cluster-view.js'
import { type KafkaError, kafkaErrorOf } from '../kafka-error.js'
import type { Partition } from '../partition.js'
import { producedBatch, RefusedBatch } from '../produced-batch.js'
import { isForRecords, type RecordError, recordRefusal } from '../record-errors.js'
import { aboutRequest, CloseConnection, type RequestContext } from '../request-context.js'
import { storageFailureText } from '../storage-failure.js'
import { isInternalTopic } from '../topic-name.js'
import type { Topic } from '../topic.js'

/** The first version whose clients understand KAFKA_STORAGE_ERROR. */
const storageErrorSince = 4
const topicIdsSince = 13
/** The first version whose clients look at who leads a partition instead (KIP-951). */
const currentLeaderSince = 10
/** Errors of the log that are answered without its start offset, as in Kafka. */
const hidesLogStart: ReadonlySet<KafkaError> = new Set([
  errors.KAFKA_STORAGE_ERROR,
  errors.CORRUPT_MESSAGE,
  errors.MESSAGE_TOO_LARGE,
  errors.UNKNOWN_TOPIC_OR_PARTITION,
  errors.UNKNOWN_TOPIC_ID,
])
/** The client id under which Kafka's own tools may write internal topics. */
const adminClientId = '__admin_client'

type TopicData = ProduceRequest['topicData'][number]
type TopicResponse = ProduceResponseInput['responses'][number]

interface PartitionResponse {
  index: number
  errorCode: number
  baseOffset: number
  logAppendTimeMs: number
  logStartOffset: number
  recordErrors: readonly RecordError[]
  errorMessage: string | null
  currentLeader?: { readonly leaderId: number; readonly leaderEpoch: number }
}

export async function handleProduce(
  request: ProduceRequest,
  context: RequestContext,
): Promise<ProduceResponseInput | null> {
  const { acks, timeoutMs } = request
  const { observer } = context.broker
  const appends: Promise<void>[] = []
  const names: (string | null)[] = []
  const responses = request.topicData.map((data): TopicResponse => {
    const topic = findTopic(data, context)
    names.push('code' in topic ? null : topic.name)
    const partitionResponses = data.partitionData.map(({ index, records }) => {
      const response: PartitionResponse = {
        index,
        errorCode: 0,
        baseOffset: -1,
        logAppendTimeMs: -1,
        logStartOffset: -1,
        recordErrors: [],
        errorMessage: null,
      }
      const append = start(topic, response, records, acks, context)
      if (append !== null) appends.push(append)
      return response
    })
    return { name: data.name, topicId: data.topicId, partitionResponses }
  })
  if (appends.length > 0) {
    const all = appends.length === 1 ? appends[0]! : Promise.all(appends)
    await (acks === -1 ? withinTimeout(all, responses, timeoutMs, context) : all)
  }
  if (observer !== null) {
    for (const [index, { partitionResponses }] of responses.entries()) {
      for (const { errorCode } of partitionResponses) observer.produced(names[index]!, errorCode)
    }
  }
  if (acks !== 0) {
    const leaderIds = leadersNamed(responses)
    if (leaderIds.size === 0) return { responses }
    return { responses, nodeEndpoints: leaderNodes(context.broker.cluster, context.endpoint, leaderIds) }
  }
  closeOnError(responses)
  return null
}

function findTopic({ name, topicId }: TopicData, { apiVersion, broker }: RequestContext): Topic | KafkaError {
  if (apiVersion < topicIdsSince) return broker.topics.get(name) ?? errors.UNKNOWN_TOPIC_OR_PARTITION
  if (topicId === ZERO_UUID) return errors.UNKNOWN_TOPIC_ID
  return broker.topics.getById(topicId) ?? errors.UNKNOWN_TOPIC_ID
}

/** Checks one partition's batch and begins to append it; the returned promise never rejects. */
function start(
  topic: Topic | KafkaError,
  response: PartitionResponse,
  records: Buffer | null,
  acks: number,
  context: RequestContext,
): Promise<void> | null {
  if ('code' in topic) return refuse(response, topic, null)
  const partition = topic.partitions[response.index]
  if (partition === undefined) return refuse(response, errors.UNKNOWN_TOPIC_OR_PARTITION, null)
  if (isInternalTopic(topic.name) && context.clientId !== adminClientId) {
    return refuse(response, errors.INVALID_TOPIC_EXCEPTION, `Cannot append to internal topic ${topic.name}`)
  }
  const { settings } = topic
  const batch = producedBatch(records, context.apiVersion, settings)
  if (batch instanceof RefusedBatch) {
    if (batch.byLog) response.logStartOffset = partition.logStartOffset
    return refuse(response, batch.error, batch.message)
  }
  if (acks !== 0 && acks !== 1 && acks !== -1) return refuse(response, errors.INVALID_REQUIRED_ACKS, null)
  if (partition.failure !== null) return fail(response, partition, partition.failure, context)
  return partition.append(batch, acks === -1).then(
    (baseOffset) => {
      context.broker.lowDisk.took()
      const acknowledge = (): void => {
        response.baseOffset = baseOffset
        response.logStartOffset = partition.logStartOffset
      }
      if (settings.timestampType !== 'LogAppendTime' || acks === 0) return acknowledge()
      return partition.appendTime(baseOffset).then((time) => {
        response.logAppendTimeMs = time
        acknowledge()
      })
    },
    (error: unknown) => {
      const refusal = isForRecords(error, settings)
        ? recordRefusal(batch, partition.name, settings, context.broker.clock.now())
        : null
      if (refusal !== null) {
        response.recordErrors = refusal.recordErrors
        response.logStartOffset = partition.logStartOffset
        refuse(response, refusal.error, refusal.message)
        return
      }
      fail(response, partition, error, context)
    },
  )
}

function refuse(response: PartitionResponse, error: KafkaError, message: string | null): null {
  response.errorCode = error.code
  response.errorMessage = message
  return null
}

function fail(
  response: PartitionResponse,
  partition: Partition,
  error: unknown,
  context: RequestContext,
): null {
  const byId = context.apiVersion >= topicIdsSince && partition.deleted
  const kafkaError = byId ? errors.UNKNOWN_TOPIC_ID : kafkaErrorOf(error)
  const text = storageFailureText(error)
  if (VarveError.is(error) && error.code === 'VARVE_LOW_DISK') context.broker.lowDisk.refused(error)
  if (!VarveError.is(error))
    context.broker.log('error', `could not append to ${partition.name}: ${text}`, {
      topic: partition.topic,
      partition: partition.index,
      ...aboutRequest(context),
      ...errorFields(error),
    })
  if (!hidesLogStart.has(kafkaError)) response.logStartOffset = partition.logStartOffset
  if (kafkaError === errors.NOT_LEADER_OR_FOLLOWER && context.apiVersion >= currentLeaderSince) {
    const { leaderEpoch } = partition
    response.currentLeader = { leaderId: context.broker.cluster.leaderOf(partition), leaderEpoch }
  }
  const unknownToClient = kafkaError === errors.KAFKA_STORAGE_ERROR && context.apiVersion < storageErrorSince
  return refuse(response, unknownToClient ? errors.NOT_LEADER_OR_FOLLOWER : kafkaError, text)
}

/** Waits for the appends of acks -1, and answers those that take longer than the request allows with REQUEST_TIMED_OUT. */
async function withinTimeout(
  all: Promise<unknown>,
  responses: TopicResponse[],
  timeoutMs: number,
  { broker: { clock, observer }, retain }: RequestContext,
): Promise<void> {
  let timer: unknown
  observer?.delayed('Produce', 1)
  try {
    const inTime = await new Promise<boolean>((resolve, reject) => {
      timer = clock.setTimeout(() => resolve(false), Math.max(0, timeoutMs))
      all.then(() => resolve(true), reject)
    })
    if (inTime) return
  } finally {
    clock.clearTimeout(timer)
    observer?.delayed('Produce', -1)
  }
  // What has been appended stays appended, and its buffers stay the log's until it has finished with them.
  retain(all)
  for (const topic of responses) {
    for (const response of topic.partitionResponses as PartitionResponse[]) {
      if (response.errorCode === 0 && response.baseOffset < 0)
        refuse(response, errors.REQUEST_TIMED_OUT, null)
    }
  }
}

function leadersNamed(responses: readonly TopicResponse[]): Set<number> {
  const leaderIds = new Set<number>()
  for (const { partitionResponses } of responses) {
    for (const { currentLeader } of partitionResponses as PartitionResponse[])
      if (currentLeader !== undefined) leaderIds.add(currentLeader.leaderId)
  }
  return leaderIds
}

function closeOnError(responses: TopicResponse[]): void {
  const failed: string[] = []
  for (const { name, topicId, partitionResponses } of responses) {
    for (const { index, errorCode } of partitionResponses) {
      if (errorCode !== 0) failed.push(`${name || topicId}-${index}: error ${errorCode}`)
    }
  }
  if (failed.length === 0) return
  const shown = failed.slice(0, 5).join(', ') + (failed.length > 5 ? ', …' : '')
  throw new CloseConnection(`a Produce with acks=0 failed (${shown})`)
}
