import { topicNameProblem } from '@varve/log'
import { errors } from '@varve/protocol'
import type { BrokerState } from '../broker-state.js'
import { Refusal } from '../refusal.js'
import type { Topic } from '../topic.js'
import type { BrokerScope } from './broker-configs.js'

/** What may have configurations, by the numbers of Kafka's protocol. */
export const resourceTypes = { TOPIC: 2, BROKER: 4, BROKER_LOGGER: 8, CLIENT_METRICS: 16, GROUP: 32 } as const

const typeNames: ReadonlyMap<number, string> = new Map(
  Object.entries(resourceTypes).map(([name, number]) => [number, name]),
)

/** What a request names and may alter, found. */
export type AlterableResource = { readonly topic: Topic } | { readonly scope: BrokerScope }
/** What a request names, found: of a group nothing is altered, and each has the same. */
export type ConfigResource = AlterableResource | 'group'

/**
 * Finds what a request of configurations names.
 *
 * @throws Refusal as Kafka refuses it; loggers and metrics of clients with INVALID_REQUEST, since there is nothing here that
 * their configurations could be for
 */
export function findResource(type: number, name: string, broker: BrokerState): ConfigResource {
  switch (type) {
    case resourceTypes.TOPIC:
      return { topic: findTopic(name, broker) }
    case resourceTypes.BROKER:
      return { scope: brokerScope(name, broker.nodeId) }
    case resourceTypes.GROUP:
      if (name !== '') return 'group'
      throw new Refusal(errors.INVALID_REQUEST, 'Default group resources are not allowed.')
    default: {
      const known = typeNames.get(type)
      if (known === undefined) throw new Refusal(errors.INVALID_REQUEST, `Unsupported resource type ${type}`)
      throw new Refusal(errors.INVALID_REQUEST, `This broker has no configurations of ${known} resources`)
    }
  }
}

function findTopic(name: string, broker: BrokerState): Topic {
  const problem = topicNameProblem(name)
  if (problem !== null) throw new Refusal(errors.INVALID_TOPIC_EXCEPTION, problem)
  const topic = broker.topics.get(name)
  if (topic !== undefined) return topic
  throw new Refusal(errors.UNKNOWN_TOPIC_OR_PARTITION, `The topic '${name}' does not exist.`)
}

function brokerScope(name: string, nodeId: number): BrokerScope {
  if (name === '') return 'cluster'
  if (!/^\d+$/.test(name)) {
    throw new Refusal(errors.INVALID_REQUEST, `Broker id must be an integer, but it is: ${name}`)
  }
  if (Number(name) === nodeId) return 'broker'
  throw new Refusal(
    errors.INVALID_REQUEST,
    `Unexpected broker id, expected ${nodeId} or empty string, but received ${name}`,
  )
}
