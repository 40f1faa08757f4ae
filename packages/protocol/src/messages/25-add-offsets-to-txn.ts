import { api, type Api } from '../api.js'
import { int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** A group whose offsets a transaction is about to commit. */
const request = {
  transactionalId: string('0+'),
  producerId: int64('0+'),
  producerEpoch: int16('0+'),
  groupId: string('0+'),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
}

export interface AddOffsetsToTxnRequest extends Decoded<typeof request> {}
export interface AddOffsetsToTxnResponse extends Decoded<typeof response> {}
export type AddOffsetsToTxnRequestInput = Encodable<typeof request>
export type AddOffsetsToTxnResponseInput = Encodable<typeof response>

export const addOffsetsToTxn: Api<
  AddOffsetsToTxnRequest,
  AddOffsetsToTxnResponse,
  AddOffsetsToTxnRequestInput,
  AddOffsetsToTxnResponseInput
> = api({
  key: 25,
  name: 'AddOffsetsToTxn',
  versions: '0-4',
  flexible: '3+',
  request,
  response,
})
