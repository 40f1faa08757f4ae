// One client that leaks connections must not lock all others out, and a place that is not given back is lost for good.
import { errors, metadata } from '@varve/protocol'
import { expect, onTestFinished, test, vi } from 'vitest'
import { resolveOptions } from '../src/broker-options.js'
import { BrokerConfigs } from '../src/configs/broker-configs.js'
import { ConnectionLimits, limitsIn, parseOverrides } from '../src/connection-limits.js'
import type { MetadataStore } from '../src/metadata/metadata-store.js'
import { alter, BROKER } from './support/configs.js'
import { RawClient } from './support/raw-client.js'
import { settle, startTestBroker } from './support/test-broker.js'

const limits = (max: number, maxPerIp: number, overrides = ''): ConnectionLimits =>
  new ConnectionLimits({ max, maxPerIp, overrides: parseOverrides(overrides) })
const isAdmitted = (admitted: unknown): boolean => typeof admitted === 'function'

test('each address has its own count, and gives places back once', () => {
  const all = limits(10, 1)
  const release = all.admit('10.0.0.1') as () => void
  expect(all.admit('10.0.0.1')).toMatch(
    /there are 1 of this address, as many as max\.connections\.per\.ip allows/,
  )
  expect(isAdmitted(all.admit('10.0.0.2'))).toBe(true)
  release()
  release()
  expect(isAdmitted(all.admit('10.0.0.1'))).toBe(true)
  expect(isAdmitted(all.admit('10.0.0.1'))).toBe(false)
})

test('an address may have another limit, in whichever form it comes', () => {
  const all = limits(10, 1, '127.0.0.1:2, [::1]:0')
  expect(isAdmitted(all.admit('127.0.0.1'))).toBe(true)
  expect(isAdmitted(all.admit('::ffff:127.0.0.1'))).toBe(true)
  expect(isAdmitted(all.admit('127.0.0.1'))).toBe(false)
  expect(isAdmitted(all.admit('::1'))).toBe(false)
})

test('the limit on all comes first', () => {
  const all = limits(1, 5)
  all.admit('10.0.0.1')
  expect(all.admit('10.0.0.2')).toMatch(/^there are 1, as many as max\.connections /)
})

test.each(['localhost:2', '127.0.0.1', '127.0.0.1:x', '127.0.0.1:-1'])(
  'overrides of %s are refused',
  (text) => {
    expect(() => resolveOptions({ maxConnectionsPerIpOverrides: text })).toThrow(
      /^maxConnectionsPerIpOverrides: /,
    )
  },
)

test("Kafka's configurations say the same", () => {
  const options = resolveOptions({
    configs: { 'max.connections.per.ip': 7, 'max.connections.per.ip.overrides': '10.0.0.1:9' },
  })
  expect(options.maxConnectionsPerIp).toBe(7)
  expect([...options.maxConnectionsPerIpOverrides]).toEqual([['10.0.0.1', 9]])
})

test.each([
  ['-1', 256 * 1024 * 1024],
  ['2097152', 2 * 1024 * 1024],
])('queued.max.request.bytes of %s is %d bytes', (given, bytes) => {
  expect(resolveOptions({ configs: { 'queued.max.request.bytes': given } }).requestMemoryBytes).toBe(bytes)
})

test.each([
  [new Map(), 512],
  [new Map([['max.connections', '2147483647']]), 512],
  [new Map([['max.connections', '1000']]), 1000],
])('of 1024 files, with %j, connections may have %d', async (given, max) => {
  const metadata = { list: async () => ({ entries: [], revision: 0 }) } as unknown as MetadataStore
  expect(limitsIn(await BrokerConfigs.load(metadata, 0, given), 1024).max).toBe(max)
})

test('the limits are altered while the broker runs', async () => {
  const { connect } = await startTestBroker({ maxConnectionsPerIp: 1 })
  const client = await connect()
  await (
    await connect()
  ).closed
  const set = async (name: string, value: string) => await alter(client, BROKER, '', [['set', name, value]])
  expect((await set('max.connections.per.ip.overrides', '127.0.0.1:2')).errorCode).toBe(0)
  const second = await connect()
  await second.request(metadata, 12, { topics: [] })
  await (
    await connect()
  ).closed
  const wrong = await set('max.connections.per.ip.overrides', '127.0.0.1')
  expect([wrong.errorCode, wrong.errorMessage]).toEqual([
    errors.INVALID_REQUEST.code,
    expect.stringContaining("'127.0.0.1' is not of the form address:number"),
  ])
  expect((await set('max.connections.per.ip.overrides', '')).errorCode).toBe(0)
  await second.close()
  await settle()
  await (
    await connect()
  ).closed
  expect((await alter(client, BROKER, '0', [['set', 'max.connections.per.ip', '2']])).errorCode).toBe(0)
  await (await connect()).request(metadata, 12, { topics: [] })
  expect((await set('max.connections.per.ip', '1000')).errorCode).toBe(0)
  expect((await alter(client, BROKER, '0', [['delete', 'max.connections.per.ip', null]])).errorCode).toBe(0)
  expect((await set('max.connections', '2')).errorCode).toBe(0)
  await (
    await connect()
  ).closed
})

test('a broker refuses the next connection of an address, with a line, and takes it when one has ended', async () => {
  const { broker, connect, lines } = await startTestBroker({ host: '0.0.0.0', maxConnectionsPerIp: 1 })
  const first = await connect()
  const refused = await connect()
  await refused.closed
  expect(lines).toEqual([
    expect.stringMatching(/^warn refused a connection from 127\.0\.0\.1:\d+: there are 1 of this address/),
  ])
  const elsewhere = await RawClient.connect(broker.port, '127.0.0.2')
  onTestFinished(() => elsewhere.close())
  await first.close()
  const next = async (): Promise<void> => {
    await (await connect()).request(metadata, 12, { topics: [] })
  }
  await vi.waitFor(next, { timeout: 30_000 })
})
