import { randomUUID } from 'node:crypto'
import { errors } from '@varve/protocol'
import { encodeBatch, VarveError } from '@varve/records'
import { type BrokerLog, errorFields, type LogFields, type LogLevel, messageOf } from '../broker-log.js'
import type { Clock, Timer } from '../clock.js'
import type { LimitedLog } from '../limited-log.js'
import type { Partition } from '../partition.js'
import { storageFailureText } from '../storage-failure.js'
import type { Topic } from '../topic.js'
import type { Topics } from '../topics.js'
import type { Group } from './group.js'
import type { GroupOptions } from './group-options.js'
import { decodeRecord } from './group-records.js'
import { GroupShard } from './group-shard.js'
import {
  offsetsPartitionOf,
  offsetsTopicCodecs,
  offsetsTopicConfigs,
  offsetsTopicName,
} from './offsets-topic.js'
import { Refused } from './refused.js'

export interface GroupCoordinatorOptions {
  readonly topics: Topics
  readonly clock: Clock
  readonly log: BrokerLog
  readonly limitedLog: LimitedLog
  readonly options: Required<GroupOptions>
}

/** A partition of the offsets topic: being read, served, or not to be understood. */
interface Slot {
  readonly partition: Partition
  readonly shard: GroupShard
  state: 'loading' | 'serving' | VarveError
}

/**
 * The coordinator of all groups whose partition of `__consumer_offsets` this broker leads, which with one broker is all of
 * them. The topic is created when the first group needs it, and read when the broker starts; until that has ended its
 * groups are answered COORDINATOR_LOAD_IN_PROGRESS.
 */
export class GroupCoordinator {
  readonly #options: GroupCoordinatorOptions
  readonly options: Required<GroupOptions>
  #slots: Slot[] = []
  /** Of shards that are no more. */
  #formerRebalances = 0
  #creating: Promise<void> | null = null
  #expiry: Timer = undefined
  #closed = false

