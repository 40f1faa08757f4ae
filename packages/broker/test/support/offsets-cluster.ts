import { errors, type KafkaError } from '@varve/protocol'
import { type LogRecord, RecordBatch, VarveError } from '@varve/records'
import { expect, onTestFinished } from 'vitest'
import { GroupCoordinator } from '../../src/groups/group-coordinator.js'
import {
  type JoinResponse,
  refusedJoin,
  refusedSync,
  type SyncResponse,
} from '../../src/groups/group-member.js'
import { type GroupOptions, resolveGroupOptions } from '../../src/groups/group-options.js'
import type { JoinRequest } from '../../src/groups/membership.js'
import { offsetsTopicName } from '../../src/groups/offsets-topic.js'
import { unlessRefused } from '../../src/groups/refused.js'
import { LimitedLog } from '../../src/limited-log.js'
import type { Partition, PartitionListener } from '../../src/partition.js'
import type { Topic } from '../../src/topic.js'
import type { Topics } from '../../src/topics.js'
import { joinRequest, settled, topicId } from './group-shard-harness.js'
import { ManualClock } from './manual-clock.js'

interface StoredBatch {
  readonly nextOffset: number
  readonly bytes: Uint8Array
}

interface Waiting {
  readonly endOffset: number
  readonly resolve: (baseOffset: number) => void
  readonly reject: (error: VarveError) => void
}

/** The log of a replicated partition, as its leaders have it one after the other. */
export class ReplicatedLog {
  batches: StoredBatch[] = []
  highWatermark = 0
  leader: OffsetsPartition | null = null
  leaderEpoch = -1
  /** What is appended waits for {@link commit}. */
  held = false
  /** What appends wait for before they are written. */
  writable: Promise<void> = Promise.resolve()
  /** The next append is refused, and not there. */
  failNext: VarveError | null = null
  #waiting: Waiting[] = []

  get endOffset(): number {
    return this.batches.at(-1)?.nextOffset ?? 0
  }

  async append(bytes: Uint8Array, by: OffsetsPartition): Promise<number> {
    await this.writable
    const { failNext } = this
    this.failNext = null
    if (this.leader !== by) throw notLeader()
    if (failNext !== null) throw failNext
    const batch = RecordBatch.parse(Buffer.from(bytes))
    const endOffset = this.endOffset + batch.lastOffset - batch.baseOffset + 1
    this.batches.push({ nextOffset: endOffset, bytes })
    const appended = new Promise<number>((resolve, reject) => {
      this.#waiting.push({ endOffset, resolve, reject })
    })
    if (!this.held) this.commit()
    return await appended
  }

