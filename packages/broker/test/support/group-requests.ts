import { errors, joinGroup, type JoinGroupResponse, offsetCommit, syncGroup } from '@varve/protocol'
import { protocol } from './group-shard-harness.js'
import type { RawClient } from './raw-client.js'

export interface Joining {
  groupId?: string
  memberId?: string
  groupInstanceId?: string
  sessionTimeoutMs?: number
  topics?: readonly string[]
}

/** Joins as a client of that version does, with the id that it is given if it has to. */
export async function join(
  client: RawClient,
  version: number,
  options: Joining = {},
): Promise<JoinGroupResponse> {
  const { groupId = 'g', memberId = '', groupInstanceId = null, sessionTimeoutMs = 10_000 } = options
  const body = {
    groupId,
    sessionTimeoutMs,
    rebalanceTimeoutMs: 20_000,
    memberId,
    ...(version >= 5 && { groupInstanceId }),
    protocolType: 'consumer',
    protocols: [protocol('range', options.topics)],
  }
  const response = await client.request(joinGroup, version, body)
  if (response.errorCode !== errors.MEMBER_ID_REQUIRED.code) return response
  return await client.request(joinGroup, version, { ...body, memberId: response.memberId })
}

export async function sync(
  client: RawClient,
  version: number,
  { memberId, generationId }: JoinGroupResponse,
  assignment = 'mine',
) {
  return await client.request(syncGroup, version, {
    groupId: 'g',
    generationId,
    memberId,
    ...(version >= 5 && { protocolType: 'consumer', protocolName: 'range' }),
    assignments: [{ memberId, assignment: Buffer.from(assignment) }],
  })
}

export async function commit(client: RawClient, version: number, offset: number, options: object = {}) {
  const topics = [
    {
      name: 't',
      partitions: [{ partitionIndex: 0, committedOffset: offset, committedMetadata: `at ${offset}` }],
    },
  ]
  return await client.request(offsetCommit, version, { groupId: 'g', topics, ...options })
}
