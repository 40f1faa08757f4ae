import {
  createTopics,
  describeConfigs,
  type DescribeConfigsResponse,
  incrementalAlterConfigs,
} from '@varve/protocol'
import type { RawClient } from './raw-client.js'

export const TOPIC = 2
export const BROKER = 4

export type DescribedConfig = DescribeConfigsResponse['results'][number]['configs'][number]

/** What DescribeConfigs answers for one resource, by name. */
export async function described(
  client: RawClient,
  resourceType: number,
  resourceName: string,
): Promise<Map<string, DescribedConfig>> {
  const resources = [{ resourceType, resourceName, configurationKeys: null }]
  const options = { resources, includeSynonyms: true, includeDocumentation: true }
  const { results } = await client.request(describeConfigs, 4, options)
  const [result] = results
  if (result!.errorCode !== 0) throw new Error(`error ${result!.errorCode}: ${result!.errorMessage}`)
  return new Map(result!.configs.map((config) => [config.name, config]))
}

const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const

export type Change = readonly [operation: keyof typeof operations, name: string, value?: string | null]

/** Alters one resource by IncrementalAlterConfigs and returns its answer. */
export async function alter(
  client: RawClient,
  resourceType: number,
  resourceName: string,
  changes: readonly Change[],
  validateOnly = false,
) {
  const configs = changes.map(([operation, name, value = null]) => ({
    name,
    configOperation: operations[operation],
    value,
  }))
  const resources = [{ resourceType, resourceName, configs }]
  const { responses } = await client.request(incrementalAlterConfigs, 1, { resources, validateOnly })
  return responses[0]!
}

/** Creates a topic of one partition with configurations and returns the answer. */
export async function createWith(client: RawClient, name: string, configs: Readonly<Record<string, string>>) {
  const given = Object.entries(configs).map(([key, value]) => ({ name: key, value }))
  const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: given }
  return (await client.request(createTopics, 7, { topics: [topic] })).topics[0]!
}
