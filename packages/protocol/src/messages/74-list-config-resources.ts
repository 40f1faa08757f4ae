import { api, type Api } from '../api.js'
import { array, int16, int32, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** The names of what has settings of its own: client metrics in version 0, any resource types from 1 on. */
const request = {
  resourceTypes: array('1+', 'int8'),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
  configResources: array('0+', {
    resourceName: string('0+'),
    resourceType: int8('1+', { default: 16 }),
  }),
}

export interface ListConfigResourcesRequest extends Decoded<typeof request> {}
export interface ListConfigResourcesResponse extends Decoded<typeof response> {}
export type ListConfigResourcesRequestInput = Encodable<typeof request>
export type ListConfigResourcesResponseInput = Encodable<typeof response>

export const listConfigResources: Api<
  ListConfigResourcesRequest,
  ListConfigResourcesResponse,
  ListConfigResourcesRequestInput,
  ListConfigResourcesResponseInput
> = api({
  key: 74,
  name: 'ListConfigResources',
  versions: '0-1',
  flexible: '0+',
  request,
  response,
})
