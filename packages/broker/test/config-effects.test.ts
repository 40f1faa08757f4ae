// What a producer meets: the topic's limits on sizes, times, keys and replicas, each in Kafka's words.
import { createTopics, errors, metadata, produce } from '@varve/protocol'
import { batchesIn, encodeBatch, type LogRecord, type RecordBatch } from '@varve/records'
import { expect, test } from 'vitest'
import { systemClock } from '../src/clock.js'
import { BrokerConfigs } from '../src/configs/broker-configs.js'
import { DataDirectories } from '../src/data-directories.js'
import { LocalMetadataStore } from '../src/metadata/local-metadata-store.js'
import { LocalTopics } from '../src/local-topics.js'
import { MemoryDisk } from './memory-log.js'
import { sampleText } from '../../../test/support/sample-text.js'
import { alter, BROKER, createWith, TOPIC } from './support/configs.js'
import type { RawClient } from './support/raw-client.js'
import {
  batchOf,
  fetchFrom,
  produceBody,
  produceTo,
  startTestBroker,
  temporaryDirectory,
} from './support/test-broker.js'

const hour = 3_600_000

async function produceBatch(client: RawClient, topic: string, batch: Buffer, acks = -1) {
  const { responses } = await client.request(produce, 9, produceBody(topic, batch, { acks }))
  return responses[0]!.partitionResponses[0]!
}

const at = (...timestamps: number[]): Buffer =>
  encodeBatch(
    timestamps.map((timestamp) => ({ value: 'v', timestamp })),
    { compression: 'none' },
  )

test('max.message.bytes is the topic’s, and can be changed', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  await createWith(client, 'small', { 'max.message.bytes': '100' })
  expect((await produceTo(client, 'small', 'x'.repeat(200))).errorCode).toBe(errors.MESSAGE_TOO_LARGE.code)
  await alter(client, TOPIC, 'small', [['set', 'max.message.bytes', '1000']])
  expect((await produceTo(client, 'small', 'x'.repeat(200))).errorCode).toBe(0)
})

/** Timestamps are for the engine to judge, by the machine's clock. */
const onDisk = async () => {
  return await startTestBroker({ engine: true, data: await temporaryDirectory(), clock: systemClock })
}

test('a record from more than an hour ahead is refused, and named', async () => {
  const { connect, createTopic } = await onDisk()
  await createTopic('orders')
  const client = await connect()
  const ahead = Date.now() + 2 * hour
  const { errorCode, errorMessage, recordErrors } = await produceBatch(
    client,
    'orders',
    at(Date.now(), ahead),
  )
  expect([errorCode, errorMessage]).toEqual([
    errors.INVALID_TIMESTAMP.code,
    'One or more records have been rejected due to invalid timestamp',
  ])
  expect(recordErrors.map(({ batchIndex }) => batchIndex)).toEqual([1])
  expect(recordErrors[0]!.batchIndexErrorMessage).toMatch(
    new RegExp(
      `^Timestamp ${ahead} of message with offset 1 is out of range\\. The timestamp should be within \\[-\\d{19}, \\d{13}\\]$`,
    ),
  )
  expect((await produceBatch(client, 'orders', at(Date.now() + hour / 2))).errorCode).toBe(0)
})

test('message.timestamp.before.max.ms looks at each record, also of a compressed batch', async () => {
  const { connect } = await onDisk()
  const client = await connect()
  await createWith(client, 'fresh', { 'message.timestamp.before.max.ms': String(hour) })
  const records = [
    { value: 'new', timestamp: Date.now() },
    { value: 'old', timestamp: Date.now() - 2 * hour },
  ]
  const refused = await produceBatch(client, 'fresh', encodeBatch(records, { compression: 'gzip' }))
  expect([refused.errorCode, refused.recordErrors.map(({ batchIndex }) => batchIndex)]).toEqual([
    errors.INVALID_TIMESTAMP.code,
    [1],
  ])
  expect((await produceBatch(client, 'fresh', at(Date.now()))).errorCode).toBe(0)
})

