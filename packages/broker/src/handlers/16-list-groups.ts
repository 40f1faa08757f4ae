/**
 * ListGroups (16), versions 0 to 5, filtered by state (KIP-518) and type (KIP-848), both whatever their case. All groups
 * here are of the type "classic".
 */
import type { ListGroupsRequest, ListGroupsResponseInput } from '@varve/protocol'
import { unlessRefused } from '../groups/refused.js'
import type { RequestContext } from '../request-context.js'

const groupType = 'classic'

export function handleListGroups(
  request: ListGroupsRequest,
  { broker }: RequestContext,
): Promise<ListGroupsResponseInput> {
  const states = filter(request.statesFilter)
  const types = filter(request.typesFilter)
  return unlessRefused<ListGroupsResponseInput>(
    () => {
      const all = types(groupType) ? broker.groups.shards().flatMap((shard) => [...shard.groups()]) : []
      const groups = all
        .filter(({ state }) => states(state))
        .map(({ groupId, protocolType, state: groupState }) => ({
          groupId,
          protocolType: protocolType ?? '',
          groupState,
          groupType,
        }))
      return { errorCode: 0, groups }
    },
    (error) => ({ errorCode: error.code, groups: [] }),
  )
}

/** Whether a value is asked for; without any, all are. */
function filter(wanted: readonly string[]): (value: string) => boolean {
  const lower = new Set(wanted.map((value) => value.toLowerCase()))
  return (value) => lower.size === 0 || lower.has(value.toLowerCase())
}
