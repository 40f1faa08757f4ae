// The first bytes that a client and a broker exchange decide everything after them. One byte too many in the header of
// this response made librdkafka allocate 34 GB; a missing range for ApiVersions itself leaves a newer client with no way
// to ask again; a minimum above 0 for Produce makes older librdkafka send everything uncompressed, silently.
import { apiVersions, errors } from '@varve/protocol'
import { expect, test } from 'vitest'
import { supportedApis } from '../src/supported-apis.js'
import { startTestBroker } from './support/test-broker.js'

const software = { clientSoftwareName: 'librdkafka', clientSoftwareVersion: '2.0.2' }

test.each([0, 1, 2, 3, 4, 5])('version %i lists what the support table says', async (version) => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const { errorCode, apiKeys } = await client.request(apiVersions, version, version < 3 ? {} : software)
  expect(errorCode).toBe(0)
  expect(apiKeys).toEqual(
    [...supportedApis.values()].map(({ api, advertised: [minVersion, maxVersion] }) => ({
      apiKey: api.key,
      minVersion,
      maxVersion,
    })),
  )
  expect(apiKeys).toContainEqual({ apiKey: 0, minVersion: 0, maxVersion: 13 })
  expect(apiKeys).toContainEqual({ apiKey: 10, minVersion: 0, maxVersion: 6 })
})

test('the response header has no tagged fields in flexible versions either', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const correlationId = client.send(apiVersions, 3, software)
  const frame = await client.nextFrame()
  expect(frame.readInt32BE(0)).toBe(correlationId)
  expect(frame.readInt16BE(4)).toBe(0)
  // One more than the number of APIs, as a compact array's length is written.
  expect(frame[6]).toBe(supportedApis.size + 1)
})

test.each([6, 99, 32767])(
  'version %i is answered in version 0 with the range to choose from',
  async (version) => {
    const { connect } = await startTestBroker()
    const client = await connect()
    // Header version 2: key, version, correlation id, client id 'x', no tags; then a body from the future.
    const request = Buffer.from([0, 18, 0, 0, 0, 0, 0, 7, 0, 1, 0x78, 0, 0xde, 0xad])
    request.writeInt16BE(version, 2)
    client.write(Buffer.concat([Buffer.from([0, 0, 0, request.length]), request]))
    const frame = await client.nextFrame()
    expect(frame.readInt32BE(0)).toBe(7)
    const response = apiVersions.response.decode(frame, 4, 0)
    expect(response.errorCode).toBe(errors.UNSUPPORTED_VERSION.code)
    expect(response.apiKeys).toEqual([{ apiKey: 18, minVersion: 0, maxVersion: 5 }])
    // The connection goes on, with the version that was offered.
    expect((await client.request(apiVersions, 5, software)).errorCode).toBe(0)
  },
)

test('a client that calls itself something impossible is told so', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const bad = { clientSoftwareName: 'rm -rf', clientSoftwareVersion: '1' }
  const { errorCode, apiKeys } = await client.request(apiVersions, 3, bad)
  expect([errorCode, apiKeys]).toEqual([errors.INVALID_REQUEST.code, []])
})

test('a client that meant another cluster or node is sent back to its bootstrap servers', async () => {
  const { connect, broker } = await startTestBroker()
  const client = await connect()
  const ask = async (clusterId: string | null, nodeId: number) =>
    (await client.request(apiVersions, 5, { ...software, clusterId, nodeId })).errorCode
  expect(await ask(broker.clusterId, 0)).toBe(0)
  expect(await ask(null, -1)).toBe(0)
  expect(await ask('some-other-cluster', 0)).toBe(errors.REBOOTSTRAP_REQUIRED.code)
  expect(await ask(broker.clusterId, 3)).toBe(errors.REBOOTSTRAP_REQUIRED.code)
})
