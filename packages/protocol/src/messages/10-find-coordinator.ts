import { api, type Api } from '../api.js'
import { array, int16, int32, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** Who coordinates a group (key type 0), a transactional id (1) or a share group's partition (2); many at once from version 4 on. */
const request = {
  key: string('0-3'),
  keyType: int8('1+', { default: 0 }),
  coordinatorKeys: array('4+', 'string'),
}

const response = {
  throttleTimeMs: int32('1+'),
  errorCode: int16('0-3'),
  errorMessage: string('1-3', { nullable: '1-3' }),
  nodeId: int32('0-3'),
  host: string('0-3'),
  port: int32('0-3'),
  coordinators: array('4+', {
    key: string('4+'),
    nodeId: int32('4+'),
    host: string('4+'),
    port: int32('4+'),
    errorCode: int16('4+'),
    errorMessage: string('4+', { nullable: '4+' }),
  }),
}

export interface FindCoordinatorRequest extends Decoded<typeof request> {}
export interface FindCoordinatorResponse extends Decoded<typeof response> {}
export type FindCoordinatorRequestInput = Encodable<typeof request>
export type FindCoordinatorResponseInput = Encodable<typeof response>

export const findCoordinator: Api<
  FindCoordinatorRequest,
  FindCoordinatorResponse,
  FindCoordinatorRequestInput,
  FindCoordinatorResponseInput
> = api({
  key: 10,
  name: 'FindCoordinator',
  versions: '0-6',
  flexible: '3+',
  request,
  response,
})
