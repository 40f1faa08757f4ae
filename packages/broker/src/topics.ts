import { VarveError } from '@varve/records'
import type { Durability } from '@varve/log'
import { randomUuid } from '@varve/protocol'
import type { MetadataPut } from '@varve/replication'
import { type BrokerLog, errorFields } from './broker-log.js'
import type { Clock } from './clock.js'
import type { BrokerConfigs } from './configs/broker-configs.js'
import { type ConfigValues, noValues } from './configs/stored-configs.js'
import { topicSettings, type TopicSettings } from './configs/topic-settings.js'
import type { DataDirectories } from './data-directories.js'
import { inParallel } from './in-parallel.js'
import type { MetadataStore } from './metadata/metadata-store.js'
import type { OpeningProgress } from './opening-progress.js'
import { type Membership, soleMembership, soleState } from './membership.js'
import { openingAtOnce, PartitionLogs } from './partition-logs.js'
import { Partition } from './partition.js'
import { storageFailureText } from './storage-failure.js'
import { isDeleted, isStray } from './stray-directory.js'
import { type DeletedTopic, TopicDeletions } from './topic-deletions.js'
import {
  decodeTopicEntry,
  encodeTopicEntry,
  type TopicEntry,
  topicKey,
  topicKeyPrefix,
} from './topic-entry.js'
import { collisionKey } from './topic-name.js'
import { Topic } from './topic.js'

export interface TopicsOptions {
  readonly directories: DataDirectories
  readonly metadata: MetadataStore
  readonly configs: BrokerConfigs
  /** The broker's, below which no topic goes. */
  readonly durability: Durability
  /** Appends are refused while a disk has fewer bytes free; default 0. */
  readonly lowDiskBytes?: number
  /** Whether what is created has to survive a power loss. */
  readonly durable: boolean
  readonly clock: Clock
  /** Is told how many logs have been opened. */
  readonly opening?: OpeningProgress
  readonly log: BrokerLog
}

/** A topic's entry, with the revision at which the metadata store has it. */
interface KeptEntry {
  readonly entry: TopicEntry
  readonly revision: number
}

/**
 * All topics of the broker.
 *
 * A topic is created directories first and metadata entry last: the entry is the commit. A crash before it leaves
 * directories that no entry names, and the next start puts those aside; a crash after it finds everything in place. The
 * other order would have to recreate missing directories at start, and could not tell a crash from a directory that
 * someone lost with all its records. Further partitions are made the same way; a deletion is {@link TopicDeletions}'.
 */
export class Topics {
  readonly #options: TopicsOptions
  readonly membership: Membership
  readonly #logs: PartitionLogs
  readonly #deletions: TopicDeletions
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<string, Topic>()
  readonly #entries = new Map<Topic, KeptEntry>()
  readonly #changeListeners = new Set<() => void>()
  readonly #deletionListeners: ((topic: Topic) => Promise<void>)[] = []
  readonly #collisions = new Map<string, string>()
  /** What is being changed, by collision key: a name is created, deleted and altered by one at a time. */
  readonly #changing = new Map<string, Promise<unknown>>()
  #stopListening: () => void = () => {}

  private constructor(options: TopicsOptions) {
    this.#options = options
    this.membership = soleMembership(options.directories.first.nodeId)
    this.#logs = new PartitionLogs(options)
    this.#deletions = new TopicDeletions(options)
  }

