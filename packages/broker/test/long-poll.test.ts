// A fetch that waits must wake for every reason there is: enough bytes, no time left, a log that fails, a broker that
// closes, a client that leaves. One that is missed is a consumer that hangs, or a waiter that stays for ever.
import { errors, fetch } from '@varve/protocol'
import { expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import {
  batchOf,
  fetchBody,
  fetchFrom,
  produceTo,
  settle,
  startTestBroker,
  until,
} from './support/test-broker.js'

async function withWaitingFetch(wants: Parameters<typeof fetchBody>[1] = {}) {
  const test = await startTestBroker()
  await test.createTopic('orders')
  const consumer = await test.connect()
  const producer = await test.connect()
  // What is set already is not the fetch's.
  const before = test.clock.pending
  const answer = fetchFrom(consumer, 'orders', { maxWaitMs: 500, ...wants })
  await until(() => test.clock.pending > before, 'the fetch waits')
  await settle()
  expect(consumer.hasUnread).toBe(false)
  return { ...test, consumer, producer, answer, before }
}

test('an append wakes it', async () => {
  const { producer, answer, clock, before } = await withWaitingFetch()
  await produceTo(producer, 'orders', 'a')
  expect(recordsIn((await answer).records)).toHaveLength(1)
  expect(clock.pending).toBe(before)
})

test('an append that is not durable yet does not', async () => {
  const { producer, answer, disk, consumer } = await withWaitingFetch()
  disk.log('orders-0').holdDurability()
  const produced = produceTo(producer, 'orders', 'a')
  await settle()
  expect(consumer.hasUnread).toBe(false)
  await disk.log('orders-0').flush()
  expect(recordsIn((await answer).records)).toHaveLength(1)
  await produced
})

test('it ends, empty, with its time', async () => {
  const { answer, clock, consumer } = await withWaitingFetch()
  clock.advance(499)
  await settle()
  expect(consumer.hasUnread).toBe(false)
  clock.advance(1)
  expect(await answer).toMatchObject({ errorCode: 0, highWatermark: 0, records: Buffer.alloc(0) })
})

test('it waits for min bytes, and takes what there is when its time is over', async () => {
  const size = batchOf('a').length
  const { producer, answer, consumer, clock } = await withWaitingFetch({ minBytes: 3 * size })
  await produceTo(producer, 'orders', 'a')
  await produceTo(producer, 'orders', 'b')
  await settle()
  expect(consumer.hasUnread).toBe(false)
  await produceTo(producer, 'orders', 'c')
  expect(recordsIn((await answer).records)).toHaveLength(3)
  const late = fetchFrom(consumer, 'orders', { offset: 2, maxWaitMs: 500, minBytes: 1000 })
  await settle()
  clock.advance(500)
  expect(recordsIn((await late).records)).toHaveLength(1)
})

test('an append that comes while it reads is not missed', async () => {
  const { answer, disk } = await withWaitingFetch({ minBytes: 2 * batchOf('a').length })
  const log = disk.log('orders-0')
  log.holdDurability()
  log.cold = true
  for (const value of ['a', 'b']) {
    void log.append([{ value, timestamp: 1000 }])
    await log.flush()
    // As far as the read of a cold file, which needs another turn of the event loop.
    for (let i = 0; i < 20; i++) await Promise.resolve()
  }
  expect(recordsIn((await answer).records)).toHaveLength(2)
})

test('min bytes above max bytes do not make it wait for ever', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  await produceTo(client, 'orders', 'a')
  const { records } = await fetchFrom(client, 'orders', { maxWaitMs: 500, minBytes: 1 << 30, maxBytes: 10 })
  expect(recordsIn(records)).toHaveLength(1)
})

test('it does not wait without partitions, without patience, or with an error in hand', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const waiting = fetchBody('orders', { maxWaitMs: 500 })
  expect((await client.request(fetch, 12, { ...waiting, topics: [] })).responses).toEqual([])
  expect((await fetchFrom(client, 'orders', { maxWaitMs: 0 })).errorCode).toBe(0)
  expect((await fetchFrom(client, 'orders', { maxWaitMs: 500, minBytes: 0 })).errorCode).toBe(0)
  const unknown = errors.UNKNOWN_TOPIC_OR_PARTITION.code
  expect((await fetchFrom(client, 'nowhere', { maxWaitMs: 500 })).errorCode).toBe(unknown)
})

test('a log that fails wakes it with an error', async () => {
  const { answer, disk } = await withWaitingFetch()
  disk.log('orders-0').fail()
  expect((await answer).errorCode).toBe(errors.KAFKA_STORAGE_ERROR.code)
})

test('a broker that closes answers it', async () => {
  const { answer, broker } = await withWaitingFetch()
  const closed = broker.close()
  expect((await answer).errorCode).toBe(0)
  await closed
})

test('a client that leaves takes its waiter with it', async () => {
  const { answer, consumer, clock, before, disk } = await withWaitingFetch()
  await consumer.close()
  await expect(answer).rejects.toThrow('the connection was closed')
  await until(() => clock.pending === before, 'the timer is cleared')
  expect(disk.log('orders-0').openSlices).toBe(0)
})

test('what it waits for is looked at once per append, however much it has seen already', async () => {
  const { connect, createTopic, disk } = await startTestBroker()
  await createTopic('orders')
  const [consumer, producer] = [await connect(), await connect()]
  const log = disk.log('orders-0')
  for (let i = 0; i < 20; i++) await produceTo(producer, 'orders', 'x'.repeat(600_000))
  const unlimited = { maxBytes: 2 ** 31 - 1, partitionMaxBytes: 2 ** 31 - 1 }
  const answer = fetchFrom(consumer, 'orders', { maxWaitMs: 500, minBytes: 18_000_000, ...unlimited })
  await until(() => log.slicesMade > 0, 'the fetch reads')
  await settle()
  const before = log.slicesMade
  for (let i = 1; i <= 10; i++) {
    await produceTo(producer, 'orders', 'x')
    await settle()
    expect(log.slicesMade - before).toBe(i)
  }
  for (let i = 0; i < 10; i++) await produceTo(producer, 'orders', 'x'.repeat(600_000))
  expect(recordsIn((await answer).records)).toHaveLength(40)
  expect(log.openSlices).toBe(0)
})

test('appends that become durable in one turn of the event loop wake it once', async () => {
  const { disk, consumer, clock, answer } = await withWaitingFetch({ minBytes: 1 << 20 })
  const log = disk.log('orders-0')
  log.holdDurability()
  for (let i = 0; i < 50; i++) {
    void log.append([{ value: 'x', timestamp: 1000 }])
    void log.flush()
  }
  await settle()
  expect(log.slicesMade).toBe(1)
  expect(consumer.hasUnread).toBe(false)
  clock.advance(500)
  expect(recordsIn((await answer).records)).toHaveLength(50)
})

test('a partition limit that is reached is not looked beyond', async () => {
  const { producer, disk, clock, answer } = await withWaitingFetch({ minBytes: 1000, partitionMaxBytes: 100 })
  for (let i = 0; i < 10; i++) await produceTo(producer, 'orders', 'x')
  await settle()
  expect(disk.log('orders-0').slicesMade).toBe(2)
  clock.advance(500)
  expect(recordsIn((await answer).records)).toHaveLength(1)
})
