/**
 * ApiVersions (18), versions 0 to 5.
 *
 * A version that is not served is answered in the form of version 0 with UNSUPPORTED_VERSION and the range of
 * ApiVersions itself, so that the client can ask again (KIP-511); the connection sees to the form, this file to the
 * content. No features are reported, neither supported nor finalized: none of what they stand for exists here yet.
 */
import { type ApiVersionsRequest, type ApiVersionsResponseInput, apiVersions, errors } from '@varve/protocol'
import type { RequestContext } from '../request-context.js'
import { supportedApis } from '../supported-apis.js'

/** What KIP-511 allows a client to call itself. */
const clientSoftware = /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$/

export function handleApiVersions(
  request: ApiVersionsRequest,
  context: RequestContext,
): ApiVersionsResponseInput {
  const { apiVersion, broker } = context
  if (apiVersion >= 3) {
    const { clientSoftwareName, clientSoftwareVersion } = request
    if (!clientSoftware.test(clientSoftwareName) || !clientSoftware.test(clientSoftwareVersion)) {
      return { errorCode: errors.INVALID_REQUEST.code, apiKeys: [] }
    }
  }
  if (apiVersion >= 5) {
    const { clusterId, nodeId } = request
    const elsewhere =
      (clusterId !== null && clusterId !== broker.clusterId) || (nodeId >= 0 && nodeId !== broker.nodeId)
    if (elsewhere) return { errorCode: errors.REBOOTSTRAP_REQUIRED.code, apiKeys: [] }
  }
  return { errorCode: 0, apiKeys: [...supportedApis.keys()].map(advertisedRange) }
}

/** The answer to a version that nobody here speaks, to be encoded in version 0. */
export function unsupportedApiVersions(): ApiVersionsResponseInput {
  return { errorCode: errors.UNSUPPORTED_VERSION.code, apiKeys: [advertisedRange(apiVersions.key)] }
}

function advertisedRange(apiKey: number): { apiKey: number; minVersion: number; maxVersion: number } {
  const [minVersion, maxVersion] = supportedApis.get(apiKey)!.advertised
  return { apiKey, minVersion, maxVersion }
}
