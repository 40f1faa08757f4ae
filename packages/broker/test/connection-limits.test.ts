// One client that leaks connections must not lock all others out, and a place that is not given back is lost for good.
import { metadata } from '@varve/protocol'
import { expect, onTestFinished, test, vi } from 'vitest'
import { resolveOptions } from '../src/broker-options.js'
import { ConnectionLimits, parseOverrides } from '../src/connection-limits.js'
import { RawClient } from './support/raw-client.js'
import { startTestBroker } from './support/test-broker.js'

const limits = (max: number, maxPerIp: number, overrides = ''): ConnectionLimits =>
  new ConnectionLimits({ max, maxPerIp, overrides: parseOverrides(overrides) })
const isAdmitted = (admitted: unknown): boolean => typeof admitted === 'function'

test('each address has its own count, and gives places back once', () => {
  const all = limits(10, 1)
  const release = all.admit('10.0.0.1') as () => void
  expect(all.admit('10.0.0.1')).toMatch(/there are 1 of this address, as many as maxConnectionsPerIp allows/)
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
  expect(all.admit('10.0.0.2')).toBe('there are as many as maxConnections allows')
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
  await vi.waitFor(async () => {
    const next = await connect()
    await next.request(metadata, 12, { topics: [] })
  })
})
