import { randomUUID } from 'node:crypto'
import { errors } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { type BrokerLog, errorFields, type LogFields, type LogLevel } from '../broker-log.js'
import type { Clock, Timer } from '../clock.js'
import type { LimitedLog } from '../limited-log.js'
import type { Partition } from '../partition.js'
import { storageFailureText } from '../storage-failure.js'
import type { Topic } from '../topic.js'
import type { Topics } from '../topics.js'
import type { Group } from './group.js'
import type { GroupOptions } from './group-options.js'
import type { GroupShard } from './group-shard.js'
import { LedShard } from './led-shard.js'
import { offsetsPartitionOf, offsetsTopicConfigs, offsetsTopicName } from './offsets-topic.js'
import { Refused } from './refused.js'

export interface GroupCoordinatorOptions {
  readonly topics: Topics
  readonly clock: Clock
  readonly log: BrokerLog
  readonly limitedLog: LimitedLog
  readonly options: Required<GroupOptions>
  /**
   * Whether there is no other broker: this one leads every partition of `__consumer_offsets` as soon as there is one. In a
   * cluster it leads those of {@link GroupCoordinator.lead}. Default true.
   */
  readonly isSole?: boolean
  /** How many replicas the partitions of the topic are to have. Default 1. */
  readonly replicationFactor?: () => number
}

/**
 * The coordinator of all groups whose partition of `__consumer_offsets` this broker leads. What it knows of them it has read
 * from there since it leads; until that has ended they are answered COORDINATOR_LOAD_IN_PROGRESS, and NOT_COORDINATOR as soon
 * as it leads no more. With one broker it leads all, and creates the topic when the first group needs it.
 */
export class GroupCoordinator {
  readonly #options: GroupCoordinatorOptions
  readonly options: Required<GroupOptions>
  readonly #isSole: boolean
  /** By the partition that it leads, or has led last; a partition of a topic that was created anew is another one. */
  readonly #led = new Map<Partition, LedShard>()
  /** Of shards that are no more. */
  #formerRebalances = 0
  #creating: Promise<Topic> | null = null
  #expiry: Timer = undefined
  #closed = false

