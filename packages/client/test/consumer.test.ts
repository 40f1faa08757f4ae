// A consumer must hand out every record once, in order, from exactly the offset it was asked for; a fetch, however,
// gives whole batches from before that offset, half batches at the end, control batches, and answers to questions that
// a seek has made pointless. Each test mixes one of these in.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { errors } from '@varve/protocol'
import { batchesIn, compress, encodeBatch, sealBatch } from '@varve/records'
import { Admin } from '../src/admin.js'
import { HastyClock } from './hasty-clock.js'
import { ManualClock } from './manual-clock.js'
import {
  expected,
  startCluster,
  startConsumer,
  t0,
  take,
  threeBatches,
  TOPIC_ID,
  values,
} from './scripted-consumer.js'
import { isPending } from './scripted-cluster.js'

test('records come with everything that was written', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0] }
  cluster.log('t').add({ key: 'k', value: null, headers: { h: 'x', none: null }, timestamp: 17 })
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  const { value: record } = await consumer.records().next()
  expect(record).toMatchObject({
    topic: 't',
    partition: 0,
    offset: 0,
    timestamp: 17,
    timestampBigInt: 17n,
    value: null,
  })
  expect(record!.key!.toString()).toBe('k')
  expect(record!.headers).toEqual([
    ['h', Buffer.from('x')],
    ['none', null],
  ])
  expect(JSON.parse(JSON.stringify(record))).toMatchObject({
    topic: 't',
    partition: 0,
    offset: 0,
    timestamp: 17,
  })
  expect(cluster.brokers[0]!.requests.findLast(({ name }) => name === 'Fetch')).toMatchObject({
    version: 18,
    body: { sessionId: 0, sessionEpoch: -1, topics: [{ topicId: TOPIC_ID }] },
  })
})

test.each([4, 12, 18])('Fetch version %i', async (version) => {
  const cluster = await threeBatches(1, { versions: { Fetch: [0, version] } })
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 2 }])
  expect(await take(consumer, 10)).toEqual(expected(2, 12))
  expect((await cluster.brokers[0]!.received('Fetch')).version).toBe(version)
})

test('a cluster without topic ids is read by name', async () => {
  const cluster = await threeBatches()
  delete cluster.topics['t']!.topicId
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 12)).toEqual(expected(0, 12))
  expect((await cluster.brokers[0]!.received('Fetch')).version).toBe(12)
})

test.each([0, 1, 3, 4, 7, 11])('reading begins at offset %i, wherever its batch begins', async (offset) => {
  const consumer = startConsumer(await threeBatches())
  consumer.assign([{ ...t0, offset }])
  expect(await take(consumer, 12 - offset)).toEqual(expected(offset, 12))
  expect(consumer.position(t0)).toBe(12)
  expect(consumer.highWatermark(t0)).toBe(12)
})

test('earliest and latest are looked up', async () => {
  const cluster = await threeBatches()
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 'earliest' }])
  expect(consumer.position(t0)).toBe(null)
  expect(await take(consumer, 1)).toEqual(expected(0, 1))
  consumer.seek(t0, 'latest')
  const next = consumer.records().next()
  await cluster.brokers[0]!.received('ListOffsets', 1)
  expect(await isPending(next)).toBe(true)
  cluster.log('t').add(...values(12, 1))
  cluster.notify()
  expect((await next).value).toMatchObject({ offset: 12 })
})

test('a partition that has nothing yet is followed', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  const taken = take(consumer, 2)
  await cluster.brokers[0]!.received('Fetch')
  cluster.log('t').add(...values(0, 2))
  cluster.notify()
  expect(await taken).toEqual(expected(0, 2))
})

test('an iteration that stopped within a batch goes on there', async () => {
  const consumer = startConsumer(await threeBatches())
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 2)).toEqual(expected(0, 2))
  expect(consumer.position(t0)).toBe(2)
  expect(await take(consumer, 5)).toEqual(expected(2, 7))
  for await (const batch of consumer.batches()) {
    expect(batch.batch.baseOffset).toBe(4)
    expect(Array.from(batch.records(), ({ offset }) => offset)).toEqual([7])
    break
  }
})

