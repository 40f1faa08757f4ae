import { api, type Api } from '../api.js'
import { array, bool, int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** The brokers that shall hold a partition's replicas; null ends a reassignment that is under way. */
const request = {
  timeoutMs: int32('0+', { default: 60_000 }),
  allowReplicationFactorChange: bool('1+', { default: true }),
  topics: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      replicas: array('0+', 'int32', { nullable: '0+', default: null }),
    }),
  }),
}

const response = {
  throttleTimeMs: int32('0+'),
  allowReplicationFactorChange: bool('1+', { default: true }),
  errorCode: int16('0+'),
  errorMessage: string('0+', { nullable: '0+' }),
  responses: array('0+', {
    name: string('0+'),
    partitions: array('0+', {
      partitionIndex: int32('0+'),
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
    }),
  }),
}

export interface AlterPartitionReassignmentsRequest extends Decoded<typeof request> {}
export interface AlterPartitionReassignmentsResponse extends Decoded<typeof response> {}
export type AlterPartitionReassignmentsRequestInput = Encodable<typeof request>
export type AlterPartitionReassignmentsResponseInput = Encodable<typeof response>

export const alterPartitionReassignments: Api<
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
  AlterPartitionReassignmentsRequestInput,
  AlterPartitionReassignmentsResponseInput
> = api({
  key: 45,
  name: 'AlterPartitionReassignments',
  versions: '0-1',
  flexible: '0+',
  request,
  response,
})
