// Requests of members of a group. Member ids are names: that of a dynamic member is given out to its first join.
import { describeGroups, heartbeat, joinGroup, leaveGroup, syncGroup } from '@varve/protocol'
import { call, memberId, type Step } from './sequence.js'

export interface Joining {
  as?: string
  member?: string
  instance?: string
  version?: number
  type?: string
  protocols?: readonly string[]
  session?: number
  rebalance?: number
  later?: boolean
  metadata?: string
}

export const join = (groupId: string, options: Joining = {}): Step => {
  const {
    as = 'alice',
    member = '',
    instance,
    version = 9,
    type = 'consumer',
    protocols = ['range'],
  } = options
  const { session = 30_000, rebalance = 30_000, later = false, metadata = 'm' } = options
  return call(
    joinGroup,
    version,
    {
      groupId,
      sessionTimeoutMs: session,
      ...(version >= 1 && { rebalanceTimeoutMs: rebalance }),
      memberId: member,
      ...(instance !== undefined && { groupInstanceId: instance }),
      protocolType: type,
      protocols: protocols.map((name) => ({ name, metadata: Buffer.from(metadata) })),
    },
    { as, answer: later ? 'later' : 'now' },
  )
}
export interface Syncing {
  as?: string
  member?: string
  instance?: string
  generation?: number
  assigned?: readonly string[]
  version?: number
  type?: string
  protocol?: string
  later?: boolean
}
export const sync = (groupId: string, options: Syncing = {}): Step => {
  const { as = 'alice', member = memberId(as), generation = 1, assigned = [], version = 5 } = options
  const { type = 'consumer', protocol = 'range', instance, later = false } = options
  return call(
    syncGroup,
    version,
    {
      groupId,
      generationId: generation,
      memberId: member,
      ...(instance !== undefined && { groupInstanceId: instance }),
      ...(version >= 5 && { protocolType: type, protocolName: protocol }),
      assignments: assigned.map((to) => ({ memberId: to, assignment: Buffer.from('given') })),
    },
    { as, answer: later ? 'later' : 'now' },
  )
}
export const beat = (
  groupId: string,
  member: string,
  generationId: number,
  instance?: string,
  version = 4,
): Step =>
  call(heartbeat, version, {
    groupId,
    generationId,
    memberId: member,
    ...(instance !== undefined && { groupInstanceId: instance }),
  })
export const leave = (
  groupId: string,
  ...leaving: readonly { memberId: string; groupInstanceId?: string }[]
): Step => call(leaveGroup, 5, { groupId, members: leaving })
export const describe = (group: string, version = 6): Step =>
  call(describeGroups, version, { groups: [group] })

/** One member, through both of its joins, and synced. */
export const alice = (group: string, options: Joining = {}): Step[] => [
  join(group, options),
  join(group, { ...options, member: memberId('alice') }),
  sync(group, { assigned: [memberId('alice')] }),
]
