/** DeleteGroups (42), versions 0 to 3: groups without members, and all that they have committed. */
import { type DeleteGroupsRequest, type DeleteGroupsResponseInput, errors } from '@varve/protocol'
import { unlessRefused } from '../groups/refused.js'
import type { RequestContext } from '../request-context.js'

type Result = DeleteGroupsResponseInput['results'][number]

export async function handleDeleteGroups(
  request: DeleteGroupsRequest,
  { broker }: RequestContext,
): Promise<DeleteGroupsResponseInput> {
  const results = [...new Set(request.groupsNames)].map((groupId) =>
    unlessRefused<Result>(
      async () => {
        const shard = broker.groups.shardIfAny(groupId)
        const error = shard === null ? errors.GROUP_ID_NOT_FOUND : await shard.deleteGroup(groupId)
        return { groupId, errorCode: error.code, errorMessage: error === errors.NONE ? null : error.message }
      },
      (error, errorMessage) => ({ groupId, errorCode: error.code, errorMessage }),
    ),
  )
  return { throttleTimeMs: 0, results: await Promise.all(results) }
}
