import { errors } from '@varve/protocol'
import { errorFields, messageOf } from '../broker-log.js'
import type { KafkaError } from '../kafka-error.js'
import type { Group } from './group.js'
import type { GroupEnvironment } from './group-environment.js'
import {
  aboutMember,
  type GroupMember,
  type JoinResponse,
  type MemberDescription,
  refusedJoin,
  refusedSync,
  type SyncResponse,
} from './group-member.js'
import { groupMetadataRecord } from './group-records.js'
import { errorOfStore, type Rebalances } from './rebalance.js'

export interface JoinRequest extends MemberDescription {
  readonly protocolType: string
  /** Why it joins, in the client's words (KIP-800). */
  readonly reason: string | null
  /** The client comes back with the id that it is given (KIP-394). */
  readonly requiresKnownMemberId: boolean
  readonly understandsSkipAssignment: boolean
}

/** Who sends a request, and which generation it believes to be in. */
export interface MemberIdentity {
  readonly memberId: string
  readonly groupInstanceId: string | null
}

export interface SyncRequest extends MemberIdentity {
  readonly generationId: number
  /** Null where the request's version does not tell. */
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: ReadonlyMap<string, Buffer>
}

export interface LeavingMember extends MemberIdentity {
  readonly reason: string | null
}

/** What members ask of their group: to join it, to get their assignment, to be known as alive, to leave. */
export class Membership {
  readonly #environment: GroupEnvironment
  readonly #rebalances: Rebalances

  constructor(environment: GroupEnvironment, rebalances: Rebalances) {
    this.#environment = environment
    this.#rebalances = rebalances
  }

  /** Resolves when the rebalance is over that the member takes part in, or at once if there is none to wait for. */
  join(group: Group, request: JoinRequest): Promise<JoinResponse> {
    return new Promise((resolve) => {
      const refuse = (error: KafkaError): void => resolve(refusedJoin(error, request.memberId))
      const { groupInstanceId } = request
      const predecessor =
        request.memberId === '' && groupInstanceId !== null ? group.staticMember(groupInstanceId) : undefined
      if (predecessor === undefined && !this.#hasRoom(group, request.memberId)) {
        group.remove(request.memberId)
        group.forgetPending(request.memberId)
        resolve(refusedJoin(errors.GROUP_MAX_SIZE_REACHED, ''))
        this.#rebalances.completeIfJoined(group)
      } else if (!group.supports(request.protocolType, request.protocols)) {
        refuse(errors.INCONSISTENT_GROUP_PROTOCOL)
      } else if (predecessor !== undefined) {
        this.#succeed(group, predecessor, request, resolve)
      } else if (request.memberId === '') {
        this.#joinNew(group, request, resolve)
      } else if (group.pendingJoins.has(request.memberId)) {
        this.#add(group, request, resolve)
      } else {
        const error = this.memberError(group, request, 'JoinGroup')
        if (error !== null) refuse(error)
        else this.#rejoin(group, group.members.get(request.memberId)!, request, resolve)
      }
    })
  }

