import { api, type Api } from '../api.js'
import { array, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Members leave a classic group: one in versions 0 to 2, any number, static ones too, from version 3 on. Version 5
 * takes a reason for each.
 */
const request = {
  groupId: string('0+'),
  memberId: string('0-2'),
  members: array('3+', {
    memberId: string('3+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
    reason: string('5+', { nullable: '5+', default: null, ignorable: true }),
  }),
}

const response = {
  throttleTimeMs: int32('1+'),
  errorCode: int16('0+'),
  members: array('3+', {
    memberId: string('3+'),
    groupInstanceId: string('3+', { nullable: '3+' }),
    errorCode: int16('3+'),
  }),
}

export interface LeaveGroupRequest extends Decoded<typeof request> {}
export interface LeaveGroupResponse extends Decoded<typeof response> {}
export type LeaveGroupRequestInput = Encodable<typeof request>
export type LeaveGroupResponseInput = Encodable<typeof response>

export const leaveGroup: Api<
  LeaveGroupRequest,
  LeaveGroupResponse,
  LeaveGroupRequestInput,
  LeaveGroupResponseInput
> = api({
  key: 13,
  name: 'LeaveGroup',
  versions: '0-5',
  flexible: '4+',
  request,
  response,
})
