import type { ConfigValues } from './configs/stored-configs.js'
import type { TopicSettings } from './configs/topic-settings.js'
import type { Partition } from './partition.js'

/** The most partitions that a topic can be created with, or that one operation may create, as in Kafka. */
export const mostPartitions = 10_000

/** A topic as clients see it: a name, an id that no other topic ever has, and partitions numbered from 0. */
export class Topic {
  readonly name: string
  readonly id: string
  readonly #partitions: Partition[]
  #configs: ConfigValues
  #settings: TopicSettings

  constructor(
    name: string,
    id: string,
    partitions: readonly Partition[],
    configs: ConfigValues,
    settings: TopicSettings,
  ) {
    this.name = name
    this.id = id
    this.#partitions = [...partitions]
    this.#configs = configs
    this.#settings = settings
  }

  get partitions(): readonly Partition[] {
    return this.#partitions
  }

  /** Its own configurations, those of the broker left out. */
  get configs(): ConfigValues {
    return this.#configs
  }

  /** What its configurations and the broker's come to. */
  get settings(): TopicSettings {
    return this.#settings
  }

  /** Gives it partitions behind those that it has. */
  extend(partitions: readonly Partition[]): void {
    this.#partitions.push(...partitions)
  }

  /** Puts configurations in force, for what comes from now on. */
  configure(configs: ConfigValues, settings: TopicSettings): void {
    this.#configs = configs
    this.#settings = settings
    for (const partition of this.#partitions) partition.configure(settings)
  }
}
