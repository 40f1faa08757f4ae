import { api, type Api } from '../api.js'
import { array, bool, int16, int32, string, struct, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Topics with their partitions, page by page: the answer's cursor goes into the next request, and is null at the end.
 */
const request = {
  topics: array('0+', {
    name: string('0+'),
  }),
  responsePartitionLimit: int32('0+', { default: 2000 }),
  cursor: struct(
    '0+',
    {
      topicName: string('0+'),
      partitionIndex: int32('0+'),
    },
    { nullable: '0+', default: null },
  ),
}

const response = {
  throttleTimeMs: int32('0+'),
  topics: array('0+', {
    errorCode: int16('0+'),
    name: string('0+', { nullable: '0+' }),
    topicId: uuid('0+'),
    isInternal: bool('0+', { default: false }),
    partitions: array('0+', {
      errorCode: int16('0+'),
      partitionIndex: int32('0+'),
      leaderId: int32('0+'),
      leaderEpoch: int32('0+', { default: -1 }),
      replicaNodes: array('0+', 'int32'),
      isrNodes: array('0+', 'int32'),
      eligibleLeaderReplicas: array('0+', 'int32', { nullable: '0+', default: null }),
      lastKnownElr: array('0+', 'int32', { nullable: '0+', default: null }),
      offlineReplicas: array('0+', 'int32'),
    }),
    topicAuthorizedOperations: int32('0+', { default: -0x80000000 }),
  }),
  nextCursor: struct(
    '0+',
    {
      topicName: string('0+'),
      partitionIndex: int32('0+'),
    },
    { nullable: '0+', default: null },
  ),
}

export interface DescribeTopicPartitionsRequest extends Decoded<typeof request> {}
export interface DescribeTopicPartitionsResponse extends Decoded<typeof response> {}
export type DescribeTopicPartitionsRequestInput = Encodable<typeof request>
export type DescribeTopicPartitionsResponseInput = Encodable<typeof response>

export const describeTopicPartitions: Api<
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
  DescribeTopicPartitionsRequestInput,
  DescribeTopicPartitionsResponseInput
> = api({
  key: 75,
  name: 'DescribeTopicPartitions',
  versions: '0',
  flexible: '0+',
  request,
  response,
})
