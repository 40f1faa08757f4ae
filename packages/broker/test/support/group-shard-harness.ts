import { consumerAssignment, consumerSubscription, type KafkaError } from '@varve/protocol'
import type { RecordInput } from '@varve/records'
import { type GroupOptions, resolveGroupOptions } from '../../src/groups/group-options.js'
import { decodeRecord } from '../../src/groups/group-records.js'
import { GroupShard } from '../../src/groups/group-shard.js'
import type { JoinResponse } from '../../src/groups/group-member.js'
import type { JoinRequest, MemberIdentity } from '../../src/groups/membership.js'
import type { OffsetToCommit } from '../../src/groups/offset-commands.js'
import { ManualClock } from './manual-clock.js'

interface Pending {
  readonly records: readonly RecordInput[]
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Of the topics that offsets are committed for. */
export const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ'

/** A shard over a log in memory, on which appends succeed, wait or fail as a test wants, and a clock that it turns. */
export class GroupShardHarness {
  readonly clock: ManualClock
  readonly shard: GroupShard
  readonly lines: string[] = []
  /** What has been committed, in order. */
  readonly records: RecordInput[]
  readonly #pending: Pending[] = []
  #ids: number
  /** Appends wait for {@link commit} or {@link fail}. */
  held = false
  /** The next append is refused. */
  failNext: Error | null = null

