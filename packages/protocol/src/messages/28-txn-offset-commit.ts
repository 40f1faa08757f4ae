import { api, type Api } from '../api.js'
import { array, int16, int32, int64, string, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Positions of a group that count when the transaction is committed. Version 2 takes leader epochs, 3 the member and
 * its generation; 5 does the work of AddOffsetsToTxn, too; 6 names topics by id.
 */
const request = {
  transactionalId: string('0+'),
  groupId: string('0+'),
  producerId: int64('0+'),
  producerEpoch: int16('0+'),
  generationIdOrMemberEpoch: int32('3+', { default: -1 }),
  memberId: string('3+', { default: '' }),
  groupInstanceId: string('3+', { nullable: '3+', default: null }),
  topics: array('0+', {
    name: string('0-5', { ignorable: true }),
    topicId: uuid('6+', { ignorable: true }),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      committedOffset: int64('0+'),
      committedLeaderEpoch: int32('2+', { default: -1, ignorable: true }),
      committedMetadata: string('0+', { nullable: '0+' }),
    }),
  }),
}

const response = {
  throttleTimeMs: int32('0+'),
  topics: array('0+', {
    name: string('0-5'),
    topicId: uuid('6+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      errorCode: int16('0+'),
    }),
  }),
}

export interface TxnOffsetCommitRequest extends Decoded<typeof request> {}
export interface TxnOffsetCommitResponse extends Decoded<typeof response> {}
export type TxnOffsetCommitRequestInput = Encodable<typeof request>
export type TxnOffsetCommitResponseInput = Encodable<typeof response>

export const txnOffsetCommit: Api<
  TxnOffsetCommitRequest,
  TxnOffsetCommitResponse,
  TxnOffsetCommitRequestInput,
  TxnOffsetCommitResponseInput
> = api({
  key: 28,
  name: 'TxnOffsetCommit',
  versions: '0-6',
  flexible: '3+',
  request,
  response,
})
