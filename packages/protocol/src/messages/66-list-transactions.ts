import { api, type Api } from '../api.js'
import { array, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The transactions of a coordinator: of chosen states and producers, since version 1 those that have lasted for a
 * while, since 2 those whose id matches a regular expression.
 */
const request = {
  stateFilters: array('0+', 'string'),
  producerIdFilters: array('0+', 'int64'),
  durationFilter: int64('1+', { default: -1 }),
  transactionalIdPattern: string('2+', { nullable: '2+', default: null }),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
  unknownStateFilters: array('0+', 'string'),
  transactionStates: array('0+', {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    transactionState: string('0+'),
  }),
}

export interface ListTransactionsRequest extends Decoded<typeof request> {}
export interface ListTransactionsResponse extends Decoded<typeof response> {}
export type ListTransactionsRequestInput = Encodable<typeof request>
export type ListTransactionsResponseInput = Encodable<typeof response>

export const listTransactions: Api<
  ListTransactionsRequest,
  ListTransactionsResponse,
  ListTransactionsRequestInput,
  ListTransactionsResponseInput
> = api({
  key: 66,
  name: 'ListTransactions',
  versions: '0-2',
  flexible: '0+',
  request,
  response,
})
