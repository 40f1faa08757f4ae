import type { Durability } from '@varve/log'
import type { VarveError } from '@varve/records'
import { type BrokerLog, errorFields } from './broker-log.js'
import type { BrokerConfigs } from './configs/broker-configs.js'
import type { ConfigValues } from './configs/stored-configs.js'
import { topicSettings, type TopicSettings } from './configs/topic-settings.js'
import type { Partition } from './partition.js'
import { storageFailureText } from './storage-failure.js'
import { collisionKey } from './topic-name.js'
import type { Topic } from './topic.js'

/** How a topic is laid out: so many partitions and replicas, placed by the broker, or the replicas of each partition. */
export type TopicLayout =
  | {
      readonly partitions: number
      /** Default: the broker's. */
      readonly replicationFactor?: number
    }
  | { readonly assignments: readonly (readonly number[])[] }

/** What all topics of a broker have in common, wherever they are kept. */
export interface TopicsEnvironment {
  readonly configs: BrokerConfigs
  /** The broker's, below which no topic goes. */
  readonly durability: Durability
  readonly log: BrokerLog
}

/** All topics that the broker knows, those whose partitions are elsewhere included. */
export abstract class Topics {
  readonly #environment: TopicsEnvironment
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<string, Topic>()
  readonly #collisions = new Map<string, string>()
  readonly #changeListeners = new Set<() => void>()
  readonly #deletionListeners: ((topic: Topic) => Promise<void>)[] = []
  readonly #roleListeners: ((partition: Partition) => void)[] = []

  constructor(environment: TopicsEnvironment) {
    this.#environment = environment
  }

  get(name: string): Topic | undefined {
    return this.#byName.get(name)
  }

  getById(id: string): Topic | undefined {
    return this.#byId.get(id)
  }

  /** In the order of their creation. */
  all(): Iterable<Topic> {
    return this.#byName.values()
  }

  /** The topic whose name differs from `name` in nothing but `.` against `_`, if there is one. */
  collidingWith(name: string): string | undefined {
    const other = this.#collisions.get(collisionKey(name))
    return other === name ? undefined : other
  }

  /** What these configurations come to in a topic, over those of the broker. */
  settingsOf(configs: ConfigValues): TopicSettings {
    return topicSettings(configs, this.#environment.configs, this.#environment.durability)
  }

  /**
   * Creates a topic whose name, layout and configurations have been checked. Two calls for one name at once make one topic.
   * Coordinators create their own here, `__consumer_offsets` for one: clients cannot.
   *
   * @throws VarveError `VARVE_TOPIC_EXISTS`, or what kept it from being made; Refusal
   */
  abstract create(name: string, layout: TopicLayout, configs?: ConfigValues): Promise<Topic>

  /**
   * Deletes a topic: from now on nobody finds it, and who waits at one of its partitions is told. Its files are removed
   * later.
   *
   * @param options.filesAfterMs how much later; by default after the topic's `file.delete.delay.ms`
   * @throws VarveError `VARVE_TOPIC_DELETED` when it is gone already, or what kept the metadata store from noting it; Refusal
   */
  abstract delete(topic: Topic, options?: { readonly filesAfterMs?: number }): Promise<void>

  /**
   * Gives a topic further partitions, until it has `count`.
   *
   * @param assignments the replicas of each that is new
   * @throws VarveError `VARVE_TOPIC_DELETED`, or what kept them from being made; Refusal
   */
  abstract addPartitions(
    topic: Topic,
    count: number,
    assignments?: readonly (readonly number[])[],
  ): Promise<void>

  /**
   * Changes a topic's own configurations.
   *
   * @param change gives those that it shall have, checked, of those that it has; what it throws is passed on
   * @throws VarveError `VARVE_TOPIC_DELETED`, or what kept the metadata store from keeping them; Refusal
   */
  abstract alterConfigs(topic: Topic, change: (configs: ConfigValues) => ConfigValues): Promise<void>

  /** Resolves when nothing that would clash with this name is being changed any more. */
  abstract settled(name: string): Promise<void>

  /** Lets go of all logs, which their data directory closes. */
  abstract detach(): Promise<void>

  /** Calls `listener` after topics have come or gone or have further partitions, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#changeListeners.add(listener)
    return () => this.#changeListeners.delete(listener)
  }

  /** Calls `listener` for each topic that was deleted, and waits for it. It must not throw. */
  onDelete(listener: (topic: Topic) => Promise<void>): void {
    this.#deletionListeners.push(listener)
  }

  /** Calls `listener` when this broker has begun or ceased to lead or follow a partition, or does so in another epoch. */
  onRole(listener: (partition: Partition) => void): void {
    this.#roleListeners.push(listener)
  }

  /** One line for each replica of this broker that cannot be written. */
  problems(): string[] {
    const lines: string[] = []
    for (const topic of this.#byName.values()) {
      for (const partition of topic.partitions) {
        const failure = partition.failure
        if (failure !== null) lines.push(`${partition.name}: ${storageFailureText(failure)}`)
      }
    }
    return lines
  }

  protected publish(topic: Topic): void {
    this.#byName.set(topic.name, topic)
    this.#byId.set(topic.id, topic)
    this.#collisions.set(collisionKey(topic.name), topic.name)
    this.tellChange()
  }

  protected withdraw(topic: Topic): void {
    this.#byName.delete(topic.name)
    this.#byId.delete(topic.id)
    this.#collisions.delete(collisionKey(topic.name))
    this.tellChange()
  }

  protected tellChange(): void {
    for (const listener of this.#changeListeners) listener()
  }

  protected async tellDeleted(topic: Topic): Promise<void> {
    for (const listener of this.#deletionListeners) await listener(topic)
  }

  protected readonly tellRole = (partition: Partition): void => {
    for (const listener of this.#roleListeners) listener(partition)
  }

  protected readonly tellFailure = (partition: Partition, failure: VarveError): void => {
    const { name, topic, index } = partition
    this.#environment.log('error', `${name} takes no writes any more: ${storageFailureText(failure)}`, {
      topic,
      partition: index,
      ...errorFields(failure),
    })
  }
}
