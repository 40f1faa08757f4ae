/** SyncGroup (14), versions 0 to 5. The answer leaves when the leader's assignment has been stored. */
import type { SyncGroupRequest, SyncGroupResponseInput } from '@varve/protocol'
import { refusedSync } from '../groups/group-member.js'
import { unlessRefused } from '../groups/refused.js'
import type { RequestContext } from '../request-context.js'

export async function handleSyncGroup(
  request: SyncGroupRequest,
  context: RequestContext,
): Promise<SyncGroupResponseInput> {
  const { groupId, memberId, groupInstanceId, generationId, protocolType, protocolName } = request
  const sync = {
    memberId,
    groupInstanceId,
    generationId,
    protocolType,
    protocolName,
    // The frame is given back long before the assignment is.
    assignments: new Map(request.assignments.map((one) => [one.memberId, Buffer.from(one.assignment)])),
  }
  context.settleDecoded()
  const { groups } = context.broker
  const { error, ...response } = await unlessRefused(
    async () => (await groups.shardForMember(groupId)).sync(groupId, sync),
    refusedSync,
  )
  return { ...response, errorCode: error.code }
}