  /**
   * Opens every topic that the metadata store names and puts aside what it does not name. A partition that cannot be
   * opened is only itself refused.
   */
  static async open(options: TopicsOptions): Promise<Topics> {
    const topics = new Topics(options)
    await topics.#deletions.resume()
    const places = await options.directories.places()
    const wanted: { partition: Partition; topic: Topic }[] = []
    for (const stored of (await options.metadata.list(topicKeyPrefix)).entries) {
      const topic = topics.#add(decodeTopicEntry(stored), stored.revision)
      for (const partition of topic.partitions) wanted.push({ partition, topic })
    }
    const owned = new Set(wanted.map(({ partition }) => partition.name))
    for (const [name, directories] of places) {
      if (owned.has(name) || isStray(name) || isDeleted(name)) continue
      for (const { dir } of directories) await topics.#logs.putAside(dir, name)
    }
    const opened = options.opening?.begin(wanted.length)
    try {
      await inParallel(wanted, openingAtOnce, async ({ partition, topic }) => {
        await topics.#logs.reopen(partition, topic.id, places.get(partition.name) ?? [])
        opened?.()
      })
    } finally {
      options.opening?.end()
    }
    topics.#stopListening = options.configs.onChange(() => topics.#reconfigure())
    return topics
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
    return topicSettings(configs, this.#options.configs, this.#options.durability)
  }

  /**
   * Creates a topic whose name, number of partitions and configurations have been checked. Two calls for one name at once
   * make one topic. Coordinators create their own here, `__consumer_offsets` for one: clients cannot.
   *
   * @throws VarveError `VARVE_TOPIC_EXISTS`, or what kept the directories or the metadata entry from being written
   */
  async create(name: string, partitions: number, configs: ConfigValues = noValues): Promise<Topic> {
    if (this.#byName.has(name) || this.#changing.has(collisionKey(name))) throw existsAlready(name)
    return await this.#change(name, () =>
      this.#create({ name, partitions, topicId: randomUuid(), leaderEpoch: 0, configs }),
    )
  }

  /**
   * Deletes a topic: from now on nobody finds it, and who waits at one of its partitions is told. Its files are removed
   * later.
   *
   * @param filesAfterMs how much later; by default after the topic's `file.delete.delay.ms`
   * @throws VarveError `VARVE_TOPIC_DELETED` when it is gone already, or what kept the metadata store from noting it
   */
  async delete(
    topic: Topic,
    { filesAfterMs = topic.settings.fileDeleteDelayMs }: { readonly filesAfterMs?: number } = {},
  ): Promise<void> {
    await this.#alter(topic, async ({ entry, revision }) => {
      const deleted: DeletedTopic = { ...entry }
      await this.#commit(topic, revision, {
        deletes: [topicKey(topic.name)],
        puts: [TopicDeletions.note(deleted)],
      })
      this.#withdraw(topic)
      await Promise.all(topic.partitions.map((partition) => partition.remove()))
      // Before another topic can get the name.
      for (const listener of this.#deletionListeners) await listener(topic)
      this.#options.log('info', `deleted topic ${topic.name}, id ${topic.id}`, { topic: topic.name })
      await this.#deletions.finish(deleted, filesAfterMs).catch((error: unknown) => {
        // It is deleted all the same, and the next start goes on with its directories.
        this.#options.log('warn', `the directories of ${topic.name} remain: ${storageFailureText(error)}`, {
          topic: topic.name,
          ...errorFields(error),
        })
      })
    })
  }

  /** Calls `listener` after topics have come or gone or have further partitions, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#changeListeners.add(listener)
    return () => this.#changeListeners.delete(listener)
  }

  /** Calls `listener` for each topic that was deleted, and waits for it. It must not throw. */
  onDelete(listener: (topic: Topic) => Promise<void>): void {
    this.#deletionListeners.push(listener)
  }

  /**
   * Gives a topic further partitions, until it has `count`.
   *
   * @throws VarveError `VARVE_TOPIC_DELETED`, or what kept the directories or the metadata entry from being written
   */
  async addPartitions(topic: Topic, count: number): Promise<void> {
    await this.#alter(topic, async ({ entry, revision }) => {
      if (entry.partitions >= count) return
      const added = this.#partitions(entry, topic.settings, entry.partitions, count)
      await this.#make(added, entry.topicId, async () => {
        const next = { ...entry, partitions: count }
        const put = { key: topicKey(entry.name), value: encodeTopicEntry(next) }
        this.#entries.set(topic, {
          entry: next,
          revision: await this.#commit(topic, revision, { puts: [put] }),
        })
      })
      // The broker's configurations may have been altered meanwhile.
      for (const partition of added) partition.configure(topic.settings)
      topic.extend(added)
      this.#tellChange()
      this.#options.log('info', `topic ${topic.name} has ${count} partitions now`, { topic: topic.name })
    })
  }

  /**
   * Changes a topic's own configurations.
   *
   * @param change gives those that it shall have, checked, of those that it has; what it throws is passed on
   * @throws VarveError `VARVE_TOPIC_DELETED`, or what kept the metadata store from keeping them
   */
  async alterConfigs(topic: Topic, change: (configs: ConfigValues) => ConfigValues): Promise<void> {
    await this.#alter(topic, async ({ entry, revision }) => {
      const next = { ...entry, configs: change(entry.configs) }
      const put = { key: topicKey(entry.name), value: encodeTopicEntry(next) }
      this.#entries.set(topic, {
        entry: next,
        revision: await this.#commit(topic, revision, { puts: [put] }),
      })
      topic.configure(next.configs, this.settingsOf(next.configs))
    })
  }

  /** Resolves when nothing that would clash with this name is being changed any more. */
  async settled(name: string): Promise<void> {
    const key = collisionKey(name)
    for (let change = this.#changing.get(key); change !== undefined; change = this.#changing.get(key)) {
      await change.catch(() => {})
    }
  }

  /** One line for each partition that cannot be written. */
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

  /** Lets go of all logs, which their data directory closes. */
  async detach(): Promise<void> {
    this.#stopListening()
    await Promise.allSettled(this.#changing.values())
    for (const topic of this.#byName.values()) for (const partition of topic.partitions) partition.detach()
    await this.#deletions.close()
  }

  /** Runs one change of a name, when those before it have ended. */
  async #change<T>(name: string, work: () => Promise<T>): Promise<T> {
    const key = collisionKey(name)
    // Looked at again after each wait: another may have had the same idea, and been quicker.
    while (this.#changing.has(key)) await this.#changing.get(key)!.catch(() => {})
    const change = work()
    this.#changing.set(key, change)
    try {
      return await change
    } finally {
      this.#changing.delete(key)
    }
  }

  async #alter(topic: Topic, work: (kept: KeptEntry) => Promise<void>): Promise<void> {
    await this.#change(topic.name, async () => {
      const kept = this.#entries.get(topic)
      if (kept === undefined) {
        throw new VarveError(
          'VARVE_TOPIC_DELETED',
          `the topic ${topic.name}, id ${topic.id}, has been deleted`,
        )
      }
      await work(kept)
    })
  }

  /** Writes a change of a topic's entry, and resolves with its new revision. */
  async #commit(
    topic: Topic,
    revision: number,
    change: { readonly puts: readonly MetadataPut[]; readonly deletes?: readonly string[] },
  ): Promise<number> {
    const compares = [{ key: topicKey(topic.name), revision }]
    const result = await this.#options.metadata.txn({ compares, ...change })
    if (result.succeeded) return result.revision
    throw new VarveError(
      'VARVE_METADATA_CONFLICT',
      `the topic ${topic.name} was altered meanwhile; alter it again`,
    )
  }

  #add(entry: TopicEntry, revision: number): Topic {
    const settings = this.settingsOf(entry.configs)
    return this.#publish(entry, revision, this.#partitions(entry, settings, 0, entry.partitions), settings)
  }

  #partitions(
    { name: topic, topicId, leaderEpoch }: TopicEntry,
    settings: TopicSettings,
    from: number,
    to: number,
  ): Partition[] {
    const onFailure = ({ name, index }: Partition, failure: VarveError): void => {
      this.#options.log('error', `${name} takes no writes any more: ${storageFailureText(failure)}`, {
        topic,
        partition: index,
        ...errorFields(failure),
      })
    }
    const { membership } = this
    const shared = { topic, membership, settings, lowDiskBytes: this.#options.lowDiskBytes ?? 0, onFailure }
    return Array.from({ length: to - from }, (_, place) => {
      const state = soleState(membership.brokerId, { topicId, partition: from + place, leaderEpoch })
      return new Partition({ ...shared, state })
    })
  }

  #publish(
    entry: TopicEntry,
    revision: number,
    partitions: readonly Partition[],
    settings: TopicSettings,
  ): Topic {
    const { name, topicId, configs } = entry
    const topic = new Topic(name, topicId, partitions, configs, settings)
    this.#entries.set(topic, { entry, revision })
    this.#byName.set(name, topic)
    this.#byId.set(topicId, topic)
    this.#collisions.set(collisionKey(name), name)
    this.#tellChange()
    return topic
  }

  #withdraw(topic: Topic): void {
    this.#entries.delete(topic)
    this.#byName.delete(topic.name)
    this.#byId.delete(topic.id)
    this.#collisions.delete(collisionKey(topic.name))
    this.#tellChange()
  }

  #tellChange(): void {
    for (const listener of this.#changeListeners) listener()
  }

  async #create(entry: TopicEntry): Promise<Topic> {
    const { metadata, log } = this.#options
    const { name, topicId, partitions, configs } = entry
    const settings = this.settingsOf(configs)
    const created = this.#partitions(entry, settings, 0, partitions)
    let at = 0
    await this.#make(created, topicId, async () => {
      const { succeeded, revision } = await metadata.txn({
        compares: [{ key: topicKey(name), revision: 0 }],
        puts: [{ key: topicKey(name), value: encodeTopicEntry(entry) }],
      })
      if (!succeeded) throw existsAlready(name)
      at = revision
    })
    const topic = this.#publish(entry, at, created, settings)
    // The broker's configurations may have been altered meanwhile.
    topic.configure(configs, this.settingsOf(configs))
    log(
      'info',
      `created topic ${name} with ${partitions} partition${partitions === 1 ? '' : 's'}, id ${topicId}`,
      { topic: name },
    )
    return topic
  }

  /** Makes the logs of partitions and commits them, or leaves nothing of them behind. */
  async #make(partitions: readonly Partition[], topicId: string, commit: () => Promise<void>): Promise<void> {
    const made: string[] = []
    let unknown = false
    let committed = false
    try {
      await this.#logs.create(partitions, topicId, made)
      unknown = true
      await commit().catch((error: unknown) => {
        unknown = !isConflict(error)
        throw error
      })
      committed = true
    } finally {
      // An unknown outcome keeps the directories: if the entry did reach the disk, the next start needs them.
      if (!committed) {
        for (const partition of partitions) await partition.abandon()
        if (!unknown) await this.#logs.remove(made)
      }
    }
  }

  /** Takes over what has been altered of the broker. */
  #reconfigure(): void {
    for (const topic of this.#byName.values()) topic.configure(topic.configs, this.settingsOf(topic.configs))
  }
}

function existsAlready(name: string): VarveError {
  return new VarveError('VARVE_TOPIC_EXISTS', `the topic ${name} exists already`)
}

/** Whether a commit certainly did not happen. */
function isConflict(error: unknown): boolean {
  return (
    VarveError.is(error) && (error.code === 'VARVE_TOPIC_EXISTS' || error.code === 'VARVE_METADATA_CONFLICT')
  )
}
