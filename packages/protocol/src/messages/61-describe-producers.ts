import { api, type Api } from '../api.js'
import { array, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** The producers that a partition remembers, with their last sequence numbers and open transactions. */
const request = {
  topics: array('0+', {
    name: string('0+'),
    partitionIndexes: array('0+', 'int32'),
  }),
}

const response = {
  throttleTimeMs: int32('0+'),
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+', default: null }),
      activeProducers: array('0+', {
        producerId: int64('0+'),
        producerEpoch: int32('0+'),
        lastSequence: int32('0+', { default: -1 }),
        lastTimestamp: int64('0+', { default: -1 }),
        coordinatorEpoch: int32('0+'),
        currentTxnStartOffset: int64('0+', { default: -1 }),
      }),
    }),
  }),
}

export interface DescribeProducersRequest extends Decoded<typeof request> {}
export interface DescribeProducersResponse extends Decoded<typeof response> {}
export type DescribeProducersRequestInput = Encodable<typeof request>
export type DescribeProducersResponseInput = Encodable<typeof response>

export const describeProducers: Api<
  DescribeProducersRequest,
  DescribeProducersResponse,
  DescribeProducersRequestInput,
  DescribeProducersResponseInput
> = api({
  key: 61,
  name: 'DescribeProducers',
  versions: '0',
  flexible: '0+',
  request,
  response,
})
