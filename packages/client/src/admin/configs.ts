import {
  describeConfigs,
  incrementalAlterConfigs,
  listConfigResources,
  type DescribeConfigsResponse,
} from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Connection } from '../connection.js'
import { KafkaError } from '../kafka-error.js'
import { allOrThrow, inOrder, type AdminRequests, type Ask, type Outcome } from './requests.js'

// Kafka's numbers: ConfigResource.Type.
const resourceTypes = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const
// DescribeConfigsResponse.ConfigSource.
const sources = [
  'unknown',
  'topic',
  'dynamicBroker',
  'dynamicBrokerDefault',
  'staticBroker',
  'default',
  'dynamicBrokerLogger',
  'clientMetrics',
  'group',
] as const
// DescribeConfigsResponse.ConfigType.
const types = [
  'unknown',
  'boolean',
  'string',
  'int',
  'short',
  'long',
  'double',
  'list',
  'class',
  'password',
] as const
// AlterConfigOp.OpType.
const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const

export type ConfigResourceType = keyof typeof resourceTypes
export type ConfigSource = (typeof sources)[number]
export type ConfigType = (typeof types)[number]

/** What has settings. A broker's name is its node id; the empty name stands for all brokers' dynamic defaults. */
export interface ConfigResource {
  readonly type: ConfigResourceType
  readonly name: string
}

export interface ConfigQuery extends ConfigResource {
  /** Only these settings. Default: all. */
  readonly keys?: readonly string[]
}

export interface ConfigSynonym {
  readonly name: string
  /** Null for what is secret. */
  readonly value: string | null
  readonly source: ConfigSource
}

export interface ConfigEntry {
  readonly name: string
  /** Null for what is secret, and for what has no value. */
  readonly value: string | null
  /** Where the value comes from. */
  readonly source: ConfigSource
  readonly isDefault: boolean
  readonly isReadOnly: boolean
  readonly isSensitive: boolean
  /** `'unknown'` where the broker is too old to say. */
  readonly type: ConfigType
  /** What the value would be without this one, and without that; empty unless it was asked for. */
  readonly synonyms: readonly ConfigSynonym[]
  /** Null unless it was asked for. */
  readonly documentation: string | null
}

export interface ConfigDescription extends ConfigResource {
  /** By name. */
  readonly entries: readonly ConfigEntry[]
}

/** A change to one setting (KIP-339). */
export type ConfigChange =
  | { readonly operation: 'set' | 'append' | 'subtract'; readonly name: string; readonly value: string }
  | { readonly operation: 'delete'; readonly name: string }

export interface ConfigAlteration extends ConfigResource {
  /** `append` and `subtract` are for settings that are lists; `delete` goes back to the default. */
  readonly changes: readonly ConfigChange[]
}

export interface DescribeConfigsOptions {
  /** Default false. */
  includeSynonyms?: boolean
  /** Default false. */
  includeDocumentation?: boolean
}

const DOCUMENTATION_FROM_VERSION = 3

const resourceKey = ({ type, name }: ConfigResource): string => `${type}/${name}`
const answerKey = (answer: { resourceType: number; resourceName: string }): string =>
  `${nameOfType(answer.resourceType)}/${answer.resourceName}`

export async function describe(
  requests: AdminRequests,
  queries: readonly ConfigQuery[],
  options: DescribeConfigsOptions,
  signal: AbortSignal | undefined,
): Promise<ConfigDescription[]> {
  const { includeSynonyms = false, includeDocumentation = false } = options
  const ask = async (connection: Connection, asked: readonly ConfigQuery[]) => {
    const version = connection.versionOf(describeConfigs)
    const response = await connection.request(
      describeConfigs,
      {
        resources: asked.map(({ type, name, keys }) => ({
          resourceType: numberOfType(type),
          resourceName: name,
          configurationKeys: keys ?? null,
        })),
        includeSynonyms,
        ...(version >= DOCUMENTATION_FROM_VERSION ? { includeDocumentation } : {}),
      },
      { signal },
    )
    const keys = { item: resourceKey, answer: answerKey }
    return inOrder(asked, response.results, keys, 'DescribeConfigs', description)
  }
  return allOrThrow(await atOwners(requests, queries, signal, ask))
}

