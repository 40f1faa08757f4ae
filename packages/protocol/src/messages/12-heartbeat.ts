import { api, type Api } from '../api.js'
import { int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * A sign of life from a member of a classic group; error 27 in the answer calls it back to JoinGroup. Version 3 has
 * static members.
 */
const request = {
  groupId: string('0+'),
  generationId: int32('0+'),
  memberId: string('0+'),
  groupInstanceId: string('3+', { nullable: '3+', default: null }),
}

const response = {
  throttleTimeMs: int32('1+'),
  errorCode: int16('0+'),
}

export interface HeartbeatRequest extends Decoded<typeof request> {}
export interface HeartbeatResponse extends Decoded<typeof response> {}
export type HeartbeatRequestInput = Encodable<typeof request>
export type HeartbeatResponseInput = Encodable<typeof response>

export const heartbeat: Api<
  HeartbeatRequest,
  HeartbeatResponse,
  HeartbeatRequestInput,
  HeartbeatResponseInput
> = api({
  key: 12,
  name: 'Heartbeat',
  versions: '0-4',
  flexible: '4+',
  request,
  response,
})