test('batches are handed out whole, and the position follows', async () => {
  const consumer = startConsumer(await threeBatches())
  consumer.assign([{ ...t0, offset: 5 }])
  const seen: unknown[] = []
  for await (const { topic, partition, batch, records, highWatermark } of consumer.batches()) {
    seen.push([
      topic,
      partition,
      batch.baseOffset,
      Array.from(records(), ({ offset }) => offset),
      highWatermark,
    ])
    if (batch.nextOffset === 12) break
  }
  expect(seen).toEqual([
    ['t', 0, 4, [5, 6, 7], 12],
    ['t', 0, 8, [8, 9, 10, 11], 12],
  ])
})

test('seek drops what was fetched, also in the middle of a batch', async () => {
  const consumer = startConsumer(await threeBatches())
  consumer.assign([{ ...t0, offset: 0 }])
  const seen: number[] = []
  for await (const { offset } of consumer) {
    seen.push(offset)
    if (seen.length === 2) consumer.seek(t0, 9)
    if (offset === 9 && seen.length === 3) consumer.seek(t0, 3)
    if (seen.length === 5) break
  }
  expect(seen).toEqual([0, 1, 9, 3, 4])
})

test('assign replaces what was read before', async () => {
  const cluster = await threeBatches()
  cluster.topics['u'] = { leaders: [0] }
  cluster.log('u').add(...values(0, 2))
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  await take(consumer, 1)
  consumer.assign([{ topic: 'u', partition: 0, offset: 1 }])
  const { value: record } = await consumer.records().next()
  expect(record).toMatchObject({ topic: 'u', offset: 1 })
  expect(() => consumer.seek(t0, 0)).toThrow(expect.objectContaining({ code: 'VARVE_NOT_ASSIGNED' }))
})

test('partitions of several brokers are read side by side, each in order', async () => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0, 1, 0] }
  for (const partition of [0, 1, 2])
    cluster
      .log('t', partition)
      .add(...values(0, 5))
      .add(...values(5, 5))
  const consumer = startConsumer(cluster)
  consumer.assign([0, 1, 2].map((partition) => ({ topic: 't', partition, offset: 0 })))
  const seen = new Map<number, number[]>()
  let count = 0
  for await (const { partition, offset } of consumer) {
    seen.set(partition, [...(seen.get(partition) ?? []), offset])
    if (++count === 30) break
  }
  for (const partition of [0, 1, 2]) expect(seen.get(partition)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('the read-ahead is one response per leader', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  for (let batch = 0; batch < 10; batch++) cluster.log('t').add(...values(batch, 1))
  const consumer = startConsumer(cluster, { maxPartitionBytes: 1 })
  consumer.assign([{ ...t0, offset: 0 }])
  const records = consumer.records()
  await records.next()
  const fetch = await cluster.brokers[0]!.received('Fetch', 1)
  expect(fetch.body.topics[0].partitions[0].fetchOffset).toBe(1)
  // In each of these round trips another fetch could be sent and arrive.
  const admin = new Admin({ brokers: cluster.addresses })
  for (let trip = 0; trip < 10; trip++) await admin.listTopics()
  await admin.close()
  expect(cluster.brokers[0]!.count('Fetch')).toBe(2)
  for (let offset = 1; offset < 10; offset++) expect((await records.next()).value).toMatchObject({ offset })
})

test('the leader moves while it is being read', async () => {
  const cluster = await startCluster(2)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0] }
  cluster.log('t').add(...values(0, 2))
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  const taken = take(consumer, 4)
  await cluster.brokers[0]!.received('Fetch', 1)
  cluster.topics['t'].leaders = [1]
  cluster.notify()
  await cluster.brokers[1]!.received('Fetch')
  cluster.log('t').add(...values(2, 2))
  cluster.notify()
  expect(await taken).toEqual(expected(0, 4))
})

