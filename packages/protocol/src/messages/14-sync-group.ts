import { api, type Api } from '../api.js'
import { array, bytes, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The leader's assignment for every member of a generation, and nothing from the others; each is answered with its
 * own. Version 3 has static members, 5 lets the broker compare the protocol with the one that it chose.
 */
const request = {
  groupId: string('0+'),
  generationId: int32('0+'),
  memberId: string('0+'),
  groupInstanceId: string('3+', { nullable: '3+', default: null }),
  protocolType: string('5+', { nullable: '5+', default: null, ignorable: true }),
  protocolName: string('5+', { nullable: '5+', default: null, ignorable: true }),
  assignments: array('0+', {
    memberId: string('0+'),
    assignment: bytes('0+'),
  }),
}

const response = {
  throttleTimeMs: int32('1+'),
  errorCode: int16('0+'),
  protocolType: string('5+', { nullable: '5+', default: null }),
  protocolName: string('5+', { nullable: '5+', default: null }),
  assignment: bytes('0+'),
}

export interface SyncGroupRequest extends Decoded<typeof request> {}
export interface SyncGroupResponse extends Decoded<typeof response> {}
export type SyncGroupRequestInput = Encodable<typeof request>
export type SyncGroupResponseInput = Encodable<typeof response>

export const syncGroup: Api<
  SyncGroupRequest,
  SyncGroupResponse,
  SyncGroupRequestInput,
  SyncGroupResponseInput
> = api({
  key: 14,
  name: 'SyncGroup',
  versions: '0-5',
  flexible: '4+',
  request,
  response,
})
