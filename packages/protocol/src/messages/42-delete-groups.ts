import { api, type Api } from '../api.js'
import { array, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** Groups to be forgotten with their offsets, if they have no members. */
const request = {
  groupsNames: array('0+', 'string'),
}

const response = {
  throttleTimeMs: int32('0+'),
  results: array('0+', {
    groupId: string('0+'),
    errorCode: int16('0+'),
    errorMessage: string('3+', { nullable: '3+', default: null }),
  }),
}

export interface DeleteGroupsRequest extends Decoded<typeof request> {}
export interface DeleteGroupsResponse extends Decoded<typeof response> {}
export type DeleteGroupsRequestInput = Encodable<typeof request>
export type DeleteGroupsResponseInput = Encodable<typeof response>

export const deleteGroups: Api<
  DeleteGroupsRequest,
  DeleteGroupsResponse,
  DeleteGroupsRequestInput,
  DeleteGroupsResponseInput
> = api({
  key: 42,
  name: 'DeleteGroups',
  versions: '0-3',
  flexible: '2+',
  request,
  response,
})
