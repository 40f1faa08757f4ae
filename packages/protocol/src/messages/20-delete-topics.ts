import { api, type Api } from '../api.js'
import { array, int16, int32, string, uuid } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** Topics to be deleted. Version 5 answers with messages, 6 takes ids instead of names. */
const request = {
  topics: array('6+', {
    name: string('6+', { nullable: '6+', default: null }),
    topicId: uuid('6+'),
  }),
  topicNames: array('0-5', 'string', { ignorable: true }),
  timeoutMs: int32('0+'),
}

const response = {
  throttleTimeMs: int32('1+'),
  responses: array('0+', {
    name: string('0+', { nullable: '6+' }),
    topicId: uuid('6+'),
    errorCode: int16('0+'),
    errorMessage: string('5+', { nullable: '5+', default: null }),
  }),
}

export interface DeleteTopicsRequest extends Decoded<typeof request> {}
export interface DeleteTopicsResponse extends Decoded<typeof response> {}
export type DeleteTopicsRequestInput = Encodable<typeof request>
export type DeleteTopicsResponseInput = Encodable<typeof response>

export const deleteTopics: Api<
  DeleteTopicsRequest,
  DeleteTopicsResponse,
  DeleteTopicsRequestInput,
  DeleteTopicsResponseInput
> = api({
  key: 20,
  name: 'DeleteTopics',
  versions: '1-6',
  flexible: '4+',
  request,
  response,
})
