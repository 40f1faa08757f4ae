import { api, type Api } from '../api.js'
import { array, int16, int32, int64, string, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The positions of a group, to be stored. Since version 5 the broker alone decides how long they are kept; version 6
 * takes the leader epoch of the record before each of them, 7 the static member's id, 9 the members of the consumer
 * protocol (then the generation is the member's epoch), and 10 names topics by id.
 */
const request = {
  groupId: string('0+'),
  generationIdOrMemberEpoch: int32('1+', { default: -1, ignorable: true }),
  memberId: string('1+', { ignorable: true }),
  groupInstanceId: string('7+', { nullable: '7+', default: null }),
  retentionTimeMs: int64('2-4', { default: -1, ignorable: true }),
  topics: array('0+', {
    name: string('0-9', { ignorable: true }),
    topicId: uuid('10+', { ignorable: true }),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      committedOffset: int64('0+'),
      committedLeaderEpoch: int32('6+', { default: -1, ignorable: true }),
      committedMetadata: string('0+', { nullable: '0+' }),
    }),
  }),
}

const response = {
  throttleTimeMs: int32('3+'),
  topics: array('0+', {
    name: string('0-9'),
    topicId: uuid('10+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      errorCode: int16('0+'),
    }),
  }),
}

export interface OffsetCommitRequest extends Decoded<typeof request> {}
export interface OffsetCommitResponse extends Decoded<typeof response> {}
export type OffsetCommitRequestInput = Encodable<typeof request>
export type OffsetCommitResponseInput = Encodable<typeof response>

export const offsetCommit: Api<
  OffsetCommitRequest,
  OffsetCommitResponse,
  OffsetCommitRequestInput,
  OffsetCommitResponseInput
> = api({
  key: 8,
  name: 'OffsetCommit',
  versions: '2-10',
  flexible: '8+',
  request,
  response,
})