  constructor(options: GroupOptions = {}, before?: GroupShardHarness) {
    this.clock = before?.clock ?? new ManualClock()
    this.records = before === undefined ? [] : [...before.records]
    this.#ids = before === undefined ? 0 : before.#ids
    this.shard = new GroupShard({
      clock: this.clock,
      options: resolveGroupOptions(options),
      randomId: () => String(++this.#ids),
      tell: (level, groupId, text) => this.lines.push(`${level} ${groupId}: ${text}`),
      append: (records) => this.#append(records),
    })
    for (const { key, value } of this.records) {
      const record = decodeRecord(key as Buffer, value as Buffer | null)
      if (record !== null) this.shard.replay(record)
    }
    if (before !== undefined) this.shard.resume()
  }

  /** The same partition, read by a broker that starts after this one was killed. */
  restart(options: GroupOptions = {}): GroupShardHarness {
    return new GroupShardHarness(options, this)
  }

  /** Lets the oldest append that is held become committed. */
  commit(): void {
    const { records, resolve } = this.#pending.shift()!
    this.records.push(...records)
    resolve()
  }

  /** Lets all appends that are held become committed, and tells of the last one first. */
  commitAll(): void {
    const pending = this.#pending.splice(0)
    for (const { records } of pending) this.records.push(...records)
    for (const { resolve } of pending.reverse()) resolve()
  }

  /** Refuses the oldest append that is held. */
  fail(error = new Error('the disk said no')): void {
    this.#pending.shift()!.reject(error)
  }

  get pendingAppends(): number {
    return this.#pending.length
  }

  /** Joins a group as a consumer does that knows all of the protocol: with the id that it is given. */
  async join(groupId: string, member: Partial<JoinRequest> = {}): Promise<JoinResponse> {
    const first = await this.joinOnce(groupId, member)
    if (
      first.memberId === '' ||
      first.memberId === member.memberId ||
      first.error.name !== 'MEMBER_ID_REQUIRED'
    ) {
      return first
    }
    return await this.joinOnce(groupId, { ...member, memberId: first.memberId })
  }

  joinOnce(groupId: string, member: Partial<JoinRequest> = {}): Promise<JoinResponse> {
    return this.shard.join(groupId, joinRequest(member))
  }

  sync(
    groupId: string,
    joined: Pick<JoinResponse, 'memberId' | 'generationId'>,
    assignments: Record<string, string> = {},
    groupInstanceId: string | null = null,
  ) {
    return this.shard.sync(groupId, {
      memberId: joined.memberId,
      groupInstanceId,
      generationId: joined.generationId,
      protocolType: 'consumer',
      protocolName: null,
      assignments: new Map(Object.entries(assignments).map(([id, text]) => [id, Buffer.from(text)])),
    })
  }

  heartbeat(
    groupId: string,
    joined: { memberId: string; generationId: number },
    groupInstanceId: string | null = null,
  ) {
    return this.shard.heartbeat(groupId, { memberId: joined.memberId, groupInstanceId }, joined.generationId)
  }

  leave(
    groupId: string,
    ...members: (Partial<MemberIdentity> & { reason?: string })[]
  ): Promise<KafkaError[]> {
    return this.shard.leave(
      groupId,
      members.map((member) => ({ memberId: '', groupInstanceId: null, reason: null, ...member })),
    )
  }

  /** Commits offsets of topic `t`, by partition; by nobody in particular unless a member is named. */
  async commitOffsets(
    groupId: string,
    offsets: Record<number, number>,
    by: {
      memberId?: string
      generationId?: number
      retentionMs?: number
      metadata?: string
      topic?: string
    } = {},
  ): Promise<string[]> {
    const { memberId = '', generationId = -1, retentionMs = null, metadata = '', topic = 't' } = by
    const committed = Object.entries(offsets).map(([partition, offset]): OffsetToCommit => ({
      topic,
      topicId,
      partition: Number(partition),
      offset,
      leaderEpoch: 0,
      metadata,
    }))
    const results = await this.shard.commit(
      groupId,
      { memberId, groupInstanceId: null, generationId, retentionMs, offsets: committed },
      { code: 22, name: 'ILLEGAL_GENERATION', retriable: false, message: '' },
    )
    return results.map(({ name }) => name)
  }

  offset(groupId: string, partition = 0, topic = 't'): number | null {
    return this.shard.committed(groupId)?.get(topic, partition)?.offset ?? null
  }

  state(groupId: string): string | undefined {
    return this.shard.get(groupId)?.state
  }

  /** Brings a group to Stable with one member for each id of an instance, null for a dynamic one; the first one leads. */
  async stable(groupId: string, ...members: Partial<JoinRequest>[]): Promise<JoinResponse[]> {
    const joined: JoinResponse[] = []
    for (const member of members) {
      const join = this.join(groupId, member)
      await settled()
      // Those who are in already learn of the rebalance and join again.
      const again = joined.map((one, index) =>
        this.join(groupId, { ...members[index], memberId: one.memberId }),
      )
      const responses = await Promise.all([...again, join])
      joined.splice(0, joined.length, ...responses)
    }
    const assignments = Object.fromEntries(joined.map(({ memberId }, index) => [memberId, `part ${index}`]))
    const syncs = joined.map((one, index) =>
      this.sync(
        groupId,
        one,
        one.memberId === one.leader ? assignments : {},
        members[index]!.groupInstanceId ?? null,
      ),
    )
    await Promise.all(syncs)
    return joined
  }

  #append(records: readonly RecordInput[]): Promise<void> {
    const { failNext } = this
    if (failNext !== null) {
      this.failNext = null
      return Promise.reject(failNext)
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ records, resolve, reject })
      if (!this.held) this.commit()
    })
  }
}

/** What a consumer asks that knows all of the protocol. */
export function joinRequest(member: Partial<JoinRequest> = {}): JoinRequest {
  return {
    memberId: '',
    groupInstanceId: null,
    clientId: 'client',
    clientHost: '127.0.0.1',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 30_000,
    protocolType: 'consumer',
    protocols: [protocol('range')],
    reason: null,
    requiresKnownMemberId: true,
    understandsSkipAssignment: true,
    ...member,
  }
}

/** What a consumer says of itself: the topics that it is subscribed to. */
export function protocol(name: string, topics: readonly string[] = ['t']) {
  return { name, metadata: consumerSubscription.encode({ topics: [...topics], userData: null }, 0) }
}

export function assignmentOf(topic: string, partitions: readonly number[]): Buffer {
  return consumerAssignment.encode(
    { assignedPartitions: [{ topic, partitions: [...partitions] }], userData: null },
    0,
  )
}

/** Lets all promises settle that need nothing but the one before. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
