// librdkafka asks for FindCoordinator's mere presence before it compresses with lz4, so it is served although there are
// no groups yet. Whoever asks for a coordinator of transactions must not be told to try again later, for ever.
import { errors, findCoordinator } from '@varve/protocol'
import { expect, test } from 'vitest'
import { startTestBroker } from './support/test-broker.js'

test.each([0, 1, 2, 3])('version %i names this broker for a group', async (version) => {
  const { connect, broker } = await startTestBroker({ nodeId: 7 })
  const client = await connect()
  const response = await client.request(findCoordinator, version, { key: 'g' })
  expect(response).toMatchObject({ errorCode: 0, nodeId: 7, host: '127.0.0.1', port: broker.port })
})

test.each([4, 5, 6])('version %i names this broker for several groups', async (version) => {
  const { connect, broker } = await startTestBroker()
  const client = await connect()
  const { coordinators } = await client.request(findCoordinator, version, {
    keyType: 0,
    coordinatorKeys: ['g', 'h'],
  })
  const here = { nodeId: 0, host: '127.0.0.1', port: broker.port, errorCode: 0, errorMessage: '' }
  expect(coordinators).toEqual([
    { key: 'g', ...here },
    { key: 'h', ...here },
  ])
})

test('there is no coordinator of transactions or share groups, and no client asks twice', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const old = await client.request(findCoordinator, 1, { key: 't', keyType: 1 })
  expect(old).toMatchObject({ errorCode: errors.UNSUPPORTED_VERSION.code, nodeId: -1 })
  const { coordinators } = await client.request(findCoordinator, 6, {
    keyType: 2,
    coordinatorKeys: ['g:t:0'],
  })
  expect(coordinators[0]).toMatchObject({ errorCode: errors.INVALID_REQUEST.code, nodeId: -1 })
  for (const error of [errors.UNSUPPORTED_VERSION, errors.INVALID_REQUEST])
    expect(error.retriable).toBe(false)
})
