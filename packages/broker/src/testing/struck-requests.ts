import { errors, type KafkaError } from '@varve/protocol'
import type { Handler } from '../dispatch.js'
import { FetchedRecords } from '../fetched-records.js'
import { CloseConnection, type RequestContext } from '../request-context.js'
import type { AnyApi } from '../supported-apis.js'
import { divide, emptyResponse, joined, type Message, withError } from '../error-responses.js'
import type { ActiveFault } from './faults.js'

const produceKey = 0
const fetchKey = 1

/**
 * APIs that only read and whose errors have a place in a real answer alone: a request for all topics names none, and a client
 * that is told of no broker asks nobody any more. Metadata, DescribeLogDirs, DescribeTopicPartitions.
 */
const answeredFirst: ReadonlySet<number> = new Set([3, 35, 75])

/** Errors of a Fetch that concern its session and no partition. */
const sessionErrors: ReadonlySet<KafkaError> = new Set([
  errors.FETCH_SESSION_ID_NOT_FOUND,
  errors.INVALID_FETCH_SESSION_EPOCH,
  errors.FETCH_SESSION_TOPIC_ID_ERROR,
])

/**
 * Answers a request that has met a fault.
 *
 * @throws CloseConnection where the fault drops the connection, and where a response has no place for its error
 */
export async function answerStruck(
  fault: ActiveFault,
  api: AnyApi,
  request: unknown,
  context: RequestContext,
  handler: Handler,
): Promise<unknown> {
  context.goAlone()
  const { drops, error, isAfter, delayMs } = fault
  if (!isAfter) await delay(delayMs, context)
  if (drops && !isAfter) throw dropped(api, 'was not executed')
  if (error !== null && (!isAfter || api.key === fetchKey)) {
    const answer = await refuse(fault, error, api, request as Message, context, handler)
    if (isAfter) await delay(delayMs, context)
    return answer
  }
  const response = (await handler(request as never, context)) as Message | null
  if (isAfter) await delay(delayMs, context)
  if (drops) {
    giveBack(api, response)
    throw dropped(api, 'was executed')
  }
  return error === null ? response : placed(fault, error, api, response, context)
}

/** Answers with the error, and does what the request asks for besides. */
async function refuse(
  fault: ActiveFault,
  error: KafkaError,
  api: AnyApi,
  request: Message,
  context: RequestContext,
  handler: Handler,
): Promise<unknown> {
  const { isStruck } = fault
  if (api.key === fetchKey) {
    if (sessionErrors.has(error)) return { errorCode: error.code, sessionId: 0, responses: [] }
    const fetchError = (topic: string, partition: number): KafkaError | null =>
      isStruck === null || isStruck(topic, partition) ? error : null
    return await handler(request as never, { ...context, fetchError })
  }
  if (answeredFirst.has(api.key)) {
    return placed(fault, error, api, (await handler(request as never, context)) as Message, context)
  }
  const [struck, rest] = isStruck === null ? [request, null] : divide(api, request, isStruck, nameOf(context))
  const done = rest === null ? null : ((await handler(rest as never, context)) as Message | null)
  if (api.key === produceKey && request['acks'] === 0) {
    throw new CloseConnection(`a fault answered a Produce with acks=0 with ${error.name}`)
  }
  const { apiVersion } = context
  const refusal = placed(fault, error, api, emptyResponse(api, struck!, apiVersion), context)
  return done === null ? refusal : joined(api, done, refusal, apiVersion)
}

/** @throws CloseConnection where the response has no place for the error, as in Kafka, whose clients see the same */
function placed(
  { isStruck }: ActiveFault,
  error: KafkaError,
  api: AnyApi,
  response: Message | null,
  context: RequestContext,
): Message {
  const { apiVersion } = context
  const refusal =
    response === null ? null : withError(api, response, apiVersion, error, isStruck, nameOf(context))
  if (refusal !== null) return refusal
  throw new CloseConnection(
    `a fault answers ${api.name} with ${error.name}, for which this response of version ${apiVersion} has no place`,
  )
}

function nameOf({ broker }: RequestContext): (topicId: string) => string | undefined {
  return (topicId) => broker.topics.getById(topicId)?.name
}

/** Ends early with whoever would have to be answered. */
async function delay(delayMs: number, { broker, gone }: RequestContext): Promise<void> {
  if (delayMs === 0) return
  const { clock, closing } = broker
  let timer: unknown
  const stops: (() => void)[] = []
  await new Promise<void>((resolve) => {
    timer = clock.setTimeout(resolve, delayMs)
    for (const end of [gone, closing]) stops.push(end.onCancel(resolve))
  })
  clock.clearTimeout(timer)
  for (const stop of stops) stop()
}

/** Lets go of the records of a response that nobody gets. */
function giveBack({ key }: AnyApi, response: Message | null): void {
  if (key !== fetchKey || response === null) return
  for (const { partitions } of response['responses'] as { partitions: { records: unknown }[] }[]) {
    for (const { records } of partitions) if (records instanceof FetchedRecords) records.close()
  }
}

function dropped({ name }: AnyApi, what: string): CloseConnection {
  return new CloseConnection(`a fault dropped it instead of answering a ${name}, which ${what}`)
}
