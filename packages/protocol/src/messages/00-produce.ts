import { api, type Api } from '../api.js'
import { array, int16, int32, int64, records, string, struct, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * Records for partitions. Since version 3 each partition holds exactly one batch of the v2 format; version 13 names
 * topics by id. Kafka advertises versions from 0 on and refuses 0 to 2, because librdkafka before 2.11.1 takes a
 * missing version 0 for missing compression (KAFKA-18659).
 */
const request = {
  transactionalId: string('3+', { nullable: '3+', default: null }),
  acks: int16('0+'),
  timeoutMs: int32('0+'),
  topicData: array('0+', {
    name: string('0-12', { ignorable: true }),
    topicId: uuid('13+', { ignorable: true }),
    partitionData: array('0+', {
      index: int32('0+'),
      records: records('0+', { nullable: '0+' }),
    }),
  }),
}

const response = {
  responses: array('0+', {
    name: string('0-12'),
    topicId: uuid('13+'),
    partitionResponses: array('0+', {
      index: int32('0+'),
      errorCode: int16('0+'),
      baseOffset: int64('0+'),
      logAppendTimeMs: int64('2+', { default: -1 }),
      logStartOffset: int64('5+', { default: -1 }),
      recordErrors: array('8+', {
        batchIndex: int32('8+'),
        batchIndexErrorMessage: string('8+', { nullable: '8+', default: null }),
      }),
      errorMessage: string('8+', { nullable: '8+', default: null }),
      currentLeader: struct(
        '10+',
        {
          leaderId: int32('10+', { default: -1 }),
          leaderEpoch: int32('10+', { default: -1 }),
        },
        { tag: 0 },
      ),
    }),
  }),
  throttleTimeMs: int32('1+', { default: 0 }),
  nodeEndpoints: array(
    '10+',
    {
      nodeId: int32('10+'),
      host: string('10+'),
      port: int32('10+'),
      rack: string('10+', { nullable: '10+', default: null }),
    },
    { tag: 0 },
  ),
}

export interface ProduceRequest extends Decoded<typeof request> {}
export interface ProduceResponse extends Decoded<typeof response> {}
export type ProduceRequestInput = Encodable<typeof request>
export type ProduceResponseInput = Encodable<typeof response>

export const produce: Api<ProduceRequest, ProduceResponse, ProduceRequestInput, ProduceResponseInput> = api({
  key: 0,
  name: 'Produce',
  versions: '3-13',
  flexible: '9+',
  request,
  response,
})
