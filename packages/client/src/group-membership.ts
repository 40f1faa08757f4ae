import { errors, heartbeat, joinGroup, leaveGroup, syncGroup, type JoinGroupResponse } from '@varve/protocol'
import type { GroupAssignor } from '@varve/partitioning'
import { VarveError } from '@varve/records'
import type { Clock } from './clock.js'
import type { Cluster } from './cluster.js'
import type { Committer } from './committed-offsets.js'
import type { Connection } from './connection.js'
import { findCoordinators, isCoordinatorMoved } from './coordinators.js'
import {
  assignedPartitions,
  assignmentBytes,
  membersOf,
  subscriptionBytes,
  type MemberState,
} from './group-assignors.js'
import { KafkaError } from './kafka-error.js'
import type { TopicPartition } from './topic-partition.js'

export interface MembershipOptions {
  groupId: string
  groupInstanceId: string | null
  assignors: readonly GroupAssignor[]
  sessionTimeoutMs: number
  /** How long the others wait for this member in a rebalance. */
  rebalanceTimeoutMs: number
  requestTimeoutMs: number
  retryBackoffMs: number
}

/** What a rebalance gave this member. */
export interface Joined {
  readonly assignor: GroupAssignor
  readonly assigned: readonly TopicPartition[]
  /** Of the leader, who asks for a rebalance when it changes: how many partitions each topic of the group has. */
  readonly partitionCounts: ReadonlyMap<string, number> | null
}

/** What a heartbeat found out. `lost`: the group went on without this member, and others may read what it had. */
export type Pulse = 'stable' | 'rebalance' | 'lost' | 'unreachable'

// Requests that the broker answers when others have joined; everything behind them on the same connection waits.
const JOIN_LANE = 'join'
const LANE = 'group'
const INSTANCE_FROM_VERSION = 5
const MAX_BACKOFF_MS = 1_000

const is = (error: unknown, ...names: Array<keyof typeof errors>): boolean =>
  error instanceof KafkaError && names.some((name) => errors[name].code === error.kafkaCode)

/** A member of a group of consumers, as the group's coordinator knows it: the requests, and the id and generation that they carry. */
export class GroupMembership {
  private readonly cluster: Cluster
  private readonly options: MembershipOptions
  private readonly clock: Clock
  private coordinator: number | null = null
  private memberId = ''
  private generationId = -1
  private closed = false

  constructor(cluster: Cluster, options: MembershipOptions, clock: Clock) {
    this.cluster = cluster
    this.options = options
    this.clock = clock
  }

  /** Who commits: this member, or nobody in particular before it has joined. */
  get committer(): Committer {
    const { groupId, groupInstanceId } = this.options
    const { memberId, generationId } = this
    return { groupId, memberId, generationId, groupInstanceId: generationId < 0 ? null : groupInstanceId }
  }

  get generation(): number {
    return this.generationId
  }

  close(): void {
    this.closed = true
  }

