/**
 * LeaveGroup (13), versions 0 to 5: one member before version 3, then several, static ones by their group.instance.id
 * alone if an administrator says so. Of a group that does not exist, each member is answered UNKNOWN_MEMBER_ID.
 */
import type { LeaveGroupRequest, LeaveGroupResponseInput } from '@varve/protocol'
import type { LeavingMember } from '../groups/membership.js'
import { unlessRefused } from '../groups/refused.js'
import type { RequestContext } from '../request-context.js'

const severalSince = 3

export async function handleLeaveGroup(
  request: LeaveGroupRequest,
  { apiVersion, broker: { groups } }: RequestContext,
): Promise<LeaveGroupResponseInput> {
  const { groupId } = request
  const leaving: readonly LeavingMember[] =
    apiVersion >= severalSince
      ? request.members
      : [{ memberId: request.memberId, groupInstanceId: null, reason: null }]
  return await unlessRefused<LeaveGroupResponseInput>(
    async () => {
      const results = await (await groups.shardForMember(groupId)).leave(groupId, leaving)
      if (apiVersion < severalSince) return { errorCode: results[0]!.code }
      const members = leaving.map(({ memberId, groupInstanceId }, index) => ({
        memberId,
        groupInstanceId,
        errorCode: results[index]!.code,
      }))
      return { errorCode: 0, members }
    },
    (error) => ({ errorCode: error.code, members: [] }),
  )
}