test('message.timestamp.type=LogAppendTime stamps records, and tells the producer how', async () => {
  const { connect } = await onDisk()
  const client = await connect()
  await createWith(client, 'stamped', { 'message.timestamp.type': 'LogAppendTime' })
  const before = Date.now()
  const { errorCode, logAppendTimeMs } = await produceBatch(client, 'stamped', at(1000))
  expect(errorCode).toBe(0)
  expect(logAppendTimeMs).toBeGreaterThanOrEqual(before)
  const [record] = await recordsOf(client, 'stamped')
  expect(record!.timestamp).toBe(logAppendTimeMs)
})

test.each(['gzip', 'snappy', 'lz4', 'zstd', 'uncompressed'])(
  'compression.type=%s is what batches are stored in, and what comes later goes by what it is altered to',
  async (codec) => {
    const { connect } = await onDisk()
    const client = await connect()
    await createWith(client, 'packed', { 'compression.type': codec })
    const records = [{ value: 'x'.repeat(500) }]
    const sent = codec === 'gzip' ? 'none' : 'gzip'
    await produceBatch(client, 'packed', encodeBatch(records, { compression: sent }))
    await alter(client, TOPIC, 'packed', [['set', 'compression.type', 'producer']])
    await produceBatch(client, 'packed', encodeBatch(records, { compression: sent }))
    const batches = await batchesOf(client, 'packed')
    expect(batches.map(({ compression }) => compression)).toEqual([
      codec === 'uncompressed' ? 'none' : codec,
      sent,
    ])
  },
)

test.each([
  ['gzip', '1', '9'],
  ['lz4', '9', '12'],
  ['zstd', '-50', '19'],
])(
  'compression.%s.level is what batches are compressed at, of the topic or else of the broker',
  async (codec, low, high) => {
    const { connect } = await onDisk()
    const client = await connect()
    const level = `compression.${codec}.level`
    await createWith(client, 'packed', { 'compression.type': codec, [level]: low })
    const batch = encodeBatch([{ value: sampleText(500, 1) }])
    const send = async (): Promise<number> => {
      expect(await produceBatch(client, 'packed', Buffer.from(batch))).toMatchObject({ errorCode: 0 })
      return (await batchesOf(client, 'packed')).at(-1)!.byteLength
    }
    const least = await send()
    expect((await alter(client, TOPIC, 'packed', [['set', level, high]])).errorMessage).toBeNull()
    const most = await send()
    expect(most).toBeLessThan(least)
    await alter(client, TOPIC, 'packed', [['delete', level, null]])
    expect((await alter(client, BROKER, '', [['set', level, high]])).errorMessage).toBeNull()
    expect(await send()).toBe(most)
    await alter(client, BROKER, '', [['set', level, low]])
    expect(await send()).toBe(least)
  },
)

test('a compacted topic takes no record without a key', async () => {
  const { connect } = await onDisk()
  const client = await connect()
  await createWith(client, 'compacted', { 'cleanup.policy': 'compact' })
  expect((await produceBatch(client, 'compacted', batchOf('a'))).errorCode).toBe(errors.INVALID_RECORD.code)
  const keyed = encodeBatch([{ key: 'k', value: 'a' }], { compression: 'none' })
  expect((await produceBatch(client, 'compacted', keyed)).errorCode).toBe(0)
})

test('a topic that wants more replicas in sync than it has contents itself with those', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  await createWith(client, 'safe', { 'min.insync.replicas': '2' })
  expect((await produceBatch(client, 'safe', batchOf('a'))).errorCode).toBe(0)
  expect((await produceBatch(client, 'safe', batchOf('a'), 1)).baseOffset).toBe(1)
})

test('flush.messages=1 makes a topic durable in a broker that is not; a topic cannot be weaker than its broker', async () => {
  const weak = await startTestBroker()
  const client = await weak.connect()
  await createWith(client, 'ledger', { 'flush.messages': '1' })
  expect(weak.disk.log('ledger-0').settings.durability).toBe('fsync')
  await alter(client, TOPIC, 'ledger', [['delete', 'flush.messages']])
  expect(weak.disk.log('ledger-0').settings.durability).toBe('os')

  const strong = await startTestBroker({ data: await temporaryDirectory(), durability: 'fsync' })
  await createWith(await strong.connect(), 'loose', { 'flush.messages': '1000' })
  expect(strong.disk.log('loose-0').settings.durability).toBe('fsync')
})

