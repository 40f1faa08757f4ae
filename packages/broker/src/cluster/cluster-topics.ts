import { dirname } from 'node:path'
import { createTopics, errors, randomUuid } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { DataDirectory, Log } from '@varve/log'
import {
  type ClusterChange,
  type ControllerRequest,
  type ControllerResult,
  isAvailable,
  type PartitionState,
  type TopicRegistration,
} from '@varve/replication'
import { errorFields, messageOf } from '../broker-log.js'
import type { Clock } from '../clock.js'
import { type ConfigValues, noValues } from '../configs/stored-configs.js'
import type { DataDirectories } from '../data-directories.js'
import { DirectoryRemovals } from '../directory-removals.js'
import { offsetsTopicName } from '../groups/offsets-topic.js'
import { inParallel } from '../in-parallel.js'
import type { KafkaError } from '../kafka-error.js'
import type { Membership } from '../membership.js'
import type { OpeningProgress } from '../opening-progress.js'
import { openingAtOnce, PartitionLogs } from '../partition-logs.js'
import { Partition } from '../partition.js'
import { Refusal } from '../refusal.js'
import { diskHasFailed, storageFailureText } from '../storage-failure.js'
import { isDeleted, isStray, renameAway } from '../stray-directory.js'
import { Topic } from '../topic.js'
import { type TopicLayout, Topics, type TopicsEnvironment } from '../topics.js'
import type { BrokerPeers } from './broker-peers.js'
import type { ClusterMember } from './cluster-member.js'
import type { UncleanRestarts } from './unclean-restarts.js'

/** How long a topic that another broker has created may take to be known here. */
const knownWithinMs = 5000

export interface ClusterTopicsOptions extends TopicsEnvironment {
  readonly member: ClusterMember
  readonly membership: Membership
  readonly directories: DataDirectories
  readonly restarts: UncleanRestarts
  readonly peers: BrokerPeers
  readonly lowDiskBytes?: number
  readonly durable: boolean
  readonly clock: Clock
  readonly opening?: OpeningProgress
}

/**
 * All topics of a cluster, as the metadata store has them, and the logs of those partitions that have a replica on this
 * broker. What is to be changed the controller is asked for; it happens here when the store tells of it.
 *
 * The state of a partition in the store is the commit: a log is made after it, and removed after it. What is found in a data
 * directory and is no replica of this broker is put aside, once the broker is registered and so cannot be behind.
 */
export class ClusterTopics extends Topics {
  readonly #options: ClusterTopicsOptions
  readonly #logs: PartitionLogs
  readonly #removals: DirectoryRemovals
  readonly #attached = new Map<Partition, Log>()
  /** What is being done about a directory, by its name. */
  readonly #work = new Map<string, Promise<void>>()
  readonly #revisions = new Map<string, number>()
  /** Is told when a follower that is not in sync has fetched. */
  onOutOfSyncFetch: (partition: Partition) => void = () => {}
  #strays: Promise<void> | null = null
  #isDetached = false

  private constructor(options: ClusterTopicsOptions) {
    super(options)
    this.#options = options
    this.#logs = new PartitionLogs(options)
    this.#removals = new DirectoryRemovals(options)
    options.directories.onFailure = (directory, failure) => this.#directoryFailed(directory, failure)
  }

