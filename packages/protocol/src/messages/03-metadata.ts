import { api, type Api } from '../api.js'
import { array, bool, int16, int32, string, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Who leads what. All topics are asked for with an empty list in version 0 and with null from version 1 on, where an
 * empty list asks for none. Version 10 has topic ids, 12 asks by id alone.
 */
const request = {
  topics: array(
    '0+',
    {
      topicId: uuid('10+', { ignorable: true }),
      name: string('0+', { nullable: '10+' }),
    },
    { nullable: '1+' },
  ),
  allowAutoTopicCreation: bool('4+', { default: true }),
  includeClusterAuthorizedOperations: bool('8-10'),
  includeTopicAuthorizedOperations: bool('8+'),
}

const response = {
  throttleTimeMs: int32('3+'),
  brokers: array('0+', {
    nodeId: int32('0+'),
    host: string('0+'),
    port: int32('0+'),
    rack: string('1+', { nullable: '1+', default: null }),
  }),
  clusterId: string('2+', { nullable: '2+', default: null }),
  controllerId: int32('1+', { default: -1 }),
  topics: array('0+', {
    errorCode: int16('0+'),
    name: string('0+', { nullable: '12+' }),
    topicId: uuid('10+'),
    isInternal: bool('1+', { default: false }),
    partitions: array('0+', {
      errorCode: int16('0+'),
      partitionIndex: int32('0+'),
      leaderId: int32('0+'),
      leaderEpoch: int32('7+', { default: -1 }),
      replicaNodes: array('0+', 'int32'),
      isrNodes: array('0+', 'int32'),
      offlineReplicas: array('5+', 'int32'),
    }),
    topicAuthorizedOperations: int32('8+', { default: -0x80000000 }),
  }),
  clusterAuthorizedOperations: int32('8-10', { default: -0x80000000 }),
  errorCode: int16('13+'),
}

export interface MetadataRequest extends Decoded<typeof request> {}
export interface MetadataResponse extends Decoded<typeof response> {}
export type MetadataRequestInput = Encodable<typeof request>
export type MetadataResponseInput = Encodable<typeof response>

export const metadata: Api<MetadataRequest, MetadataResponse, MetadataRequestInput, MetadataResponseInput> =
  api({
    key: 3,
    name: 'Metadata',
    versions: '0-13',
    flexible: '9+',
    request,
    response,
  })
