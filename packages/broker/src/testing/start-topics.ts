import { topicNameProblem } from '@varve/log'
import { keyPartition } from '@varve/partitioning'
import { batchByteLength, encodeBatch, type RecordInput, VarveError } from '@varve/records'
import type { Clock } from '../clock.js'
import { checkTopicConfigs } from '../configs/checked-configs.js'
import type { GivenConfigs } from '../configs/static-configs.js'
import type { ConfigValues } from '../configs/stored-configs.js'
import type { Partition } from '../partition.js'
import { Refusal } from '../refusal.js'
import { mostPartitions, type Topic } from '../topic.js'
import { collisionKey, isInternalTopic } from '../topic-name.js'
import type { Topics } from '../topics.js'

const batchBytes = 64 * 1024

const conflicts: ReadonlySet<string> = new Set([
  'VARVE_TOPIC_DELETED',
  'VARVE_TOPIC_EXISTS',
  'VARVE_METADATA_CONFLICT',
])

/** A record that a topic has from the start. */
export interface StartRecord extends RecordInput {
  /** Default: the one that Kafka's clients choose for its key, by murmur2; 0 without a key. */
  partition?: number
}

/** A topic that a broker has from the start. */
export interface StartTopic {
  /** Default: the broker's `defaultPartitions`. */
  partitions?: number
  /** Kafka's configurations of a topic, such as `{ 'cleanup.policy': 'compact' }`. */
  configs?: GivenConfigs
  /** What is in it once it has been created, in this order. */
  records?: readonly StartRecord[]
}

/** Topics by their names; a number stands for that many partitions. */
export type StartTopicsOption = Readonly<Record<string, StartTopic | number>>

/** A topic of the option, checked. */
export interface CheckedTopic {
  readonly name: string
  readonly partitions: number
  readonly configs: ConfigValues
  /** By partition. */
  readonly records: ReadonlyMap<number, readonly RecordInput[]>
}

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function checkStartTopics(option: StartTopicsOption, defaultPartitions: number): CheckedTopic[] {
  const names = new Map<string, string>()
  return Object.entries(option).map(([name, given]) => {
    const topic = typeof given === 'number' ? { partitions: given } : given
    const problem =
      topicNameProblem(name) ?? (isInternalTopic(name) ? `the broker has its own topic ${name}` : null)
    if (problem !== null) throw refused(name, problem)
    const other = names.get(collisionKey(name))
    if (other !== undefined) throw refused(name, `it collides with ${other}, as . and _ count as the same`)
    names.set(collisionKey(name), name)
    const { partitions = defaultPartitions, configs = {}, records = [] } = topic
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > mostPartitions) {
      throw refused(name, `partitions must be an integer from 1 to ${mostPartitions}, not ${partitions}`)
    }
    return {
      name,
      partitions,
      configs: checkConfigs(name, configs),
      records: byPartition(name, records, partitions),
    }
  })
}

function checkConfigs(name: string, configs: GivenConfigs): ConfigValues {
  try {
    return checkTopicConfigs(new Map(Object.entries(configs).map(([key, value]) => [key, String(value)])))
  } catch (error) {
    if (error instanceof Refusal) throw refused(name, error.message)
    throw error
  }
}

function byPartition(
  name: string,
  records: readonly StartRecord[],
  partitions: number,
): Map<number, RecordInput[]> {
  const found = new Map<number, RecordInput[]>()
  for (const { partition, ...record } of records) {
    const index = partition ?? partitionOf(record.key, partitions)
    if (!Number.isInteger(index) || index < 0 || index >= partitions) {
      throw refused(name, `a record names partition ${index}, its partitions are 0 to ${partitions - 1}`)
    }
    const others = found.get(index)
    if (others === undefined) found.set(index, [record])
    else others.push(record)
  }
  return found
}

function partitionOf(key: RecordInput['key'], partitions: number): number {
  if (key === null || key === undefined) return 0
  return keyPartition(typeof key === 'string' ? Buffer.from(key) : key, partitions)
}

function refused(name: string, message: string): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', `topics.${name}: ${message}`)
}

/** The topics that a broker has from the start, and goes back to when it is reset. */
export class StartTopics {
  readonly #wanted: readonly CheckedTopic[]
  readonly #topics: Topics
  readonly #clock: Clock

  constructor(wanted: readonly CheckedTopic[], topics: Topics, clock: Clock) {
    this.#wanted = wanted
    this.#topics = topics
    this.#clock = clock
  }

  /** Creates those that are not there, with their records. */
  async create(): Promise<void> {
    await Promise.all(this.#missing().map((topic) => this.#create(topic)))
  }

  /**
   * Lets each be as it was created, and deletes all others. A topic that is still there keeps its id, so that clients which
   * know it go on.
   */
  async restore(): Promise<void> {
    for (;;) {
      const failure = await this.#restoreAll()
      if (failure === null) return
      // A client has created or deleted a topic at the same time.
      if (!VarveError.is(failure) || !conflicts.has(failure.code)) throw failure
    }
  }

  /** Resolves with the first failure when nothing is under way any more. */
  async #restoreAll(): Promise<unknown> {
    const wanted = new Map(this.#wanted.map((topic) => [topic.name, topic]))
    const restored = await Promise.allSettled(
      [...this.#topics.all()].map(async (topic) => {
        const start = wanted.get(topic.name)
        if (start?.partitions === topic.partitions.length) await this.#restore(topic, start)
        else if (!isInternalTopic(topic.name)) await this.#topics.delete(topic, { filesAfterMs: 0 })
      }),
    )
    const created = await Promise.allSettled(this.#missing().map((topic) => this.#create(topic)))
    const failed = [...restored, ...created].find((result) => result.status === 'rejected')
    return failed?.reason ?? null
  }

  #missing(): CheckedTopic[] {
    return this.#wanted.filter(({ name }) => this.#topics.get(name) === undefined)
  }

  async #create(wanted: CheckedTopic): Promise<void> {
    const { name, partitions, configs } = wanted
    await fill(await this.#topics.create(name, { partitions }, configs), wanted, this.#clock.now())
  }

  async #restore(topic: Topic, wanted: CheckedTopic): Promise<void> {
    if (!isSame(topic.configs, wanted.configs)) await this.#topics.alterConfigs(topic, () => wanted.configs)
    await Promise.all(topic.partitions.map((partition) => partition.startOver()))
    await fill(topic, wanted, this.#clock.now())
  }
}

async function fill({ partitions }: Topic, { records }: CheckedTopic, now: number): Promise<void> {
  await Promise.all([...records].map(([index, all]) => append(partitions[index]!, all, now)))
}

/** Appends them in batches of moderate size, and waits for all at once. */
async function append(partition: Partition, records: readonly RecordInput[], now: number): Promise<void> {
  const batches: RecordInput[][] = []
  let bytes = Infinity
  for (const record of records) {
    const size = batchByteLength([record], now)
    if (bytes + size > batchBytes) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)!.push(record)
    bytes += size
  }
  await Promise.all(
    batches.map((batch) => partition.append(encodeBatch(batch, { compression: 'none', now }), false)),
  )
}

function isSame(one: ConfigValues, other: ConfigValues): boolean {
  return one.size === other.size && [...one].every(([name, value]) => other.get(name) === value)
}
