import { consumerSubscription, errors } from '@varve/protocol'
import type { Clock } from '../clock.js'
import type { KafkaError } from '../kafka-error.js'
import { CommittedOffsets } from './committed-offsets.js'
import type { Deadline } from './deadline.js'
import {
  type GroupMember,
  type JoinedMember,
  type MemberProtocol,
  refusedJoin,
  refusedSync,
} from './group-member.js'
import { Turns } from './turns.js'

/** The protocol type of consumers, whose metadata tells what they are subscribed to. */
const consumerProtocolType = 'consumer'

/** Kafka's names, as DescribeGroups and ListGroups give them. */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

/**
 * A group: its members, the generation they are in and the offsets it has committed. What is here changes by the rules of
 * `rebalance.ts` and `membership.ts`; this class only keeps it consistent.
 */
export class Group {
  readonly groupId: string
  readonly turns = new Turns()
  readonly offsets = new CommittedOffsets()
  /** Passes when the rebalance waits no longer for members to join. */
  readonly joinDeadline: Deadline
  /** Passes when members that have joined may no longer ask for their assignment. */
  readonly syncDeadline: Deadline
  /** Members that were given an id and have not joined with it yet (KIP-394), and how long they may take. */
  readonly pendingJoins = new Map<string, Deadline>()
  /** Members that have joined the generation and not asked for their assignment. */
  readonly pendingSyncs = new Set<string>()
  readonly members = new Map<string, GroupMember>()
  /** Member ids by group.instance.id. */
  readonly #staticMembers = new Map<string, string>()
  readonly #clock: Clock
  #state: GroupState = 'Empty'
  #previousState: GroupState = 'Empty'
  /** When the state was entered, in ms since the epoch; null when that is not known. */
  stateSince: number | null
  generationId = 0
  protocolType: string | null = null
  protocolName: string | null = null
  leaderId: string | null = null
  /** While the first rebalance of an empty group waits for members: whether one has come, and how long it may go on. */
  initialDelay: { newMemberAdded: boolean; remainingMs: number } | null = null
  /** What all members together are subscribed to; null if that is not known. */
  #subscribed: ReadonlySet<string> | null = null

  constructor(groupId: string, clock: Clock, deadlines: { join: Deadline; sync: Deadline }) {
    this.groupId = groupId
    this.#clock = clock
    this.stateSince = clock.now()
    this.joinDeadline = deadlines.join
    this.syncDeadline = deadlines.sync
  }

  get state(): GroupState {
    return this.#state
  }

  get previousState(): GroupState {
    return this.#previousState
  }

  enter(state: GroupState): void {
    this.#previousState = this.#state
    this.#state = state
    this.stateSince = this.#clock.now()
  }

  /** Whether nothing would be lost with it: no member, no id given out, no offset, no generation that somebody knows. */
  get isUnused(): boolean {
    return (
      this.#state === 'Empty' &&
      this.generationId === 0 &&
      this.members.size === 0 &&
      this.pendingJoins.size === 0 &&
      this.offsets.isEmpty
    )
  }

  get isConsumerGroup(): boolean {
    return this.protocolType === consumerProtocolType
  }

  // Members

  /** @param protocolType what the first member of an empty group decides for all */
  add(member: GroupMember, protocolType: string): void {
    if (this.members.size === 0) this.protocolType = protocolType
    this.leaderId ??= member.memberId
    this.members.set(member.memberId, member)
    if (member.groupInstanceId !== null) this.#staticMembers.set(member.groupInstanceId, member.memberId)
    this.forgetPending(member.memberId)
  }

  /** Takes a member out; whatever it waits for is answered UNKNOWN_MEMBER_ID, on which a client joins anew. */
  remove(memberId: string): void {
    const member = this.members.get(memberId)
    if (member === undefined) return
    member.session.clear()
    member.answerJoin(refusedJoin(errors.UNKNOWN_MEMBER_ID, ''))
    member.answerSync(refusedSync(errors.UNKNOWN_MEMBER_ID))
    this.members.delete(memberId)
    this.pendingSyncs.delete(memberId)
    const { groupInstanceId } = member
    if (groupInstanceId !== null && this.#staticMembers.get(groupInstanceId) === memberId) {
      this.#staticMembers.delete(groupInstanceId)
    }
    if (this.leaderId === memberId) this.leaderId = this.members.keys().next().value ?? null
  }

  /** Puts a static member's successor in its place; the old one is fenced. */
  replace(old: GroupMember, successor: GroupMember): void {
    old.session.clear()
    old.answerJoin(refusedJoin(errors.FENCED_INSTANCE_ID, old.memberId))
    old.answerSync(refusedSync(errors.FENCED_INSTANCE_ID))
    this.members.delete(old.memberId)
    this.members.set(successor.memberId, successor)
    this.#staticMembers.set(successor.groupInstanceId!, successor.memberId)
    if (this.pendingSyncs.delete(old.memberId)) this.pendingSyncs.add(successor.memberId)
    if (this.leaderId === old.memberId) this.leaderId = successor.memberId
  }

  staticMember(groupInstanceId: string): GroupMember | undefined {
    const memberId = this.#staticMembers.get(groupInstanceId)
    return memberId === undefined ? undefined : this.members.get(memberId)
  }

  isLeader(memberId: string): boolean {
    return memberId === this.leaderId
  }

