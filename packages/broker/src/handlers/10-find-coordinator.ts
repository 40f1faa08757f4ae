/**
 * FindCoordinator (10), versions 0 to 6.
 *
 * Every group's coordinator is this broker. The group APIs themselves are not advertised yet; FindCoordinator is,
 * because librdkafka takes its absence for a broker that cannot read lz4 and then sends uncompressed. For a transaction
 * the answer is UNSUPPORTED_VERSION, which no client retries: Kafka has no code for "no transactions here", and
 * COORDINATOR_NOT_AVAILABLE would be asked again forever. For share groups it is INVALID_REQUEST, as in a Kafka without
 * them.
 */
import { errors, type FindCoordinatorRequest, type FindCoordinatorResponseInput } from '@varve/protocol'
import type { RequestContext } from '../request-context.js'

const groupKey = 0
const transactionKey = 1

interface Coordinator {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

export function handleFindCoordinator(
  request: FindCoordinatorRequest,
  context: RequestContext,
): FindCoordinatorResponseInput {
  const coordinator = coordinatorFor(request.keyType, context)
  if (context.apiVersion < 4) return coordinator
  return { coordinators: request.coordinatorKeys.map((key) => ({ key, ...coordinator })) }
}

function coordinatorFor(keyType: number, { broker, endpoint }: RequestContext): Coordinator {
  if (keyType === groupKey) return { errorCode: 0, errorMessage: null, nodeId: broker.nodeId, ...endpoint }
  if (keyType === transactionKey) {
    return none(errors.UNSUPPORTED_VERSION.code, 'This broker does not support transactions.')
  }
  return none(errors.INVALID_REQUEST.code, `There is no coordinator of key type ${keyType} on this broker.`)
}

function none(errorCode: number, errorMessage: string): Coordinator {
  return { errorCode, errorMessage, nodeId: -1, host: '', port: -1 }
}
