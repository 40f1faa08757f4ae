import { api, type Api } from '../api.js'
import { bool, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** Commits or aborts a transaction. Version 5 answers with the epoch of the producer's next transaction (KIP-890). */
const request = {
  transactionalId: string('0+'),
  producerId: int64('0+'),
  producerEpoch: int16('0+'),
  committed: bool('0+'),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
  producerId: int64('5+', { default: -1 }),
  producerEpoch: int16('5+', { default: -1 }),
}

export interface EndTxnRequest extends Decoded<typeof request> {}
export interface EndTxnResponse extends Decoded<typeof response> {}
export type EndTxnRequestInput = Encodable<typeof request>
export type EndTxnResponseInput = Encodable<typeof response>

export const endTxn: Api<EndTxnRequest, EndTxnResponse, EndTxnRequestInput, EndTxnResponseInput> = api({
  key: 26,
  name: 'EndTxn',
  versions: '0-5',
  flexible: '3+',
  request,
  response,
})