  forgetPending(memberId: string): void {
    this.pendingJoins.get(memberId)?.clear()
    this.pendingJoins.delete(memberId)
  }

  /** Why a request of this member is not taken: it is unknown, or another has its group.instance.id (KIP-345). */
  memberError(memberId: string, groupInstanceId: string | null): KafkaError | null {
    if (groupInstanceId !== null) {
      const owner = this.staticMember(groupInstanceId)
      if (owner === undefined) return errors.UNKNOWN_MEMBER_ID
      if (owner.memberId !== memberId) return errors.FENCED_INSTANCE_ID
    }
    return this.members.has(memberId) ? null : errors.UNKNOWN_MEMBER_ID
  }

  get joinedCount(): number {
    let joined = 0
    for (const { joining } of this.members.values()) if (joining !== null) joined++
    return joined
  }

  get hasEverybodyJoined(): boolean {
    return this.pendingJoins.size === 0 && this.joinedCount === this.members.size
  }

  /** The longest that any member takes to rejoin. */
  get rebalanceTimeoutMs(): number {
    let longest = 0
    for (const { rebalanceTimeoutMs } of this.members.values())
      longest = Math.max(longest, rebalanceTimeoutMs)
    return longest
  }

  /** Makes one that has joined the leader, unless the leader has; false if nobody has. */
  electLeader(): boolean {
    if (this.leaderId !== null && this.members.get(this.leaderId)?.joining) return true
    for (const { memberId, joining } of this.members.values()) {
      if (joining === null) continue
      this.leaderId = memberId
      return true
    }
    return false
  }

  /** Forgets all members, answering none: of a group that is read from the log. */
  reset(): void {
    for (const member of this.members.values()) member.session.clear()
    this.members.clear()
    this.#staticMembers.clear()
    this.leaderId = null
  }

  /** The group is no more, or not served here any more: whoever waits has to look for its coordinator again. */
  end(): void {
    this.enter('Dead')
    this.joinDeadline.clear()
    this.syncDeadline.clear()
    for (const deadline of this.pendingJoins.values()) deadline.clear()
    for (const member of this.members.values()) {
      member.session.clear()
      member.answerJoin(refusedJoin(errors.NOT_COORDINATOR, member.memberId))
      member.answerSync(refusedSync(errors.NOT_COORDINATOR))
    }
  }

  // Protocols

  /** Whether somebody who offers these protocols shares one with all members. */
  supports(protocolType: string, protocols: readonly MemberProtocol[]): boolean {
    if (protocolType === '' || protocols.length === 0) return false
    if (this.members.size === 0) return true
    if (protocolType !== this.protocolType) return false
    const common = commonProtocols([...this.members.values()])
    return protocols.some(({ name }) => common.has(name))
  }

  /** The protocol that most members prefer among those that all of them support; of equals, the earliest member's. */
  selectProtocol(members: readonly GroupMember[] = [...this.members.values()]): string | null {
    const common = commonProtocols(members)
    const votes = new Map<string, number>()
    for (const { protocols } of members) {
      const vote = protocols.find(({ name }) => common.has(name))?.name
      if (vote !== undefined) votes.set(vote, (votes.get(vote) ?? 0) + 1)
    }
    let selected: string | null = null
    for (const [name, count] of votes) if (selected === null || count > votes.get(selected)!) selected = name
    return selected
  }

  // Generations

  /** Begins a generation of the members there are: an empty one if there are none. */
  nextGeneration(): void {
    this.generationId = this.generationId === 2 ** 31 - 1 ? 1 : this.generationId + 1
    this.pendingSyncs.clear()
    if (this.members.size === 0) {
      this.protocolName = null
      this.enter('Empty')
    } else {
      this.protocolName = this.selectProtocol()
      this.enter('CompletingRebalance')
    }
    this.learnSubscriptions()
  }

  /** All members with what they said under the protocol in force: what a leader assigns by. */
  joinedMembers(): JoinedMember[] {
    return Array.from(this.members.values(), (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      metadata: member.metadataFor(this.protocolName),
    }))
  }

  learnSubscriptions(): void {
    this.#subscribed = null
    if (!this.isConsumerGroup) return
    const all = new Set<string>()
    for (const member of this.members.values()) {
      const topics = topicsOf(member.metadataFor(this.protocolName))
      if (topics === null) return
      for (const topic of topics) all.add(topic)
    }
    this.#subscribed = all
  }

  get knowsSubscriptions(): boolean {
    return this.#subscribed !== null
  }

  /** Whether a member reads the topic; a consumer group whose members cannot be understood might read any. */
  isSubscribedTo(topic: string): boolean {
    return this.#subscribed?.has(topic) ?? (this.isConsumerGroup && this.members.size > 0)
  }
}

/** The names of the protocols that all of them offer. */
function commonProtocols(members: readonly GroupMember[]): ReadonlySet<string> {
  const supporters = new Map<string, number>()
  for (const { protocols } of members) {
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      supporters.set(name, (supporters.get(name) ?? 0) + 1)
    }
  }
  return new Set([...supporters].filter(([, count]) => count === members.length).map(([name]) => name))
}

/** The topics that a consumer is subscribed to, or null if its metadata cannot be read. */
function topicsOf(metadata: Buffer): readonly string[] | null {
  try {
    return consumerSubscription.decode(metadata).topics
  } catch {
    return null
  }
}
