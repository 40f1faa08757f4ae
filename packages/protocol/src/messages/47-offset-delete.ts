import { api, type Api } from '../api.js'
import { array, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** Positions of a group to be forgotten, except for topics to which its members are subscribed. */
const request = {
  groupId: string('0+'),
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
    }),
  }),
}

const response = {
  errorCode: int16('0+'),
  throttleTimeMs: int32('0+'),
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      errorCode: int16('0+'),
    }),
  }),
}

export interface OffsetDeleteRequest extends Decoded<typeof request> {}
export interface OffsetDeleteResponse extends Decoded<typeof response> {}
export type OffsetDeleteRequestInput = Encodable<typeof request>
export type OffsetDeleteResponseInput = Encodable<typeof response>

export const offsetDelete: Api<
  OffsetDeleteRequest,
  OffsetDeleteResponse,
  OffsetDeleteRequestInput,
  OffsetDeleteResponseInput
> = api({
  key: 47,
  name: 'OffsetDelete',
  versions: '0',
  flexible: 'none',
  request,
  response,
})
