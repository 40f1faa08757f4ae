import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** Changes to single settings: 0 sets, 1 deletes, 2 appends to a list, 3 takes out of it. */
const request = {
  resources: array('0+', {
    resourceType: int8('0+'),
    resourceName: string('0+'),
    configs: array('0+', {
      name: string('0+'),
      configOperation: int8('0+'),
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

export interface IncrementalAlterConfigsRequest extends Decoded<typeof request> {}
export interface IncrementalAlterConfigsResponse extends Decoded<typeof response> {}
export type IncrementalAlterConfigsRequestInput = Encodable<typeof request>
export type IncrementalAlterConfigsResponseInput = Encodable<typeof response>

export const incrementalAlterConfigs: Api<
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponse,
  IncrementalAlterConfigsRequestInput,
  IncrementalAlterConfigsResponseInput
> = api({
  key: 44,
  name: 'IncrementalAlterConfigs',
  versions: '0-1',
  flexible: '1+',
  request,
  response,
})
