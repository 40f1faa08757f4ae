// What a producer sends must come back to a consumer byte for byte, whatever the codec, and from any offset.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { Admin, Consumer, KafkaError, Producer } from '../../src/index.js'
import { isPending } from '../scripted-cluster.js'
import { created, eventually, useRealBroker } from './real-broker.js'

const broker = useRealBroker()
let brokers: string[]
let admin: Admin
beforeAll(() => {
  brokers = broker.brokers
  admin = new Admin({ brokers })
})
afterAll(() => admin.close())

async function read(topic: string, partition: number, from: number, count: number): Promise<string[]> {
  const consumer = new Consumer({ brokers })
  try {
    consumer.assign([{ topic, partition, offset: from }])
    const values: string[] = []
    for await (const { offset, value } of consumer) {
      expect(offset).toBe(from + values.length)
      values.push(String(value))
      if (values.length === count) break
    }
    return values
  } finally {
    await consumer.close()
  }
}

test.each([
  ['none', -1, 0],
  ['none', 1, 3],
  ['gzip', -1, 3],
  ['snappy', -1, 0],
  ['lz4', -1, 0],
  ['zstd', -1, 0],
] as const)('ten thousand records, %s, acks %i, retries %i', async (compression, acks, retries) => {
  const topic = `trip-${compression}-${acks}-${retries}`
  await created(admin, { name: topic, partitions: 1 })
  const producer = new Producer({ brokers, compression, acks, retries, batchBytes: 20_000 })
  const values = Array.from({ length: 10_000 }, (_, index) => `value ${index} of many, ümläüts included`)
  const deliveries = await Promise.all(values.map((value) => producer.send(topic, { value })))
  await producer.close()
  expect(deliveries.map(({ offset }) => offset)).toEqual(values.map((_, index) => index))
  expect(await read(topic, 0, 0, values.length)).toEqual(values)
  expect(await read(topic, 0, 9_990, 10)).toEqual(values.slice(9_990))
})

test('keys, nulls, headers and timestamps come back, and a topic is created by sending to it', async () => {
  const producer = new Producer({ brokers })
  await producer.send('by-sending', {
    key: 'k',
    value: null,
    headers: [
      ['a', 'x'],
      ['a', null],
    ],
    timestamp: 1234,
  })
  await producer.close()
  const consumer = new Consumer({ brokers })
  consumer.assign([{ topic: 'by-sending', partition: 0, offset: 'earliest' }])
  const { value: record } = await consumer.records().next()
  expect(record).toMatchObject({ topic: 'by-sending', partition: 0, offset: 0, timestamp: 1234, value: null })
  expect(String(record!.key)).toBe('k')
  expect(record!.headers).toEqual([
    ['a', Buffer.from('x')],
    ['a', null],
  ])
  await consumer.close()
})

test('a consumer that waits is told of what comes', async () => {
  await created(admin, { name: 'followed', partitions: 1 })
  const consumer = new Consumer({ brokers, maxWaitMs: 30_000 })
  consumer.assign([{ topic: 'followed', partition: 0, offset: 'latest' }])
  const first = consumer.records().next()
  const producer = new Producer({ brokers, lingerMs: 0 })
  // What was sent before 'latest' was looked up is rightly not read, so that one record is not enough.
  while (await isPending(first)) await producer.send('followed', { value: 'news' })
  expect(String((await first).value!.value)).toBe('news')
  await producer.close()
  await consumer.close()
})

test('administration says what is there', async () => {
  const [created] = await admin.createTopics([{ name: 'described', partitions: 3 }])
  expect(created).toMatchObject({ name: 'described', partitions: 3, replicationFactor: 1 })
  await eventually(async () =>
    expect((await admin.listTopics()).map(({ name }) => name)).toContain('described'),
  )
  const [described] = await admin.describeTopics(['described'])
  expect(described).toMatchObject({
    topicId: created!.topicId,
    partitions: [{ partition: 0 }, { partition: 1 }, { partition: 2 }],
  })
  const producer = new Producer({ brokers })
  for (const timestamp of [100, 300, 200])
    await producer.send('described', { partition: 1, value: 'v', timestamp })
  await producer.close()
  const where = { topic: 'described', partition: 1 }
  const found = await admin.listOffsets([
    { ...where, timestamp: 'earliest' },
    { ...where, timestamp: 'latest' },
    { ...where, timestamp: 150 },
    { ...where, timestamp: 'maxTimestamp' },
  ])
  expect(found.map(({ offset }) => offset)).toEqual([0, 3, 1, 1])
  await expect(admin.createTopics([{ name: 'described' }])).rejects.toBeInstanceOf(KafkaError)
  await expect(admin.createTopics([{ name: 'described' }])).rejects.toMatchObject({
    kafkaName: 'TOPIC_ALREADY_EXISTS',
  })
})

test('an offset that is not there is an error of the iteration', async () => {
  await created(admin, { name: 'short', partitions: 1 })
  const consumer = new Consumer({ brokers })
  consumer.assign([{ topic: 'short', partition: 0, offset: 7 }])
  await expect(consumer.records().next()).rejects.toMatchObject({ kafkaName: 'OFFSET_OUT_OF_RANGE' })
  await consumer.close()
})
