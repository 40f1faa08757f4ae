import { VarveError } from '@varve/records'
import { randomUuid } from '@varve/protocol'
import type { MetadataPut } from '@varve/replication'
import { errorFields } from './broker-log.js'
import type { Clock } from './clock.js'
import { type ConfigValues, noValues } from './configs/stored-configs.js'
import type { TopicSettings } from './configs/topic-settings.js'
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
import { type TopicLayout, Topics, type TopicsEnvironment } from './topics.js'

export interface LocalTopicsOptions extends TopicsEnvironment {
  readonly directories: DataDirectories
  readonly metadata: MetadataStore
  /** Appends are refused while a disk has fewer bytes free; default 0. */
  readonly lowDiskBytes?: number
  /** Whether what is created has to survive a power loss. */
  readonly durable: boolean
  readonly clock: Clock
  /** Is told how many logs have been opened. */
  readonly opening?: OpeningProgress
}

/** A topic's entry, with the revision at which the metadata store has it. */
interface KeptEntry {
  readonly entry: TopicEntry
  readonly revision: number
}

/**
 * All topics of a broker that is alone, kept in its own metadata store.
 *
 * A topic is created directories first and metadata entry last: the entry is the commit. A crash before it leaves
 * directories that no entry names, and the next start puts those aside; a crash after it finds everything in place. The
 * other order would have to recreate missing directories at start, and could not tell a crash from a directory that
 * someone lost with all its records. Further partitions are made the same way; a deletion is {@link TopicDeletions}'.
 */
export class LocalTopics extends Topics {
  readonly #options: LocalTopicsOptions
  readonly #membership: Membership
  readonly #logs: PartitionLogs
  readonly #deletions: TopicDeletions
  readonly #entries = new Map<Topic, KeptEntry>()
  /** What is being changed, by collision key: a name is created, deleted and altered by one at a time. */
  readonly #changing = new Map<string, Promise<unknown>>()
  #stopListening: () => void = () => {}

  private constructor(options: LocalTopicsOptions) {
    super(options)
    this.#options = options
    this.#membership = soleMembership(options.directories.first.nodeId)
    this.#logs = new PartitionLogs(options)
    this.#deletions = new TopicDeletions(options)
  }

  /**
   * Opens every topic that the metadata store names and puts aside what it does not name. A partition that cannot be
   * opened is only itself refused.
   */
  static async open(options: LocalTopicsOptions): Promise<LocalTopics> {
    const topics = new LocalTopics(options)
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

  override async create(name: string, layout: TopicLayout, configs: ConfigValues = noValues): Promise<Topic> {
    const partitions = 'assignments' in layout ? layout.assignments.length : layout.partitions
    if (this.get(name) !== undefined || this.#changing.has(collisionKey(name))) throw existsAlready(name)
    return await this.#change(name, () =>
      this.#create({ name, partitions, topicId: randomUuid(), leaderEpoch: 0, configs }),
    )
  }

  override async delete(
    topic: Topic,
    { filesAfterMs = topic.settings.fileDeleteDelayMs }: { readonly filesAfterMs?: number } = {},
  ): Promise<void> {
    await this.#alter(topic, async ({ entry, revision }) => {
      const deleted: DeletedTopic = { ...entry }
      await this.#commit(topic, revision, {
        deletes: [topicKey(topic.name)],
        puts: [TopicDeletions.note(deleted)],
      })
      this.#entries.delete(topic)
      this.withdraw(topic)
      await Promise.all(topic.partitions.map((partition) => partition.remove()))
      // Before another topic can get the name.
      await this.tellDeleted(topic)
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

  override async addPartitions(topic: Topic, count: number): Promise<void> {
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
      this.tellChange()
      this.#options.log('info', `topic ${topic.name} has ${count} partitions now`, { topic: topic.name })
    })
  }

  override async alterConfigs(topic: Topic, change: (configs: ConfigValues) => ConfigValues): Promise<void> {
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

  override async settled(name: string): Promise<void> {
    const key = collisionKey(name)
    for (let change = this.#changing.get(key); change !== undefined; change = this.#changing.get(key)) {
      await change.catch(() => {})
    }
  }

  override async detach(): Promise<void> {
    this.#stopListening()
    await Promise.allSettled(this.#changing.values())
    for (const topic of this.all()) for (const partition of topic.partitions) partition.detach()
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
    const membership = this.#membership
    const shared = {
      topic,
      membership,
      settings,
      lowDiskBytes: this.#options.lowDiskBytes ?? 0,
      onFailure: this.tellFailure,
    }
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
    this.publish(topic)
    return topic
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
    for (const topic of this.all()) topic.configure(topic.configs, this.settingsOf(topic.configs))
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
