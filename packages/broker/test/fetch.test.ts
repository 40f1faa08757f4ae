// A consumer that is given half a batch hangs; one that is given a batch beyond the high watermark reads what may be
// gone tomorrow; one whose limit is smaller than the next batch stands still unless it gets that batch all the same.
import { errors, fetch } from '@varve/protocol'
import { expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import { batchOf, fetchBody, fetchFrom, produceTo, startTestBroker } from './support/test-broker.js'

const versions = Array.from({ length: 15 }, (_, i) => i + 4)

const values = (records: Buffer | null): string[] => recordsIn(records).map(({ value }) => String(value))

/** A topic `orders` with the batches [a b] [c] [d e]. */
async function withOrders() {
  const test = await startTestBroker()
  const topicId = await test.createTopic('orders')
  const client = await test.connect()
  await produceTo(client, 'orders', 'a', 'b')
  await produceTo(client, 'orders', 'c')
  await produceTo(client, 'orders', 'd', 'e')
  return { ...test, client, topicId, size: batchOf('a', 'b').length }
}

test.each(versions)('version %i returns whole batches and where the partition ends', async (version) => {
  const { client, topicId } = await withOrders()
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }]
  const response = await client.request(fetch, version, {
    maxWaitMs: 0,
    minBytes: 1,
    ...(version < 15 && { replicaId: -1 }),
    topics: [{ ...(version < 13 ? { topic: 'orders' } : { topicId }), partitions }],
    forgottenTopicsData: [],
  })
  if (version >= 7) expect([response.errorCode, response.sessionId]).toEqual([0, 0])
  expect(response.responses[0]).toMatchObject(version < 13 ? { topic: 'orders' } : { topicId })
  const partition = response.responses[0]!.partitions[0]!
  expect(partition).toMatchObject({
    errorCode: 0,
    highWatermark: 5,
    lastStableOffset: 5,
    abortedTransactions: null,
  })
  if (version >= 5) expect(partition.logStartOffset).toBe(0)
  expect(values(partition.records)).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('an offset inside a batch returns the whole batch', async () => {
  const { client } = await withOrders()
  expect(values((await fetchFrom(client, 'orders', { offset: 1 })).records)).toEqual([
    'a',
    'b',
    'c',
    'd',
    'e',
  ])
  expect(values((await fetchFrom(client, 'orders', { offset: 4 })).records)).toEqual(['d', 'e'])
})

test('read_committed sees up to the high watermark, and no aborted transactions', async () => {
  const { client } = await withOrders()
  const { records, abortedTransactions } = await fetchFrom(client, 'orders', { isolationLevel: 1 })
  expect(values(records)).toHaveLength(5)
  expect(abortedTransactions).toEqual([])
})

test('limits are kept in whole batches, but the first one comes whatever its size', async () => {
  const { client, size } = await withOrders()
  const got = async (limits: { maxBytes?: number; partitionMaxBytes?: number }): Promise<string[]> =>
    values((await fetchFrom(client, 'orders', limits)).records)
  expect(await got({ partitionMaxBytes: 1 })).toEqual(['a', 'b'])
  expect(await got({ maxBytes: 1 })).toEqual(['a', 'b'])
  expect(await got({ maxBytes: 0, partitionMaxBytes: -1 })).toEqual(['a', 'b'])
  expect(await got({ partitionMaxBytes: 2 * size - 1 })).toEqual(['a', 'b', 'c'])
  expect(await got({ partitionMaxBytes: 3 * size })).toHaveLength(5)
})

test('partitions are filled in the order of the request until the bytes are used up', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('a', 1)
  await createTopic('b', 1)
  const client = await connect()
  await produceTo(client, 'a', 'a'.repeat(1000))
  await produceTo(client, 'b', 'b'.repeat(1000))
  const of = (topic: string) => fetchBody(topic).topics[0]!
  const fetchBoth = async (first: string, second: string, maxBytes: number): Promise<number[]> => {
    const topics = [of(first), of(second)]
    const { responses } = await client.request(fetch, 11, { ...fetchBody('a', { maxBytes }), topics })
    return responses.map(({ partitions }) => recordsIn(partitions[0]!.records).length)
  }
  expect(await fetchBoth('a', 'b', 1)).toEqual([1, 0])
  expect(await fetchBoth('b', 'a', 1)).toEqual([1, 0])
  expect(await fetchBoth('a', 'b', 1500)).toEqual([1, 0])
  expect(await fetchBoth('a', 'b', 5000)).toEqual([1, 1])
})

test('records larger than what is read at once arrive whole', async () => {
  const { connect, createTopic } = await startTestBroker({ maxBatchBytes: 8 << 20 })
  await createTopic('orders')
  const client = await connect()
  const sizes = [3_000_000, 10, 900_000, 900_000, 2_000_000]
  for (const size of sizes) await produceTo(client, 'orders', 'x'.repeat(size))
  const { records } = await fetchFrom(client, 'orders', { partitionMaxBytes: 50 << 20, maxBytes: 50 << 20 })
  expect(recordsIn(records).map(({ value }) => value!.length)).toEqual(sizes)
  const some = await fetchFrom(client, 'orders', { offset: 1, partitionMaxBytes: 2_000_000 })
  expect(recordsIn(some.records).map(({ value }) => value!.length)).toEqual([10, 900_000, 900_000])
})

test('records in a cold file arrive too', async () => {
  const { client, disk } = await withOrders()
  disk.log('orders-0').cold = true
  expect(values((await fetchFrom(client, 'orders')).records)).toHaveLength(5)
})

