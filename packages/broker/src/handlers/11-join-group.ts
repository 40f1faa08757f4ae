/**
 * JoinGroup (11), versions 0 to 9: classic groups. A member that speaks version 4 or later is given its id first
 * (KIP-394); static members, fencing and taking over without a rebalance follow KIP-345 and KIP-814.
 *
 * Deviations: the metadata of a member that asks for another session or rebalance timeout in a stable group is compared,
 * not the timeouts, as in Kafka. A static member that comes back does not count against group.max.size.
 */
import { errors, type JoinGroupRequest, type JoinGroupResponseInput } from '@varve/protocol'
import { type JoinResponse, refusedJoin } from '../groups/group-member.js'
import type { JoinRequest } from '../groups/membership.js'
import { unlessRefused } from '../groups/refused.js'
import type { RequestContext } from '../request-context.js'

const knownMemberIdSince = 4
const nullProtocolSince = 7
const skipAssignmentSince = 9

export async function handleJoinGroup(
  request: JoinGroupRequest,
  context: RequestContext,
): Promise<JoinGroupResponseInput> {
  const { apiVersion, broker, clientId, clientHost } = context
  const { groupId, memberId, sessionTimeoutMs, rebalanceTimeoutMs } = request
  const join: JoinRequest = {
    memberId,
    groupInstanceId: request.groupInstanceId,
    clientId: clientId ?? '',
    // As Java writes an address; tools and records have come to expect it.
    clientHost: `/${clientHost}`,
    sessionTimeoutMs,
    // Version 0 has one timeout for both.
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
    protocolType: request.protocolType,
    // The frame is given back long before the member leaves.
    protocols: request.protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) })),
    reason: request.reason,
    requiresKnownMemberId: apiVersion >= knownMemberIdSince,
    understandsSkipAssignment: apiVersion >= skipAssignmentSince,
  }
  context.settleDecoded()
  const { minSessionTimeoutMs, maxSessionTimeoutMs } = broker.groups.options
  if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
    return respond(refusedJoin(errors.INVALID_SESSION_TIMEOUT, memberId), apiVersion)
  }
  const response = await unlessRefused(
    async () => (await broker.groups.shardForMember(groupId)).join(groupId, join),
    (error) => refusedJoin(error, memberId),
  )
  return respond(response, apiVersion)
}

function respond(
  { error, protocolName, ...response }: JoinResponse,
  apiVersion: number,
): JoinGroupResponseInput {
  return {
    ...response,
    errorCode: error.code,
    protocolName: protocolName ?? (apiVersion >= nullProtocolSince ? null : ''),
  }
}
