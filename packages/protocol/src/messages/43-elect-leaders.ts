import { api, type Api } from '../api.js'
import { array, int16, int32, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Elections: of the preferred leaders, or since version 1 (election type 1) of replicas that are not in sync. All
 * partitions with null instead of topics.
 */
const request = {
  electionType: int8('1+'),
  topicPartitions: array(
    '0+',
    {
      topic: string('0+'),
      partitions: array('0+', 'int32'),
    },
    { nullable: '0+' },
  ),
  timeoutMs: int32('0+', { default: 60_000 }),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('1+'),
  replicaElectionResults: array('0+', {
    topic: string('0+'),
    partitionResult: array('0+', {
      partitionId: int32('0+'),
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
    }),
  }),
}

export interface ElectLeadersRequest extends Decoded<typeof request> {}
export interface ElectLeadersResponse extends Decoded<typeof response> {}
export type ElectLeadersRequestInput = Encodable<typeof request>
export type ElectLeadersResponseInput = Encodable<typeof response>

export const electLeaders: Api<
  ElectLeadersRequest,
  ElectLeadersResponse,
  ElectLeadersRequestInput,
  ElectLeadersResponseInput
> = api({
  key: 43,
  name: 'ElectLeaders',
  versions: '0-2',
  flexible: '2+',
  request,
  response,
})
