/**
 * DescribeGroups (15), versions 0 to 6. What members said is told of stable groups only, as in Kafka. A
 * group that does not exist is "Dead" before version 6, and GROUP_ID_NOT_FOUND from then on (KIP-1043).
 */
import { type DescribeGroupsRequest, type DescribeGroupsResponseInput, errors } from '@varve/protocol'
import type { Group } from '../groups/group.js'
import { noBytes } from '../groups/group-member.js'
import { unlessRefused } from '../groups/refused.js'
import type { RequestContext } from '../request-context.js'

const notFoundSince = 6

/** READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS: bit n is Kafka's operation n. */
const allGroupOperations = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11)
const operationsNotAsked = -(2 ** 31)

type DescribedGroup = DescribeGroupsResponseInput['groups'][number]

export async function handleDescribeGroups(
  request: DescribeGroupsRequest,
  { apiVersion, broker }: RequestContext,
): Promise<DescribeGroupsResponseInput> {
  const authorizedOperations = request.includeAuthorizedOperations ? allGroupOperations : operationsNotAsked
  const nobody = { groupState: '', protocolType: '', protocolData: '', members: [], authorizedOperations }
  const groups: DescribedGroup[] = []
  for (const groupId of request.groups) {
    const described = await unlessRefused<DescribedGroup>(
      () => {
        const group = broker.groups.shardIfAny(groupId)?.get(groupId)
        if (group !== undefined) return { ...describe(group), authorizedOperations }
        const dead = { ...nobody, groupId, groupState: 'Dead', errorCode: 0 }
        if (apiVersion < notFoundSince) return dead
        const { code } = errors.GROUP_ID_NOT_FOUND
        const errorMessage = `Group ${groupId} not found.`
        return { ...dead, errorCode: code, errorMessage, authorizedOperations: operationsNotAsked }
      },
      (error, errorMessage) => ({ ...nobody, groupId, errorCode: error.code, errorMessage }),
    )
    groups.push(described)
  }
  return { groups }
}

function describe(group: Group): DescribedGroup {
  const isStable = group.state === 'Stable'
  return {
    errorCode: 0,
    groupId: group.groupId,
    groupState: group.state,
    protocolType: group.protocolType ?? '',
    protocolData: isStable ? (group.protocolName ?? '') : '',
    members: Array.from(group.members.values(), (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: isStable ? member.metadataFor(group.protocolName) : noBytes,
      memberAssignment: member.assignment,
    })),
  }
}