  /** Opens the logs of every partition that has a replica here. One that cannot be opened is only itself refused. */
  static async open(options: ClusterTopicsOptions): Promise<ClusterTopics> {
    const topics = new ClusterTopics(options)
    const { member, directories, configs } = options
    await topics.#removals.resume(directories.paths)
    const hosted: Partition[] = []
    for (const registration of member.image.topics.values())
      hosted.push(...(topics.#topicChanged(registration)?.partitions.filter(isHosted) ?? []))
    const opened = options.opening?.begin(hosted.length)
    const places = await directories.places()
    if (await topics.#logs.someAreMissing(hosted, places)) await options.restarts.logsAreMissing()
    try {
      await inParallel(hosted, openingAtOnce, async (partition) => {
        await topics.#settle(partition)
        opened?.()
      })
    } finally {
      options.opening?.end()
    }
    member.onChange((changes) => topics.#imageChanged(changes))
    configs.onChange(() => topics.#reconfigure())
    // The image has moved on while the logs were opened.
    topics.#imageChanged(null)
    return topics
  }

  /** The log of a replica of this broker; null while it has none. */
  logOf(partition: Partition): Log | null {
    return this.#attached.get(partition) ?? null
  }

  override async create(name: string, layout: TopicLayout, configs: ConfigValues = noValues): Promise<Topic> {
    const { member } = this.#options
    if (this.get(name) !== undefined) throw existsAlready(name)
    if (member.isController) {
      const partitions =
        'assignments' in layout
          ? layout
          : {
              count: layout.partitions,
              replicationFactor: layout.replicationFactor ?? this.#defaultFactor(name),
            }
      const topicId = randomUuid()
      const request = {
        kind: 'create topic',
        name,
        topicId,
        partitions,
        configs: Object.fromEntries(configs),
      } as const
      const { error } = await member.request(request)
      if (error === 'TOPIC_ALREADY_EXISTS') throw existsAlready(name)
      if (error !== null) throw refusal(error, `The topic ${name} cannot be created.`)
    } else {
      await this.#createElsewhere(name, layout, configs)
    }
    return await this.#known(name)
  }

  #defaultFactor(name: string): number {
    const { configs, member } = this.#options
    if (name !== offsetsTopicName) return configs.number('default.replication.factor')
    // Groups are not kept waiting until there are as many brokers.
    const available = [...member.image.brokers.values()].filter(isAvailable).length
    return Math.max(1, Math.min(available, configs.number('offsets.topic.replication.factor')))
  }

  /** Asks the controller by Kafka's protocol, as a client does. */
  async #createElsewhere(name: string, layout: TopicLayout, configs: ConfigValues): Promise<void> {
    const { member, peers } = this.#options
    const { controller } = member.image
    if (controller === null) throw refusal('NOT_CONTROLLER', 'There is no controller yet.')
    const connection = await peers.shared(controller.brokerId)
    const assigned = 'assignments' in layout
    const { topics } = await connection.request(createTopics, {
      topics: [
        {
          name,
          numPartitions: assigned ? -1 : layout.partitions,
          replicationFactor: assigned ? -1 : (layout.replicationFactor ?? this.#defaultFactor(name)),
          assignments: assigned
            ? layout.assignments.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))
            : [],
          configs: [...configs].map(([key, value]) => ({ name: key, value })),
        },
      ],
      timeoutMs: 30_000,
    })
    const { errorCode = 0, errorMessage = null } = topics?.[0] ?? {}
    if (errorCode === errors.TOPIC_ALREADY_EXISTS.code) return
    const error = Object.values(errors).find(({ code }) => code === errorCode)
    if (errorCode !== 0) throw new Refusal(error ?? errors.UNKNOWN_SERVER_ERROR, errorMessage ?? '')
  }

  /** Resolves with a topic when this broker knows it, too. */
  async #known(name: string): Promise<Topic> {
    const found = this.get(name)
    if (found !== undefined) return found
    const { clock } = this.#options
    return await new Promise((resolve, reject) => {
      const end = (): void => {
        clock.clearTimeout(timer)
        stop()
      }
      const timer = clock.setTimeout(() => {
        end()
        reject(refusal('UNKNOWN_TOPIC_OR_PARTITION', `The topic ${name} is not known here yet.`))
      }, knownWithinMs)
      const stop = this.onChange(() => {
        const topic = this.get(name)
        if (topic === undefined) return
        end()
        resolve(topic)
      })
    })
  }

  override async delete(topic: Topic): Promise<void> {
    await this.#request(topic, { kind: 'delete topic', name: topic.name })
  }

  override async addPartitions(
    topic: Topic,
    count: number,
    assignments?: readonly (readonly number[])[],
  ): Promise<void> {
    await this.#request(topic, {
      kind: 'create partitions',
      name: topic.name,
      count,
      ...(assignments !== undefined && { assignments }),
    })
  }

  override async alterConfigs(topic: Topic, change: (configs: ConfigValues) => ConfigValues): Promise<void> {
    const next = change(topic.configs)
    const changed: Record<string, string | null> = {}
    for (const [name, value] of next) if (topic.configs.get(name) !== value) changed[name] = value
    for (const name of topic.configs.keys()) if (!next.has(name)) changed[name] = null
    await this.#request(topic, { kind: 'alter topic configs', name: topic.name, configs: changed })
  }

  async #request(topic: Topic, request: ControllerRequest): Promise<ControllerResult> {
    if (this.getById(topic.id) !== topic) throw deletedAlready(topic)
    const result = await this.#options.member.request(request)
    if (result.error !== null) throw refusal(result.error, `The topic ${topic.name} cannot be changed.`)
    return result
  }

  override settled(): Promise<void> {
    return Promise.resolve()
  }

  override async detach(): Promise<void> {
    this.#isDetached = true
    await Promise.allSettled([...this.#work.values(), this.#strays])
    for (const topic of this.all()) for (const partition of topic.partitions) partition.detach()
    await this.#removals.close()
  }

  /** Takes over what has been altered of the broker. */
  #reconfigure(): void {
    for (const topic of this.all()) topic.configure(topic.configs, this.settingsOf(topic.configs))
  }

  #imageChanged(changes: readonly ClusterChange[] | null): void {
    if (this.#isDetached) return
    if (changes === null) this.#begin()
    else {
      const topics = new Set<string>()
      for (const change of changes) {
        if (change.kind === 'topic') topics.add(change.name)
        else if (change.kind === 'partition' && !this.#partitionChanged(change.topicId, change.partition)) {
          const name = this.#options.member.image.topicById(change.topicId)?.name
          if (name !== undefined) topics.add(name)
        }
      }
      for (const name of topics) this.#look(name)
      if (changes.some(({ kind }) => kind === 'broker')) this.#reconsider()
    }
    if (!this.#options.member.isUpToDate) return
    this.#strays ??= this.#putStraysAside().catch((error: unknown) => {
      this.#options.log('error', messageOf(error), errorFields(error))
    })
  }

  #begin(): void {
    const { image } = this.#options.member
    const names = new Set([...image.topics.keys(), ...[...this.all()].map(({ name }) => name)])
    for (const name of names) this.#look(name)
    this.#reconsider()
  }

  /** Brings a topic and its partitions into line with the image. */
  #look(name: string): void {
    const registration = this.#options.member.image.topics.get(name)
    const known = this.get(name)
    if (known !== undefined && known.id !== registration?.topicId) this.#deleted(known)
    if (registration === undefined) return
    const topic = this.#topicChanged(registration)
    for (const partition of topic?.partitions ?? []) this.#settleIfNeeded(partition)
  }

  /** Brings a partition that is known into line with the image; false for one that is not. */
  #partitionChanged(topicId: string, index: number): boolean {
    const partition = this.getById(topicId)?.partitions[index]
    const state = this.#options.member.image.partition(topicId, index)
    if (partition === undefined) return false
    if (state !== undefined) partition.stateChanged(state)
    this.#settleIfNeeded(partition)
    return true
  }

  #settleIfNeeded(partition: Partition): void {
    if (partition.failure !== null && !this.#attached.has(partition)) {
      // What could not be opened is tried again by the next start, or if it comes back to this broker.
      if (partition.hosted || partition.deleted) return
      partition.refuse(null)
      this.#tellOffline()
    }
    if (partition.hosted !== this.#attached.has(partition)) void this.#settle(partition)
  }

  /** A leadership may have waited for this broker to be unfenced, an in-sync replica for another's registration. */
  #reconsider(): void {
    for (const partition of this.#attached.keys()) partition.reconsider()
  }

  /** The topic as it is now; undefined while the store does not have all of it. */
  #topicChanged(registration: TopicRegistration): Topic | undefined {
    const { name, topicId, partitions: count, revision } = registration
    const states = this.#options.member.image.partitionsOfTopic(topicId)
    const known = this.getById(topicId)
    const present = known?.partitions.length ?? 0
    for (const partition of known?.partitions ?? []) {
      const state = states.get(partition.index)
      if (state !== undefined) partition.stateChanged(state)
    }
    const configs: ConfigValues = new Map(Object.entries(registration.configs))
    const settings = this.settingsOf(configs)
    const added: Partition[] = []
    for (let index = present; index < count; index++) {
      const state = states.get(index)
      if (state === undefined) break
      added.push(this.#partition(name, state, settings))
    }
    if (known === undefined) {
      if (added.length < count) return undefined
      const topic = new Topic(name, topicId, added, configs, settings)
      this.#revisions.set(topicId, revision)
      this.publish(topic)
      return topic
    }
    if (this.#revisions.get(topicId) !== revision) {
      this.#revisions.set(topicId, revision)
      known.configure(configs, settings)
    }
    if (added.length > 0) {
      known.extend(added)
      this.tellChange()
    }
    return known
  }

  #partition(topic: string, state: PartitionState, settings: Topic['settings']): Partition {
    const { membership, lowDiskBytes = 0 } = this.#options
    return new Partition({
      topic,
      state,
      membership,
      settings,
      lowDiskBytes,
      onRole: this.tellRole,
      onOutOfSyncFetch: (partition) => this.onOutOfSyncFetch(partition),
      onFailure: (partition, failure) => {
        this.tellFailure(partition, failure)
        this.#tellOffline()
        if (diskHasFailed(failure)) this.#probe(partition.directory)
      },
      onUnanswered: (partition, failure) => this.#giveUp(partition, failure),
    })
  }

  #deleted(topic: Topic): void {
    this.withdraw(topic)
    this.#revisions.delete(topic.id)
    this.#options.log('info', `topic ${topic.name}, id ${topic.id}, has been deleted`, { topic: topic.name })
    for (const partition of topic.partitions) {
      const isHere = this.#attached.has(partition) || this.#work.has(partition.name)
      partition.markDeleted()
      if (isHere) void this.#settle(partition)
    }
    void this.tellDeleted(topic)
  }

  /** Opens or removes the log of a partition, as its state says once it is its turn. What goes wrong concerns it alone. */
  #settle(partition: Partition): Promise<void> {
    const { name } = partition
    const work = (this.#work.get(name) ?? Promise.resolve()).then(async () => {
      if (this.#isDetached) return
      const isWanted = partition.hosted && !partition.deleted
      if (isWanted === this.#attached.has(partition)) return
      if (isWanted) await this.#open(partition)
      else await this.#remove(partition)
      // It may have been moved here or away meanwhile.
      this.#settleIfNeeded(partition)
    })
    const settled = work.catch((error: unknown) => {
      this.#options.log('error', `${name}: ${messageOf(error)}`, {
        topic: partition.topic,
        partition: partition.index,
        ...errorFields(error),
      })
    })
    this.#work.set(name, settled)
    void settled.then(() => {
      if (this.#work.get(name) === settled) this.#work.delete(name)
    })
    return settled
  }

  async #open(partition: Partition): Promise<void> {
    const { directories } = this.#options
    const { topicId } = partition.state
    const places = directories.having(partition.name)
    const log = await this.#logs.openOrCreate(partition, topicId, places)
    if (log === null) {
      if (diskHasFailed(partition.failure)) for (const place of places) void directories.probe(place)
      return this.#tellOffline()
    }
    this.#attached.set(partition, log)
    partition.attach(log)
    if (partition.failure !== null) this.#tellOffline()
  }

  async #remove(partition: Partition): Promise<void> {
    const { directories, durable, log } = this.#options
    const dir = partition.directory
    const hadFailed = partition.failure !== null && !partition.deleted
    this.#attached.delete(partition)
    await partition.release()
    if (dir === null) return
    const directory = directories.all.find((each) => dir.startsWith(each.dir))!
    const renamed = await renameAway(directory.dir, partition.name, 'delete')
    directories.forget(directory.dir)
    if (durable) await directories.sync()
    log('info', `${partition.name}: this broker has no replica of it any more`, {
      topic: partition.topic,
      partition: partition.index,
    })
    this.#removals.schedule([`${directory.dir}/${renamed}`], partition.settings.fileDeleteDelayMs)
    if (hadFailed) this.#tellOffline()
  }

  /** A log whose disk does not answer is served by another broker, as one that takes no writes. */
  #giveUp(partition: Partition, failure: VarveError): void {
    if (!this.#attached.delete(partition)) return
    const { name, topic, index, directory } = partition
    this.#options.log('error', `${name} is given up: ${storageFailureText(failure)}`, {
      topic,
      partition: index,
      ...errorFields(failure),
    })
    partition.refuse(failure)
    void partition.release({ flush: true })
    this.#tellOffline()
    this.#probe(directory)
  }

  /** Finds out whether the whole data directory in which a log is has failed. */
  #probe(logDirectory: string | null): void {
    const { directories } = this.#options
    const directory = directories.all.find(({ dir }) => dir === dirname(logDirectory ?? ''))
    if (directory !== undefined) void directories.probe(directory)
  }

  /** No log on a disk that has failed is served any more, whether it has noticed or not. */
  #directoryFailed({ dir }: DataDirectory, failure: VarveError): void {
    this.#options.log('error', storageFailureText(failure), errorFields(failure))
    for (const partition of this.#attached.keys()) {
      if (partition.directory === null || dirname(partition.directory) !== dir) continue
      this.#attached.delete(partition)
      partition.refuse(failure)
      void partition.release({ flush: true })
    }
    this.#tellOffline()
  }

  /** The controller elects others where a log has failed. */
  #tellOffline(): void {
    const offline: string[] = []
    for (const topic of this.all()) {
      for (const { hosted, failure, state } of topic.partitions) {
        if (hosted && failure !== null) offline.push(`${state.topicId}:${state.partition}`)
      }
    }
    this.#options.member.setOfflineReplicas(offline)
  }

  /** Whether a directory is that of a replica of this broker, be it one that could not be opened. */
  #isOfReplica(name: string): boolean {
    const dash = name.lastIndexOf('-')
    return this.get(name.slice(0, dash))?.partitions[Number(name.slice(dash + 1))]?.hosted ?? false
  }

  async #putStraysAside(): Promise<void> {
    for (const [name, directories] of await this.#options.directories.places()) {
      if (isStray(name) || isDeleted(name) || this.#work.has(name) || this.#isOfReplica(name)) continue
      for (const { dir } of directories) {
        await this.#logs.putAside(dir, name).catch((error: unknown) => {
          this.#options.log('error', messageOf(error), errorFields(error))
        })
      }
    }
  }
}

function isHosted({ hosted }: Partition): boolean {
  return hosted
}

function refusal(error: NonNullable<ControllerResult['error']>, message: string): Refusal {
  const kafkaError: KafkaError = errors[error]
  return new Refusal(kafkaError, `${message} ${kafkaError.message}`)
}

function existsAlready(name: string): VarveError {
  return new VarveError('VARVE_TOPIC_EXISTS', `the topic ${name} exists already`)
}

function deletedAlready({ name, id }: Topic): VarveError {
  return new VarveError('VARVE_TOPIC_DELETED', `the topic ${name}, id ${id}, has been deleted`)
}