  constructor(options: GroupCoordinatorOptions) {
    this.#options = options
    this.options = options.options
    const topic = options.topics.get(offsetsTopicName)
    if (topic !== undefined) this.#serve(topic)
    options.topics.onDelete((deleted) => this.#topicDeleted(deleted))
  }

  /**
   * The shard that a group belongs to, for a command that may be the first one of all.
   *
   * @throws Refused while it cannot be served
   */
  async shardFor(groupId: string): Promise<GroupShard> {
    this.#refuseIfClosed()
    if (this.#slots.length === 0) await this.#create()
    return this.#shardOf(groupId)!
  }

  /**
   * The same for a command of a member. Only whoever keeps offsets without being one may have a group without a name.
   *
   * @throws Refused while it cannot be served
   */
  async shardForMember(groupId: string): Promise<GroupShard> {
    if (groupId === '') throw new Refused(errors.INVALID_GROUP_ID)
    return await this.shardFor(groupId)
  }

  /**
   * The shard that a group belongs to, or null as long as there has never been a group.
   *
   * @throws Refused while it cannot be served
   */
  shardIfAny(groupId: string): GroupShard | null {
    this.#refuseIfClosed()
    return this.#shardOf(groupId)
  }

  /**
   * All shards, for whoever lists groups.
   *
   * @throws Refused while one of them cannot be served
   */
  shards(): GroupShard[] {
    this.#refuseIfClosed()
    return this.#slots.map(serving)
  }

  /** The groups that can be served now. */
  *loaded(): IterableIterator<Group> {
    for (const { state, shard } of this.#slots) if (state === 'serving') yield* shard.groups()
  }

  /** How many rebalances have come to an assignment since the broker was started. */
  get completedRebalances(): number {
    return this.#slots.reduce((sum, { shard }) => sum + shard.completedRebalances, this.#formerRebalances)
  }

  /** One line for each partition of the offsets topic whose groups cannot be served. */
  problems(): string[] {
    return this.#slots.flatMap(({ partition, state }) =>
      state instanceof VarveError ? [`${partition.name}: ${storageFailureText(state)}`] : [],
    )
  }

  /** Resolves when what groups have decided by now is stored. */
  async settled(): Promise<void> {
    await Promise.all(this.#slots.map(({ shard }) => shard.settled()))
  }

  /** Forgets all groups, with what they have committed. Their members are told when they next ask. */
  async startOver(): Promise<void> {
    this.#formerRebalances = this.completedRebalances
    for (const { shard } of this.#slots) shard.close()
    await this.settled()
    this.#slots = await Promise.all(
      this.#slots.map(async ({ partition }): Promise<Slot> => {
        await partition.startOver()
        return { partition, shard: this.#shard(partition), state: 'serving' }
      }),
    )
  }

  /** Answers whoever waits for a rebalance, and ends all timers. */
  close(): void {
    this.#closed = true
    this.#options.clock.clearTimeout(this.#expiry)
    for (const { shard } of this.#slots) shard.close()
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new Refused(errors.NOT_COORDINATOR)
  }

  #shardOf(groupId: string): GroupShard | null {
    if (this.#slots.length === 0) return null
    return serving(this.#slots[offsetsPartitionOf(groupId, this.#slots.length)]!)
  }

  #create(): Promise<void> {
    this.#creating ??= this.#createTopic().finally(() => {
      this.#creating = null
    })
    return this.#creating
  }

  async #createTopic(): Promise<void> {
    const { topics, options, log } = this.#options
    try {
      this.#serve(
        await topics.create(
          offsetsTopicName,
          { partitions: options.offsetsTopicPartitions },
          offsetsTopicConfigs(options),
        ),
      )
    } catch (error) {
      if (error instanceof Refused) throw error
      const text = storageFailureText(error, 'try again')
      log('error', `could not create the topic ${offsetsTopicName}: ${text}`, {
        topic: offsetsTopicName,
        ...errorFields(error),
      })
      throw new Refused(errors.COORDINATOR_NOT_AVAILABLE, text)
    }
  }

  #serve(topic: Topic): void {
    this.#refuseIfClosed()
    this.#slots = topic.partitions.map((partition) => {
      const slot: Slot = { partition, shard: this.#shard(partition), state: 'loading' }
      // A partition that was created this moment has nothing to read, so its first group need not ask twice.
      if (partition.logEndOffset === 0) slot.state = 'serving'
      else void this.#load(slot)
      return slot
    })
    this.#scheduleExpiry()
  }

  #shard(partition: Partition): GroupShard {
    const { clock, options } = this.#options
    const compression = offsetsTopicCodecs[options.offsetsTopicCompressionCodec]!
    return new GroupShard({
      clock,
      options,
      randomId: randomUUID,
      tell: (...line) => this.#tell(...line),
      append: (records) => partition.append(encodeBatch(records, { compression }), true),
    })
  }

  async #load(slot: Slot): Promise<void> {
    const { partition, shard } = slot
    const { log, clock } = this.#options
    const begun = clock.now()
    try {
      let count = 0
      for await (const batch of partition.readBatches()) {
        if (this.#closed) return
        if (!batch.verifyCrc()) {
          throw new VarveError('VARVE_LOG_CORRUPT', `the batch at offset ${batch.baseOffset} has a wrong CRC`)
        }
        if (batch.isControl) continue
        for (const { key, value } of batch.records()) {
          const record = key === null ? null : decodeRecord(key, value)
          if (record !== null) shard.replay(record)
          count++
        }
      }
      if (this.#closed) return
      slot.state = 'serving'
      shard.resume()
      log('info', `read ${count} records of groups from ${partition.name} in ${clock.now() - begun} ms`)
    } catch (error) {
      const reason = `its groups cannot be served, because it cannot be read: ${messageOf(error)}`
      slot.state = new VarveError('VARVE_PARTITION_UNREADABLE', reason, { cause: error })
      log('error', `${partition.name}: ${reason}`, {
        topic: partition.topic,
        partition: partition.index,
        ...errorFields(error),
      })
    }
  }

  /** What groups have committed for a topic goes with it, and all groups go with theirs. */
  async #topicDeleted({ name }: Topic): Promise<void> {
    if (name === offsetsTopicName) {
      this.#options.clock.clearTimeout(this.#expiry)
      this.#formerRebalances = this.completedRebalances
      for (const { shard } of this.#slots.splice(0)) shard.close()
      return
    }
    for (const { state, shard } of this.#slots) {
      if (state !== 'serving') continue
      await shard.topicDeleted(name).catch((error: unknown) => {
        this.#options.log(
          'error',
          `what groups had committed for the deleted topic ${name} is still there: ${messageOf(error)}`,
          { topic: name, ...errorFields(error) },
        )
      })
    }
  }

  #scheduleExpiry(): void {
    const { clock, options, log } = this.#options
    this.#expiry = clock.setTimeout(() => {
      this.#scheduleExpiry()
      for (const { state, shard } of this.#slots) {
        if (state !== 'serving') continue
        shard.expire().catch((error: unknown) => {
          if (!(error instanceof Refused))
            log('error', `could not expire offsets: ${messageOf(error)}`, errorFields(error))
        })
      }
    }, options.offsetsRetentionCheckIntervalMs)
  }

  /** Ids are the client's words: they may not break a line, or colour a terminal, or fill a disk. */
  #tell(level: LogLevel, groupId: string, text: string, about: LogFields = {}): void {
    const line = `group ${groupId.slice(0, 100)}: ${text.slice(0, 500)}`.replaceAll(/\p{Cc}/gu, '?')
    const fields = { group: groupId.slice(0, 100), ...about }
    if (level === 'warn') this.#options.limitedLog.write(level, line, line, fields)
    else this.#options.log(level, line, fields)
  }
}

function serving({ state, shard }: Slot): GroupShard {
  if (state === 'serving') return shard
  if (state === 'loading') throw new Refused(errors.COORDINATOR_LOAD_IN_PROGRESS)
  throw new Refused(errors.COORDINATOR_NOT_AVAILABLE, state.message)
}
