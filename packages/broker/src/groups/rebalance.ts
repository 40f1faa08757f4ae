import { errors } from '@varve/protocol'
import { errorFields, type LogFields, messageOf } from '../broker-log.js'
import type { KafkaError } from '../kafka-error.js'
import { Deadline } from './deadline.js'
import { Group } from './group.js'
import type { GroupEnvironment } from './group-environment.js'
import {
  aboutMember,
  GroupMember,
  type JoinResponse,
  type MemberDescription,
  noBytes,
  refusedSync,
  type SyncResponse,
} from './group-member.js'
import { groupMetadataRecord } from './group-records.js'

/**
 * How long a member that has never been through a rebalance may wait for one: it cannot send heartbeats, and if its client
 * gave up and asked again, nobody would ever take the first answer.
 */
const newMemberJoinTimeoutMs = 5 * 60_000

/** How a group gets from one generation to the next, and what happens when somebody does not keep up. */
export class Rebalances {
  readonly #environment: GroupEnvironment
  #completed = 0

  constructor(environment: GroupEnvironment) {
    this.#environment = environment
  }

  group(groupId: string): Group {
    const { clock } = this.#environment
    // What has been waited for comes to pass in the group's turn, and is looked at again then.
    const group: Group = new Group(groupId, clock, {
      join: new Deadline(clock, () => inTurn(group, () => this.#onJoinDeadline(group))),
      sync: new Deadline(clock, () => inTurn(group, () => this.#onSyncDeadline(group))),
    })
    return group
  }

  member(group: Group, description: MemberDescription): GroupMember {
    const { memberId } = description
    const session = new Deadline(this.#environment.clock, () =>
      inTurn(group, () => this.#onSessionEnd(group, memberId)),
    )
    return new GroupMember(description, session)
  }

  /** A member shows a sign of life. */
  renewSession(member: GroupMember): void {
    member.session.set(member.sessionTimeoutMs)
  }

  /** Adds a member that waits for a rebalance, which is begun unless one is under way. */
  add(group: Group, member: GroupMember, protocolType: string, reason: string): void {
    member.isNew = true
    if (group.initialDelay !== null) group.initialDelay.newMemberAdded = true
    group.add(member, protocolType)
    member.session.set(newMemberJoinTimeoutMs)
    this.request(group, reason)
  }

  /** Notes that a member was given an id, and waits for it to join for its session timeout. */
  awaitJoin(group: Group, memberId: string, timeoutMs: number): void {
    const deadline = new Deadline(this.#environment.clock, () => {
      inTurn(group, () => {
        if (!group.pendingJoins.delete(memberId)) return
        this.#tell(group, `member ${memberId} was given its id and never joined with it`, 'info', {
          member: memberId,
        })
        this.completeIfJoined(group)
      })
    })
    group.pendingJoins.set(memberId, deadline)
    deadline.set(timeoutMs)
  }

  /** How many have come to an assignment. */
  get completed(): number {
    return this.#completed
  }

  /** Begins a rebalance, or goes on with the one that is under way. */
  request(group: Group, reason: string): void {
    if (group.state === 'PreparingRebalance') this.completeIfJoined(group)
    else if (group.state !== 'Dead') this.#prepare(group, reason)
  }

  /** Takes a member out for a reason, and lets the others rebalance. */
  remove(group: Group, member: GroupMember, reason: string): void {
    group.remove(member.memberId)
    if (group.state !== 'Empty') this.request(group, reason)
  }

  /** Ends the wait for members if all have come; the first rebalance of an empty group takes its time nevertheless. */
  completeIfJoined(group: Group): void {
    if (group.state === 'PreparingRebalance' && group.initialDelay === null && group.hasEverybodyJoined) {
      this.#complete(group)
    }
  }

  /** Stores what the leader assigned; then everybody who asked gets it. */
  assign(group: Group, assignments: ReadonlyMap<string, Buffer>): void {
    const assignmentOf = ({ memberId }: GroupMember): Buffer => assignments.get(memberId) ?? noBytes
    const stored = this.#environment.store(
      [groupMetadataRecord(group, group.members.values(), assignmentOf)],
      () => this.#withdraw(group, errors.COORDINATOR_NOT_AVAILABLE),
    )
    group.turns.hold(stored, (error) => {
      if (group.state === 'Dead') return
      if (error !== null) {
        this.#withdraw(group, errorOfStore(error))
        this.#prepare(
          group,
          `the assignment of generation ${group.generationId} was not stored: ${messageOf(error)}`,
        )
        return
      }
      group.enter('Stable')
      this.#completed++
      for (const member of group.members.values()) {
        member.assignment = assignmentOf(member)
        if (member.syncing === null) continue
        member.answerSync(this.assignmentOf(group, member))
        this.renewSession(member)
      }
      this.#tell(group, `is stable in generation ${group.generationId} with ${count(group)}`)
    })
  }

