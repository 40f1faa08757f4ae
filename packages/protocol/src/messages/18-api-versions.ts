import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * What a broker understands. Its own version cannot be negotiated, so it has rules of its own: a broker answers a
 * version that it does not know with version 0 and error 35, and the response's header is always version 0.
 */
const request = {
  clientSoftwareName: string('3+', { ignorable: true }),
  clientSoftwareVersion: string('3+', { ignorable: true }),
  clusterId: string('5+', { nullable: '5+', default: null, ignorable: true }),
  nodeId: int32('5+', { default: -1, ignorable: true }),
}

const response = {
  errorCode: int16('0+'),
  apiKeys: array('0+', {
    apiKey: int16('0+'),
    minVersion: int16('0+'),
    maxVersion: int16('0+'),
  }),
  throttleTimeMs: int32('1+'),
  supportedFeatures: array(
    '3+',
    {
      name: string('3+'),
      minVersion: int16('3+'),
      maxVersion: int16('3+'),
    },
    { tag: 0 },
  ),
  finalizedFeaturesEpoch: int64('3+', { default: -1, tag: 1 }),
  finalizedFeatures: array(
    '3+',
    {
      name: string('3+'),
      maxVersionLevel: int16('3+'),
      minVersionLevel: int16('3+'),
    },
    { tag: 2 },
  ),
  zkMigrationReady: bool('3+', { default: false, tag: 3 }),
}

export interface ApiVersionsRequest extends Decoded<typeof request> {}
export interface ApiVersionsResponse extends Decoded<typeof response> {}
export type ApiVersionsRequestInput = Encodable<typeof request>
export type ApiVersionsResponseInput = Encodable<typeof response>

export const apiVersions: Api<
  ApiVersionsRequest,
  ApiVersionsResponse,
  ApiVersionsRequestInput,
  ApiVersionsResponseInput
> = api({
  key: 18,
  name: 'ApiVersions',
  versions: '0-5',
  flexible: '3+',
  request,
  response,
})
