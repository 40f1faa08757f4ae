import { api, type Api } from '../api.js'
import { array, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** The reassignments that are under way; all of them with null instead of topics. */
const request = {
  timeoutMs: int32('0+', { default: 60_000 }),
  topics: array(
    '0+',
    {
      name: string('0+'),
      partitionIndexes: array('0+', 'int32'),
    },
    { nullable: '0+', default: null },
  ),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
  errorMessage: string('0+', { nullable: '0+' }),
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      replicas: array('0+', 'int32'),
      addingReplicas: array('0+', 'int32'),
      removingReplicas: array('0+', 'int32'),
    }),
  }),
}

export interface ListPartitionReassignmentsRequest extends Decoded<typeof request> {}
export interface ListPartitionReassignmentsResponse extends Decoded<typeof response> {}
export type ListPartitionReassignmentsRequestInput = Encodable<typeof request>
export type ListPartitionReassignmentsResponseInput = Encodable<typeof response>

export const listPartitionReassignments: Api<
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse,
  ListPartitionReassignmentsRequestInput,
  ListPartitionReassignmentsResponseInput
> = api({
  key: 46,
  name: 'ListPartitionReassignments',
  versions: '0',
  flexible: '0+',
  request,
  response,
})
