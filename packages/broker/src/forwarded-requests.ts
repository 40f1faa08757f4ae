import { errors, type AlterConfigsRequest } from '@varve/protocol'
import { errorFields, messageOf } from './broker-log.js'
import { emptyResponse, type Message, withError } from './error-responses.js'
import { type KafkaError } from './kafka-error.js'
import { Refusal } from './refusal.js'
import { aboutRequest, CloseConnection, type RequestContext } from './request-context.js'
import type { AnyApi } from './supported-apis.js'

const createTopics = 19
const deleteTopics = 20
const alterConfigs = 33
const createPartitions = 37
const electLeaders = 43
const incrementalAlterConfigs = 44
const alterPartitionReassignments = 45
const describeQuorum = 55
const unregisterBroker = 64

const controllersOwn: ReadonlySet<number> = new Set([
  createTopics,
  deleteTopics,
  createPartitions,
  electLeaders,
  alterPartitionReassignments,
  describeQuorum,
  unregisterBroker,
])
const topicResource = 2

/** Brokers call themselves so; what one passes on no other passes on again. */
const brokersClientId = /^varve-broker-\d+$/

/** Whether a client says that it is a broker of the cluster. */
export function isBroker({ clientId }: Pick<RequestContext, 'clientId'>): boolean {
  return clientId !== null && brokersClientId.test(clientId)
}

/** Whether it is always the controller that works off an API's requests. */
export function isControllersOwn({ key }: AnyApi): boolean {
  return controllersOwn.has(key)
}

/** Whether a request changes the cluster, or asks for its controller's own, so that another broker has to work it off. */
export function isForController(api: AnyApi, request: unknown, { broker }: RequestContext): boolean {
  if (broker.controller.isHere) return false
  if (isControllersOwn(api)) return true
  if (api.key !== alterConfigs && api.key !== incrementalAlterConfigs) return false
  return (request as AlterConfigsRequest).resources.some(({ resourceType }) => resourceType === topicResource)
}

/** Has a request worked off by the controller, as Kafka's brokers do (KIP-590). */
export async function answerByController(
  api: AnyApi,
  request: unknown,
  context: RequestContext,
): Promise<unknown> {
  const { apiVersion, broker } = context
  try {
    if (isBroker(context)) throw new Refusal(errors.NOT_CONTROLLER, 'This broker is not the controller.')
    return await broker.controller.forward(api, apiVersion, request)
  } catch (error) {
    const kafkaError: KafkaError = error instanceof Refusal ? error.error : errors.NOT_CONTROLLER
    broker.log('warn', `could not pass a ${api.name} on to the controller: ${messageOf(error)}`, {
      ...aboutRequest(context),
      ...errorFields(error),
    })
    const nameOf = (topicId: string): string | undefined => broker.topics.getById(topicId)?.name
    const empty = emptyResponse(api, request as Message, apiVersion)
    const refusal = withError(api, empty, apiVersion, kafkaError, null, nameOf)
    if (refusal !== null) return refusal
    throw new CloseConnection(`${api.name} is for the controller, which cannot be reached`)
  }
}