test('a broker that restarts is read on, without gap or repetition', async () => {
  const cluster = await threeBatches()
  const consumer = startConsumer(cluster, { maxPartitionBytes: 1 })
  consumer.assign([{ ...t0, offset: 0 }])
  const records = consumer.records()
  expect((await records.next()).value).toMatchObject({ offset: 0 })
  await cluster.brokers[0]!.stop()
  await cluster.brokers[0]!.listen()
  for (let offset = 1; offset < 12; offset++) expect((await records.next()).value).toMatchObject({ offset })
})

test('a timer that comes a moment too early does not end the retries', async () => {
  const cluster = await threeBatches()
  let refused = 0
  cluster.brokers[0]!.on('Fetch', (request) => {
    const response = cluster.fetchResponse(request, 0)
    const [partition] = response.responses[0].partitions
    if (refused++ < 3)
      Object.assign(partition, { errorCode: errors.OFFSET_NOT_AVAILABLE.code, records: Buffer.alloc(0) })
    return response
  })
  const consumer = startConsumer(cluster, { clock: new HastyClock(), retryBackoffMs: 10 })
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 1)).toEqual(expected(0, 1))
})

test('an offset that is not there ends the iteration, unless a reset is asked for', async () => {
  const cluster = await threeBatches()
  const strict = startConsumer(cluster)
  strict.assign([{ ...t0, offset: 99 }])
  await expect(take(strict, 1)).rejects.toMatchObject({
    kafkaName: 'OFFSET_OUT_OF_RANGE',
    message: expect.stringContaining('t-0 at offset 99'),
  })
  strict.seek(t0, 11)
  expect(await take(strict, 1)).toEqual(expected(11, 12))
  const lenient = startConsumer(cluster, { offsetReset: 'earliest' })
  lenient.assign([{ ...t0, offset: 99 }])
  expect(await take(lenient, 1)).toEqual(expected(0, 1))
})

test('a codec that cannot be read is named with topic, partition and offset, after all that came before', async () => {
  const cluster = await threeBatches()
  const unknown = encodeBatch(values(12, 1))
  unknown.writeInt16BE(5, 21)
  cluster.log('t').append(unknown)
  const consumer = startConsumer(cluster, { checkCrcs: false })
  consumer.assign([{ ...t0, offset: 10 }])
  const seen: number[] = []
  const reading = (async () => {
    for await (const { offset } of consumer) seen.push(offset)
  })()
  await expect(reading).rejects.toMatchObject({
    code: 'VARVE_UNSUPPORTED_CODEC',
    message: expect.stringMatching(/t-0 at offset 12.*codec 5/),
  })
  expect(seen).toEqual([10, 11])
  expect(consumer.position(t0)).toBe(12)
})

test('a damaged batch is named, and can be left out with seek', async () => {
  const cluster = await threeBatches()
  cluster.log('t').batches[1]![70]! ^= 0xff
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 3 }])
  expect(await take(consumer, 1)).toEqual(expected(3, 4))
  for (const _ of [1, 2]) {
    await expect(take(consumer, 1)).rejects.toMatchObject({
      code: 'VARVE_BATCH_CORRUPT',
      message: expect.stringContaining('offset 4 of t-0'),
    })
  }
  consumer.seek(t0, 8)
  expect(await take(consumer, 4)).toEqual(expected(8, 12))
})

