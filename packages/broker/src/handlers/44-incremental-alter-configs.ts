/**
 * IncrementalAlterConfigs (44), versions 0 and 1, of topics and brokers.
 *
 * What is altered is kept before it is answered, and acts on open logs from then on. A broker's configuration that does not
 * act here, or that Kafka does not know, is refused with INVALID_REQUEST as one that cannot be altered while the broker
 * runs; Kafka keeps unknown ones for its plug-ins.
 */
import {
  errors,
  type IncrementalAlterConfigsRequest,
  type IncrementalAlterConfigsResponseInput,
} from '@varve/protocol'
import type { BrokerState } from '../broker-state.js'
import {
  applyChanges,
  checkBrokerConfigs,
  checkTopicConfigs,
  type ConfigChange,
} from '../configs/checked-configs.js'
import { type AlterableResource, findResource, resourceTypes } from '../configs/config-resources.js'
import { brokerConfigs, topicConfigs } from '../configs/config-tables.js'
import type { ConfigValues } from '../configs/stored-configs.js'
import { topicValue } from '../configs/topic-settings.js'
import { Refusal, refusalOf } from '../refusal.js'
import type { RequestContext } from '../request-context.js'

interface NamedResource {
  readonly resourceType: number
  readonly resourceName: string
}

interface AlterResponse extends NamedResource {
  readonly errorCode: number
  readonly errorMessage: string | null
}

export async function handleIncrementalAlterConfigs(
  request: IncrementalAlterConfigsRequest,
  { broker }: RequestContext,
): Promise<IncrementalAlterConfigsResponseInput> {
  const responses = await alterEach(request.resources, async (resource) => {
    await alter(resource, resource.configs, request.validateOnly, broker)
  })
  return { throttleTimeMs: 0, responses }
}

/** Alters one resource after the other and answers each; one that is named twice is refused, as in Kafka. */
export async function alterEach<T extends NamedResource>(
  resources: readonly T[],
  work: (resource: T) => Promise<void>,
): Promise<AlterResponse[]> {
  const keyOf = ({ resourceType, resourceName }: NamedResource): string => `${resourceType} ${resourceName}`
  const seen = new Map<string, number>()
  for (const resource of resources) seen.set(keyOf(resource), (seen.get(keyOf(resource)) ?? 0) + 1)
  const responses: AlterResponse[] = []
  for (const resource of resources) {
    const { resourceType, resourceName } = resource
    try {
      if (seen.get(keyOf(resource))! > 1) {
        throw new Refusal(errors.INVALID_REQUEST, 'Each resource must appear at most once.')
      }
      await work(resource)
      responses.push({ errorCode: 0, errorMessage: null, resourceType, resourceName })
    } catch (thrown) {
      const { error, message } = refusalOf(thrown)
      responses.push({ errorCode: error.code, errorMessage: message, resourceType, resourceName })
    }
  }
  return responses
}

async function alter(
  { resourceType, resourceName }: NamedResource,
  changes: readonly ConfigChange[],
  validateOnly: boolean,
  broker: BrokerState,
): Promise<void> {
  const found = findAlterable(resourceType, resourceName, broker)
  await replaceConfigs(found, validateOnly, broker, (own) => {
    if ('topic' in found) {
      return applyChanges(own, changes, topicConfigs, (name) => topicValue(name, own, broker.configs))
    }
    return applyChanges(own, changes, brokerConfigs, (name) => broker.configs.value(name))
  })
}

/** @throws Refusal */
export function findAlterable(
  resourceType: number,
  resourceName: string,
  broker: BrokerState,
): AlterableResource {
  if (resourceType === resourceTypes.TOPIC && resourceName === '') {
    throw new Refusal(errors.INVALID_REQUEST, 'Default topic resources are not allowed.')
  }
  const found = findResource(resourceType, resourceName, broker)
  if (found !== 'group') return found
  throw new Refusal(
    errors.INVALID_REQUEST,
    'Configurations of groups cannot be altered: they are of group protocols that this broker does not serve',
  )
}

/**
 * Gives a topic or a broker the configurations that `change` makes of its own, if they can be had.
 *
 * @throws Refusal, and what kept the metadata store from keeping them
 */
export async function replaceConfigs(
  found: AlterableResource,
  validateOnly: boolean,
  { topics, configs }: BrokerState,
  change: (own: ConfigValues) => ConfigValues,
): Promise<void> {
  if ('topic' in found) {
    const checked = (own: ConfigValues): ConfigValues => checkTopicConfigs(change(own))
    if (validateOnly) checked(found.topic.configs)
    else await topics.alterConfigs(found.topic, checked)
  } else {
    const checked = checkBrokerConfigs(change(configs.altered(found.scope)), configs)
    if (!validateOnly) await configs.alter(found.scope, checked)
  }
}
