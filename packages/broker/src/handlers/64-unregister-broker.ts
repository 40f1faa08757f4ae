/**
 * UnregisterBroker (64), version 0: takes away the registration of a broker that does not come back. One that lives registers
 * again, as in Kafka one that is started again.
 */
import { errors, type UnregisterBrokerRequest, type UnregisterBrokerResponseInput } from '@varve/protocol'
import type { RequestContext } from '../request-context.js'

export async function handleUnregisterBroker(
  { brokerId }: UnregisterBrokerRequest,
  { broker }: RequestContext,
): Promise<UnregisterBrokerResponseInput> {
  const { error } = await broker.controller.request({ kind: 'unregister', brokerId })
  if (error === null) return { throttleTimeMs: 0, errorCode: 0, errorMessage: null }
  const { code, message } = errors[error]
  const isUnknown = error === 'BROKER_ID_NOT_REGISTERED'
  const errorMessage = isUnknown ? `Broker ID ${brokerId} is not currently registered` : message
  return { throttleTimeMs: 0, errorCode: code, errorMessage }
}
