// A broker that tells its clients a wrong address looks like a broker that is down. And a port that is taken, or an
// option that cannot be, must be one clear line, before anything has been created.
import { createServer } from 'node:net'
import { once } from 'node:events'
import { describeCluster, describeQuorum, findCoordinator, metadata } from '@varve/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { resolveOptions } from '../src/broker-options.js'
import { parseListeners } from '../src/listener-address.js'
import { BROKER, described } from './support/configs.js'
import { RawClient } from './support/raw-client.js'
import { startTestBroker, temporaryDirectory } from './support/test-broker.js'

test('listeners are written as in Kafka', () => {
  expect(
    parseListeners(
      'listeners',
      'PLAINTEXT://127.0.0.1:9092, internal://[::1]:0,ALL://:9094,plain-9092.a://h:1',
    ),
  ).toEqual([
    { name: 'PLAINTEXT', host: '127.0.0.1', port: 9092 },
    { name: 'INTERNAL', host: '::1', port: 0 },
    { name: 'ALL', host: '', port: 9094 },
    { name: 'PLAIN-9092.A', host: 'h', port: 1 },
  ])
})

test.each([
  ['127.0.0.1:9092', /is not of the form PLAINTEXT:\/\/host:port/],
  ['PLAINTEXT://host', /is not of the form/],
  ['PLAINTEXT://host:99999', /port above 65535/],
  ['SASL_PLAINTEXT://host:9093', /security protocol that this broker does not speak/],
  ['A://x:1,A://y:2', /is there twice/],
])('%s is refused', (listeners, message) => {
  expect(() => resolveOptions({ listeners })).toThrow(message)
})

test.each([
  [{ port: 70000 }, /port must be an integer from 0 to 65535, not 70000/],
  [{ listeners: 'A://x:1', port: 1 }, /either listeners or host and port/],
  [{ advertisedListeners: 'OTHER://x:1' }, /no listener is called OTHER/],
  [{ advertisedListeners: 'PLAINTEXT://0.0.0.0:1' }, /no client can connect to 0\.0\.0\.0/],
  [{ defaultPartitions: 0 }, /defaultPartitions must be an integer from 1/],
  [{ durability: 'maybe' as 'os' }, /durability must be 'os' or 'fsync', not "maybe"/],
])('the options %j are refused', (options, message) => {
  expect(() => resolveOptions(options)).toThrow(message)
})

async function advertisedTo(port: number, host = '127.0.0.1'): Promise<string> {
  const client = await RawClient.connect(port, host)
  const { brokers } = await client.request(metadata, 12, { topics: [] })
  const { coordinators } = await client.request(findCoordinator, 4, { keyType: 0, coordinatorKeys: ['g'] })
  await client.close()
  expect(coordinators[0]).toMatchObject({ host: brokers[0]!.host, port: brokers[0]!.port })
  return `${brokers[0]!.host}:${brokers[0]!.port}`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

test('a client is told the advertised address of the listener that it came in on', async () => {
  const second = await freePort()
  const { broker } = await startTestBroker({
    listeners: ['INSIDE://127.0.0.1:0', `OUTSIDE://127.0.0.1:${second}`],
    advertisedListeners: 'OUTSIDE://broker.example:19092',
  })
  expect(broker.address).toBe(`127.0.0.1:${broker.port}`)
  expect(await advertisedTo(broker.port)).toBe(broker.address)
  expect(await advertisedTo(second)).toBe('broker.example:19092')
})

test('names of listeners may have - and ., as operators of Kafka write them', async () => {
  const { broker } = await startTestBroker({
    listeners: 'PLAIN-9092://127.0.0.1:0,in.side://127.0.0.1:0',
    advertisedListeners: 'plain-9092://broker.example:19092',
    listenerSecurityProtocolMap: 'PLAIN-9092:PLAINTEXT,IN.SIDE:PLAINTEXT',
  })
  expect(broker.listeners.map(({ name }) => name)).toEqual(['PLAIN-9092', 'IN.SIDE'])
  expect(await advertisedTo(broker.port)).toBe('broker.example:19092')
})

test('DescribeQuorum names the listener that was asked', async () => {
  const { broker } = await startTestBroker({
    listeners: 'INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0',
    advertisedListeners: 'OUTSIDE://broker.example:19092',
  })
  const listeners: unknown[] = []
  for (const { port } of broker.listeners) {
    const client = await RawClient.connect(port)
    const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }]
    const { nodes } = await client.request(describeQuorum, 2, { topics })
    listeners.push(...nodes[0]!.listeners)
    await client.close()
  }
  expect(listeners).toMatchObject([
    { name: 'INSIDE', host: '127.0.0.1', port: broker.port },
    { name: 'OUTSIDE', host: 'broker.example', port: 19092 },
  ])
})

test.each([{ rack: 'eu-1a' }, { configs: { 'broker.rack': 'eu-1a' } }])(
  'with %j clients are told where the broker stands',
  async (options) => {
    const { connect } = await startTestBroker(options)
    const client = await connect()
    const { brokers } = await client.request(metadata, 12, { topics: [] })
    expect(brokers).toMatchObject([{ nodeId: 0, rack: 'eu-1a' }])
    const cluster = await client.request(describeCluster, 1, {
      includeClusterAuthorizedOperations: false,
    })
    expect(cluster.brokers).toMatchObject([{ brokerId: 0, rack: 'eu-1a' }])
    const found = (await described(client, BROKER, '0')).get('broker.rack')
    expect(found).toMatchObject({ value: 'eu-1a', readOnly: true })
  },
)

test('port 0 is advertised as the port it became', async () => {
  const { broker } = await startTestBroker({ advertisedListeners: 'PLAINTEXT://broker.example:0' })
  expect(broker.address).toBe(`broker.example:${broker.port}`)
  expect(await advertisedTo(broker.port)).toBe(broker.address)
})

test('a listener on all interfaces names the one that was reached', async () => {
  const { broker } = await startTestBroker({ host: '0.0.0.0' })
  expect(await advertisedTo(broker.port)).toBe(`127.0.0.1:${broker.port}`)
  expect(await advertisedTo(broker.port, '127.0.0.2')).toBe(`127.0.0.2:${broker.port}`)
})

test('a port that is in use is named with the remedy, and nothing is left locked', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  onTestFinished(() => void taken.close())
  const { port } = taken.address() as { port: number }
  const data = await temporaryDirectory()
  await expect(startTestBroker({ port, data })).rejects.toMatchObject({
    code: 'VARVE_PORT_IN_USE',
    message: expect.stringMatching(`^127\\.0\\.0\\.1:${port} is in use .* choose another port`),
  })
  await expect(startTestBroker({ host: '192.0.2.1' })).rejects.toMatchObject({
    code: 'VARVE_ADDRESS_NOT_AVAILABLE',
  })
})

test('one listener that cannot be bound takes the others down with it', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  onTestFinished(() => void taken.close())
  const free = await freePort()
  const { port } = taken.address() as { port: number }
  const listeners = [`A://127.0.0.1:${free}`, `B://127.0.0.1:${port}`]
  await expect(startTestBroker({ listeners })).rejects.toMatchObject({ code: 'VARVE_PORT_IN_USE' })
  await expect(RawClient.connect(free)).rejects.toThrow('ECONNREFUSED')
})
