import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int64, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The end of transactions, to be written into their partitions: from the transaction coordinator to the leaders.
 * Version 2 names the version of the transaction protocol.
 */
const request = {
  markers: array('0+', {
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    transactionResult: bool('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitionIndexes: array('0+', 'int32'),
    }),
    coordinatorEpoch: int32('0+'),
    transactionVersion: int8('2+', { default: 0, ignorable: true }),
  }),
}

const response = {
  markers: array('0+', {
    producerId: int64('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  }),
}

export interface WriteTxnMarkersRequest extends Decoded<typeof request> {}
export interface WriteTxnMarkersResponse extends Decoded<typeof response> {}
export type WriteTxnMarkersRequestInput = Encodable<typeof request>
export type WriteTxnMarkersResponseInput = Encodable<typeof response>

export const writeTxnMarkers: Api<
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponse,
  WriteTxnMarkersRequestInput,
  WriteTxnMarkersResponseInput
> = api({
  key: 27,
  name: 'WriteTxnMarkers',
  versions: '1-2',
  flexible: '1+',
  request,
  response,
})
