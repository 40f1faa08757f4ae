/** Heartbeat (12), versions 0 to 4. */
import type { HeartbeatRequest, HeartbeatResponseInput } from '@varve/protocol'
import { unlessRefused } from '../groups/refused.js'
import type { RequestContext } from '../request-context.js'

export async function handleHeartbeat(
  request: HeartbeatRequest,
  { broker: { groups } }: RequestContext,
): Promise<HeartbeatResponseInput> {
  const { groupId, generationId } = request
  const error = await unlessRefused(
    async () => (await groups.shardForMember(groupId)).heartbeat(groupId, request, generationId),
    (refused) => refused,
  )
  return { errorCode: error.code }
}
