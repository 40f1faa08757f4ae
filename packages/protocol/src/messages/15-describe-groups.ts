import { api, type Api } from '../api.js'
import { array, bool, bytes, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * State and members of classic groups. Version 3 can tell the operations that the client may do, 4 tells of static
 * members, and from 6 on a group that does not exist is error 69 instead of one that is dead.
 */
const request = {
  groups: array('0+', 'string'),
  includeAuthorizedOperations: bool('3+'),
}

const response = {
  throttleTimeMs: int32('1+'),
  groups: array('0+', {
    errorCode: int16('0+'),
    errorMessage: string('6+', { nullable: '6+', default: null }),
    groupId: string('0+'),
    groupState: string('0+'),
    protocolType: string('0+'),
    protocolData: string('0+'),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('4+', { nullable: '4+', default: null }),
      clientId: string('0+'),
      clientHost: string('0+'),
      memberMetadata: bytes('0+'),
      memberAssignment: bytes('0+'),
    }),
    authorizedOperations: int32('3+', { default: -0x80000000 }),
  }),
}

export interface DescribeGroupsRequest extends Decoded<typeof request> {}
export interface DescribeGroupsResponse extends Decoded<typeof response> {}
export type DescribeGroupsRequestInput = Encodable<typeof request>
export type DescribeGroupsResponseInput = Encodable<typeof response>

export const describeGroups: Api<
  DescribeGroupsRequest,
  DescribeGroupsResponse,
  DescribeGroupsRequestInput,
  DescribeGroupsResponseInput
> = api({
  key: 15,
  name: 'DescribeGroups',
  versions: '0-6',
  flexible: '5+',
  request,
  response,
})
