import { VarveError } from '@varve/records'
import type { Clock } from './clock.js'
import type { Cluster } from './cluster.js'
import { commitOffsets, fetchCommitted, type CommittedOffset, type GroupOffset } from './committed-offsets.js'
import { assignorsOf, type AssignorName } from './group-assignors.js'
import { GroupMembership, type Joined } from './group-membership.js'
import { KafkaError } from './kafka-error.js'
import { partitionName, type TopicPartition } from './topic-partition.js'

/**
 * What to do when partitions come and go. The iteration waits for what these return; commit in `onRevoked` what has been
 * done, because afterwards the partitions are somebody else's.
 */
export interface RebalanceListener {
  /** These come in addition to what there is; `seek` may move them. */
  onAssigned?(partitions: readonly TopicPartition[]): void | Promise<void>
  /** These are about to be given up. */
  onRevoked?(partitions: readonly TopicPartition[]): void | Promise<void>
  /** These are somebody else's already: the group went on without this member. Default: `onRevoked`. */
  onLost?(partitions: readonly TopicPartition[]): void | Promise<void>
}

export interface GroupOptions {
  groupId: string
  groupInstanceId: string | null
  assignors: readonly AssignorName[]
  sessionTimeoutMs: number
  heartbeatIntervalMs: number
  maxPollIntervalMs: number
  /** Null for manual commits alone. */
  autoCommitIntervalMs: number | null
  offsetReset: 'earliest' | 'latest' | 'none'
  requireStable: boolean
  metadataMaxAgeMs: number
  requestTimeoutMs: number
  retryBackoffMs: number
  onCommitError: (error: unknown) => void
}

/** What the group needs of its consumer. */
export interface GroupHost {
  /** What is assigned, with the position of the next record; null while that is being looked up. */
  positions(): Array<TopicPartition & { readonly position: number | null }>
  take(partitions: ReadonlyArray<TopicPartition & { offset: number | 'earliest' | 'latest' }>): void
  drop(partitions: readonly TopicPartition[]): void
  /** Something has come up that the next `poll` does. */
  wake(): void
}

/** How long a commit that a rebalance or the end waits for may be retried. */
const LAST_COMMIT_MS = 5_000

/**
 * A consumer's part in a group. As in Kafka's consumer, partitions change hands only while the iteration asks for more:
 * what it has been handed before counts as done, and is what commits cover.
 */
export class ConsumerGroup {
  /** An iteration that waits for records has asked for more, however long ago. */
  isWaiting = false
  private readonly cluster: Cluster
  private readonly options: GroupOptions
  private readonly clock: Clock
  private readonly host: GroupHost
  private readonly membership: GroupMembership
  private readonly isCooperative: boolean
  private topics: readonly string[] = []
  private listener: RebalanceListener = {}
  private partitionCounts: Joined['partitionCounts'] = null
  private committed = new Map<string, number>()
  private joining = false
  private joined: Joined | null = null
  private mustJoin = false
  private isLost = false
  private isCommitDue = false
  private failure: unknown = null
  private polledAt = 0
  private isPolling = false
  private cancelHeartbeat: (() => void) | null = null
  private cancelCommit: (() => void) | null = null
  /** It has left, or is about to. */
  private ended = false

  /** @throws VarveError `VARVE_INVALID_OPTION` */
  constructor(cluster: Cluster, options: GroupOptions, clock: Clock, host: GroupHost) {
    this.cluster = cluster
    this.options = options
    this.clock = clock
    this.host = host
    const assignors = assignorsOf(options.assignors)
    // Members that keep partitions and members that give them up do not go together.
    this.isCooperative = assignors.every(({ protocol }) => protocol === 'cooperative')
    const { groupId, groupInstanceId, sessionTimeoutMs, requestTimeoutMs, retryBackoffMs } = options
    this.membership = new GroupMembership(
      cluster,
      {
        groupId,
        groupInstanceId,
        assignors,
        sessionTimeoutMs,
        rebalanceTimeoutMs: options.maxPollIntervalMs,
        requestTimeoutMs,
        retryBackoffMs,
      },
      clock,
    )
  }

  get isSubscribed(): boolean {
    return this.topics.length > 0
  }

  /** Whether `poll` has something to do before the next record is handed out. */
  get isDue(): boolean {
    return (
      this.isCommitDue ||
      this.isLost ||
      this.failure !== null ||
      this.joined !== null ||
      (this.mustJoin && !this.joining)
    )
  }

  subscribe(topics: readonly string[], listener: RebalanceListener): void {
    this.topics = [...new Set(topics)]
    this.listener = listener
    this.ended = false
    this.mustJoin = true
    this.host.wake()
  }

  async unsubscribe(): Promise<void> {
    if (!this.isSubscribed) return
    await this.end('it has unsubscribed')
    this.topics = []
  }

  /** Something has been asked for. Whether `poll` comes first. */
  asked(): boolean {
    this.polledAt = this.clock.now()
    return this.isDue
  }

