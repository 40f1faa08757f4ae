import { api, type Api } from '../api.js'
import { array, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Where an epoch of the leader ends in the partition's log: the way to find out where two logs part. Version 3 names
 * the replica that asks, -2 for a consumer.
 */
const request = {
  replicaId: int32('3+', { default: -2, ignorable: true }),
  topics: array('0+', {
    topic: string('0+'),
    partitions: array('0+', {
      partition: int32('0+'),
      currentLeaderEpoch: int32('2+', { default: -1, ignorable: true }),
      leaderEpoch: int32('0+'),
    }),
  }),
}

const response = {
  throttleTimeMs: int32('2+'),
  topics: array('0+', {
    topic: string('0+'),
    partitions: array('0+', {
      errorCode: int16('0+'),
      partition: int32('0+'),
      leaderEpoch: int32('1+', { default: -1 }),
      endOffset: int64('0+', { default: -1 }),
    }),
  }),
}

export interface OffsetForLeaderEpochRequest extends Decoded<typeof request> {}
export interface OffsetForLeaderEpochResponse extends Decoded<typeof response> {}
export type OffsetForLeaderEpochRequestInput = Encodable<typeof request>
export type OffsetForLeaderEpochResponseInput = Encodable<typeof response>

export const offsetForLeaderEpoch: Api<
  OffsetForLeaderEpochRequest,
  OffsetForLeaderEpochResponse,
  OffsetForLeaderEpochRequestInput,
  OffsetForLeaderEpochResponseInput
> = api({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: '2-4',
  flexible: '4+',
  request,
  response,
})
