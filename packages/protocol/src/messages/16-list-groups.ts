import { api, type Api } from '../api.js'
import { array, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** The groups that a broker coordinates: of chosen states from version 4 on, of chosen types from 5 on. */
const request = {
  statesFilter: array('4+', 'string'),
  typesFilter: array('5+', 'string'),
}

const response = {
  throttleTimeMs: int32('1+'),
  errorCode: int16('0+'),
  groups: array('0+', {
    groupId: string('0+'),
    protocolType: string('0+'),
    groupState: string('4+'),
    groupType: string('5+'),
  }),
}

export interface ListGroupsRequest extends Decoded<typeof request> {}
export interface ListGroupsResponse extends Decoded<typeof response> {}
export type ListGroupsRequestInput = Encodable<typeof request>
export type ListGroupsResponseInput = Encodable<typeof response>

export const listGroups: Api<
  ListGroupsRequest,
  ListGroupsResponse,
  ListGroupsRequestInput,
  ListGroupsResponseInput
> = api({
  key: 16,
  name: 'ListGroups',
  versions: '0-5',
  flexible: '3+',
  request,
  response,
})