  /** Resolves with the member's assignment when the leader has sent it and it has been stored. */
  sync(group: Group, request: SyncRequest): Promise<SyncResponse> {
    const error = this.#syncError(group, request)
    if (error !== null) return Promise.resolve(refusedSync(error))
    const member = group.members.get(request.memberId)!
    if (group.state === 'Stable') {
      this.#rebalances.synced(group, member.memberId)
      this.#rebalances.renewSession(member)
      return Promise.resolve(this.#rebalances.assignmentOf(group, member))
    }
    return new Promise((resolve) => {
      member.answerSync(refusedSync(errors.REBALANCE_IN_PROGRESS))
      member.syncing = resolve
      this.#rebalances.synced(group, member.memberId)
      if (group.isLeader(member.memberId)) this.#rebalances.assign(group, request.assignments)
    })
  }

  heartbeat(group: Group, identity: MemberIdentity, generationId: number): KafkaError {
    const error = this.memberError(group, identity, 'Heartbeat')
    if (error !== null) return error
    if (generationId !== group.generationId) return errors.ILLEGAL_GENERATION
    this.#rebalances.renewSession(group.members.get(identity.memberId)!)
    return group.state === 'PreparingRebalance' ? errors.REBALANCE_IN_PROGRESS : errors.NONE
  }

  /** @returns an error for each member, {@link errors.NONE} for those that have left */
  leave(group: Group, leaving: readonly LeavingMember[]): KafkaError[] {
    const left: string[] = []
    const results = leaving.map((identity) => {
      const { memberId, groupInstanceId, reason } = identity
      if (group.pendingJoins.has(memberId)) {
        group.forgetPending(memberId)
        return errors.NONE
      }
      // An administrator names a static member by its group.instance.id alone.
      const known =
        memberId === '' && groupInstanceId !== null ? group.staticMember(groupInstanceId) : undefined
      const error = known === undefined ? this.memberError(group, identity, 'LeaveGroup') : null
      if (error !== null) return error
      const member = known ?? group.members.get(memberId)!
      group.remove(member.memberId)
      left.push(`member ${member.memberId} left${reason === null ? '' : ` (${reason})`}`)
      return errors.NONE
    })
    if (left.length > 0) this.#rebalances.request(group, left.join(', '))
    else this.#rebalances.completeIfJoined(group)
    return results
  }

  /** Why a request of this member is not taken, which is logged if another has its group.instance.id. */
  memberError(
    group: Group,
    { memberId, groupInstanceId }: MemberIdentity,
    request: string,
  ): KafkaError | null {
    const error = group.memberError(memberId, groupInstanceId)
    if (error === errors.FENCED_INSTANCE_ID) {
      const owner = group.staticMember(groupInstanceId!)!.memberId
      this.#environment.tell(
        'warn',
        group.groupId,
        `fenced member ${memberId}: its ${request} names group.instance.id ${groupInstanceId}, which ${owner} has now`,
        { member: memberId.slice(0, 100) },
      )
    }
    return error
  }

