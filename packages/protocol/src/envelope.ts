import type { Api } from './api.js'
import { apis } from './apis.js'
import type { Chunk } from './chunk.js'
import { encodeWith } from './message.js'
import { apiVersions } from './messages/18-api-versions.js'
import { requestHeader } from './messages/request-header.js'
import { responseHeader } from './messages/response-header.js'
import { ProtocolError } from './protocol-error.js'
import type { Reader } from './reader.js'
import type { Writer } from './writer.js'

const UNSUPPORTED_VERSION = 35

export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  /** Where the request's body begins in the frame. */
  readonly bodyAt: number
}

/**
 * Decodes the header of a request, whatever the request is: an API or a version that is not declared here still has an
 * api key, a version, a correlation id and a client id. `bodyAt` is meaningful for declared APIs.
 *
 * @param frame a frame without its length.
 * @throws {ProtocolError} TRUNCATED or MALFORMED.
 */
export function decodeRequestHeader(frame: Buffer): RequestHeader {
  const version = requestHeaderVersion(frame)
  const reader = requestHeader.reader(frame, 0, version)
  const header = requestHeader.read(reader, version)
  return {
    apiKey: header.requestApiKey,
    apiVersion: header.requestApiVersion,
    correlationId: header.correlationId,
    clientId: header.clientId,
    bodyAt: reader.at,
  }
}

function requestHeaderVersion(frame: Buffer): number {
  if (frame.length < 4) return 1
  const api = apis.get(frame.readInt16BE(0))
  return api !== undefined && frame.readInt16BE(2) >= api.flexibleFrom ? 2 : 1
}

/**
 * Encodes a request as a whole frame: length, header, body.
 *
 * @throws {ProtocolError} INVALID_VALUE, or UNSUPPORTED_VERSION where the version cannot express what the body says.
 */
export function encodeRequest<QI>(
  api: Api<unknown, unknown, QI, unknown>,
  version: number,
  correlationId: number,
  clientId: string | null,
  body: QI,
): Chunk[] {
  const header = { requestApiKey: api.key, requestApiVersion: version, correlationId, clientId }
  return encodeFrame((writer) => {
    requestHeader.write(writer, header, version >= api.flexibleFrom ? 2 : 1)
    api.request.write(writer, body, version)
  })
}

/**
 * Encodes a response as a whole frame: length, header, body. The header of ApiVersions is always version 0, because its
 * reader does not know yet what the broker speaks.
 *
 * @throws {ProtocolError} INVALID_VALUE, or UNSUPPORTED_VERSION if the response has no such version.
 */
export function encodeResponse<SI>(
  api: Api<unknown, unknown, unknown, SI>,
  version: number,
  correlationId: number,
  body: SI,
): Chunk[] {
  return encodeFrame((writer) => {
    responseHeader.write(writer, { correlationId }, responseHeaderVersion(api, version))
    api.response.write(writer, body, version)
  })
}

const responseHeaderVersion = (api: Api<unknown, unknown>, version: number): number =>
  version >= api.flexibleFrom && api.key !== apiVersions.key ? 1 : 0

function encodeFrame(write: (writer: Writer) => void): Chunk[] {
  let byteLength = 0
  const chunks = encodeWith((writer) => {
    writer.int32(0)
    write(writer)
    byteLength = writer.byteLength - 4
    if (byteLength > 0x7fffffff) {
      throw new ProtocolError(
        'VARVE_PROTOCOL_INVALID_VALUE',
        `a message of ${byteLength} bytes does not fit a frame`,
      )
    }
  })
  ;(chunks[0] as Buffer).writeInt32BE(byteLength, 0)
  return chunks
}

/**
 * Decodes a response. A broker that does not know the version of an ApiVersions request answers it in version 0, with
 * error 35, and that is recognised here.
 *
 * @param frame a frame without its length.
 * @throws {ProtocolError} TRUNCATED, MALFORMED or UNSUPPORTED_VERSION.
 */
export function decodeResponse<S>(
  api: Api<unknown, S, unknown, unknown>,
  version: number,
  frame: Buffer,
): { correlationId: number; body: S } {
  const headerVersion = responseHeaderVersion(api, version)
  const reader: Reader = responseHeader.reader(frame, 0, headerVersion)
  const { correlationId } = responseHeader.read(reader, headerVersion)
  const fallback =
    api.key === apiVersions.key && version > 0 ? decodeRefusedVersion(api, frame, reader.at) : undefined
  return { correlationId, body: fallback ?? api.response.decode(frame, reader.at, version) }
}

function decodeRefusedVersion<S>(
  api: Api<unknown, S, unknown, unknown>,
  frame: Buffer,
  at: number,
): S | undefined {
  if (frame.length < at + 2 || frame.readInt16BE(at) !== UNSUPPORTED_VERSION) return undefined
  try {
    return api.response.decode(frame, at, 0)
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}