test('offsets outside the log are refused, those at its end are not', async () => {
  const { client } = await withOrders()
  const at = async (offset: number): Promise<number> =>
    (await fetchFrom(client, 'orders', { offset })).errorCode
  expect(await at(5)).toBe(0)
  expect(await at(6)).toBe(errors.OFFSET_OUT_OF_RANGE.code)
  expect(await at(-1)).toBe(errors.OFFSET_OUT_OF_RANGE.code)
  const farthest = fetchBody('orders')
  const topics = [
    { topic: 'orders', partitions: [{ partition: 0, fetchOffset: 2n ** 63n - 1n, partitionMaxBytes: 1 }] },
  ]
  const { responses } = await client.request(fetch, 11, { ...farthest, topics })
  expect(responses[0]!.partitions[0]).toMatchObject({
    errorCode: errors.OFFSET_OUT_OF_RANGE.code,
    highWatermark: -1,
    records: Buffer.alloc(0),
  })
})

test('what is written but not yet durable is neither returned nor out of range', async () => {
  const { client, disk, connect } = await withOrders()
  disk.log('orders-0').holdDurability()
  void produceTo(await connect(), 'orders', 'f').catch(() => {})
  while (disk.log('orders-0').endOffset < 6) await new Promise((resolve) => setImmediate(resolve))
  const { records, highWatermark } = await fetchFrom(client, 'orders', { offset: 4 })
  expect([values(records), highWatermark]).toEqual([['d', 'e'], 5])
  expect((await fetchFrom(client, 'orders', { offset: 6 })).errorCode).toBe(0)
  expect((await fetchFrom(client, 'orders', { offset: 7 })).errorCode).toBe(errors.OFFSET_OUT_OF_RANGE.code)
  await disk.log('orders-0').flush()
})

test('unknown topics, partitions and topic ids are refused beside good ones', async () => {
  const { client, topicId } = await withOrders()
  const asked = (partition: number) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1 << 20 })
  const byName = await client.request(fetch, 12, {
    ...fetchBody('orders'),
    topics: [
      { topic: 'nowhere', partitions: [asked(0)] },
      { topic: 'orders', partitions: [asked(0), asked(1)] },
    ],
  })
  const codes = (topics: typeof byName.responses): number[][] =>
    topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))
  const unknown = errors.UNKNOWN_TOPIC_OR_PARTITION.code
  expect(codes(byName.responses)).toEqual([[unknown], [0, unknown]])
  const byId = await client.request(fetch, 13, {
    ...fetchBody('orders'),
    topics: [
      { topicId: 'bCB5U4x5S3m3Hn_4t1uZyw', partitions: [asked(0)] },
      { topicId, partitions: [asked(0), asked(9)] },
    ],
  })
  expect(codes(byId.responses)).toEqual([[errors.UNKNOWN_TOPIC_ID.code], [0, unknown]])
})

test('another leader epoch than the partition has is fenced or unknown', async () => {
  const { client } = await withOrders()
  const at = async (currentLeaderEpoch: number): Promise<number> =>
    (await fetchFrom(client, 'orders', { currentLeaderEpoch })).errorCode
  expect([await at(-1), await at(0), await at(1)]).toEqual([0, 0, errors.UNKNOWN_LEADER_EPOCH.code])
})

test('a last fetched epoch that the log has not seen leads nowhere', async () => {
  const { client } = await withOrders()
  const at = (lastFetchedEpoch: number, offset = 0) =>
    fetchFrom(client, 'orders', { lastFetchedEpoch, offset })
  expect((await at(0)).errorCode).toBe(0)
  expect((await at(3)).errorCode).toBe(errors.OFFSET_OUT_OF_RANGE.code)
  expect(await at(0, 7)).toMatchObject({ errorCode: 0, divergingEpoch: { epoch: 0, endOffset: 5 } })
})

test('nobody is a replica of this broker, and from version 16 on it says who leads', async () => {
  const { client, topicId, broker } = await withOrders()
  const { responses } = await client.request(fetch, 12, { ...fetchBody('orders'), replicaId: 2 })
  expect(responses[0]!.partitions[0]!.errorCode).toBe(errors.NOT_LEADER_OR_FOLLOWER.code)
  const [asked] = fetchBody('orders').topics!
  const later = await client.request(fetch, 16, {
    ...fetchBody('orders'),
    topics: [{ topicId, partitions: asked!.partitions }],
    replicaState: { replicaId: 2, replicaEpoch: 1 },
  })
  expect(later.responses[0]!.partitions[0]).toMatchObject({
    errorCode: errors.NOT_LEADER_OR_FOLLOWER.code,
    currentLeader: { leaderId: 0, leaderEpoch: 0 },
  })
  expect(later.nodeEndpoints).toEqual([{ nodeId: 0, host: '127.0.0.1', port: broker.port, rack: null }])
})

test('every slice is given back', async () => {
  const { client, disk } = await withOrders()
  await fetchFrom(client, 'orders')
  await fetchFrom(client, 'orders', { maxBytes: 1 })
  expect(disk.log('orders-0').openSlices).toBe(0)
})

test('a partition named more than once is answered once, where it came first and for what was asked last', async () => {
  const { client, createTopic, disk } = await withOrders()
  await createTopic('other')
  const asked = (topic: string, ...offsets: number[]) => ({
    topic,
    partitions: offsets.map((fetchOffset) => ({ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 })),
  })
  const { responses } = await client.request(fetch, 11, {
    ...fetchBody('orders'),
    topics: [asked('orders', 0, 1, 2), asked('other', 0), asked('orders', 3)],
  })
  expect(responses.map(({ topic, partitions }) => [topic, partitions.length])).toEqual([
    ['orders', 1],
    ['other', 1],
  ])
  expect(values(responses[0]!.partitions[0]!.records)).toEqual(['d', 'e'])
  expect(disk.log('orders-0').slicesMade).toBe(1)
})
