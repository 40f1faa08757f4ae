import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int8, string, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * New topics. -1 partitions or replicas mean the broker's default (version 4 on) or that the assignments say it.
 * Version 5 answers with the topic's settings, 7 with its id.
 */
const request = {
  topics: array('0+', {
    name: string('0+'),
    numPartitions: int32('0+'),
    replicationFactor: int16('0+'),
    assignments: array('0+', {
      partitionIndex: int32('0+'),
      brokerIds: array('0+', 'int32'),
    }),
    configs: array('0+', {
      name: string('0+'),
      value: string('0+', { nullable: '0+' }),
    }),
  }),
  timeoutMs: int32('0+', { default: 60_000 }),
  validateOnly: bool('1+', { default: false }),
}

const response = {
  throttleTimeMs: int32('2+'),
  topics: array('0+', {
    name: string('0+'),
    topicId: uuid('7+'),
    errorCode: int16('0+'),
    errorMessage: string('1+', { nullable: '0+' }),
    topicConfigErrorCode: int16('5+', { tag: 0 }),
    numPartitions: int32('5+', { default: -1 }),
    replicationFactor: int16('5+', { default: -1 }),
    configs: array(
      '5+',
      {
        name: string('5+'),
        value: string('5+', { nullable: '5+' }),
        readOnly: bool('5+'),
        configSource: int8('5+', { default: -1 }),
        isSensitive: bool('5+'),
      },
      { nullable: '5+' },
    ),
  }),
}

export interface CreateTopicsRequest extends Decoded<typeof request> {}
export interface CreateTopicsResponse extends Decoded<typeof response> {}
export type CreateTopicsRequestInput = Encodable<typeof request>
export type CreateTopicsResponseInput = Encodable<typeof response>

export const createTopics: Api<
  CreateTopicsRequest,
  CreateTopicsResponse,
  CreateTopicsRequestInput,
  CreateTopicsResponseInput
> = api({
  key: 19,
  name: 'CreateTopics',
  versions: '2-7',
  flexible: '5+',
  request,
  response,
})
