import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Settings of resources, all at once: what is not named goes back to its default. IncrementalAlterConfigs changes one
 * without touching the others.
 */
const request = {
  resources: array('0+', {
    resourceType: int8('0+'),
    resourceName: string('0+'),
    configs: array('0+', {
      name: string('0+'),
      value: string('0+', { nullable: '0+' }),
    }),
  }),
  validateOnly: bool('0+'),
}

const response = {
  throttleTimeMs: int32('0+'),
  responses: array('0+', {
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    resourceType: int8('0+'),
    resourceName: string('0+'),
  }),
}

export interface AlterConfigsRequest extends Decoded<typeof request> {}
export interface AlterConfigsResponse extends Decoded<typeof response> {}
export type AlterConfigsRequestInput = Encodable<typeof request>
export type AlterConfigsResponseInput = Encodable<typeof response>

export const alterConfigs: Api<
  AlterConfigsRequest,
  AlterConfigsResponse,
  AlterConfigsRequestInput,
  AlterConfigsResponseInput
> = api({
  key: 33,
  name: 'AlterConfigs',
  versions: '0-2',
  flexible: '2+',
  request,
  response,
})
