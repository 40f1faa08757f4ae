import { type Chunk, apiVersions, encodeResponse, type RequestHeader } from '@varve/protocol'
import { handleProduce } from './handlers/00-produce.js'
import { handleFetch } from './handlers/01-fetch.js'
import { handleListOffsets } from './handlers/02-list-offsets.js'
import { handleMetadata } from './handlers/03-metadata.js'
import { handleFindCoordinator } from './handlers/10-find-coordinator.js'
import { handleApiVersions, unsupportedApiVersions } from './handlers/18-api-versions.js'
import { handleCreateTopics } from './handlers/19-create-topics.js'
import { handleInitProducerId } from './handlers/22-init-producer-id.js'
import { handleOffsetForLeaderEpoch } from './handlers/23-offset-for-leader-epoch.js'
import { handleDescribeProducers } from './handlers/61-describe-producers.js'
import { CloseConnection, type RequestContext } from './request-context.js'
import { type AnyApi, supportedApis } from './supported-apis.js'

type Handler = (request: never, context: RequestContext) => unknown

const handlers: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [0, handleProduce],
  [1, handleFetch],
  [2, handleListOffsets],
  [3, handleMetadata],
  [10, handleFindCoordinator],
  [18, handleApiVersions],
  [19, handleCreateTopics],
  [22, handleInitProducerId],
  [23, handleOffsetForLeaderEpoch],
  [61, handleDescribeProducers],
])

const produceKey = 0

/** Whether requests of this API may run while earlier ones of it on the same connection still do. */
export function overlaps(apiKey: number): boolean {
  return apiKey === produceKey
}

/**
 * Decodes a request and begins to work on it. The frame must stay valid until the result is there if the API's requests
 * carry records; for all others it is needed during the call only.
 *
 * @returns the encoded response, or null where there is none
 * @throws CloseConnection where Kafka closes the connection: unknown APIs and versions
 * @throws ProtocolError when the body cannot be decoded
 */
export function dispatch(
  header: RequestHeader,
  frame: Buffer,
  context: RequestContext,
): Chunk[] | null | Promise<Chunk[] | null> {
  const { apiKey, apiVersion, correlationId, bodyAt } = header
  const row = supportedApis.get(apiKey)
  if (row === undefined) throw new CloseConnection(`the API key ${apiKey} is not one that this broker serves`)
  const { api, served } = row
  if (apiVersion < served[0] || apiVersion > served[1]) {
    if (apiKey === apiVersions.key)
      return encodeResponse(apiVersions, 0, correlationId, unsupportedApiVersions())
    throw new CloseConnection(
      `${api.name} is served in versions ${served[0]} to ${served[1]}, not in ${apiVersion}`,
    )
  }
  const request = api.request.decode(frame, bodyAt, apiVersion)
  const response = handlers.get(apiKey)!(request as never, context)
  if (response instanceof Promise) return response.then((body: unknown) => encode(api, header, body))
  return encode(api, header, response)
}

function encode(api: AnyApi, header: RequestHeader, body: unknown): Chunk[] | null {
  return body === null ? null : encodeResponse(api, header.apiVersion, header.correlationId, body as never)
}
