import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The cluster's id, controller and brokers. Version 1 can ask a controller (endpoint type 2) for the controllers, 2
 * has the brokers that are fenced.
 */
const request = {
  includeClusterAuthorizedOperations: bool('0+'),
  endpointType: int8('1+', { default: 1 }),
  includeFencedBrokers: bool('2+'),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
  errorMessage: string('0+', { nullable: '0+', default: null }),
  endpointType: int8('1+', { default: 1 }),
  clusterId: string('0+'),
  controllerId: int32('0+', { default: -1 }),
  brokers: array('0+', {
    brokerId: int32('0+'),
    host: string('0+'),
    port: int32('0+'),
    rack: string('0+', { nullable: '0+', default: null }),
    isFenced: bool('2+'),
  }),
  clusterAuthorizedOperations: int32('0+', { default: -0x80000000 }),
}

export interface DescribeClusterRequest extends Decoded<typeof request> {}
export interface DescribeClusterResponse extends Decoded<typeof response> {}
export type DescribeClusterRequestInput = Encodable<typeof request>
export type DescribeClusterResponseInput = Encodable<typeof response>

export const describeCluster: Api<
  DescribeClusterRequest,
  DescribeClusterResponse,
  DescribeClusterRequestInput,
  DescribeClusterResponseInput
> = api({
  key: 60,
  name: 'DescribeCluster',
  versions: '0-2',
  flexible: '0+',
  request,
  response,
})
