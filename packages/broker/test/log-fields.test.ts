// Whoever keeps the lines of many brokers looks for those about a topic, a group or a client by a field, not by reading.
import { leaveGroup } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { expect, test } from 'vitest'
import { errorFields, type LogFields, type LogLevel } from '../src/broker-log.js'
import { LimitedLog } from '../src/limited-log.js'
import { join, sync } from './support/group-requests.js'
import { ManualClock } from './support/manual-clock.js'
import { produceTo, settle, startTestBroker } from './support/test-broker.js'

interface Line {
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields | undefined
}

async function start() {
  const lines: Line[] = []
  const started = await startTestBroker({
    log: (level, message, fields) => void lines.push({ level, message, fields }),
  })
  const about = (part: string): Line | undefined => lines.find(({ message }) => message.includes(part))
  return { ...started, about }
}

test('lines about topics and partitions name them in fields', async () => {
  const { createTopic, connect, disk, about } = await start()
  await createTopic('orders')
  expect(about('created topic orders')?.fields).toEqual({ topic: 'orders' })
  disk.log('orders-0').fail()
  await produceTo(await connect(), 'orders', 'x')
  expect(about('takes no writes')).toMatchObject({
    level: 'error',
    fields: { topic: 'orders', partition: 0, code: 'VARVE_LOG_FAILED' },
  })
})

test('lines about groups name group, member and client', async () => {
  const { connect, clock, about } = await start()
  const client = await connect()
  const joining = join(client, 5, { groupInstanceId: 'one' })
  await settle()
  clock.advance(3000)
  const joined = await joining
  await sync(client, 5, joined)
  expect(about('is stable')?.fields).toEqual({ group: 'g' })
  const { memberId } = joined
  await client.request(leaveGroup, 4, {
    groupId: 'g',
    members: [{ memberId: 'other', groupInstanceId: 'one' }],
  })
  expect(about('fenced member other')).toMatchObject({
    level: 'warn',
    fields: { group: 'g', member: 'other' },
  })
  clock.advance(20_000)
  await settle()
  expect(about('has not been heard of')?.fields).toEqual({
    group: 'g',
    member: memberId,
    client: expect.any(String),
    peer: expect.stringContaining('127.0.0.1'),
  })
})

test('a line about a connection names peer and client', async () => {
  const { connect, about } = await start()
  const client = await connect()
  const { localAddress, localPort } = client.socket
  await produceTo(client, 'none', 'x')
  client.socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]))
  await expect.poll(() => about('closed the connection')).toBeDefined()
  expect(about('closed the connection')?.fields).toEqual({
    peer: `${localAddress}:${localPort}`,
    client: expect.any(String),
  })
})

test('lines that are held back keep the fields of the last one', () => {
  const clock = new ManualClock()
  const fields: unknown[] = []
  const log = new LimitedLog((_level, _line, given) => void fields.push(given), clock)
  for (const peer of ['a', 'b', 'c']) log.write('warn', 'reason', `closed ${peer}`, { peer })
  clock.advance(1000)
  expect(fields).toEqual([{ peer: 'a' }, { peer: 'c' }])
  log.close()
})

test('an error has its code, and its stack if nobody expected it', () => {
  expect(errorFields(new VarveError('VARVE_IO', 'x'))).toEqual({ code: 'VARVE_IO' })
  const fault = new TypeError('x is not a function')
  expect(errorFields(fault)).toEqual({ stack: fault.stack })
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  expect(errorFields(full)).toMatchObject({ code: 'ENOSPC' })
  expect(errorFields('thrown')).toEqual({})
})