  /** Does what is due: commits, gives up and takes on partitions. @throws VarveError of the group, `VARVE_CONSUMER_BUSY`; whatever a listener throws */
  async poll(): Promise<void> {
    this.polledAt = this.clock.now()
    if (this.isPolling) {
      throw new VarveError('VARVE_CONSUMER_BUSY', 'Another iteration of this consumer is in a rebalance')
    }
    this.isPolling = true
    try {
      await this.act()
    } finally {
      this.isPolling = false
      this.polledAt = this.clock.now()
    }
  }

  /**
   * @param offsets default: the positions of everything that is assigned
   * @throws KafkaError, e.g. ILLEGAL_GENERATION or UNKNOWN_MEMBER_ID after the group went on without this member
   */
  async commit(offsets: readonly GroupOffset[] = this.positions(), timeoutMs = 60_000): Promise<void> {
    if (offsets.length === 0) return
    const { requestTimeoutMs } = this.options
    try {
      await this.membership.ask(timeoutMs, async (connection) =>
        commitOffsets(connection, this.membership.committer, offsets, { timeoutMs: requestTimeoutMs }),
      )
    } catch (error) {
      if (error instanceof KafkaError) this.refused(error)
      throw error
    }
    for (const where of offsets) this.committed.set(partitionName(where), where.offset)
  }

  /** What the group has committed; partitions without a commit are left out. */
  async committedOffsets(partitions: readonly TopicPartition[]): Promise<CommittedOffset[]> {
    const { groupId, requireStable, requestTimeoutMs } = this.options
    return this.membership.ask(60_000, async (connection) =>
      fetchCommitted(connection, groupId, partitions, requireStable, { timeoutMs: requestTimeoutMs }),
    )
  }

  /** Commits what has been handed out, gives everything up and leaves. */
  async close(): Promise<void> {
    if (this.isSubscribed) await this.end('it is closed')
    this.membership.close()
  }

  private async end(reason: string): Promise<void> {
    if (this.ended) return
    this.ended = true
    this.mustJoin = false
    this.cancelHeartbeat?.()
    this.cancelCommit?.()
    this.joined = null
    const owned = this.owned()
    try {
      if (owned.length > 0 && this.membership.generation >= 0) await this.giveUp(owned)
      else this.host.drop(owned)
    } finally {
      await this.leave(reason)
    }
  }

  /** The session of a member that cannot say goodbye ends by itself. */
  private async leave(reason: string): Promise<void> {
    try {
      await this.membership.leave(reason)
    } catch (error) {
      if (!VarveError.is(error)) throw error
    }
  }

  private async act(): Promise<void> {
    if (this.failure !== null) {
      const { failure } = this
      this.failure = null
      throw failure
    }
    if (this.isCommitDue) {
      this.isCommitDue = false
      this.scheduleCommit()
      void this.autoCommit(LAST_COMMIT_MS)
    }
    if (this.isLost) await this.lose()
    if (this.joined !== null) await this.apply(this.joined)
    if (this.mustJoin && !this.joining && this.joined === null) await this.join()
  }

  private async join(): Promise<void> {
    this.mustJoin = false
    const owned = this.host.positions()
    if (!this.isCooperative && owned.length > 0) await this.giveUp(owned)
    this.cancelHeartbeat?.()
    this.joining = true
    // What an eager member had before is told to the assignor that asks for it.
    const state = () => {
      if (this.ended) throw new VarveError('VARVE_CLIENT_CLOSED', 'The consumer has left its group')
      return { topics: this.topics, owned: this.isCooperative ? this.owned() : owned }
    }
    void this.membership
      .join(state)
      .then(
        (joined) => {
          if (this.ended) return this.leave('it left while it was joining')
          this.joined = joined
          this.heartbeatLater()
          return undefined
        },
        (error: unknown) => {
          if (this.ended) return
          this.failure = error
          this.mustJoin = true
        },
      )
      .finally(() => {
        this.joining = false
        this.host.wake()
      })
  }

  private async apply({ assigned, assignor, partitionCounts }: Joined): Promise<void> {
    this.joined = null
    const owned = this.owned()
    const before = new Set(owned.map(partitionName))
    const after = new Set(assigned.map(partitionName))
    const revoked = owned.filter((where) => !after.has(partitionName(where)))
    const added = assigned.filter((where) => !before.has(partitionName(where)))
    if (revoked.length > 0) {
      await this.giveUp(revoked)
      // What was given up here can be had by others in the next generation.
      if (assignor.protocol === 'cooperative') this.mustJoin = true
    }
    try {
      await this.takeOn(added)
    } catch (error) {
      // What has not been taken on is given anew.
      this.mustJoin = true
      throw error
    }
    this.partitionCounts = partitionCounts
    this.scheduleCommit()
  }

