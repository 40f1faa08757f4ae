import { api, type Api } from '../api.js'
import { array, int16, int32, int64, string, uint16, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Leader, voters and observers of the metadata log. Version 1 says when they fetched, 2 where the voters listen and in
 * which directories they have the log.
 */
const request = {
  topics: array('0+', {
    topicName: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
    }),
  }),
}

const replicaState = {
  replicaId: int32('0+'),
  replicaDirectoryId: uuid('2+'),
  logEndOffset: int64('0+'),
  lastFetchTimestamp: int64('1+', { default: -1 }),
  lastCaughtUpTimestamp: int64('1+', { default: -1 }),
}

const response = {
  errorCode: int16('0+'),
  errorMessage: string('2+', { nullable: '2+' }),
  topics: array('0+', {
    topicName: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      errorCode: int16('0+'),
      errorMessage: string('2+', { nullable: '2+' }),
      leaderId: int32('0+'),
      leaderEpoch: int32('0+'),
      highWatermark: int64('0+'),
      currentVoters: array('0+', replicaState),
      observers: array('0+', replicaState),
    }),
  }),
  nodes: array('2+', {
    nodeId: int32('2+'),
    listeners: array('2+', {
      name: string('2+'),
      host: string('2+'),
      port: uint16('2+'),
    }),
  }),
}

export interface DescribeQuorumRequest extends Decoded<typeof request> {}
export interface DescribeQuorumResponse extends Decoded<typeof response> {}
export type DescribeQuorumRequestInput = Encodable<typeof request>
export type DescribeQuorumResponseInput = Encodable<typeof response>

export const describeQuorum: Api<
  DescribeQuorumRequest,
  DescribeQuorumResponse,
  DescribeQuorumRequestInput,
  DescribeQuorumResponseInput
> = api({
  key: 55,
  name: 'DescribeQuorum',
  versions: '0-2',
  flexible: '0+',
  request,
  response,
})
