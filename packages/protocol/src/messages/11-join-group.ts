import { api, type Api } from '../api.js'
import { array, bool, bytes, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * A member's wish to be in the next generation of a classic group, with the protocols that it understands. It is
 * answered when all have joined, and the leader's answer brings the members' metadata along. Version 1 has a timeout
 * of its own for rebalances (before it, the session timeout serves), 4 lets the broker hand out the member id first
 * (error 79), 5 has static members, 8 takes a reason.
 */
const request = {
  groupId: string('0+'),
  sessionTimeoutMs: int32('0+'),
  rebalanceTimeoutMs: int32('1+', { default: -1, ignorable: true }),
  memberId: string('0+'),
  groupInstanceId: string('5+', { nullable: '5+', default: null }),
  protocolType: string('0+'),
  protocols: array('0+', {
    name: string('0+'),
    metadata: bytes('0+'),
  }),
  reason: string('8+', { nullable: '8+', default: null, ignorable: true }),
}

const response = {
  throttleTimeMs: int32('2+'),
  errorCode: int16('0+'),
  generationId: int32('0+', { default: -1 }),
  protocolType: string('7+', { nullable: '7+', default: null }),
  protocolName: string('0+', { nullable: '7+' }),
  leader: string('0+'),
  skipAssignment: bool('9+', { default: false }),
  memberId: string('0+'),
  members: array('0+', {
    memberId: string('0+'),
    groupInstanceId: string('5+', { nullable: '5+', default: null }),
    metadata: bytes('0+'),
  }),
}

export interface JoinGroupRequest extends Decoded<typeof request> {}
export interface JoinGroupResponse extends Decoded<typeof response> {}
export type JoinGroupRequestInput = Encodable<typeof request>
export type JoinGroupResponseInput = Encodable<typeof response>

export const joinGroup: Api<
  JoinGroupRequest,
  JoinGroupResponse,
  JoinGroupRequestInput,
  JoinGroupResponseInput
> = api({
  key: 11,
  name: 'JoinGroup',
  versions: '0-9',
  flexible: '6+',
  request,
  response,
})