  /** All followers have everything. */
  commit(): void {
    this.highWatermark = this.endOffset
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.highWatermark)
    this.leader?.tell()
  }

  /** The same, but so few are in sync by now that nobody is told that it is stored. */
  commitWithTooFew(): void {
    this.highWatermark = this.endOffset
    for (const { reject } of this.#waiting.splice(0)) reject(tooFewAfterAppend())
    this.leader?.tell()
  }

  /**
   * Another epoch begins.
   *
   * @param leader null as long as there is none
   * @param keepOffset how much of what is not committed the new leader has
   * @returns the epoch
   */
  elect(leader: OffsetsPartition | null, keepOffset = Infinity): number {
    this.leader = leader
    const end = Math.max(keepOffset, this.highWatermark)
    this.batches = this.batches.filter(({ nextOffset }) => nextOffset <= end)
    for (const { reject } of this.#waiting.splice(0)) reject(notLeader())
    return ++this.leaderEpoch
  }
}

/** A partition as one broker has it: what a coordinator asks of a {@link Partition}. */
export class OffsetsPartition {
  readonly topic = offsetsTopicName
  readonly index: number
  readonly log: ReplicatedLog
  deleted = false
  /** The last epoch that its broker was told of. */
  heardEpoch = -1
  failure: VarveError | null = null
  /** What reading waits for. */
  readable: Promise<void> = Promise.resolve()
  readonly #listeners = new Set<PartitionListener>()

  constructor(index: number, log: ReplicatedLog) {
    this.index = index
    this.log = log
  }

  get name(): string {
    return `${this.topic}-${this.index}`
  }

  get leaderEpoch(): number {
    return this.log.leaderEpoch
  }

  get logEndOffset(): number {
    return this.log.endOffset
  }

  get highWatermark(): number {
    return this.log.highWatermark
  }

  append(batch: Uint8Array): Promise<number> {
    return this.log.append(batch, this)
  }

  async *readBatches(): AsyncIterable<RecordBatch> {
    await this.readable
    for (const { bytes, nextOffset } of this.log.batches) {
      if (nextOffset <= this.log.highWatermark) yield RecordBatch.parse(Buffer.from(bytes))
    }
  }

  listen(listener: PartitionListener): void {
    this.#listeners.add(listener)
  }

  unlisten(listener: PartitionListener): void {
    this.#listeners.delete(listener)
  }

  get listeners(): number {
    return this.#listeners.size
  }

  tell(): void {
    for (const listener of this.#listeners) listener(asPartition(this))
  }

  /** Its log takes nothing any more. */
  fail(): void {
    this.failure = new VarveError('VARVE_LOG_FAILED', 'the disk said no')
    this.tell()
  }
}

/** One broker's part in the cluster. */
export class ClusterMember {
  partitions: readonly OffsetsPartition[]
  readonly coordinator: GroupCoordinator
  readonly lines: string[] = []
  readonly #cluster: OffsetsCluster
  #deleted: (topic: Topic) => Promise<void> = async () => {}

  constructor(cluster: OffsetsCluster) {
    this.#cluster = cluster
    this.partitions = partitionsOf(cluster)
    const log = (level: string, line: string): void => {
      this.lines.push(`${level} ${line}`)
    }
    const { clock, options } = cluster
    const limitedLog = new LimitedLog(log, clock)
    this.coordinator = new GroupCoordinator({
      topics: this.#topics(),
      clock,
      log,
      limitedLog,
      options: resolveGroupOptions(options),
      isSole: false,
    })
  }

  #topics(): Topics {
    const topic = () => asTopic({ name: offsetsTopicName, partitions: this.partitions })
    const topics: Pick<Topics, 'get' | 'create' | 'onDelete'> = {
      get: (name) => (name === offsetsTopicName && this.#cluster.hasTopic ? topic() : undefined),
      create: async () => {
        if (this.#cluster.failCreation !== null) throw this.#cluster.failCreation
        this.#cluster.hasTopic = true
        return topic()
      },
      onDelete: (listener) => {
        this.#deleted = listener
      },
    }
    return topics as Topics
  }

  /** Is elected to lead a partition. */
  lead(index = 0, keepOffset = Infinity): number {
    return this.#cluster.elect(this, index, keepOffset)
  }

  /** Hears that a topic is no more. */
  topicDeleted(topic: { readonly name: string; readonly id: string }): Promise<void> {
    return this.#deleted(asTopic(topic))
  }

  /** Hears that the topic of the groups is no more, and that there is another one. */
  async offsetsTopicMadeAnew(): Promise<void> {
    const former = this.partitions
    this.partitions = partitionsOf(this.#cluster)
    await this.#deleted(asTopic({ name: offsetsTopicName, partitions: former }))
  }

  /** Joins with the id that it is given, if it has to. */
  async join(groupId: string, member: Partial<JoinRequest> = {}): Promise<JoinResponse> {
    const first = await this.joinOnce(groupId, member)
    if (first.error !== errors.MEMBER_ID_REQUIRED) return first
    return await this.joinOnce(groupId, { ...member, memberId: first.memberId })
  }

  joinOnce(groupId: string, member: Partial<JoinRequest>): Promise<JoinResponse> {
    return unlessRefused(
      async () => (await this.coordinator.shardForMember(groupId)).join(groupId, joinRequest(member)),
      (error) => refusedJoin(error, member.memberId ?? ''),
    )
  }

  /** Asks for the assignment; a leader gives each member its own id. */
  sync(groupId: string, joined: JoinResponse, groupInstanceId: string | null = null): Promise<SyncResponse> {
    const assignments = new Map(joined.members.map(({ memberId }) => [memberId, Buffer.from(memberId)]))
    const { memberId, generationId } = joined
    const request = { memberId, groupInstanceId, generationId, protocolType: null, protocolName: null }
    return unlessRefused(
      async () => (await this.coordinator.shardForMember(groupId)).sync(groupId, { ...request, assignments }),
      refusedSync,
    )
  }

  heartbeat(groupId: string, { memberId, generationId }: Named): Promise<string> {
    return named(async () => {
      const shard = await this.coordinator.shardForMember(groupId)
      return shard.heartbeat(groupId, { memberId, groupInstanceId: null }, generationId)
    })
  }

  leave(groupId: string, { memberId }: Pick<Named, 'memberId'>): Promise<string> {
    return named(async () => {
      const shard = await this.coordinator.shardForMember(groupId)
      return (await shard.leave(groupId, [{ memberId, groupInstanceId: null, reason: null }]))[0]!
    })
  }

  /** Commits an offset of topic `t`, by nobody in particular unless a member is named. */
  commit(groupId: string, offset: number, by: Partial<Named> & { partition?: number } = {}): Promise<string> {
    const { memberId = '', generationId = -1, partition = 0 } = by
    const offsets = [{ topic: 't', topicId, partition, offset, leaderEpoch: 0, metadata: '' }]
    return named(async () => {
      const shard = await this.coordinator.shardFor(groupId)
      const request = { memberId, groupInstanceId: null, generationId, retentionMs: null, offsets }
      return (await shard.commit(groupId, request, errors.ILLEGAL_GENERATION))[0]!
    })
  }

  deleteGroup(groupId: string): Promise<string> {
    return named(async () => (await this.coordinator.shardFor(groupId)).deleteGroup(groupId))
  }

  /** What is committed of topic `t`, null for nothing, or the error. */
  offset(groupId: string, partition = 0): Promise<number | string | null> {
    return unlessRefused<number | string | null>(
      () => {
        const shard = this.coordinator.shardIfAny(groupId)
        return shard?.committed(groupId)?.get('t', partition)?.offset ?? null
      },
      ({ name }) => name,
    )
  }

  state(groupId: string): string | undefined {
    return [...this.coordinator.loaded()].find((group) => group.groupId === groupId)?.state
  }
}

type Named = Pick<JoinResponse, 'memberId' | 'generationId'>

/** Brokers with one `__consumer_offsets` between them, whose leaders the test elects. */
export class OffsetsCluster {
  readonly clock = new ManualClock()
  readonly options: GroupOptions
  logs: readonly ReplicatedLog[]
  readonly members: readonly [ClusterMember, ClusterMember]
  hasTopic = true
  /** Creating the topic fails. */
  failCreation: Error | null = null

  constructor(options: GroupOptions = {}, partitions = 1) {
    this.options = options
    this.logs = Array.from({ length: partitions }, () => new ReplicatedLog())
    this.members = [new ClusterMember(this), new ClusterMember(this)]
  }

  /** Lets a member lead a partition, or nobody, and tells everybody. */
  elect(elected: ClusterMember | null, index = 0, keepOffset = Infinity): number {
    const epoch = this.logs[index]!.elect(elected?.partitions[index] ?? null, keepOffset)
    this.tell(this.members, index)
    return epoch
  }

  /** Tells members who leads a partition. */
  tell(members: readonly ClusterMember[] = this.members, index = 0): void {
    const { leader, leaderEpoch } = this.logs[index]!
    for (const { coordinator, partitions } of members) {
      const partition = partitions[index]!
      if (partition === leader) coordinator.lead(asPartition(partition), leaderEpoch)
      else coordinator.resign(asPartition(partition), leaderEpoch)
      partition.heardEpoch = leaderEpoch
    }
  }

  /** Whether a member knows who leads a partition. */
  hasHeard({ partitions }: ClusterMember, index = 0): boolean {
    return partitions[index]!.heardEpoch === this.logs[index]!.leaderEpoch
  }

  /** The index of the member that leads a partition, −1 for none. */
  leaderOf(index = 0): number {
    const { leader } = this.logs[index]!
    return this.members.findIndex(({ partitions }) => partitions[index] === leader)
  }

  /** Deletes the topic of the groups, and creates it again. */
  async makeTopicAnew(): Promise<void> {
    this.logs = this.logs.map(() => new ReplicatedLog())
    for (const member of this.members) await member.offsetsTopicMadeAnew()
  }

  close(): void {
    for (const { coordinator } of this.members) coordinator.close()
  }
}

export interface Started {
  readonly cluster: OffsetsCluster
  readonly a: ClusterMember
  readonly b: ClusterMember
}

/** Two brokers, the first of which leads. */
export async function started(options: GroupOptions = {}, partitions = 1): Promise<Started> {
  const cluster = new OffsetsCluster(options, partitions)
  onTestFinished(() => cluster.close())
  const [a, b] = cluster.members
  for (let index = 0; index < partitions; index++) a.lead(index)
  await settled()
  return { cluster, a, b }
}

/** Brings a group to Stable with one member, which its coordinator gives everything. */
export async function stable(coordinator: ClusterMember, groupId = 'g') {
  const joined = await coordinator.join(groupId)
  expect((await coordinator.sync(groupId, joined)).error.name).toBe('NONE')
  return joined
}

/** Brings a group to where two members have joined and wait for nothing: the leader comes first. */
export async function joinedByTwo(coordinator: ClusterMember, groupId: string) {
  const { memberId } = await coordinator.join(groupId)
  const second = coordinator.join(groupId)
  await settled()
  const first = await coordinator.joinOnce(groupId, { memberId })
  return [first, await second] as const
}

/** Begins a command that does not end yet. */
export async function underWay<T>(command: Promise<T>): Promise<{ answer: Promise<T> }> {
  await settled()
  return { answer: command }
}

/** Lets the reading of a member's partition wait until the returned function is called. */
export function holdReading({ partitions }: ClusterMember): () => void {
  let release = (): void => {}
  partitions[0]!.readable = new Promise((resolve) => (release = resolve))
  return release
}

/** What a log holds, in its order. */
export function storedRecords({ batches }: ReplicatedLog): LogRecord[] {
  return batches.flatMap(({ bytes }) => [...RecordBatch.parse(Buffer.from(bytes)).records()])
}

export function asPartition(partition: OffsetsPartition): Partition {
  return partition as unknown as Partition
}

function partitionsOf({ logs }: OffsetsCluster): OffsetsPartition[] {
  return logs.map((log, index) => new OffsetsPartition(index, log))
}

function asTopic(topic: object): Topic {
  return topic as Topic
}

async function named(command: () => Promise<KafkaError>): Promise<string> {
  return (await unlessRefused(command, (error) => error)).name
}

function notLeader(): VarveError {
  return new VarveError('VARVE_NOT_LEADER', 'another broker leads')
}

function tooFewAfterAppend(): VarveError {
  return new VarveError('VARVE_NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'too few are in sync')
}