describe('a batch that expands enormously', () => {
  const MiB = 1024 * 1024

  /** One record of so many MiB of zeros. Frames one behind the other are one stream, so that nobody ever holds them. */
  function bomb(mib: number): Buffer {
    const [plain] = [...batchesIn(encodeBatch([{ value: '' }]))]
    const zeros = compress('zstd', Buffer.alloc(MiB))
    const section = Buffer.concat(Array.from({ length: mib }, () => zeros))
    const batch = Buffer.concat([plain!.buffer.subarray(0, 61), section])
    batch.writeInt32BE(batch.length - 12, 8)
    batch.writeInt16BE(4, 21)
    sealBatch(batch, 0, batch.length)
    return batch
  }

  test.each([
    ['by default', 1024, {}],
    ['where less is allowed', 3, { maxDecompressedBytes: 2 * MiB }],
  ])('is named before its memory is spent, %s', async (_when, mib, options) => {
    const cluster = await startCluster()
    cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0] }
    cluster.log('t').add(...values(0, 1))
    cluster.log('t').append(bomb(mib))
    cluster.log('t').add(...values(2, 1))
    const consumer = startConsumer(cluster, options)
    consumer.assign([{ ...t0, offset: 0 }])
    expect(await take(consumer, 1)).toEqual(expected(0, 1))
    const before = process.memoryUsage.rss()
    await expect(take(consumer, 1)).rejects.toMatchObject({
      code: 'VARVE_DECOMPRESSION_LIMIT',
      message: expect.stringContaining('t-0 at offset 1'),
    })
    expect(process.memoryUsage.rss() - before).toBeLessThan(600 * MiB)
    consumer.seek(t0, 2)
    expect(await take(consumer, 1)).toEqual(expected(2, 3))
  })

  test.each([0, NaN, 1.5, Infinity])('maxDecompressedBytes is not %d', async (maxDecompressedBytes) => {
    const cluster = await startCluster()
    expect(() => startConsumer(cluster, { maxDecompressedBytes })).toThrow(
      expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }),
    )
  })
})

test('bytes that are no batch end the iteration after the sound ones', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  cluster.log('t').add(...values(0, 1))
  const old = encodeBatch(values(1, 1), { baseOffset: 1 })
  old.writeInt8(1, 16)
  cluster.brokers[0]!.on('Fetch', (request) => {
    const response = cluster.fetchResponse(request, 0)
    const [partition] = response.responses[0].partitions
    partition.records = Buffer.concat([partition.records, old])
    return response
  })
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  expect(await take(consumer, 1)).toEqual(expected(0, 1))
  await expect(take(consumer, 1)).rejects.toMatchObject({
    code: 'VARVE_BATCH_MAGIC',
    message: expect.stringContaining('t-0 at offset 1'),
  })
})

// The segment is one that a real Kafka wrote: two transactional producers with commits and aborts beside a plain one.
const segment = readFileSync(
  new URL('../../records/test/fixtures/txn/00000000000000000000.log', import.meta.url),
)
const abortedTransactions = [
  { producerId: 1, firstOffset: 3 },
  { producerId: 1, firstOffset: 5 },
]

test.each([
  ['read_uncommitted', [0, 1, 3, 5, 6, 7, 8, 11, 12, 14]],
  ['read_committed', [0, 1, 6, 7, 11, 12, 14]],
] as const)('transactions, %s', async (isolation, offsets) => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[0]!.on('Fetch', (request) => {
    const response = cluster.fetchResponse(request, 0)
    const [partition] = response.responses[0].partitions
    const from = request.body.topics[0].partitions[0].fetchOffset
    const found = [...batchesIn(segment)]
      .filter((batch) => batch.nextOffset > from)
      .map(({ buffer }) => buffer)
    if (found.length === 0) return undefined
    Object.assign(partition, {
      errorCode: 0,
      records: Buffer.concat(found),
      highWatermark: 16,
      lastStableOffset: 16,
    })
    if (request.body.isolationLevel === 1) partition.abortedTransactions = abortedTransactions
    return response
  })
  const consumer = startConsumer(cluster, { isolation })
  consumer.assign([{ ...t0, offset: 0 }])
  const taken = await take(consumer, offsets.length)
  expect(taken.map((text) => Number(text.split(':')[0]))).toEqual(offsets)
  const next = consumer.records().next()
  await cluster.brokers[0]!.received('Fetch', 1)
  expect(await isPending(next)).toBe(true)
  expect(consumer.position(t0)).toBe(16)
})

test('a batch that does not come whole is not asked for over and over', async () => {
  const cluster = await threeBatches()
  cluster.brokers[0]!.on('Fetch', (request) => {
    const response = cluster.fetchResponse(request, 0)
    const [partition] = response.responses[0].partitions
    partition.records = partition.records.subarray(0, 40)
    return response
  })
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  await expect(take(consumer, 1)).rejects.toMatchObject({ code: 'VARVE_BATCH_TOO_LARGE' })
})

