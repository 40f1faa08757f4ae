import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int64, string, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The stored positions of a group, or of several from version 8 on. All partitions are asked for with null instead of
 * topics (version 2 on). Version 7 can refuse positions that an open transaction may still change, 9 knows the members
 * of the consumer protocol, and 10 names topics by id.
 */
const request = {
  groupId: string('0-7'),
  topics: array(
    '0-7',
    {
      name: string('0-7'),
      partitionIndexes: array('0-7', 'int32'),
    },
    { nullable: '2-7' },
  ),
  groups: array('8+', {
    groupId: string('8+'),
    memberId: string('9+', { nullable: '9+', default: null, ignorable: true }),
    memberEpoch: int32('9+', { default: -1, ignorable: true }),
    topics: array(
      '8+',
      {
        name: string('8-9', { ignorable: true }),
        topicId: uuid('10+', { ignorable: true }),
        partitionIndexes: array('8+', 'int32'),
      },
      { nullable: '8+' },
    ),
  }),
  requireStable: bool('7+', { default: false }),
}

const response = {
  throttleTimeMs: int32('3+'),
  topics: array('0-7', {
    name: string('0-7'),
    partitions: array('0-7', {
      partitionIndex: int32('0-7'),
      committedOffset: int64('0-7'),
      committedLeaderEpoch: int32('5-7', { default: -1 }),
      metadata: string('0-7', { nullable: '0-7' }),
      errorCode: int16('0-7'),
    }),
  }),
  errorCode: int16('2-7', { default: 0 }),
  groups: array('8+', {
    groupId: string('8+'),
    topics: array('8+', {
      name: string('8-9'),
      topicId: uuid('10+'),
      partitions: array('8+', {
        partitionIndex: int32('8+'),
        committedOffset: int64('8+'),
        committedLeaderEpoch: int32('8+', { default: -1 }),
        metadata: string('8+', { nullable: '8+' }),
        errorCode: int16('8+'),
      }),
    }),
    errorCode: int16('8+', { default: 0 }),
  }),
}

export interface OffsetFetchRequest extends Decoded<typeof request> {}
export interface OffsetFetchResponse extends Decoded<typeof response> {}
export type OffsetFetchRequestInput = Encodable<typeof request>
export type OffsetFetchResponseInput = Encodable<typeof response>

export const offsetFetch: Api<
  OffsetFetchRequest,
  OffsetFetchResponse,
  OffsetFetchRequestInput,
  OffsetFetchResponseInput
> = api({
  key: 9,
  name: 'OffsetFetch',
  versions: '1-10',
  flexible: '6+',
  request,
  response,
})
