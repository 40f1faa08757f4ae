/**
 * DescribeConfigs (32), versions 1 to 4, of topics, brokers and groups.
 *
 * All configurations that Kafka 4.4 lists are answered, with its types and defaults; those of the broker that do not act
 * here, or cannot be altered while it runs, are read-only, as are all of a group. There are no loggers and no metrics of
 * clients with configurations: INVALID_REQUEST.
 */
import { type DescribeConfigsRequest, type DescribeConfigsResponseInput } from '@varve/protocol'
import { configSources, type ConfigSynonym } from '../configs/broker-configs.js'
import { type ConfigDefinition, configTypeIds } from '../configs/config-definition.js'
import { findResource } from '../configs/config-resources.js'
import { brokerConfigs, groupConfigs, topicConfigs } from '../configs/config-tables.js'
import { topicSynonyms, topicValue } from '../configs/topic-settings.js'
import { refusalOf } from '../refusal.js'
import type { RequestContext } from '../request-context.js'
import type { BrokerState } from '../broker-state.js'
import type { Topic } from '../topic.js'

type Result = NonNullable<DescribeConfigsResponseInput['results']>[number]
type Entry = Result['configs'][number]

/** A configuration before it is known how much of it was asked for. */
interface Described {
  readonly definition: ConfigDefinition
  readonly value: string | null
  readonly synonyms: readonly ConfigSynonym[]
  readonly readOnly: boolean
}

export function handleDescribeConfigs(
  request: DescribeConfigsRequest,
  { broker }: RequestContext,
): DescribeConfigsResponseInput {
  return {
    throttleTimeMs: 0,
    results: request.resources.map(({ resourceType, resourceName, configurationKeys }): Result => {
      try {
        const found = findResource(resourceType, resourceName, broker)
        const described =
          found === 'group'
            ? ofGroup(broker)
            : 'topic' in found
              ? ofTopic(found.topic, broker)
              : found.scope === 'broker'
                ? ofBroker(broker)
                : ofCluster(broker)
        const wanted =
          configurationKeys !== null && configurationKeys.length > 0 ? new Set(configurationKeys) : null
        const configs = described
          .filter(({ definition }) => wanted === null || wanted.has(definition.name))
          .map((one) => entryOf(one, request))
        return { errorCode: 0, errorMessage: '', resourceType, resourceName, configs }
      } catch (thrown) {
        const { error, message } = refusalOf(thrown)
        return { errorCode: error.code, errorMessage: message, resourceType, resourceName, configs: [] }
      }
    }),
  }
}

function ofTopic({ configs }: Topic, broker: BrokerState): Described[] {
  return [...topicConfigs.values()]
    .filter(({ service }) => service !== 'hidden')
    .map((definition) => ({
      definition,
      value: topicValue(definition.name, configs, broker.configs),
      synonyms: topicSynonyms(definition.name, configs, broker.configs),
      readOnly: false,
    }))
}

function ofBroker({ configs }: BrokerState): Described[] {
  return [...brokerConfigs.values()]
    .map((definition) => ({
      definition,
      value: configs.value(definition.name),
      synonyms: configs.synonyms(definition.name),
      readOnly: !configs.isDynamic(definition.name),
    }))
    .filter(
      ({ definition, synonyms }) =>
        definition.service !== 'altered in a cluster' || synonyms[0]!.source !== 'DEFAULT_CONFIG',
    )
}

/** Whatever group it is: its own value cannot be altered, nor that of the broker. */
function ofGroup({ configs }: BrokerState): Described[] {
  return [...groupConfigs.values()].map((definition) => {
    const { name, brokerName, defaultValue: value } = definition
    const synonyms: readonly ConfigSynonym[] =
      brokerName === null ? [{ name, value, source: 'DEFAULT_CONFIG' }] : configs.synonyms(brokerName)
    return { definition, value, synonyms, readOnly: true }
  })
}

/** What has been altered for all brokers of the cluster, and nothing beneath. */
function ofCluster({ configs }: BrokerState): Described[] {
  return [...configs.altered('cluster')].map(([name, value]) => ({
    definition: brokerConfigs.get(name)!,
    value,
    synonyms: [{ name, value, source: 'DYNAMIC_DEFAULT_BROKER_CONFIG' }],
    readOnly: false,
  }))
}

function entryOf(described: Described, request: DescribeConfigsRequest): Entry {
  const { definition, value, synonyms, readOnly } = described
  const isSensitive = definition.type === 'PASSWORD'
  return {
    name: definition.name,
    value: isSensitive ? null : value,
    readOnly,
    configSource: configSources[synonyms[0]?.source ?? 'DEFAULT_CONFIG'],
    isSensitive,
    synonyms: request.includeSynonyms
      ? synonyms.map((one) => ({
          name: one.name,
          value: isSensitive ? null : one.value,
          source: configSources[one.source],
        }))
      : [],
    configType: configTypeIds[definition.type],
    documentation: request.includeDocumentation ? definition.documentation : null,
  }
}
