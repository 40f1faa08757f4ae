import { api, type Api } from '../api.js'
import { int16, int32, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/** A broker that will not come back, to be forgotten. */
const request = {
  brokerId: int32('0+'),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('0+'),
  errorMessage: string('0+', { nullable: '0+' }),
}

export interface UnregisterBrokerRequest extends Decoded<typeof request> {}
export interface UnregisterBrokerResponse extends Decoded<typeof response> {}
export type UnregisterBrokerRequestInput = Encodable<typeof request>
export type UnregisterBrokerResponseInput = Encodable<typeof response>

export const unregisterBroker: Api<
  UnregisterBrokerRequest,
  UnregisterBrokerResponse,
  UnregisterBrokerRequestInput,
  UnregisterBrokerResponseInput
> = api({
  key: 64,
  name: 'UnregisterBroker',
  versions: '0',
  flexible: '0+',
  request,
  response,
})
