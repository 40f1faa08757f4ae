import { errors } from '@varve/protocol'
import type { KafkaError } from '../kafka-error.js'
import { Refusal } from '../refusal.js'
import type { ConfigDefinition } from './config-definition.js'
import { brokerConfigs, topicConfigs } from './config-tables.js'
import { InvalidConfig, listOf, normalizeValue } from './config-value.js'
import type { ConfigValues } from './stored-configs.js'

/** What IncrementalAlterConfigs does to one configuration, by Kafka's numbers. */
export const operations = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const

export interface ConfigChange {
  readonly name: string
  readonly configOperation: number
  readonly value: string | null
}

/**
 * Checks configurations that a topic is to have, all of them together, and normalizes them.
 *
 * @throws Refusal INVALID_CONFIG, in Kafka's words
 */
export function checkTopicConfigs(values: ConfigValues): ConfigValues {
  const checked = new Map<string, string>()
  for (const [name, raw] of values) {
    const definition = topicConfigs.get(name)
    if (definition === undefined) throw invalid(`Unknown topic config name: ${name}`)
    const value = normalized(definition, raw, invalid)
    if (definition.service === 'refused' && value !== definition.defaultValue) {
      throw invalid(
        name === 'remote.storage.enable'
          ? 'Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.'
          : `Invalid value ${value} for configuration ${name}: this broker serves the default ${definition.defaultValue} only`,
      )
    }
    checked.set(name, value)
  }
  const least = checked.get('min.compaction.lag.ms')
  const most = checked.get('max.compaction.lag.ms')
  if (least !== undefined && most !== undefined && BigInt(least) > BigInt(most)) {
    throw invalid(
      `conflict topic config setting min.compaction.lag.ms (${least}) > max.compaction.lag.ms (${most})`,
    )
  }
  return checked
}

/**
 * Checks what a broker's configurations are to be altered to, and normalizes it.
 *
 * @param broker says which can be
 * @throws Refusal INVALID_REQUEST, in Kafka's words
 */
export function checkBrokerConfigs(
  values: ConfigValues,
  broker: { isDynamic(name: string): boolean },
): ConfigValues {
  const fixed = [...values.keys()].filter((name) => !broker.isDynamic(name))
  if (fixed.length > 0) {
    throw new Refusal(
      errors.INVALID_REQUEST,
      `Cannot update these configs dynamically: [${fixed.join(', ')}]`,
    )
  }
  const refuse = (message: string): Refusal => new Refusal(errors.INVALID_REQUEST, message)
  return new Map([...values].map(([name, raw]) => [name, normalized(brokerConfigs.get(name)!, raw, refuse)]))
}

/**
 * Applies the changes of IncrementalAlterConfigs, in their order.
 *
 * @param definitions those of the resource
 * @param inForce the value that a configuration has now, its own or not, to which APPEND and SUBTRACT refer
 * @throws Refusal INVALID_REQUEST or INVALID_CONFIG, in Kafka's words
 */
export function applyChanges(
  values: ConfigValues,
  changes: readonly ConfigChange[],
  definitions: ReadonlyMap<string, ConfigDefinition>,
  inForce: (name: string) => string | null,
): ConfigValues {
  const names = new Set(changes.map(({ name }) => name))
  if (names.size < changes.length)
    throw new Refusal(errors.INVALID_REQUEST, 'Error due to duplicate config keys')
  const valueless = changes.filter(
    ({ value, configOperation }) => value === null && configOperation !== operations.DELETE,
  )
  if (valueless.length > 0) {
    const which = valueless.map(({ name }) => name).join(',')
    throw new Refusal(errors.INVALID_REQUEST, `Null value not supported for : ${which}`)
  }
  const next = new Map(values)
  for (const { name, configOperation, value } of changes) {
    switch (configOperation) {
      case operations.SET:
        next.set(name, value!)
        break
      case operations.DELETE:
        next.delete(name)
        break
      case operations.APPEND:
      case operations.SUBTRACT: {
        const appends = configOperation === operations.APPEND
        if (definitions.get(name)?.type !== 'LIST') {
          throw invalid(
            `Can't ${appends ? 'APPEND' : 'SUBTRACT'} to key ${name} because its type is not LIST.`,
          )
        }
        const elements = listOf(next.get(name) ?? inForce(name) ?? '')
        const given = listOf(value!)
        const left = appends
          ? [...elements, ...given.filter((one) => !elements.includes(one))]
          : elements.filter((one) => !given.includes(one))
        next.set(name, left.join(','))
        break
      }
      default:
        throw new Refusal(errors.INVALID_REQUEST, `Unknown operation type ${configOperation}`)
    }
  }
  return next
}

/**
 * The configurations that CreateTopics and AlterConfigs give.
 *
 * @throws Refusal INVALID_REQUEST or INVALID_CONFIG, in Kafka's words
 */
export function givenValues(
  configs: readonly { readonly name: string; readonly value: string | null }[],
  error: KafkaError = errors.INVALID_REQUEST,
): ConfigValues {
  const valueless = configs.filter(({ value }) => value === null).map(({ name }) => name)
  if (valueless.length > 0) {
    throw new Refusal(error, `Null value not supported for : ${valueless.join(',')}`)
  }
  return new Map(configs.map(({ name, value }) => [name, value!]))
}

function normalized(definition: ConfigDefinition, raw: string, refuse: (message: string) => Refusal): string {
  try {
    return normalizeValue(definition, raw)
  } catch (error) {
    if (error instanceof InvalidConfig) throw refuse(error.message)
    throw error
  }
}

function invalid(message: string): Refusal {
  return new Refusal(errors.INVALID_CONFIG, message)
}