  constructor(options: GroupCoordinatorOptions) {
    this.#options = options
    this.options = options.options
    this.#isSole = options.isSole ?? true
    const topic = options.topics.get(offsetsTopicName)
    if (topic !== undefined && this.#isSole) this.#leadAll(topic)
    options.topics.onDelete((deleted) => this.#topicDeleted(deleted))
  }

  // Leadership

  /**
   * This broker leads a partition of `__consumer_offsets` from now on, whose log is what its groups are read from. An epoch that
   * is not later than the one it has led in last is ignored.
   */
  lead(partition: Partition, leaderEpoch: number): void {
    if (this.#closed || partition.deleted) return
    const former = this.#led.get(partition) ?? null
    if (former !== null && leaderEpoch <= former.leaderEpoch) return
    this.#begin(partition, leaderEpoch, former)
  }

  /**
   * This broker leads a partition no more: whoever waits for one of its groups is answered NOT_COORDINATOR, and its timers end.
   *
   * @param leaderEpoch in which it has led, or a later one; an earlier one is ignored
   */
  resign(partition: Partition, leaderEpoch: number): void {
    const led = this.#led.get(partition)
    if (led !== undefined && leaderEpoch >= led.leaderEpoch) led.end()
  }

  // Shards

  /**
   * The partition that a group belongs to, whose leader coordinates it, for whoever looks for that: the first one of all creates
   * the topic.
   *
   * @throws Refused when the topic cannot be created
   */
  async partitionFor(groupId: string): Promise<Partition> {
    this.#refuseIfClosed()
    const { topics } = this.#options
    return partitionOf(groupId, topics.get(offsetsTopicName) ?? (await this.#create()))
  }

  /**
   * The shard that a group belongs to, for a command that may be the first one of all.
   *
   * @throws Refused while it cannot be served, or not here
   */
  async shardFor(groupId: string): Promise<GroupShard> {
    this.#refuseIfClosed()
    if (this.#isSole && this.#led.size === 0) await this.#create()
    return this.#shardOf(groupId)
  }

  /**
   * The same for a command of a member. Only whoever keeps offsets without being one may have a group without a name.
   *
   * @throws Refused while it cannot be served, or not here
   */
  async shardForMember(groupId: string): Promise<GroupShard> {
    if (groupId === '') throw new Refused(errors.INVALID_GROUP_ID)
    return await this.shardFor(groupId)
  }

  /**
   * The shard that a group belongs to, or null as long as there has never been a group. In a cluster only others can know that.
   *
   * @throws Refused while it cannot be served, or not here
   */
  shardIfAny(groupId: string): GroupShard | null {
    this.#refuseIfClosed()
    if (this.#isSole && this.#led.size === 0) return null
    return this.#shardOf(groupId)
  }

  /**
   * All shards that are led here, for whoever lists groups.
   *
   * @throws Refused while one of them cannot be served
   */
  shards(): GroupShard[] {
    this.#refuseIfClosed()
    return [...this.#led.values()].filter(({ isEnded }) => !isEnded).map(({ serving }) => serving)
  }

  /** The groups that can be served now. */
  *loaded(): IterableIterator<Group> {
    for (const led of this.#led.values()) yield* led.groups()
  }

  /** How many rebalances have come to an assignment since the broker was started. */
  get completedRebalances(): number {
    let sum = this.#formerRebalances
    for (const { completedRebalances } of this.#led.values()) sum += completedRebalances
    return sum
  }

  /** One line for each partition of the offsets topic whose groups cannot be served. */
  problems(): string[] {
    return [...this.#led.values()].flatMap(({ problem }) => problem ?? [])
  }

  /** Resolves when what groups have decided by now is stored. */
  async settled(): Promise<void> {
    await Promise.all([...this.#led.values()].map((led) => led.settled()))
  }

  /** Forgets all groups, with what they have committed. Their members are told when they next ask. */
  async startOver(): Promise<void> {
    const formers = [...this.#led.values()]
    for (const former of formers) former.end()
    await this.settled()
    await Promise.all(
      formers.map(async ({ partition, leaderEpoch }) => {
        await partition.startOver()
        this.#begin(partition, leaderEpoch, null)
      }),
    )
  }

  /** Answers whoever waits for a rebalance, and ends all timers. */
  close(): void {
    this.#closed = true
    this.#options.clock.clearTimeout(this.#expiry)
    for (const led of this.#led.values()) led.end()
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new Refused(errors.NOT_COORDINATOR)
  }

  #shardOf(groupId: string): GroupShard {
    const topic = this.#options.topics.get(offsetsTopicName)
    const led = topic === undefined ? undefined : this.#led.get(partitionOf(groupId, topic))
    if (led === undefined) throw new Refused(errors.NOT_COORDINATOR)
    return led.serving
  }

  #create(): Promise<Topic> {
    this.#creating ??= this.#createTopic().finally(() => {
      this.#creating = null
    })
    return this.#creating
  }

  async #createTopic(): Promise<Topic> {
    const { topics, options, log } = this.#options
    try {
      const topic = await topics.create(
        offsetsTopicName,
        {
          partitions: options.offsetsTopicPartitions,
          replicationFactor: this.#options.replicationFactor?.() ?? 1,
        },
        offsetsTopicConfigs(options),
      )
      this.#refuseIfClosed()
      if (this.#isSole) this.#leadAll(topic)
      return topic
    } catch (error) {
      if (error instanceof Refused) throw error
      // Somebody else is creating it, on another broker perhaps, or deleting it.
      if (VarveError.is(error) && error.code === 'VARVE_TOPIC_EXISTS')
        throw new Refused(errors.COORDINATOR_NOT_AVAILABLE)
      const text = storageFailureText(error, 'try again')
      log('error', `could not create the topic ${offsetsTopicName}: ${text}`, {
        topic: offsetsTopicName,
        ...errorFields(error),
      })
      throw new Refused(errors.COORDINATOR_NOT_AVAILABLE, text)
    }
  }

  #leadAll({ partitions }: Topic): void {
    for (const partition of partitions) this.lead(partition, partition.leaderEpoch)
  }

  #begin(partition: Partition, leaderEpoch: number, former: LedShard | null): void {
    this.#forget(partition)
    const { clock, log, options } = this.#options
    const shard = { clock, log, options, randomId: randomUUID, tell: this.#tell }
    this.#led.set(partition, new LedShard(partition, leaderEpoch, former, shard))
    if (this.#expiry === undefined) this.#scheduleExpiry()
  }

  #forget(partition: Partition): void {
    const led = this.#led.get(partition)
    if (led === undefined) return
    led.end()
    this.#formerRebalances += led.completedRebalances
    this.#led.delete(partition)
  }

  /** What groups have committed for a topic goes with it, and all groups go with theirs. */
  async #topicDeleted(topic: Topic): Promise<void> {
    if (topic.name !== offsetsTopicName) {
      await Promise.all([...this.#led.values()].map((led) => led.topicDeleted(topic)))
      return
    }
    for (const partition of topic.partitions) this.#forget(partition)
    if (this.#led.size > 0) return
    this.#options.clock.clearTimeout(this.#expiry)
    this.#expiry = undefined
  }

  #scheduleExpiry(): void {
    const { clock, options } = this.#options
    this.#expiry = clock.setTimeout(() => {
      this.#scheduleExpiry()
      for (const led of this.#led.values()) led.expire()
    }, options.offsetsRetentionCheckIntervalMs)
  }

  /** Ids are the client's words: they may not break a line, or colour a terminal, or fill a disk. */
  readonly #tell = (level: LogLevel, groupId: string, text: string, about: LogFields = {}): void => {
    const line = `group ${groupId.slice(0, 100)}: ${text.slice(0, 500)}`.replaceAll(/\p{Cc}/gu, '?')
    const fields = { group: groupId.slice(0, 100), ...about }
    if (level === 'warn') this.#options.limitedLog.write(level, line, line, fields)
    else this.#options.log(level, line, fields)
  }
}

function partitionOf(groupId: string, { partitions }: Topic): Partition {
  return partitions[offsetsPartitionOf(groupId, partitions.length)]!
}
