import { api, type Api } from '../api.js'
import { bytes, int16, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * One token of a SASL exchange. Version 1 answers how long the session lasts, in milliseconds; zero means as long as
 * the connection.
 */
const request = {
  authBytes: bytes('0+'),
}

const response = {
  errorCode: int16('0+'),
  errorMessage: string('0+', { nullable: '0+' }),
  authBytes: bytes('0+'),
  sessionLifetimeMs: int64('1+', { default: 0 }),
}

export interface SaslAuthenticateRequest extends Decoded<typeof request> {}
export interface SaslAuthenticateResponse extends Decoded<typeof response> {}
export type SaslAuthenticateRequestInput = Encodable<typeof request>
export type SaslAuthenticateResponseInput = Encodable<typeof response>

export const saslAuthenticate: Api<
  SaslAuthenticateRequest,
  SaslAuthenticateResponse,
  SaslAuthenticateRequestInput,
  SaslAuthenticateResponseInput
> = api({
  key: 36,
  name: 'SaslAuthenticate',
  versions: '0-2',
  flexible: '2+',
  request,
  response,
})
