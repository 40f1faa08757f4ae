import type { LogFields } from '../broker-log.js'
import type { KafkaError } from '../kafka-error.js'
import type { Deadline } from './deadline.js'

/** A way of assigning partitions that a member knows, and what it tells the leader under it. */
export interface MemberProtocol {
  readonly name: string
  readonly metadata: Buffer
}

export interface JoinResponse {
  readonly error: KafkaError
  readonly memberId: string
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  /** Tells a leader that came back to leave the assignment as it is (KIP-814). */
  readonly skipAssignment: boolean
  /** All members, for the leader; nobody for the others. */
  readonly members: readonly JoinedMember[]
}

export interface JoinedMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly metadata: Buffer
}

export interface SyncResponse {
  readonly error: KafkaError
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Buffer
}

export const noBytes = Buffer.alloc(0)

/** What a member says of itself when it joins. */
export interface MemberDescription {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  readonly protocols: readonly MemberProtocol[]
}

/** One member of a group. */
export class GroupMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  rebalanceTimeoutMs: number
  sessionTimeoutMs: number
  protocols: readonly MemberProtocol[]
  assignment: Buffer = noBytes
  /** It has not been through a rebalance, so nobody has told it its id for sure. */
  isNew = false
  /** Answers the JoinGroup that waits for the rebalance. */
  joining: ((response: JoinResponse) => void) | null = null
  /** Answers the SyncGroup that waits for the leader. */
  syncing: ((response: SyncResponse) => void) | null = null
  /** Passes when the member has shown no sign of life for its session timeout. */
  readonly session: Deadline

  constructor(description: MemberDescription, session: Deadline) {
    this.memberId = description.memberId
    this.groupInstanceId = description.groupInstanceId
    this.clientId = description.clientId
    this.clientHost = description.clientHost
    this.rebalanceTimeoutMs = description.rebalanceTimeoutMs
    this.sessionTimeoutMs = description.sessionTimeoutMs
    this.protocols = description.protocols
    this.session = session
  }

  get isStatic(): boolean {
    return this.groupInstanceId !== null
  }

  /** Who waits for an answer of ours cannot send heartbeats, and needs none. */
  get isWaiting(): boolean {
    return this.joining !== null || this.syncing !== null
  }

  metadataFor(protocolName: string | null): Buffer {
    return this.protocols.find(({ name }) => name === protocolName)?.metadata ?? noBytes
  }

  /** Whether it offers the same protocols in the same order, with the same metadata. */
  offersTheSame(protocols: readonly MemberProtocol[]): boolean {
    return (
      protocols.length === this.protocols.length &&
      protocols.every(({ name, metadata }, index) => {
        const own = this.protocols[index]!
        return own.name === name && own.metadata.equals(metadata)
      })
    )
  }

  /** Answers the waiting JoinGroup, if there is one. */
  answerJoin(response: JoinResponse): void {
    const answer = this.joining
    this.joining = null
    answer?.(response)
  }

  /** Answers the waiting SyncGroup, if there is one. */
  answerSync(response: SyncResponse): void {
    const answer = this.syncing
    this.syncing = null
    answer?.(response)
  }
}

export function refusedJoin(error: KafkaError, memberId: string): JoinResponse {
  return {
    error,
    memberId,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    members: [],
  }
}

export function refusedSync(error: KafkaError): SyncResponse {
  return { error, protocolType: null, protocolName: null, assignment: noBytes }
}

/** Who it is, for the broker's log. */
export function aboutMember({ memberId, clientId, clientHost }: GroupMember): LogFields {
  return { member: memberId.slice(0, 100), client: clientId.slice(0, 100), peer: clientHost }
}