export async function alter(
  requests: AdminRequests,
  alterations: readonly ConfigAlteration[],
  validateOnly: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ask = async (connection: Connection, asked: readonly ConfigAlteration[]) => {
    const body = {
      resources: asked.map(({ type, name, changes }) => ({
        resourceType: numberOfType(type),
        resourceName: name,
        configs: changes.map((change) => ({
          name: change.name,
          configOperation: operations[change.operation],
          value: change.operation === 'delete' ? null : change.value,
        })),
      })),
      validateOnly,
    }
    const { responses } = await connection.request(incrementalAlterConfigs, body, { signal })
    const keys = { item: resourceKey, answer: answerKey }
    return inOrder(
      asked,
      responses,
      keys,
      'IncrementalAlterConfigs',
      ({ errorCode, errorMessage }, resource) =>
        errorCode === 0
          ? undefined
          : new KafkaError(errorCode, `Changing settings of ${resourceText(resource)}`, errorMessage),
    )
  }
  allOrThrow(await atOwners(requests, alterations, signal, ask))
}

export async function listResources(
  requests: AdminRequests,
  wanted: readonly ConfigResourceType[],
  signal: AbortSignal | undefined,
): Promise<ConfigResource[]> {
  return requests.anywhere(signal, async (connection) => {
    const version = connection.versionOf(listConfigResources)
    const body = version >= 1 ? { resourceTypes: wanted.map(numberOfType) } : {}
    const { errorCode, configResources } = await connection.request(listConfigResources, body, { signal })
    if (errorCode !== 0) throw new KafkaError(errorCode, 'Listing what has settings')
    const found = configResources.map(({ resourceType, resourceName }) => ({
      type: nameOfType(resourceType),
      name: resourceName,
    }))
    // Version 0 knows of client metrics alone, and types that came after this client have no name here.
    return found.filter((resource): resource is ConfigResource => {
      const { type } = resource
      return type !== undefined && (wanted.length === 0 || wanted.includes(type))
    })
  })
}

/** Any broker knows a topic's settings, but only the broker itself its own. */
async function atOwners<R extends ConfigResource, T>(
  requests: AdminRequests,
  resources: readonly R[],
  signal: AbortSignal | undefined,
  ask: Ask<R, T>,
): Promise<Array<Outcome<T>>> {
  const owned = (resource: R): boolean =>
    (resource.type === 'broker' || resource.type === 'brokerLogger') && resource.name !== ''
  const own = resources.filter(owned).map((resource) => ({ nodeId: nodeIdOf(resource), resource }))
  const others = resources.filter((resource) => !owned(resource))
  const [fromOwners, fromAny] = await Promise.all([
    requests.atNodes(own, signal, async (connection, items) =>
      ask(
        connection,
        items.map(({ resource }) => resource),
      ),
    ),
    others.length === 0 ? [] : requests.anywhere(signal, async (connection) => ask(connection, others)),
  ])
  return resources.map((resource) => (owned(resource) ? fromOwners : fromAny).shift()!)
}

function nodeIdOf({ name }: ConfigResource): number {
  if (/^\d+$/.test(name)) return Number(name)
  throw new VarveError('VARVE_INVALID_OPTION', `A broker's name is its node id, not '${name}'`)
}

function description(
  answer: DescribeConfigsResponse['results'][number],
  { type, name }: ConfigResource,
): Outcome<ConfigDescription> {
  const { errorCode, errorMessage, configs } = answer
  if (errorCode !== 0)
    return new KafkaError(
      errorCode,
      `Describing the settings of ${resourceText({ type, name })}`,
      errorMessage,
    )
  const entries = configs.map((config): ConfigEntry => {
    const source = sources[config.configSource] ?? 'unknown'
    return {
      name: config.name,
      value: config.value,
      source,
      isDefault: source === 'default',
      isReadOnly: config.readOnly,
      isSensitive: config.isSensitive,
      type: types[config.configType] ?? 'unknown',
      synonyms: config.synonyms.map((synonym) => ({
        name: synonym.name,
        value: synonym.value,
        source: sources[synonym.source] ?? 'unknown',
      })),
      documentation: config.documentation || null,
    }
  })
  return { type, name, entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)) }
}

const resourceText = ({ type, name }: ConfigResource): string =>
  name === '' ? `all ${type}s` : `${type} '${name}'`

function numberOfType(type: ConfigResourceType): number {
  const number: number | undefined = resourceTypes[type]
  if (number !== undefined) return number
  const known = Object.keys(resourceTypes).join(', ')
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `There are no settings of '${String(type)}'; there are of ${known}`,
  )
}

function nameOfType(number: number): ConfigResourceType | undefined {
  const found = Object.entries(resourceTypes).find(([, known]) => known === number)
  return found?.[0] as ConfigResourceType | undefined
}
