import type { BrokerRegistration } from './broker-registration.js'
import {
  brokerKeyPrefix,
  controllerKey,
  decodeBrokerRegistration,
  decodeControllerRegistration,
  decodePartitionState,
  decodeTopicRegistration,
  partitionKeyPrefix,
  partitionOfKey,
  producerIdsKey,
  topicKeyPrefix,
  type ControllerRegistration,
  type TopicRegistration,
} from './metadata-keys.js'
import type { MetadataEntry, MetadataEvent } from './metadata-store.js'
import type { PartitionState } from './partition-state.js'

/** What an event has changed in a {@link ClusterImage}. */
export type ClusterChange =
  | { readonly kind: 'broker'; readonly brokerId: number }
  | { readonly kind: 'topic'; readonly name: string; readonly topicId: string }
  | { readonly kind: 'partition'; readonly topicId: string; readonly partition: number }
  | { readonly kind: 'controller' }
  | { readonly kind: 'producer ids' }

/**
 * What a broker knows of the metadata store: a snapshot of it, and every event since. It may be behind the store, never ahead of it. Apply
 * the events of one transaction together, before anybody decides by the image.
 */
export class ClusterImage {
  readonly #brokers = new Map<number, BrokerRegistration>()
  readonly #topics = new Map<string, TopicRegistration>()
  readonly #topicNames = new Map<string, string>()
  readonly #partitions = new Map<string, Map<number, PartitionState>>()
  readonly #byReplica = new Map<number, Map<string, PartitionState>>()
  #controller: ControllerRegistration | null = null
  #producerIds: MetadataEntry | null = null
  #revision = 0

  /** The revision of the store up to which the image has everything; 0 before the first {@link reset}. */
  get revision(): number {
    return this.#revision
  }

  /** By broker id; those without a registration are fenced. */
  get brokers(): ReadonlyMap<number, BrokerRegistration> {
    return this.#brokers
  }

  /** By name. */
  get topics(): ReadonlyMap<string, TopicRegistration> {
    return this.#topics
  }

  /** Null while there is none. */
  get controller(): ControllerRegistration | null {
    return this.#controller
  }

  /** The entry of the next free producer id; null before the first. */
  get producerIds(): MetadataEntry | null {
    return this.#producerIds
  }

  /** The topic with that id. */
  topicById(topicId: string): TopicRegistration | undefined {
    const name = this.#topicNames.get(topicId)
    return name === undefined ? undefined : this.#topics.get(name)
  }

  /** The state of a partition. Also of one whose topic is not there yet, or not any more. */
  partition(topicId: string, partition: number): PartitionState | undefined {
    return this.#partitions.get(topicId)?.get(partition)
  }

  /** The states of a topic's partitions by number, in no particular order. */
  partitionsOfTopic(topicId: string): ReadonlyMap<number, PartitionState> {
    return this.#partitions.get(topicId) ?? nothing
  }

  /** The states of those partitions that have a replica on the broker. */
  partitionsOfBroker(brokerId: number): Iterable<PartitionState> {
    return (this.#byReplica.get(brokerId) ?? nothing).values()
  }

  /** The states of all partitions. */
  *partitions(): Iterable<PartitionState> {
    for (const partitions of this.#partitions.values()) {
      yield* partitions.values()
    }
  }

  /**
   * Begins anew with everything that the store holds at `revision`, after a start or when a watch was told that what it wanted
   * is compacted. A snapshot older than the image changes nothing.
   *
   * @throws ReplicationError `VARVE_METADATA_CORRUPT`
   */
  reset(entries: Iterable<MetadataEntry>, revision: number): void {
    if (revision < this.#revision) {
      return
    }
    for (const map of [this.#brokers, this.#topics, this.#topicNames, this.#partitions, this.#byReplica]) {
      map.clear()
    }
    this.#controller = null
    this.#producerIds = null
    for (const entry of entries) {
      this.#change(entry.key, entry)
    }
    this.#revision = revision
  }

  /**
   * Applies an event of a watch. One older than the image changes nothing.
   *
   * @returns what it has changed; null for nothing, or a key that is not the cluster's
   * @throws ReplicationError `VARVE_METADATA_CORRUPT`
   */
  apply(event: MetadataEvent): ClusterChange | null {
    if (event.revision < this.#revision) {
      return null
    }
    const change = this.#change(event.key, event.kind === 'put' ? event : null)
    this.#revision = event.revision
    return change
  }

  #change(key: string, entry: MetadataEntry | null): ClusterChange | null {
    if (key.startsWith(partitionKeyPrefix)) {
      return this.#changePartition(key, entry)
    }
    if (key.startsWith(brokerKeyPrefix)) {
      return this.#changeBroker(key, entry)
    }
    if (key.startsWith(topicKeyPrefix)) {
      return this.#changeTopic(key, entry)
    }
    if (key === controllerKey) {
      this.#controller = entry === null ? null : decodeControllerRegistration(entry)
      return { kind: 'controller' }
    }
    if (key === producerIdsKey) {
      this.#producerIds = entry
      return { kind: 'producer ids' }
    }
    return null
  }

  #changePartition(key: string, entry: MetadataEntry | null): ClusterChange | null {
    const state = entry === null ? null : decodePartitionState(entry)
    const of = partitionOfKey(key)
    if (of === null) {
      return null
    }
    const { topicId, partition } = of
    const partitions = this.#partitions.get(topicId) ?? new Map<number, PartitionState>()
    const before = partitions.get(partition)
    for (const replica of before?.replicas ?? []) {
      this.#byReplica.get(replica)?.delete(key)
    }
    if (state === null) {
      partitions.delete(partition)
      if (partitions.size === 0) {
        this.#partitions.delete(topicId)
      }
      return before === undefined ? null : { kind: 'partition', topicId, partition }
    }
    this.#partitions.set(topicId, partitions.set(partition, state))
    for (const replica of state.replicas) {
      const states = this.#byReplica.get(replica) ?? new Map<string, PartitionState>()
      this.#byReplica.set(replica, states.set(key, state))
    }
    return { kind: 'partition', topicId, partition }
  }

  #changeBroker(key: string, entry: MetadataEntry | null): ClusterChange {
    const brokerId = Number(key.slice(brokerKeyPrefix.length))
    if (entry === null) {
      this.#brokers.delete(brokerId)
    } else {
      this.#brokers.set(brokerId, decodeBrokerRegistration(entry))
    }
    return { kind: 'broker', brokerId }
  }

  #changeTopic(key: string, entry: MetadataEntry | null): ClusterChange | null {
    const name = key.slice(topicKeyPrefix.length)
    const topic = entry === null ? undefined : decodeTopicRegistration(entry)
    const before = this.#topics.get(name)
    if (before !== undefined) {
      this.#topicNames.delete(before.topicId)
    }
    if (topic === undefined) {
      this.#topics.delete(name)
      return before === undefined ? null : { kind: 'topic', name, topicId: before.topicId }
    }
    this.#topics.set(name, topic)
    this.#topicNames.set(topic.topicId, name)
    return { kind: 'topic', name, topicId: topic.topicId }
  }
}

const nothing: ReadonlyMap<never, never> = new Map<never, never>()