  private async takeOn(added: readonly TopicPartition[]): Promise<void> {
    const found = added.length === 0 ? [] : await this.committedOffsets(added)
    const offsets = new Map(found.map((where) => [partitionName(where), where.offset]))
    const { offsetReset, groupId } = this.options
    this.host.take(
      added.map(({ topic, partition }) => {
        const name = partitionName({ topic, partition })
        const offset = offsets.get(name)
        if (offset !== undefined) {
          this.committed.set(name, offset)
          return { topic, partition, offset }
        }
        if (offsetReset !== 'none') return { topic, partition, offset: offsetReset }
        const problem = `Group '${groupId}' has no offset of ${name} to go on from; commit one, or set offsetReset`
        throw new VarveError('VARVE_NO_OFFSET', problem)
      }),
    )
    await this.listener.onAssigned?.(added)
  }

  private async giveUp(partitions: readonly TopicPartition[]): Promise<void> {
    const names = new Set(partitions.map(partitionName))
    await this.autoCommit(LAST_COMMIT_MS, (where) => names.has(partitionName(where)))
    try {
      await this.listener.onRevoked?.(partitions.map(({ topic, partition }) => ({ topic, partition })))
    } finally {
      this.host.drop(partitions)
      for (const name of names) this.committed.delete(name)
    }
  }

  private async lose(): Promise<void> {
    this.isLost = false
    const owned = this.owned()
    this.host.drop(owned)
    this.committed.clear()
    this.mustJoin = true
    if (owned.length === 0) return
    const { onLost, onRevoked } = this.listener
    await (onLost === undefined ? onRevoked?.call(this.listener, owned) : onLost.call(this.listener, owned))
  }

  /** Positions that have moved since the last commit. Its failures are told and not thrown: the next one covers more. */
  private async autoCommit(
    timeoutMs: number,
    which: (where: TopicPartition) => boolean = () => true,
  ): Promise<void> {
    if (this.options.autoCommitIntervalMs === null || this.membership.generation < 0) return
    const moved = this.positions().filter(
      (where) => which(where) && this.committed.get(partitionName(where)) !== where.offset,
    )
    try {
      await this.commit(moved, timeoutMs)
    } catch (error) {
      this.options.onCommitError(error)
    }
  }

  private refused(error: KafkaError): void {
    if (error.kafkaName === 'REBALANCE_IN_PROGRESS') this.mustJoin = true
    else if (error.kafkaName === 'UNKNOWN_MEMBER_ID' || error.kafkaName === 'ILLEGAL_GENERATION') {
      if (!this.isSubscribed || this.joining) return
      this.membership.forget(error)
      this.isLost = true
    } else return
    this.host.wake()
  }

  private positions(): GroupOffset[] {
    return this.host
      .positions()
      .flatMap(({ topic, partition, position }) =>
        position === null ? [] : [{ topic, partition, offset: position }],
      )
  }

  private owned(): TopicPartition[] {
    return this.host.positions().map(({ topic, partition }) => ({ topic, partition }))
  }

  private scheduleCommit(): void {
    this.cancelCommit?.()
    const { autoCommitIntervalMs } = this.options
    if (autoCommitIntervalMs === null) return
    this.cancelCommit = this.clock.after(autoCommitIntervalMs, () => {
      this.isCommitDue = true
      this.host.wake()
    })
  }

  private heartbeatLater(): void {
    this.cancelHeartbeat?.()
    this.cancelHeartbeat = this.clock.after(this.options.heartbeatIntervalMs, () => void this.heartbeat())
  }

  private async heartbeat(): Promise<void> {
    const { maxPollIntervalMs } = this.options
    try {
      if (!this.isPolling && !this.isWaiting && this.clock.now() - this.polledAt > maxPollIntervalMs) {
        this.isLost = true
        await this.leave(`nothing was asked for in ${maxPollIntervalMs} ms`)
        return
      }
      const pulse = await this.membership.beat()
      if (this.ended || this.joining) return
      if (pulse === 'rebalance') this.mustJoin = true
      if (pulse === 'lost') this.isLost = true
      else if (await this.havePartitionsChanged()) this.mustJoin = true
    } catch (error) {
      if (this.ended) return
      this.failure = error
    }
    if (this.isDue) this.host.wake()
    if (!this.joining && !this.ended && !this.isLost) this.heartbeatLater()
  }

  /** New partitions, and topics that are created after the subscription, want members. */
  private async havePartitionsChanged(): Promise<boolean> {
    const counts = this.partitionCounts
    if (counts === null) return false
    const isWanting = [...counts.values()].includes(0)
    if (!isWanting && this.cluster.metadataAgeMs < this.options.metadataMaxAgeMs) return false
    try {
      await this.cluster.refresh([...counts.keys()])
    } catch (error) {
      if (VarveError.is(error) && error.retriable) return false
      throw error
    }
    // It may have joined again meanwhile.
    if (counts !== this.partitionCounts) return false
    return [...counts].some(([topic, count]) => count !== (this.cluster.topic(topic)?.partitions.length ?? 0))
  }
}
