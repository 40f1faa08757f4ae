import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  readPartitionMetadata,
  syncDirectory,
  writePartitionMetadata,
  type DataDirectory,
  type LogOptions,
} from '@varve/log'
import { randomUuid } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { type BrokerLog, messageOf } from './broker-log.js'
import type { DataDirectories } from './data-directories.js'
import type { MetadataStore } from './metadata-store.js'
import { offsetsLogOptions, offsetsTopicName } from './groups/offsets-topic.js'
import { Partition } from './partition.js'
import { storageFailureText } from './storage-failure.js'
import { isStray, putAside } from './stray-directory.js'
import {
  decodeTopicEntry,
  encodeTopicEntry,
  type TopicEntry,
  topicKey,
  topicKeyPrefix,
} from './topic-entry.js'
import { collisionKey } from './topic-name.js'
import { Topic } from './topic.js'

/** How many logs are opened at once; more would only queue for the same disk. */
const openingAtOnce = 16

export interface TopicsOptions {
  readonly directories: DataDirectories
  readonly metadata: MetadataStore
  readonly logOptions: LogOptions
  /** Whether what is created has to survive a power loss. */
  readonly durable: boolean
  readonly log: BrokerLog
}

/**
 * All topics of the broker.
 *
 * A topic is created directories first and metadata entry last: the entry is the commit. A crash before it leaves
 * directories that no entry names, and the next start puts those aside; a crash after it finds everything in place. The
 * other order would have to recreate missing directories at start, and could not tell a crash from a directory that
 * someone lost with all its records.
 */
export class Topics {
  readonly #options: TopicsOptions
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<string, Topic>()
  readonly #collisions = new Map<string, string>()
  readonly #creating = new Map<string, Promise<Topic>>()

  private constructor(options: TopicsOptions) {
    this.#options = options
  }

  /**
   * Opens every topic that the metadata store names and puts aside what it does not name. A partition that cannot be
   * opened is only itself refused.
   */
  static async open(options: TopicsOptions): Promise<Topics> {
    const topics = new Topics(options)
    const entries = (await options.metadata.list(topicKeyPrefix)).map(decodeTopicEntry)
    const places = await options.directories.places()
    const wanted: { partition: Partition; topicId: string }[] = []
    for (const entry of entries) {
      const topic = topics.#add(entry)
      for (const partition of topic.partitions) wanted.push({ partition, topicId: entry.topicId })
    }
    const owned = new Set(wanted.map(({ partition }) => partition.name))
    for (const [name, directories] of places) {
      if (owned.has(name) || isStray(name)) continue
      for (const { dir } of directories) await topics.#putAside(dir, name)
    }
    await inParallel(wanted, async ({ partition, topicId }) => {
      await topics.#reopen(partition, topicId, places.get(partition.name) ?? [])
    })
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

  /**
   * Creates a topic whose name and number of partitions have been checked. Two calls for one name at once make one topic.
   *
   * @throws VarveError `VARVE_TOPIC_EXISTS`, or what kept the directories or the metadata entry from being written
   */
  async create(name: string, partitions: number): Promise<Topic> {
    const key = collisionKey(name)
    if (this.#byName.has(name) || this.#creating.has(key)) {
      throw new VarveError('VARVE_TOPIC_EXISTS', `the topic ${name} exists already`)
    }
    const creation = this.#create({ name, partitions, topicId: randomUuid(), leaderEpoch: 0 })
    this.#creating.set(key, creation)
    try {
      return await creation
    } finally {
      this.#creating.delete(key)
    }
  }

  /** Resolves when nothing that would clash with this name is being created any more. */
  async settled(name: string): Promise<void> {
    await this.#creating.get(collisionKey(name))?.catch(() => {})
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
    await Promise.allSettled(this.#creating.values())
    for (const topic of this.#byName.values()) for (const partition of topic.partitions) partition.detach()
  }

  #add({ name, topicId, partitions, leaderEpoch }: TopicEntry): Topic {
    const topic = new Topic(
      name,
      topicId,
      Array.from({ length: partitions }, (_, index) => this.#partition(name, index, leaderEpoch)),
    )
    this.#publish(topic)
    return topic
  }

  #logOptions(topic: string): LogOptions {
    const { logOptions } = this.#options
    return topic === offsetsTopicName ? { ...logOptions, ...offsetsLogOptions } : logOptions
  }

  #partition(topic: string, index: number, leaderEpoch: number): Partition {
    const onFailure = ({ name }: Partition, failure: VarveError): void => {
      this.#options.log('error', `${name} takes no writes any more: ${storageFailureText(failure)}`)
    }
    return new Partition({ topic, index, leaderEpoch, onFailure })
  }

  #publish(topic: Topic): void {
    this.#byName.set(topic.name, topic)
    this.#byId.set(topic.id, topic)
    this.#collisions.set(collisionKey(topic.name), topic.name)
  }

