import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

const topic = {
  name: string('0+'),
  partitions: array('0+', 'int32'),
}

/**
 * Partitions that a transaction is about to write: of one transaction in versions 0 to 3, of several since 4, which
 * brokers send to each other.
 */
const request = {
  transactions: array('4+', {
    transactionalId: string('4+'),
    producerId: int64('4+'),
    producerEpoch: int16('4+'),
    verifyOnly: bool('4+', { default: false }),
    topics: array('4+', topic),
  }),
  v3AndBelowTransactionalId: string('0-3'),
  v3AndBelowProducerId: int64('0-3'),
  v3AndBelowProducerEpoch: int16('0-3'),
  v3AndBelowTopics: array('0-3', topic),
}

const topicResult = {
  name: string('0+'),
  resultsByPartition: array('0+', {
    partitionIndex: int32('0+'),
    partitionErrorCode: int16('0+'),
  }),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('4+'),
  resultsByTransaction: array('4+', {
    transactionalId: string('4+'),
    topicResults: array('4+', topicResult),
  }),
  resultsByTopicV3AndBelow: array('0-3', topicResult),
}

export interface AddPartitionsToTxnRequest extends Decoded<typeof request> {}
export interface AddPartitionsToTxnResponse extends Decoded<typeof response> {}
export type AddPartitionsToTxnRequestInput = Encodable<typeof request>
export type AddPartitionsToTxnResponseInput = Encodable<typeof response>

export const addPartitionsToTxn: Api<
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponse,
  AddPartitionsToTxnRequestInput,
  AddPartitionsToTxnResponseInput
> = api({
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: '0-5',
  flexible: '3+',
  request,
  response,
})
