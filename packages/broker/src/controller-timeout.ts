import { errors } from '@varve/protocol'
import { errorFields, messageOf } from './broker-log.js'
import type { Timer } from './clock.js'
import { emptyResponse, type Message, withError } from './error-responses.js'
import { isControllersOwn } from './forwarded-requests.js'
import { aboutRequest, type RequestContext } from './request-context.js'
import type { AnyApi } from './supported-apis.js'

/** How long a client waits for the controller at most; null where it has not said so, or nobody else is needed. */
export function controllerTimeout(api: AnyApi, request: unknown, { broker }: RequestContext): number | null {
  if (!broker.controller.needsOthers || !isControllersOwn(api)) return null
  return (request as { readonly timeoutMs?: number }).timeoutMs ?? null
}

/**
 * Answers REQUEST_TIMED_OUT where something else than an answer has not come in time, as when the metadata store is away. What was
 * asked for may be done all the same.
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
  broker.log('warn', `${api.name} was not done within ${timeoutMs} ms, the client's timeout`, about)
  answer.catch((error: unknown) => {
    const text = `${api.name} has failed after its client's timeout: ${messageOf(error)}`
    broker.log('warn', text, { ...about, ...errorFields(error) })
  })
  const nameOf = (topicId: string): string | undefined => broker.topics.getById(topicId)?.name
  const empty = emptyResponse(api, request as Message, apiVersion)
  return withError(api, empty, apiVersion, errors.REQUEST_TIMED_OUT, null, nameOf)
}
