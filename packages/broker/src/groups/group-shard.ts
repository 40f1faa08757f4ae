import { errors, type GroupMetadataValue } from '@varve/protocol'
import type { RecordInput } from '@varve/records'
import { errorFields, messageOf } from '../broker-log.js'
import type { Clock } from '../clock.js'
import type { KafkaError } from '../kafka-error.js'
import type { CommittedOffset, CommittedOffsets } from './committed-offsets.js'
import type { Group } from './group.js'
import { type JoinResponse, refusedJoin, refusedSync, type SyncResponse } from './group-member.js'
import type { GroupEnvironment } from './group-environment.js'
import type { GroupOptions } from './group-options.js'
import { encodeRecord, type GroupRecord, groupTombstone } from './group-records.js'
import {
  type JoinRequest,
  type LeavingMember,
  type MemberIdentity,
  Membership,
  type SyncRequest,
} from './membership.js'
import {
  type CommitRequest,
  type DeletedTopic,
  OffsetCommands,
  type TopicPartition,
} from './offset-commands.js'
import { errorOfStore, Rebalances } from './rebalance.js'
import { Refused } from './refused.js'

export interface GroupShardOptions {
  readonly clock: Clock
  readonly options: Required<GroupOptions>
  readonly randomId: () => string
  readonly tell: GroupEnvironment['tell']
  /** Appends one batch to the partition; resolves when it is committed. */
  readonly append: (records: readonly RecordInput[]) => Promise<unknown>
}

const noMembers: GroupMetadataValue = {
  protocolType: '',
  generation: 0,
  protocol: null,
  leader: null,
  currentStateTimestamp: -1,
  members: [],
}

/** A batch of tombstones stays below this, so that a group of any size can be deleted. */
const tombstoneBatchBytes = 512 * 1024

/**
 * The groups of one partition of `__consumer_offsets`: a state machine over its records. A command yields records and a
 * response; the response leaves when the records are committed, and what they say holds from then on. If they cannot be
 * appended, it never did. Replaying the partition builds the same state.
 *
 * What is not in the records, who waits for whom during a rebalance, is lost with the process; members notice and rejoin.
 */
