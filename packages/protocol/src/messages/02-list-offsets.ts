import { api, type Api } from '../api.js'
import { array, int16, int32, int64, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The offset for a time. Negative timestamps are questions of their own: -1 latest, -2 earliest, and since the version
 * in brackets -3 the record with the highest timestamp (7), -4 earliest local (8), -5 latest tiered (9), -6 earliest
 * pending upload (11).
 */
const request = {
  replicaId: int32('0+'),
  isolationLevel: int8('2+'),
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      currentLeaderEpoch: int32('4+', { default: -1, ignorable: true }),
      timestamp: int64('0+'),
    }),
  }),
  timeoutMs: int32('10+', { ignorable: true }),
}

const response = {
  throttleTimeMs: int32('2+'),
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      errorCode: int16('0+'),
      timestamp: int64('1+', { default: -1 }),
      offset: int64('1+', { default: -1 }),
      leaderEpoch: int32('4+', { default: -1 }),
    }),
  }),
}

export interface ListOffsetsRequest extends Decoded<typeof request> {}
export interface ListOffsetsResponse extends Decoded<typeof response> {}
export type ListOffsetsRequestInput = Encodable<typeof request>
export type ListOffsetsResponseInput = Encodable<typeof response>

export const listOffsets: Api<
  ListOffsetsRequest,
  ListOffsetsResponse,
  ListOffsetsRequestInput,
  ListOffsetsResponseInput
> = api({
  key: 2,
  name: 'ListOffsets',
  versions: '1-11',
  flexible: '6+',
  request,
  response,
})
