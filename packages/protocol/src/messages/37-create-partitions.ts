import { api, type Api } from '../api.js'
import { array, bool, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * More partitions for topics. `count` is how many there shall be; without assignments the broker chooses the replicas.
 */
const request = {
  topics: array('0+', {
    name: string('0+'),
    count: int32('0+'),
    assignments: array(
      '0+',
      {
        brokerIds: array('0+', 'int32'),
      },
      { nullable: '0+' },
    ),
  }),
  timeoutMs: int32('0+'),
  validateOnly: bool('0+'),
}

const response = {
  throttleTimeMs: int32('0+'),
  results: array('0+', {
    name: string('0+'),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
  }),
}

export interface CreatePartitionsRequest extends Decoded<typeof request> {}
export interface CreatePartitionsResponse extends Decoded<typeof response> {}
export type CreatePartitionsRequestInput = Encodable<typeof request>
export type CreatePartitionsResponseInput = Encodable<typeof response>

export const createPartitions: Api<
  CreatePartitionsRequest,
  CreatePartitionsResponse,
  CreatePartitionsRequestInput,
  CreatePartitionsResponseInput
> = api({
  key: 37,
  name: 'CreatePartitions',
  versions: '0-3',
  flexible: '2+',
  request,
  response,
})
