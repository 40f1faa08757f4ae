// A broker in a test is started and closed thousands of times: whatever it leaves behind adds up. One in production is
// closed while clients are at work: what it has received must be answered, but no client can keep it from closing.
import { existsSync } from 'node:fs'
import { produce } from '@varve/protocol'
import { expect, test } from 'vitest'
import { RawClient } from './support/raw-client.js'
import {
  batchOf,
  fetchBody,
  produceBody,
  produceTo,
  settle,
  startTestBroker,
  temporaryDirectory,
  until,
} from './support/test-broker.js'
import { fetch } from '@varve/protocol'

test('requests that have been received are answered before their connection ends', async () => {
  const { broker, connect, createTopic, disk } = await startTestBroker()
  await createTopic('orders')
  const log = disk.log('orders-0')
  log.holdDurability()
  const client = await connect()
  const answer = client.request(produce, 9, produceBody('orders', batchOf('x')))
  await settle()
  const closed = broker.close()
  await settle()
  expect(client.socket.destroyed).toBe(false)
  await expect(RawClient.connect(broker.port)).rejects.toThrow('ECONNREFUSED')
  await log.flush()
  expect((await answer).responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  await client.closed
  await closed
})

test('a request that does not end is given five seconds', async () => {
  const { broker, connect, createTopic, disk, clock, lines } = await startTestBroker()
  await createTopic('orders')
  disk.log('orders-0').holdDurability()
  const client = await connect()
  client.send(produce, 9, produceBody('orders', batchOf('x'), { acks: 1 }))
  await settle()
  let over = false
  const closed = broker.close().then(() => (over = true))
  await settle()
  clock.advance(4_999)
  await settle()
  expect(over).toBe(false)
  clock.advance(1)
  await closed
  await client.closed
  expect(lines).toContain('warn ended 1 connections whose requests were not answered within 5000 ms')
})

test('or as long as closeTimeoutMs says', async () => {
  const { broker, connect, createTopic, disk, clock } = await startTestBroker({ closeTimeoutMs: 100 })
  await createTopic('orders')
  disk.log('orders-0').holdDurability()
  const client = await connect()
  client.send(produce, 9, produceBody('orders', batchOf('x'), { acks: 1 }))
  await settle()
  const closed = broker.close()
  await settle()
  clock.advance(100)
  await closed
  await client.closed
})

test('idle clients, half-sent frames and clients that read nothing do not hold it up', async () => {
  const { broker, connect, createTopic, clock } = await startTestBroker()
  await createTopic('orders')
  await produceTo(await connect(), 'orders', 'x'.repeat(1_000_000))
  const clients = [await connect(), await connect(), await connect()]
  clients[1]!.write(Buffer.from([0, 0, 1]))
  clients[2]!.socket.pause()
  for (let i = 0; i < 30; i++) clients[2]!.send(fetch, 12, fetchBody('orders'))
  await settle()
  const closed = broker.close()
  await settle()
  clock.advance(5_000)
  await closed
  for (const client of clients) {
    client.socket.resume()
    await client.closed
  }
})

test('nothing is left of a broker without a data directory', async () => {
  const { broker, connect, createTopic, clock } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  await produceTo(client, 'orders', 'x')
  expect(broker.durability).toBe('os')
  expect(existsSync(broker.dataDirectories[0]!)).toBe(true)
  await broker.close()
  await broker.close()
  await client.closed
  expect(existsSync(broker.dataDirectories[0]!)).toBe(false)
  expect(clock.pending).toBe(0)
})

test('a data directory stays, is let go, and is written durably', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ data })
  expect(first.broker.durability).toBe('fsync')
  await expect(startTestBroker({ data, disk: first.disk })).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  await first.createTopic('orders')
  await first.broker.close()
  expect(existsSync(data)).toBe(true)
  const second = await startTestBroker({ data, disk: first.disk, durability: 'os' })
  expect(second.broker.durability).toBe('os')
  expect(second.disk.log('__varve_metadata-0').durability).toBe('fsync')
  expect(second.disk.log('orders-0').durability).toBe('os')
})

test('a connection that comes while it closes is not left hanging', async () => {
  const { broker, connect } = await startTestBroker()
  const client = await connect()
  const closed = broker.close()
  const late = RawClient.connect(broker.port).then(
    (socket) => socket.closed,
    () => {},
  )
  await Promise.all([closed, client.closed, late])
  await until(() => client.socket.destroyed, 'the client is closed')
})