test('a retention that is altered deletes what was there before, in segments of the size that was asked for', async () => {
  const data = await temporaryDirectory()
  const configs = { 'log.retention.check.interval.ms': 20 }
  const { connect } = await startTestBroker({ engine: true, data, clock: systemClock, configs })
  const client = await connect()
  await createWith(client, 'short', { 'internal.segment.bytes': '1000', 'retention.ms': '-1' })
  const yesterday = encodeBatch([{ value: 'x'.repeat(400), timestamp: Date.now() - 24 * hour }], {
    compression: 'none',
  })
  for (let sent = 0; sent < 6; sent++) await produceBatch(client, 'short', Buffer.from(yesterday))
  expect((await fetchFrom(client, 'short', { offset: 5 })).logStartOffset).toBe(0)
  await alter(client, TOPIC, 'short', [['set', 'retention.ms', String(hour)]])
  const start = async () => (await fetchFrom(client, 'short', { offset: 6 })).logStartOffset
  await expect.poll(start).toBeGreaterThan(0)
})

test('a cleanup.policy that is altered compacts what was there before', async () => {
  const data = await temporaryDirectory()
  const configs = { 'log.cleaner.backoff.ms': 20, 'log.cleaner.min.cleanable.ratio': 0 }
  const { connect } = await startTestBroker({ engine: true, data, clock: systemClock, configs })
  const client = await connect()
  await createWith(client, 'keyed', { 'internal.segment.bytes': '1000', 'flush.messages': '1' })
  const keyed = encodeBatch([{ key: 'k', value: 'x'.repeat(400) }], { compression: 'none' })
  for (let sent = 0; sent < 6; sent++) await produceBatch(client, 'keyed', Buffer.from(keyed))
  const offsets = async () => (await recordsOf(client, 'keyed')).map(({ offset }) => offset)
  expect(await offsets()).toContain(0)
  await alter(client, TOPIC, 'keyed', [['set', 'cleanup.policy', 'compact']])
  await expect.poll(offsets).not.toContain(0)
})

test('num.partitions and auto.create.topics.enable act when a topic is asked for', async () => {
  const { connect } = await startTestBroker({ configs: { 'num.partitions': 3 } })
  const topic = { name: 'orders', numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] }
  const { topics } = await (await connect()).request(createTopics, 7, { topics: [topic] })
  expect(topics[0]).toMatchObject({ errorCode: 0, numPartitions: 3 })
})

test('nobody but Kafka’s own tools writes an internal topic', async () => {
  const disk = new MemoryDisk()
  const data = await temporaryDirectory()
  await createInternalTopic(disk, data)
  const client = await (await startTestBroker({ disk, data })).connect()
  const { topics } = await client.request(metadata, 12, { topics: [{ name: '__consumer_offsets' }] })
  expect(topics[0]).toMatchObject({ errorCode: 0, isInternal: true })
  expect(disk.log('__consumer_offsets-0').settings.cleanupPolicy).toBe('compact')
  expect((await produceTo(client, '__consumer_offsets', 'x')).errorCode).toBe(
    errors.INVALID_TOPIC_EXCEPTION.code,
  )
  expect((await fetchFrom(client, '__consumer_offsets')).errorCode).toBe(0)
  const body = produceBody(
    '__consumer_offsets',
    encodeBatch([{ key: 'k', value: 'v' }], { compression: 'none' }),
  )
  const { responses } = await client.request(produce, 9, body, '__admin_client')
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
})

async function batchesOf(client: RawClient, topic: string): Promise<RecordBatch[]> {
  const { records } = await fetchFrom(client, topic)
  return [...batchesIn(records!)]
}

async function recordsOf(client: RawClient, topic: string): Promise<LogRecord[]> {
  return (await batchesOf(client, topic)).flatMap((batch) => [...batch.records()])
}

/** As a coordinator creates its own topic. */
async function createInternalTopic(disk: MemoryDisk, data: string): Promise<void> {
  const directories = await DataDirectories.open([data], {}, disk.openDataDirectory)
  const store = await LocalMetadataStore.open(directories.first, { durability: 'os' })
  const topics = await LocalTopics.open({
    directories,
    metadata: store,
    configs: await BrokerConfigs.load(store, 0, new Map()),
    durability: 'os',
    durable: false,
    clock: systemClock,
    log: () => {},
  })
  await topics.create('__consumer_offsets', { partitions: 1 }, new Map([['cleanup.policy', 'compact']]))
  await topics.detach()
  await store.close()
  await directories.close()
}
