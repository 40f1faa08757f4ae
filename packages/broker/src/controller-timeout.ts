import { alterConfigs, errors, incrementalAlterConfigs, initProducerId } from '@varve/protocol'
import { errorFields, messageOf } from './broker-log.js'
import type { Timer } from './clock.js'
import { emptyResponse, type Message, withError } from './error-responses.js'
import { isControllersOwn } from './forwarded-requests.js'
import { aboutRequest, type RequestContext } from './request-context.js'
import type { AnyApi } from './supported-apis.js'

/** What has the metadata store put something, whoever works it off. */
const ofTheStore: ReadonlySet<number> = new Set([
  initProducerId.key,
  alterConfigs.key,
  incrementalAlterConfigs.key,
])

/**
 * How long a client waits for the controller or the metadata store at most: as long as it has said, or as the broker waits for
 * an answer itself. Null where nobody else is needed.
 */
export function controllerTimeout(api: AnyApi, request: unknown, { broker }: RequestContext): number | null {
  if (!broker.controller.needsOthers || !(isControllersOwn(api) || ofTheStore.has(api.key))) return null
  const { timeoutMs } = request as { readonly timeoutMs?: number }
  return timeoutMs ?? broker.configs.number('request.timeout.ms')
}

/**
 * Answers REQUEST_TIMED_OUT where something else than an answer has not come in time, as when the metadata store is away; a producer that
 * wants an id COORDINATOR_LOAD_IN_PROGRESS, as Kafka does. Clients retry both. What was asked for may be done all the same.
 */
export async function withinTimeout(
  api: AnyApi,
  request: unknown,
  context: RequestContext,
  timeoutMs: number,
  answer: Promise<unknown>,
): Promise<unknown> {
  const { apiVersion, broker } = context
  let timer: Timer
  const late = new Promise<true>((resolve) => {
    timer = broker.connectionClock.setTimeout(() => resolve(true), Math.max(0, timeoutMs))
  })
  try {
    const isLate = await Promise.race([answer.then(() => false), late])
    if (!isLate) return await answer
  } finally {
    broker.connectionClock.clearTimeout(timer)
  }
  const about = aboutRequest(context)
  broker.log('warn', `${api.name} was not done within ${timeoutMs} ms`, about)
  answer.catch((error: unknown) => {
    const text = `${api.name} has failed after its client was told that it took too long: ${messageOf(error)}`
    broker.log('warn', text, { ...about, ...errorFields(error) })
  })
  const nameOf = (topicId: string): string | undefined => broker.topics.getById(topicId)?.name
  const empty = emptyResponse(api, request as Message, apiVersion)
  const isForId = api.key === initProducerId.key
  const error = isForId ? errors.COORDINATOR_LOAD_IN_PROGRESS : errors.REQUEST_TIMED_OUT
  return withError(api, empty, apiVersion, error, null, nameOf)
}
