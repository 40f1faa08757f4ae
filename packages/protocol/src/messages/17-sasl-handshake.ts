import { api, type Api } from '../api.js'
import { array, int16, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The SASL mechanism that the client will use. After version 0 the client sends bare tokens, after version 1
 * SaslAuthenticate. Never flexible: old clients misread its versions (KAFKA-9577).
 */
const request = {
  mechanism: string('0+'),
}

const response = {
  errorCode: int16('0+'),
  mechanisms: array('0+', 'string'),
}

export interface SaslHandshakeRequest extends Decoded<typeof request> {}
export interface SaslHandshakeResponse extends Decoded<typeof response> {}
export type SaslHandshakeRequestInput = Encodable<typeof request>
export type SaslHandshakeResponseInput = Encodable<typeof response>

export const saslHandshake: Api<
  SaslHandshakeRequest,
  SaslHandshakeResponse,
  SaslHandshakeRequestInput,
  SaslHandshakeResponseInput
> = api({
  key: 17,
  name: 'SaslHandshake',
  versions: '0-1',
  flexible: 'none',
  request,
  response,
})
