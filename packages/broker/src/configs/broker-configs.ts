import { VarveError } from '@varve/records'
import type { MetadataEntry } from '@varve/replication'
import type { MetadataFollowing, MetadataStore } from '../metadata/metadata-store.js'
import { brokerConfigs, isDynamic } from './config-tables.js'
import { numberOf } from './config-value.js'
import { type ConfigValues, decodeConfigs, encodeConfigs, noValues } from './stored-configs.js'

const keyPrefix = '/configs/brokers/'

/** Where a value comes from, with the numbers of Kafka's protocol. */
export const configSources = {
  DYNAMIC_TOPIC_CONFIG: 1,
  DYNAMIC_BROKER_CONFIG: 2,
  DYNAMIC_DEFAULT_BROKER_CONFIG: 3,
  STATIC_BROKER_CONFIG: 4,
  DEFAULT_CONFIG: 5,
} as const

export type ConfigSource = keyof typeof configSources

/** One of the values that a configuration could have, the first of them being the one that it has. */
export interface ConfigSynonym {
  readonly name: string
  readonly value: string
  readonly source: ConfigSource
}

/** Whose values are altered: this broker's, or those of all brokers of the cluster. */
export type BrokerScope = 'broker' | 'cluster'

/**
 * Configurations that stand for the same in other units, the one that counts first. Kafka names them as each other's
 * synonyms.
 */
const unitsOf: readonly (readonly string[])[] = [
  ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
  ['log.roll.ms', 'log.roll.hours'],
  ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
  ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'],
]

/** The broker's configurations: what it was started with, under what was altered since, under Kafka's defaults. */
export class BrokerConfigs {
  readonly #metadata: MetadataStore
  readonly #keys: Readonly<Record<BrokerScope, string>>
  readonly #static: ConfigValues
  readonly #isOfCluster: boolean
  readonly #altered: Record<BrokerScope, ConfigValues> = { broker: noValues, cluster: noValues }
  readonly #revisions: Record<BrokerScope, number> = { broker: 0, cluster: 0 }
  readonly #listeners = new Set<() => void>()

  private constructor(metadata: MetadataStore, nodeId: number, given: ConfigValues, isOfCluster: boolean) {
    this.#metadata = metadata
    this.#keys = { broker: `${keyPrefix}${nodeId}`, cluster: `${keyPrefix}default` }
    this.#static = given
    this.#isOfCluster = isOfCluster
  }

  /** @throws VarveError `VARVE_METADATA_CORRUPT` */
  static async load(
    metadata: MetadataStore,
    nodeId: number,
    given: ConfigValues,
    isOfCluster = false,
  ): Promise<BrokerConfigs> {
    const configs = new BrokerConfigs(metadata, nodeId, given, isOfCluster)
    for (const entry of (await metadata.list(keyPrefix)).entries) {
      for (const scope of ['broker', 'cluster'] as const) {
        if (entry.key !== configs.#keys[scope]) continue
        configs.#altered[scope] = decodeConfigs(entry)
        configs.#revisions[scope] = entry.revision
      }
    }
    return configs
  }

  /** The value in force; null for none. */
  value(name: string): string | null {
    return (
      this.#levels()
        .find(([, values]) => values.has(name))?.[1]
        .get(name) ?? defaultOf(name)
    )
  }

  /** The value in force of a configuration that has one; `Infinity` for what JavaScript cannot count to. */
  number(name: string): number {
    const value = this.value(name)
    if (value === null) throw new VarveError('VARVE_INVALID_OPTION', `the configuration ${name} has no value`)
    return numberOf(value)
  }

  boolean(name: string): boolean {
    return this.value(name) === 'true'
  }

  /** Whether a configuration can be altered while this broker runs. */
  isDynamic(name: string): boolean {
    return isDynamic(name, this.#isOfCluster)
  }

  /** What has been altered, of this broker or of all brokers of the cluster. */
  altered(scope: BrokerScope): ConfigValues {
    return this.#altered[scope]
  }

  /** The values that count and those beneath, as DescribeConfigs lists them. */
  synonyms(name: string): ConfigSynonym[] {
    const names = unitsOf.find((units) => units.includes(name)) ?? [name]
    const found: ConfigSynonym[] = []
    for (const [source, values] of this.#levels()) {
      for (const one of names) {
        const value = values.get(one)
        if (value !== undefined) found.push({ name: one, value, source })
      }
    }
    for (const one of names) {
      const value = defaultOf(one)
      if (value !== null) found.push({ name: one, value, source: 'DEFAULT_CONFIG' })
    }
    const first = found.findIndex((synonym) => synonym.name === name)
    return first < 0 ? [] : found.slice(first)
  }

  /**
   * Replaces what has been altered by values that have been checked.
   *
   * @throws VarveError what kept the metadata store from keeping them; what was in force stays in force then
   */
  async alter(scope: BrokerScope, values: ConfigValues): Promise<void> {
    const key = this.#keys[scope]
    const { succeeded, revision } = await this.#metadata.txn({
      compares: [{ key, revision: this.#revisions[scope] }],
      ...(values.size > 0 ? { puts: [{ key, value: encodeConfigs(values) }] } : { deletes: [key] }),
    })
    if (!succeeded) {
      throw new VarveError(
        'VARVE_METADATA_CONFLICT',
        `the configurations ${key} were altered meanwhile; alter them again`,
      )
    }
    this.#revisions[scope] = values.size > 0 ? revision : 0
    this.#altered[scope] = values
    for (const listener of this.#listeners) listener()
  }

  /** Takes over what other brokers of the cluster alter, until the returned following is closed. */
  follow(): MetadataFollowing {
    const scopeOf = (key: string): BrokerScope | undefined =>
      (['broker', 'cluster'] as const).find((scope) => this.#keys[scope] === key)
    const take = (scope: BrokerScope, entry: MetadataEntry | null): void => {
      const revision = entry?.revision ?? 0
      if (revision === this.#revisions[scope]) return
      this.#altered[scope] = entry === null ? noValues : decodeConfigs(entry)
      this.#revisions[scope] = revision
      for (const listener of this.#listeners) listener()
    }
    return this.#metadata.follow(keyPrefix, {
      reset: (entries) => {
        for (const scope of ['broker', 'cluster'] as const)
          take(scope, entries.find(({ key }) => key === this.#keys[scope]) ?? null)
      },
      events: (events) => {
        for (const event of events) {
          const scope = scopeOf(event.key)
          if (scope !== undefined) take(scope, event.kind === 'put' ? event : null)
        }
      },
    })
  }

  /** Calls `listener` after each alteration, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** From the one that counts first on. */
  #levels(): [ConfigSource, ConfigValues][] {
    return [
      ['DYNAMIC_BROKER_CONFIG', this.#altered.broker],
      ['DYNAMIC_DEFAULT_BROKER_CONFIG', this.#altered.cluster],
      ['STATIC_BROKER_CONFIG', this.#static],
    ]
  }
}

function defaultOf(name: string): string | null {
  return brokerConfigs.get(name)?.defaultValue ?? null
}