test('close ends a waiting iteration', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  const next = consumer.records().next()
  await cluster.brokers[0]!.received('Fetch')
  await consumer.close()
  expect(await next).toEqual({ done: true, value: undefined })
  expect(() => consumer.assign([])).toThrow(expect.objectContaining({ code: 'VARVE_CLIENT_CLOSED' }))
})

test('close ends an iteration in the middle of a batch', async () => {
  const consumer = startConsumer(await threeBatches())
  consumer.assign([{ ...t0, offset: 0 }])
  const seen: number[] = []
  for await (const { offset } of consumer) {
    seen.push(offset)
    if (offset === 1) await consumer.close()
  }
  expect(seen).toEqual([0, 1])
})

test('a signal ends an iteration and not the consumer', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  const controller = new AbortController()
  const next = consumer.records({ signal: controller.signal }).next()
  await cluster.brokers[0]!.received('Fetch')
  controller.abort(new Error('enough'))
  await expect(next).rejects.toThrow('enough')
  cluster.log('t').add(...values(0, 1))
  cluster.notify()
  expect(await take(consumer, 1)).toEqual(expected(0, 1))
})

test('two iterations at a time are refused', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  const consumer = startConsumer(cluster)
  consumer.assign([{ ...t0, offset: 0 }])
  const one = consumer.records().next()
  await expect(consumer.records().next()).rejects.toMatchObject({ code: 'VARVE_CONSUMER_BUSY' })
  await consumer.close()
  await one
})

test('what cannot be read at all says why', async () => {
  const cluster = await threeBatches()
  const consumer = startConsumer(cluster)
  await expect(take(consumer, 1)).rejects.toMatchObject({ code: 'VARVE_NOT_ASSIGNED' })
  consumer.assign([{ topic: 't', partition: 5, offset: 0 }])
  await expect(take(consumer, 1)).rejects.toMatchObject({ code: 'VARVE_UNKNOWN_PARTITION' })
  expect(() => consumer.assign([{ ...t0, offset: -1 }])).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }),
  )
  await cluster.stop()
  const alone = startConsumer(cluster)
  alone.assign([{ ...t0, offset: 0 }])
  await expect(take(alone, 1)).rejects.toMatchObject({ code: 'VARVE_NO_BROKER' })
})

test('a topic that stays unknown ends the iteration', async () => {
  const clock = new ManualClock()
  const cluster = await startCluster()
  const consumer = startConsumer(cluster, { clock, retryBackoffMs: 1000 })
  consumer.assign([{ topic: 'nowhere', partition: 0, offset: 0 }])
  const next = consumer.records().next()
  next.catch(() => undefined)
  while (await isPending(next)) await Promise.race([clock.advanceToNext(1000), next.catch(() => undefined)])
  await expect(next).rejects.toMatchObject({ kafkaName: 'UNKNOWN_TOPIC_OR_PARTITION' })
})

test('an error of one partition that may pass does not hold up the other', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0, 0] }
  cluster.log('t', 0).add(...values(0, 1))
  cluster.log('t', 1).add(...values(0, 1))
  let refused = 0
  cluster.brokers[0]!.on('Fetch', (request) => {
    const response = cluster.fetchResponse(request, 0)
    for (const partition of response.responses[0].partitions) {
      if (partition.partitionIndex === 0 && refused++ < 3) {
        Object.assign(partition, { errorCode: errors.OFFSET_NOT_AVAILABLE.code, records: Buffer.alloc(0) })
      }
    }
    return response
  })
  const consumer = startConsumer(cluster)
  consumer.assign([0, 1].map((partition) => ({ topic: 't', partition, offset: 0 })))
  const order: number[] = []
  for await (const { partition } of consumer) {
    order.push(partition)
    if (order.length === 2) break
  }
  expect(order).toEqual([1, 0])
  expect(refused).toBeGreaterThan(2)
})
