import { api, type Api } from '../api.js'
import { array, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Everything before an offset to be deleted; -1 stands for the high watermark. The answer says where each log begins
 * now.
 */
const request = {
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      offset: int64('0+'),
    }),
  }),
  timeoutMs: int32('0+'),
}

const response = {
  throttleTimeMs: int32('0+'),
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      lowWatermark: int64('0+'),
      errorCode: int16('0+'),
    }),
  }),
}

export interface DeleteRecordsRequest extends Decoded<typeof request> {}
export interface DeleteRecordsResponse extends Decoded<typeof response> {}
export type DeleteRecordsRequestInput = Encodable<typeof request>
export type DeleteRecordsResponseInput = Encodable<typeof response>

export const deleteRecords: Api<
  DeleteRecordsRequest,
  DeleteRecordsResponse,
  DeleteRecordsRequestInput,
  DeleteRecordsResponseInput
> = api({
  key: 21,
  name: 'DeleteRecords',
  versions: '0-2',
  flexible: '2+',
  request,
  response,
})