  async #create(entry: TopicEntry): Promise<Topic> {
    const { directories, metadata, durable, log } = this.#options
    const { name, topicId, partitions, leaderEpoch } = entry
    const created = Array.from({ length: partitions }, (_, index) =>
      this.#partition(name, index, leaderEpoch),
    )
    const places = await directories.places()
    const made: string[] = []
    let committed = false
    let unknown = false
    try {
      await inParallel(created, async (partition) => {
        for (const { dir } of places.get(partition.name) ?? []) await this.#putAside(dir, partition.name)
        const opened = await directories.create(partition.name, this.#logOptions(name))
        made.push(opened.dir)
        partition.attach(opened)
        await writePartitionMetadata(opened.dir, topicId, durable)
      })
      if (durable) await Promise.all(directories.paths.map(syncDirectory))
      unknown = true
      const { succeeded } = await metadata.txn({
        compares: [{ key: topicKey(name), revision: 0 }],
        puts: [{ key: topicKey(name), value: encodeTopicEntry(entry) }],
      })
      unknown = false
      if (!succeeded) throw new VarveError('VARVE_TOPIC_EXISTS', `the topic ${name} exists already`)
      committed = true
    } finally {
      // An unknown outcome keeps the directories: if the entry did reach the disk, the next start needs them.
      if (!committed) {
        for (const partition of created) await partition.abandon()
        if (!unknown) await this.#remove(made)
      }
    }
    const topic = new Topic(name, topicId, created)
    this.#publish(topic)
    log(
      'info',
      `created topic ${name} with ${partitions} partition${partitions === 1 ? '' : 's'}, id ${topicId}`,
    )
    return topic
  }

  /** Removes the directories of a creation that certainly did not happen; nothing was ever appended to them. */
  async #remove(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
        this.#options.log(
          'warn',
          `could not remove ${path}, the rest of a failed creation: ${messageOf(error)}`,
        )
      })
    }
  }

  async #reopen(partition: Partition, topicId: string, places: readonly DataDirectory[]): Promise<void> {
    const { durable, log } = this.#options
    try {
      const [directory] = places
      if (directory === undefined) throw this.#missing(partition.name)
      const path = join(directory.dir, partition.name)
      if (places.length > 1) {
        const paths = places.map(({ dir }) => join(dir, partition.name))
        throw new VarveError(
          'VARVE_PARTITION_DUPLICATE',
          `it is in two places, ${paths.join(' and ')}; move the one away that is not wanted and restart the broker`,
        )
      }
      const owner = await readPartitionMetadata(path)
      if (owner !== null && owner !== topicId) {
        throw new VarveError(
          'VARVE_PARTITION_METADATA',
          `${path} belongs to the topic id ${owner}, not to ${topicId}; move it away and put the right directory back`,
        )
      }
      const opened = await directory.openLog(partition.name, this.#logOptions(partition.topic))
      if (owner === null) await writePartitionMetadata(path, topicId, durable)
      partition.attach(opened)
      if (opened.recovered !== null && opened.recovered.cutBytes > 0) {
        const { cutBytes, endOffset } = opened.recovered
        log(
          'warn',
          `${partition.name}: recovery cut ${cutBytes} bytes, the log now ends at offset ${endOffset}`,
        )
      }
    } catch (error) {
      partition.refuse(asVarveError(error))
    }
    const failure = partition.failure
    if (failure !== null) log('error', `${partition.name}: ${storageFailureText(failure)}`)
  }

  #missing(name: string): VarveError {
    const { directories } = this.#options
    const path = directories.find(name)
    const [first, ...others] = directories.paths.map((dir) => join(dir, name))
    const nowhere =
      others.length === 0
        ? `its directory ${first} is missing; put it back`
        : `its directory is missing, it was ${[first, ...others].join(' or ')}; name its data directory too, or put it back`
    const what = path === null ? nowhere : `there are no log files in ${path}; put them back`
    return new VarveError(
      'VARVE_PARTITION_MISSING',
      `${what} from a copy and restart the broker, which serves all other partitions meanwhile`,
    )
  }

  async #putAside(dir: string, name: string): Promise<void> {
    const { log } = this.#options
    try {
      const stray = await putAside(dir, name)
      log('warn', `the directory ${name} belongs to no topic; it is kept as ${stray}`)
    } catch (error) {
      throw new VarveError(
        'VARVE_IO',
        `could not rename ${join(dir, name)}, which belongs to no topic: ${messageOf(error)}`,
        { cause: error },
      )
    }
  }
}

function asVarveError(error: unknown): VarveError {
  return VarveError.is(error) ? error : new VarveError('VARVE_IO', messageOf(error), { cause: error })
}

/** Runs `work` on every item, a few at a time. The first failure is thrown when those under way have ended. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  let failed = false
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      try {
        await work(items[next++]!)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: openingAtOnce }, lane))
  for (const result of lanes) if (result.status === 'rejected') throw result.reason
}
