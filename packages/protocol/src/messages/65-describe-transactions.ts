import { api, type Api } from '../api.js'
import { array, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** State, producer and partitions of transactions. */
const request = {
  transactionalIds: array('0+', 'string'),
}

const response = {
  throttleTimeMs: int32('0+'),
  transactionStates: array('0+', {
    errorCode: int16('0+'),
    transactionalId: string('0+'),
    transactionState: string('0+'),
    transactionTimeoutMs: int32('0+'),
    transactionStartTimeMs: int64('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', 'int32'),
    }),
  }),
}

export interface DescribeTransactionsRequest extends Decoded<typeof request> {}
export interface DescribeTransactionsResponse extends Decoded<typeof response> {}
export type DescribeTransactionsRequestInput = Encodable<typeof request>
export type DescribeTransactionsResponseInput = Encodable<typeof response>

export const describeTransactions: Api<
  DescribeTransactionsRequest,
  DescribeTransactionsResponse,
  DescribeTransactionsRequestInput,
  DescribeTransactionsResponseInput
> = api({
  key: 65,
  name: 'DescribeTransactions',
  versions: '0',
  flexible: '0+',
  request,
  response,
})
