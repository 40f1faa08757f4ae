import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int8, string, struct, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** State and members of groups of the consumer protocol. Version 1 tells which members still speak the classic one. */
const request = {
  groupIds: array('0+', 'string'),
  includeAuthorizedOperations: bool('0+'),
}

const assignment = {
  topicPartitions: array('0+', {
    topicId: uuid('0+'),
    topicName: string('0+'),
    partitions: array('0+', 'int32'),
  }),
}

const response = {
  throttleTimeMs: int32('0+'),
  groups: array('0+', {
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    groupId: string('0+'),
    groupState: string('0+'),
    groupEpoch: int32('0+'),
    assignmentEpoch: int32('0+'),
    assignorName: string('0+'),
    members: array('0+', {
      memberId: string('0+'),
      instanceId: string('0+', { nullable: '0+', default: null }),
      rackId: string('0+', { nullable: '0+', default: null }),
      memberEpoch: int32('0+'),
      clientId: string('0+'),
      clientHost: string('0+'),
      subscribedTopicNames: array('0+', 'string'),
      subscribedTopicRegex: string('0+', { nullable: '0+', default: null }),
      assignment: struct('0+', assignment),
      targetAssignment: struct('0+', assignment),
      memberType: int8('1+', { default: -1 }),
    }),
    authorizedOperations: int32('0+', { default: -0x80000000 }),
  }),
}

export interface ConsumerGroupDescribeRequest extends Decoded<typeof request> {}
export interface ConsumerGroupDescribeResponse extends Decoded<typeof response> {}
export type ConsumerGroupDescribeRequestInput = Encodable<typeof request>
export type ConsumerGroupDescribeResponseInput = Encodable<typeof response>

export const consumerGroupDescribe: Api<
  ConsumerGroupDescribeRequest,
  ConsumerGroupDescribeResponse,
  ConsumerGroupDescribeRequestInput,
  ConsumerGroupDescribeResponseInput
> = api({
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: '0-1',
  flexible: '0+',
  request,
  response,
})