  /**
   * Joins the next generation, however long that takes.
   *
   * @param state asked for anew with each attempt
   * @throws VarveError that no further attempt can help against; `VARVE_CLIENT_CLOSED`
   */
  async join(state: () => { topics: readonly string[]; owned: readonly TopicPartition[] }): Promise<Joined> {
    for (let failures = 0; ;) {
      if (this.closed) throw new VarveError('VARVE_CLIENT_CLOSED', 'The consumer has been closed')
      try {
        return await this.attempt({ ...state(), generationId: this.generationId })
      } catch (error) {
        if (is(error, 'MEMBER_ID_REQUIRED', 'REBALANCE_IN_PROGRESS')) continue
        if (is(error, 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION')) {
          this.forget(error)
          continue
        }
        this.noteFailure(error)
        if (!VarveError.is(error) || !error.retriable || this.closed) throw error
        await this.pause(failures++)
      }
    }
  }

  async beat(): Promise<Pulse> {
    const { groupId, groupInstanceId, sessionTimeoutMs, requestTimeoutMs } = this.options
    const { memberId, generationId } = this
    try {
      const connection = await this.connection(LANE)
      const timeoutMs = Math.min(requestTimeoutMs, sessionTimeoutMs)
      const body = { groupId, generationId, memberId, ...this.instance(connection.versionOf(heartbeat) >= 3) }
      const { errorCode } = await connection.request(heartbeat, body, { timeoutMs })
      if (errorCode !== 0) throw new KafkaError(errorCode, `A heartbeat of group '${groupId}'`)
      return 'stable'
    } catch (error) {
      // The answer to a generation that is over already.
      if (generationId !== this.generationId || memberId !== this.memberId) return 'stable'
      if (is(error, 'REBALANCE_IN_PROGRESS')) return 'rebalance'
      if (is(error, 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION')) {
        this.forget(error)
        return 'lost'
      }
      this.noteFailure(error)
      if (VarveError.is(error) && error.retriable) return 'unreachable'
      throw groupInstanceId === null ? error : this.explained(error)
    }
  }

  /** Takes leave of the group, so that it need not wait for the session to end. A static member comes back, and stays. */
  async leave(reason: string): Promise<void> {
    const { groupId, groupInstanceId, requestTimeoutMs } = this.options
    const { memberId } = this
    if (memberId === '' || groupInstanceId !== null) return
    this.memberId = ''
    this.generationId = -1
    const connection = await this.connection(LANE)
    const version = connection.versionOf(leaveGroup)
    const member = { memberId, ...(version >= 5 ? { reason } : {}) }
    const body = version >= 3 ? { groupId, members: [member] } : { groupId, memberId }
    const { errorCode } = await connection.request(leaveGroup, body, { timeoutMs: requestTimeoutMs })
    if (errorCode !== 0) throw new KafkaError(errorCode, `Leaving group '${groupId}'`)
  }

  /**
   * Asks the coordinator, again and again while the reason for a failure may pass and `timeoutMs` is not over.
   *
   * @throws VarveError
   */
  async ask<T>(timeoutMs: number, question: (connection: Connection) => Promise<T>): Promise<T> {
    const until = this.clock.now() + timeoutMs
    for (let failures = 0; ;) {
      try {
        return await question(await this.connection(LANE))
      } catch (error) {
        this.noteFailure(error)
        if (!VarveError.is(error) || !error.retriable || this.closed) throw error
        if (is(error, 'REBALANCE_IN_PROGRESS') || this.clock.now() >= until) throw error
        await this.pause(failures++)
      }
    }
  }

  /** The group no longer knows this member or its generation. */
  forget(error: unknown): void {
    if (is(error, 'UNKNOWN_MEMBER_ID')) this.memberId = ''
    this.generationId = -1
  }

  private async attempt(state: MemberState): Promise<Joined> {
    const connection = await this.connection(JOIN_LANE)
    const joined = await this.sendJoin(connection, state)
    const assignor = this.options.assignors.find(({ name }) => name === joined.protocolName)
    if (assignor === undefined) {
      const problem = `The coordinator chose the assignor '${joined.protocolName}', which this member did not offer`
      throw new VarveError('VARVE_INVALID_RESPONSE', problem)
    }
    if (joined.leader !== joined.memberId)
      return { assignor, assigned: await this.sendSync(connection, assignor, []), partitionCounts: null }
    const members = membersOf(assignor.name, joined.members)
    const partitionCounts = await this.countPartitions(members.flatMap((member) => member.topics))
    // A static leader that comes back leads on with what the group was given before (KIP-814).
    const shared = joined.skipAssignment ? [] : assignmentBytes(assignor.assign(members, partitionCounts))
    return { assignor, assigned: await this.sendSync(connection, assignor, shared), partitionCounts }
  }

  private async sendJoin(connection: Connection, state: MemberState): Promise<JoinGroupResponse> {
    const { groupId, assignors, sessionTimeoutMs, rebalanceTimeoutMs, requestTimeoutMs } = this.options
    const version = connection.versionOf(joinGroup)
    this.checkInstance(connection, version)
    const joined = await connection.request(
      joinGroup,
      {
        groupId,
        sessionTimeoutMs,
        ...(version >= 1 ? { rebalanceTimeoutMs } : {}),
        memberId: this.memberId,
        ...this.instance(version >= INSTANCE_FROM_VERSION),
        protocolType: 'consumer',
        protocols: assignors.map((assignor) => ({
          name: assignor.name,
          metadata: subscriptionBytes(assignor, state),
        })),
      },
      // It is answered when the others have joined, or their time is over.
      { timeoutMs: Math.max(rebalanceTimeoutMs, sessionTimeoutMs) + requestTimeoutMs },
    )
    // Also with the error that asks this member to come back with an id.
    if (joined.errorCode === 0 || joined.errorCode === errors.MEMBER_ID_REQUIRED.code)
      this.memberId = joined.memberId
    if (joined.errorCode !== 0)
      throw this.explained(new KafkaError(joined.errorCode, `Joining group '${groupId}'`))
    this.generationId = joined.generationId
    return joined
  }

  private async countPartitions(topics: readonly string[]): Promise<Map<string, number>> {
    const names = [...new Set(topics)]
    const refreshed = await this.cluster.refresh(names)
    return new Map(names.map((topic) => [topic, refreshed.topics.get(topic)?.partitions.length ?? 0]))
  }

  private async sendSync(
    connection: Connection,
    assignor: GroupAssignor,
    assignments: ReturnType<typeof assignmentBytes>,
  ): Promise<TopicPartition[]> {
    const { groupId, rebalanceTimeoutMs, requestTimeoutMs } = this.options
    const { memberId, generationId } = this
    const version = connection.versionOf(syncGroup)
    const response = await connection.request(
      syncGroup,
      {
        groupId,
        generationId,
        memberId,
        ...this.instance(version >= 3),
        ...(version >= 5 ? { protocolType: 'consumer', protocolName: assignor.name } : {}),
        assignments,
      },
      { timeoutMs: rebalanceTimeoutMs + requestTimeoutMs },
    )
    if (response.errorCode !== 0)
      throw this.explained(new KafkaError(response.errorCode, `Synchronising group '${groupId}'`))
    return assignedPartitions(response.assignment)
  }

  private instance(isServed: boolean): { groupInstanceId?: string | null } {
    return isServed ? { groupInstanceId: this.options.groupInstanceId } : {}
  }

  private checkInstance(connection: Connection, version: number): void {
    if (this.options.groupInstanceId === null || version >= INSTANCE_FROM_VERSION) return
    const problem = `The broker at ${connection.address} is too old for static members (groupInstanceId)`
    throw new VarveError('VARVE_UNSUPPORTED_VERSION', problem)
  }

  private explained(error: unknown): unknown {
    if (!is(error, 'FENCED_INSTANCE_ID')) return error
    const { kafkaCode } = error as KafkaError
    const { groupId, groupInstanceId } = this.options
    const what = `Being the static member '${groupInstanceId}' of group '${groupId}', which another consumer is now,`
    return new KafkaError(kafkaCode, what)
  }

  private async connection(lane: string): Promise<Connection> {
    if (this.coordinator === null) {
      const { groupId } = this.options
      const found = (await findCoordinators(this.cluster, [groupId])).get(groupId)!
      if (typeof found !== 'number') throw found
      this.coordinator = found
    }
    return this.cluster.connectionTo(this.coordinator, lane)
  }

  private noteFailure(error: unknown): void {
    const isSilent = VarveError.is(error) && error.code === 'VARVE_REQUEST_TIMEOUT'
    if (isCoordinatorMoved(error) || isSilent) this.coordinator = null
  }

  private async pause(failures: number): Promise<void> {
    const backoff = Math.min(this.options.retryBackoffMs * 2 ** Math.min(failures, 10), MAX_BACKOFF_MS)
    await new Promise<void>((resolve) => this.clock.after(backoff, resolve))
  }
}