  /** Whether the group takes the member within group.max.size. Members that are on their way through a rebalance count. */
  #hasRoom(group: Group, memberId: string): boolean {
    const { maxSize } = this.#environment.options
    switch (group.state) {
      case 'PreparingRebalance':
        return group.members.get(memberId)?.joining != null || group.joinedCount < maxSize
      case 'CompletingRebalance':
      case 'Stable':
        return group.members.has(memberId) || group.members.size < maxSize
      default:
        return true
    }
  }

  #joinNew(group: Group, request: JoinRequest, resolve: (response: JoinResponse) => void): void {
    const { clientId, groupInstanceId, requiresKnownMemberId, sessionTimeoutMs } = request
    const memberId = this.#newMemberId(clientId, groupInstanceId)
    if (groupInstanceId === null && requiresKnownMemberId) {
      this.#rebalances.awaitJoin(group, memberId, sessionTimeoutMs)
      resolve(refusedJoin(errors.MEMBER_ID_REQUIRED, memberId))
    } else {
      this.#add(group, { ...request, memberId }, resolve)
    }
  }

  /** Kafka's form: what the client calls itself, and something that nobody else has. */
  #newMemberId(clientId: string, groupInstanceId: string | null): string {
    return `${groupInstanceId ?? clientId}-${this.#environment.randomId()}`
  }

  #add(group: Group, request: JoinRequest, resolve: (response: JoinResponse) => void): void {
    const member = this.#rebalances.member(group, request)
    member.joining = resolve
    const who = `member ${member.memberId} (client id ${member.clientId}, ${member.clientHost}) joins`
    this.#rebalances.add(group, member, request.protocolType, because(who, request.reason))
  }

  #rejoin(
    group: Group,
    member: GroupMember,
    request: JoinRequest,
    resolve: (response: JoinResponse) => void,
  ): void {
    const changed = !member.offersTheSame(request.protocols)
    const { state } = group
    const mustRebalance =
      changed || state === 'PreparingRebalance' || (state === 'Stable' && group.isLeader(member.memberId))
    if (!mustRebalance) {
      // Most likely the answer to the first JoinGroup was lost.
      resolve(this.#rebalances.joined(group, member))
      return
    }
    const what = changed ? 'joins again with other protocols or subscriptions' : 'joins again as the leader'
    update(member, request)
    member.answerJoin(refusedJoin(errors.REBALANCE_IN_PROGRESS, member.memberId))
    member.joining = resolve
    this.#rebalances.request(group, because(`member ${member.memberId} ${what}`, request.reason))
  }

  /** A static member is back under a new id (KIP-345): if the group is stable, it takes over where it left, without a rebalance. */
  #succeed(
    group: Group,
    predecessor: GroupMember,
    request: JoinRequest,
    resolve: (response: JoinResponse) => void,
  ): void {
    const memberId = this.#newMemberId(request.clientId, request.groupInstanceId)
    const member = this.#rebalances.member(group, { ...request, memberId })
    member.assignment = predecessor.assignment
    const who = `static member ${request.groupInstanceId} is back as ${memberId}, ${predecessor.memberId} is fenced`
    const members = Array.from(group.members.values(), (one) => (one === predecessor ? member : one))
    if (group.state === 'Stable' && group.selectProtocol(members) === group.protocolName) {
      this.#takeOver(group, predecessor, member, members, request.understandsSkipAssignment, who, resolve)
      return
    }
    group.replace(predecessor, member)
    member.joining = resolve
    this.#rebalances.renewSession(member)
    this.#rebalances.request(group, because(who, request.reason))
  }

  #takeOver(
    group: Group,
    predecessor: GroupMember,
    member: GroupMember,
    members: readonly GroupMember[],
    understandsSkipAssignment: boolean,
    who: string,
    resolve: (response: JoinResponse) => void,
  ): void {
    const wasLeader = group.isLeader(predecessor.memberId)
    const leader = wasLeader ? member.memberId : group.leaderId
    const stored = this.#environment.store([groupMetadataRecord(group, members, undefined, leader)], () =>
      resolve(refusedJoin(errors.COORDINATOR_NOT_AVAILABLE, '')),
    )
    group.turns.hold(stored, (error) => {
      if (error !== null || group.state === 'Dead') {
        resolve(refusedJoin(error === null ? errors.NOT_COORDINATOR : errorOfStore(error), ''))
        if (error !== null && group.state !== 'Dead') {
          this.#environment.tell('warn', group.groupId, `${who}: that was not stored: ${messageOf(error)}`, {
            ...aboutMember(member),
            ...errorFields(error),
          })
        }
        return
      }
      group.replace(predecessor, member)
      this.#rebalances.renewSession(member)
      this.#environment.tell('info', group.groupId, who, aboutMember(member))
      const joined = this.#rebalances.joined(group, member)
      // A leader that knows nothing of KIP-814 would assign anew, so it is told that its predecessor still leads.
      resolve(
        understandsSkipAssignment
          ? { ...joined, skipAssignment: wasLeader }
          : { ...joined, leader: wasLeader ? predecessor.memberId : joined.leader, members: [] },
      )
    })
  }

  #syncError(group: Group, request: SyncRequest): KafkaError | null {
    const error = this.memberError(group, request, 'SyncGroup')
    if (error !== null) return error
    if (request.generationId !== group.generationId) return errors.ILLEGAL_GENERATION
    const { protocolType, protocolName } = request
    if (
      (protocolType !== null && protocolType !== group.protocolType) ||
      (protocolName !== null && protocolName !== group.protocolName)
    ) {
      return errors.INCONSISTENT_GROUP_PROTOCOL
    }
    return group.state === 'PreparingRebalance' ? errors.REBALANCE_IN_PROGRESS : null
  }
}

function update(member: GroupMember, { protocols, rebalanceTimeoutMs, sessionTimeoutMs }: JoinRequest): void {
  member.protocols = protocols
  member.rebalanceTimeoutMs = rebalanceTimeoutMs
  member.sessionTimeoutMs = sessionTimeoutMs
}

function because(what: string, reason: string | null): string {
  return reason === null || reason === '' ? what : `${what} (${reason})`
}