export class GroupShard {
  readonly #options: GroupShardOptions
  readonly #groups = new Map<string, Group>()
  readonly #rebalances: Rebalances
  readonly #membership: Membership
  readonly #offsets: OffsetCommands
  /** Settles when everything stored so far has been seen to. Never rejects. */
  #stored: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: GroupShardOptions) {
    this.#options = options
    const { clock, randomId, tell } = options
    const environment = {
      clock,
      options: options.options,
      randomId,
      tell,
      store: (records: readonly GroupRecord[], late?: () => void) => {
        const stored = this.#store(records)
        if (late !== undefined) this.#whenLate(stored, late)
        return stored
      },
    }
    this.#rebalances = new Rebalances(environment)
    this.#membership = new Membership(environment, this.#rebalances)
    this.#offsets = new OffsetCommands(environment, this.#membership, this.#rebalances)
  }

  // Reading

  groups(): Iterable<Group> {
    return this.#groups.values()
  }

  get(groupId: string): Group | undefined {
    return this.#groups.get(groupId)
  }

  /** What the group has committed, or null of a group that does not exist. */
  committed(groupId: string): CommittedOffsets | null {
    return this.#groups.get(groupId)?.offsets ?? null
  }

  /** Resolves when what is being stored now has been seen to. */
  async settled(): Promise<void> {
    await this.#stored
  }

  get completedRebalances(): number {
    return this.#rebalances.completed
  }

  // Replaying

  /** Takes in a record of the log, in its order, before the first command. */
  replay(record: GroupRecord): void {
    if (record.kind === 'offset') {
      if (record.committed !== null) this.#getOrCreate(record.groupId)
      this.#apply(record)
    } else if (record.value !== null) {
      // What a record was decoded from has every field.
      this.#restore(this.#getOrCreate(record.groupId), record.value as GroupMetadataValue)
    } else {
      const group = this.#groups.get(record.groupId)
      // Kafka keeps the offsets of a group whose members it has moved to a protocol that is not served here.
      if (group !== undefined && !group.offsets.isEmpty) this.#restore(group, noMembers)
      else this.#apply(record)
    }
  }

  /** Begins to serve what has been replayed. */
  resume(): void {
    for (const group of this.#groups.values()) {
      if (group.isUnused) this.#drop(group)
      else this.#rebalances.resume(group)
    }
  }

  // Members

  join(groupId: string, request: JoinRequest): Promise<JoinResponse> {
    const refused = (error: KafkaError): JoinResponse => refusedJoin(error, request.memberId)
    return this.#unlessLate(
      groupId,
      request.memberId === '',
      () => refused(errors.COORDINATOR_NOT_AVAILABLE),
      (group) => (group === null ? refused(errors.UNKNOWN_MEMBER_ID) : this.#membership.join(group, request)),
    )
  }

  sync(groupId: string, request: SyncRequest): Promise<SyncResponse> {
    return this.#unlessLate(
      groupId,
      false,
      () => refusedSync(errors.COORDINATOR_NOT_AVAILABLE),
      (group) =>
        group === null ? refusedSync(errors.UNKNOWN_MEMBER_ID) : this.#membership.sync(group, request),
    )
  }

  heartbeat(groupId: string, identity: MemberIdentity, generationId: number): Promise<KafkaError> {
    const heard = this.#command(groupId, false, (group) =>
      group === null ? errors.UNKNOWN_MEMBER_ID : this.#membership.heartbeat(group, identity, generationId),
    )
    return this.#inTime(heard, () => errors.COORDINATOR_NOT_AVAILABLE)
  }

  /** @returns an error for each member */
  leave(groupId: string, leaving: readonly LeavingMember[]): Promise<KafkaError[]> {
    const left = this.#command(groupId, false, async (group) => {
      if (group === null) return leaving.map(() => errors.UNKNOWN_MEMBER_ID)
      const results = this.#membership.leave(group, leaving)
      await group.turns.settled()
      // Who was to be stored as gone is not gone where it is led now.
      if (this.#closed) throw new Refused(errors.NOT_COORDINATOR)
      return results
    })
    return this.#inTime(left, () => {
      throw new Refused(errors.COORDINATOR_NOT_AVAILABLE)
    })
  }

  // Offsets

  /**
   * @param unknownGroup what a member of a group that does not exist is told
   * @returns an error for each offset
   */
  commit(groupId: string, request: CommitRequest, unknownGroup: KafkaError): Promise<KafkaError[]> {
    const committed = this.#command(groupId, request.generationId < 0, (group) =>
      group === null ? request.offsets.map(() => unknownGroup) : this.#offsets.commit(group, request),
    )
    return this.#inTime(committed, () => request.offsets.map(() => errors.COORDINATOR_NOT_AVAILABLE))
  }

  /** @returns an error for each partition, or one for all */
  deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<KafkaError[] | KafkaError> {
    const deleted = this.#command<KafkaError[] | KafkaError>(groupId, false, (group) =>
      group === null ? errors.GROUP_ID_NOT_FOUND : this.#offsets.delete(group, partitions),
    )
    return this.#inTime(deleted, () => errors.COORDINATOR_NOT_AVAILABLE)
  }

  /** Forgets what all groups have committed for a topic that is no more. */
  async topicDeleted(topic: DeletedTopic): Promise<void> {
    const concerned = [...this.#groups.values()].filter(
      (group) => this.#offsets.tombstonesOf(group, topic).length > 0,
    )
    await Promise.all(
      concerned.map(({ groupId }) =>
        this.#command(groupId, false, async (group) => {
          if (group === null) return
          await this.#storeTombstones(this.#offsets.tombstonesOf(group, topic))
        }),
      ),
    )
  }

  // Groups

  /** Deletes a group without members, and its offsets. */
  deleteGroup(groupId: string): Promise<KafkaError> {
    const deleted = this.#command<KafkaError>(groupId, false, async (group) => {
      if (group === null) return errors.GROUP_ID_NOT_FOUND
      if (group.state !== 'Empty') return errors.NON_EMPTY_GROUP
      try {
        await this.#delete(group)
        this.#options.tell('info', groupId, 'was deleted, with what it had committed')
        return errors.NONE
      } catch (error) {
        return errorOfStore(error)
      }
    })
    return this.#inTime(deleted, () => errors.COORDINATOR_NOT_AVAILABLE)
  }

  /** Forgets offsets that have been kept for their time, and groups that have neither members nor offsets. */
  async expire(): Promise<void> {
    await Promise.all(
      [...this.#groups.keys()].map((groupId) =>
        this.#command(groupId, false, (group) => (group === null ? undefined : this.#expireIn(group))),
      ),
    )
  }

  /** Answers whoever waits, and takes no command any more. What has been stored stays. */
  close(): void {
    this.#closed = true
    for (const group of this.#groups.values()) this.#drop(group)
  }

  async #expireIn(group: Group): Promise<void> {
    const expired = this.#offsets.expired(group, this.#options.clock.now())
    const rest = this.#offsets.tombstones(group).length - expired.length
    const isOver = rest === 0 && group.state === 'Empty' && group.pendingJoins.size === 0
    if (!isOver && expired.length === 0) return
    try {
      if (isOver) await this.#delete(group)
      else await this.#storeTombstones(expired)
      const what = isOver ? 'the group is gone' : `${expired.length} offsets are gone`
      this.#options.tell('info', group.groupId, `${what}: nobody has used them for offsets.retention.minutes`)
    } catch (error) {
      if (this.#closed) return
      this.#options.tell(
        'warn',
        group.groupId,
        `what has expired was not deleted: ${messageOf(error)}`,
        errorFields(error),
      )
    }
  }

  /** Nobody joins or commits until the outcome is known. */
  #delete(group: Group): Promise<void> {
    if (group.isUnused) {
      this.#drop(group)
      return Promise.resolve()
    }
    const records = [...this.#offsets.tombstones(group), groupTombstone(group.groupId)]
    return new Promise((resolve, reject) => {
      group.turns.hold(this.#storeTombstones(records), (error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  }

  /**
   * Runs a command in its group's turn.
   *
   * @throws Refused when the shard is closed
   */
  #command<R>(
    groupId: string,
    create: boolean,
    command: (group: Group | null) => R | Promise<R>,
  ): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const run = (group: Group | null): void => {
        const result = (async () => await command(group))()
        resolve(result)
        if (group !== null) void this.#dropIfUnused(group, result)
      }
      const attempt = (): void => {
        if (this.#closed) {
          reject(new Refused(errors.NOT_COORDINATOR))
          return
        }
        const group = create ? this.#getOrCreate(groupId) : this.#groups.get(groupId)
        if (group === undefined) run(null)
        // A group that was deleted before its turn came is not the one that is meant.
        else group.turns.take(() => (group.state === 'Dead' ? attempt() : run(group)))
      }
      attempt()
    })
  }

  /**
   * Runs a command whose answer may be long in coming, as {@link #command}, unless its turn is: then it is not run at all.
   *
   * @throws Refused when the shard is closed
   */
  #unlessLate<R>(
    groupId: string,
    create: boolean,
    late: () => R,
    command: (group: Group | null) => R | Promise<R>,
  ): Promise<R> {
    const turn = { hasCome: false, isLate: false, come: (): void => {} }
    const result = this.#command(groupId, create, (group) => {
      if (turn.isLate) return late()
      turn.hasCome = true
      turn.come()
      return command(group)
    })
    if (turn.hasCome) return result
    return new Promise((resolve, reject) => {
      const come = new Promise<void>((done) => (turn.come = done))
      this.#whenLate(Promise.race([come, result]), () => {
        turn.isLate = true
        resolve(late())
      })
      result.then(resolve, reject)
    })
  }

  /** What is being stored goes on, and holds once it is; whoever waits for it is answered after `offsets.commit.timeout.ms`. */
  #inTime<R>(result: Promise<R>, late: () => R): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#whenLate(result, () => {
        try {
          resolve(late())
        } catch (error) {
          reject(error)
        }
      })
      result.then(resolve, reject)
    })
  }

  #whenLate(work: Promise<unknown>, late: () => void): void {
    const { clock, options } = this.#options
    const waiting = clock.connections ?? clock
    const timer = waiting.setTimeout(late, options.offsetsCommitTimeoutMs)
    const settle = (): void => waiting.clearTimeout(timer)
    work.then(settle, settle)
  }

  /** Whatever names a group makes one; one that came to nothing must not stay. */
  async #dropIfUnused(group: Group, result: unknown): Promise<void> {
    try {
      await result
    } catch {
      // Whoever sent the command is told.
    }
    if (group.isUnused && !group.turns.holding) this.#drop(group)
  }

  #getOrCreate(groupId: string): Group {
    let group = this.#groups.get(groupId)
    if (group === undefined) this.#groups.set(groupId, (group = this.#rebalances.group(groupId)))
    return group
  }

  #drop(group: Group): void {
    if (group.state === 'Dead') return
    this.#groups.delete(group.groupId)
    group.end()
  }

  /** Stores one batch of records and lets what they say hold, after what was stored before. */
  #store(records: readonly GroupRecord[]): Promise<void> {
    const now = this.#options.clock.now()
    const appended = this.#options.append(records.map((record) => encodeRecord(record, now)))
    // It is looked at when those before it have been; until then its failure is nobody's.
    appended.catch(() => {})
    const before = this.#stored
    const stored = (async () => {
      await before
      await appended
      for (const record of records) this.#apply(record)
    })()
    this.#stored = stored.catch(() => {})
    return stored
  }

  async #storeTombstones(records: readonly GroupRecord[]): Promise<void> {
    const batches: GroupRecord[][] = []
    let bytes = Infinity
    for (const record of records) {
      const size = 64 + 3 * (record.groupId.length + (record.kind === 'offset' ? record.topic.length : 0))
      if (bytes + size > tombstoneBatchBytes) {
        batches.push([])
        bytes = 0
      }
      batches.at(-1)!.push(record)
      bytes += size
    }
    await Promise.all(batches.map((batch) => this.#store(batch)))
  }

  /** The one way in which what is stored changes the state. Members are brought up to date by who stored them. */
  #apply(record: GroupRecord): void {
    const group = this.#groups.get(record.groupId)
    if (group === undefined) return
    if (record.kind === 'offset') {
      const { topic, partition, committed } = record
      if (committed === null) group.offsets.delete(topic, partition)
      else group.offsets.set(topic, partition, committed as CommittedOffset)
    } else if (record.value === null) {
      this.#drop(group)
    }
  }

  #restore(group: Group, value: GroupMetadataValue): void {
    group.reset()
    group.generationId = value.generation
    group.protocolName = value.protocol
    for (const { subscription, assignment, rebalanceTimeout, sessionTimeout, ...who } of value.members) {
      const member = this.#rebalances.member(group, {
        ...who,
        rebalanceTimeoutMs: rebalanceTimeout === -1 ? sessionTimeout : rebalanceTimeout,
        sessionTimeoutMs: sessionTimeout,
        protocols: value.protocol === null ? [] : [{ name: value.protocol, metadata: subscription }],
      })
      member.assignment = assignment
      group.add(member, value.protocolType)
    }
    group.protocolType = value.protocolType === '' ? null : value.protocolType
    group.leaderId = value.leader
    group.enter(group.members.size > 0 ? 'Stable' : 'Empty')
    group.stateSince = value.currentStateTimestamp === -1 ? null : value.currentStateTimestamp
    group.learnSubscriptions()
  }
}
