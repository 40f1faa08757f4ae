import { api, type Api } from '../api.js'
import { bool, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * A producer's id and epoch. With a transactional id it also ends what an earlier producer of that id had left open.
 * Version 3 takes the producer's present id and epoch, to have only the epoch raised. Version 6, two-phase commit, is
 * one that Kafka 4.4 knows and does not advertise.
 */
const request = {
  transactionalId: string('0+', { nullable: '0+' }),
  transactionTimeoutMs: int32('0+'),
  producerId: int64('3+', { default: -1 }),
  producerEpoch: int16('3+', { default: -1 }),
  enable2Pc: bool('6+', { default: false }),
  keepPreparedTxn: bool('6+', { default: false }),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
  producerId: int64('0+', { default: -1 }),
  producerEpoch: int16('0+'),
  ongoingTxnProducerId: int64('6+', { default: -1 }),
  ongoingTxnProducerEpoch: int16('6+', { default: -1 }),
}

export interface InitProducerIdRequest extends Decoded<typeof request> {}
export interface InitProducerIdResponse extends Decoded<typeof response> {}
export type InitProducerIdRequestInput = Encodable<typeof request>
export type InitProducerIdResponseInput = Encodable<typeof response>

export const initProducerId: Api<
  InitProducerIdRequest,
  InitProducerIdResponse,
  InitProducerIdRequestInput,
  InitProducerIdResponseInput
> = api({
  key: 22,
  name: 'InitProducerId',
  versions: '0-6',
  flexible: '2+',
  request,
  response,
})