  assignmentOf({ protocolType, protocolName }: Group, { assignment }: GroupMember): SyncResponse {
    return { error: errors.NONE, protocolType, protocolName, assignment }
  }

  /** A member has asked for its assignment. */
  synced(group: Group, memberId: string): void {
    group.pendingSyncs.delete(memberId)
    if (group.pendingSyncs.size === 0) group.syncDeadline.clear()
  }

  /** Goes on with a group that was read from the log: its members have their session to show that they are there. */
  resume(group: Group): void {
    for (const member of group.members.values()) this.renewSession(member)
    if (group.members.size > this.#environment.options.maxSize) {
      this.request(
        group,
        `it has more than the ${this.#environment.options.maxSize} members of group.max.size`,
      )
    }
  }

  #prepare(group: Group, reason: string): void {
    const isInitial = group.state === 'Empty'
    if (group.state === 'CompletingRebalance') this.#withdraw(group, errors.REBALANCE_IN_PROGRESS)
    group.syncDeadline.clear()
    group.pendingSyncs.clear()
    group.enter('PreparingRebalance')
    this.#tell(group, `prepares to rebalance generation ${group.generationId}: ${reason}`)
    const { initialRebalanceDelayMs } = this.#environment.options
    if (!isInitial) {
      if (group.hasEverybodyJoined) this.#complete(group)
      else group.joinDeadline.set(group.rebalanceTimeoutMs)
    } else if (initialRebalanceDelayMs === 0) {
      this.#complete(group)
    } else {
      const remainingMs = Math.max(group.rebalanceTimeoutMs - initialRebalanceDelayMs, 0)
      group.initialDelay = { newMemberAdded: false, remainingMs }
      group.joinDeadline.set(initialRebalanceDelayMs)
    }
  }

  /** Nobody gets an assignment of this generation. */
  #withdraw(group: Group, error: KafkaError): void {
    for (const member of group.members.values()) {
      member.assignment = noBytes
      if (member.syncing === null) continue
      member.answerSync(refusedSync(error))
      this.renewSession(member)
    }
  }

  #onJoinDeadline(group: Group): void {
    if (group.state !== 'PreparingRebalance' || group.joinDeadline.pending) return
    const { initialDelay } = group
    if (initialDelay?.newMemberAdded && initialDelay.remainingMs > 0) {
      const { initialRebalanceDelayMs } = this.#environment.options
      group.joinDeadline.set(Math.min(initialRebalanceDelayMs, initialDelay.remainingMs))
      initialDelay.newMemberAdded = false
      initialDelay.remainingMs = Math.max(initialDelay.remainingMs - initialRebalanceDelayMs, 0)
      return
    }
    this.#complete(group)
  }

  /** Begins the generation of those who have joined. */
  #complete(group: Group): void {
    group.joinDeadline.clear()
    group.initialDelay = null
    for (const member of group.members.values()) {
      if (member.joining !== null || member.isStatic) continue
      group.remove(member.memberId)
      this.#tell(
        group,
        `member ${member.memberId} did not rejoin within its rebalance timeout`,
        'info',
        aboutMember(member),
      )
    }
    if (group.members.size > 0 && !group.electLeader()) {
      // Only static members are left, which are waited for until their sessions end.
      group.joinDeadline.set(group.rebalanceTimeoutMs)
      return
    }
    group.nextGeneration()
    if (group.members.size === 0) this.#storeEmpty(group)
    else this.#announce(group)
  }

  #storeEmpty(group: Group): void {
    this.#tell(group, `is empty in generation ${group.generationId}`)
    const stored = this.#environment.store([groupMetadataRecord(group)])
    group.turns.hold(stored, (error) => {
      // The members are gone whatever the log says; a restart would meet them again and wait for their sessions to end.
      if (error !== null && group.state !== 'Dead')
        this.#tell(
          group,
          `it was not stored that it is empty: ${messageOf(error)}`,
          'warn',
          errorFields(error),
        )
    })
  }

  #announce(group: Group): void {
    this.#tell(
      group,
      `begins generation ${group.generationId} with ${count(group)}, led by ${group.leaderId}`,
    )
    for (const member of group.members.values()) {
      if (member.joining !== null) this.renewSession(member)
      member.isNew = false
      group.pendingSyncs.add(member.memberId)
      member.answerJoin(this.joined(group, member))
    }
    group.syncDeadline.set(group.rebalanceTimeoutMs)
  }

  /** What a member is told that is part of the current generation. */
  joined(group: Group, member: GroupMember): JoinResponse {
    return {
      error: errors.NONE,
      memberId: member.memberId,
      generationId: group.generationId,
      protocolType: group.protocolType,
      protocolName: group.protocolName,
      leader: group.leaderId ?? '',
      skipAssignment: false,
      members: group.isLeader(member.memberId) ? group.joinedMembers() : [],
    }
  }

  #onSyncDeadline(group: Group): void {
    if (group.syncDeadline.pending || group.pendingSyncs.size === 0) return
    if (group.state !== 'CompletingRebalance' && group.state !== 'Stable') return
    const late = [...group.pendingSyncs]
    for (const memberId of late) group.remove(memberId)
    this.request(group, `${late.join(', ')} did not ask for the assignment within the rebalance timeout`)
  }

  #onSessionEnd(group: Group, memberId: string): void {
    const member = group.members.get(memberId)
    if (member === undefined || member.session.pending || (member.isWaiting && !member.isNew)) return
    const silence = member.isNew ? newMemberJoinTimeoutMs : member.sessionTimeoutMs
    const reason = `member ${memberId} (client id ${member.clientId}, ${member.clientHost}) has not been heard of for ${silence} ms`
    this.#tell(group, `${reason} and is removed`, 'warn', aboutMember(member))
    this.remove(group, member, reason)
  }

  #tell(group: Group, text: string, level: 'info' | 'warn' = 'info', about: LogFields = {}): void {
    this.#environment.tell(level, group.groupId, text, about)
  }
}

/** What was waited for comes to pass in the group's turn. One that is gone by then, or led elsewhere, is left alone. */
function inTurn(group: Group, then: () => void): void {
  group.turns.take(() => {
    if (group.state !== 'Dead') then()
  })
}

function count({ members }: Group): string {
  return members.size === 1 ? '1 member' : `${members.size} members`
}

/** What a client is told when something could not be stored, so that it looks for the coordinator and tries again. */
export function errorOfStore(error: unknown): KafkaError {
  switch ((error as { code?: unknown } | null)?.code) {
    case 'VARVE_BATCH_TOO_LARGE':
      return errors.UNKNOWN_SERVER_ERROR
    case 'VARVE_NOT_LEADER':
      return errors.NOT_COORDINATOR
    default:
      return errors.COORDINATOR_NOT_AVAILABLE
  }
}
