import { api, type Api } from '../api.js'
import { array, int16, int32, string, struct, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * All that a member of the consumer protocol (KIP-848) says: it joins with epoch 0, leaves with -1, or -2 as a static
 * member, and otherwise tells what has changed. The answer has its assignment when that is new. In version 1 the
 * member makes up its own id, and may subscribe by a regular expression.
 */
const request = {
  groupId: string('0+'),
  memberId: string('0+'),
  memberEpoch: int32('0+'),
  instanceId: string('0+', { nullable: '0+', default: null }),
  rackId: string('0+', { nullable: '0+', default: null }),
  rebalanceTimeoutMs: int32('0+', { default: -1 }),
  subscribedTopicNames: array('0+', 'string', { nullable: '0+', default: null }),
  subscribedTopicRegex: string('1+', { nullable: '1+', default: null }),
  serverAssignor: string('0+', { nullable: '0+', default: null }),
  topicPartitions: array(
    '0+',
    {
      topicId: uuid('0+'),
      partitions: array('0+', 'int32'),
    },
    { nullable: '0+', default: null },
  ),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
  errorMessage: string('0+', { nullable: '0+', default: null }),
  memberId: string('0+', { nullable: '0+', default: null }),
  memberEpoch: int32('0+'),
  heartbeatIntervalMs: int32('0+'),
  assignment: struct(
    '0+',
    {
      topicPartitions: array('0+', {
        topicId: uuid('0+'),
        partitions: array('0+', 'int32'),
      }),
    },
    { nullable: '0+', default: null },
  ),
}

export interface ConsumerGroupHeartbeatRequest extends Decoded<typeof request> {}
export interface ConsumerGroupHeartbeatResponse extends Decoded<typeof response> {}
export type ConsumerGroupHeartbeatRequestInput = Encodable<typeof request>
export type ConsumerGroupHeartbeatResponseInput = Encodable<typeof response>

export const consumerGroupHeartbeat: Api<
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
  ConsumerGroupHeartbeatRequestInput,
  ConsumerGroupHeartbeatResponseInput
> = api({
  key: 68,
  name: 'ConsumerGroupHeartbeat',
  versions: '0-1',
  flexible: '0+',
  request,
  response,
})
