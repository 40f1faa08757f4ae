/**
 * The failure this guards against: a test sees records that are not there, or not all that are, waits for what has long
 * come, or fails without a word about what was there instead.
 */
import { encodeBatch, encodeEndTransactionMarker, openDataDirectory } from '@varve/log'
import { metadata } from '@varve/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { type Broker, type BrokerOptions, startBroker, type StoredRecord } from '../../src/index.js'
import { RawClient } from '../support/raw-client.js'
import { produceTo, temporaryDirectory } from '../support/test-broker.js'

async function start(options: BrokerOptions = {}): Promise<{ broker: Broker; client: RawClient }> {
  const broker = await startBroker(options)
  const client = await RawClient.connect(broker.port)
  onTestFinished(async () => {
    await client.close()
    await broker.close()
  })
  return { broker, client }
}

const values = (records: readonly StoredRecord[]): string[] => records.map(({ value }) => String(value))

test('a topic is there from the start, with its partitions, configurations and records', async () => {
  const { broker } = await start({
    topics: {
      empty: 2,
      orders: {
        partitions: 3,
        configs: { 'cleanup.policy': 'compact', 'segment.bytes': 1_048_576 },
        records: [
          { key: 'a', value: 'first', headers: [['source', 'web']], timestamp: 1_700_000_000_000 },
          { key: 'a', value: null },
          { key: 'k', value: 'elsewhere', partition: 2 },
        ],
      },
    },
  })
  expect(await broker.records('empty')).toEqual([])
  const [first, second, third] = await broker.records('orders')
  expect(first).toEqual({
    topic: 'orders',
    // murmur2('a') modulo 3, as Kafka's clients have it.
    partition: 1,
    offset: 0,
    timestamp: 1_700_000_000_000,
    key: Buffer.from('a'),
    value: Buffer.from('first'),
    headers: [['source', Buffer.from('web')]],
  })
  expect(second).toMatchObject({ partition: 1, offset: 1, value: null })
  expect(Math.abs(second!.timestamp - Date.now())).toBeLessThan(60_000)
  expect(third).toMatchObject({ partition: 2, offset: 0 })
  expect(await broker.records('orders', { partition: 2 })).toEqual([third])
})

test('many first records go in as many batches as they need', async () => {
  const value = 'x'.repeat(10_000)
  const { broker } = await start({
    topics: { big: { records: Array.from({ length: 300 }, () => ({ value })) } },
  })
  expect(await broker.records('big')).toHaveLength(300)
})

test.each([
  ['a name', { 'a b': 1 }, 'topics.a b'],
  ['an internal topic', { __consumer_offsets: 1 }, '__consumer_offsets'],
  ['names that collide', { 'a.b': 1, a_b: 1 }, 'collides'],
  ['a number of partitions', { t: 0 }, 'partitions must be an integer'],
  ['a configuration', { t: { configs: { 'no.such': 1 } } }, 'Unknown topic config name: no.such'],
  ['a value', { t: { configs: { 'cleanup.policy': 'burn' } } }, 'burn'],
  ['a partition of a record', { t: { records: [{ value: 'v', partition: 1 }] } }, 'partition 1'],
])('%s that cannot be is refused before anything is opened', async (_, topics, message) => {
  await expect(startBroker({ topics })).rejects.toMatchObject({
    code: 'VARVE_INVALID_OPTION',
    message: expect.stringContaining(message),
  })
})

test('in a data directory a topic that is there already stays what it is', async () => {
  const data = await temporaryDirectory()
  const topics = { orders: { records: [{ value: 'once' }] } }
  for (let round = 0; round < 2; round++) {
    const broker = await startBroker({ data, topics })
    expect(values(await broker.records('orders'))).toEqual(['once'])
    await broker.close()
  }
})

test('records that come are waited for, by number, in a topic that is not there yet', async () => {
  const { broker, client } = await start()
  // Longer than the test may take: what is found when the time is over was not noticed when it came.
  const waiting = broker.waitForRecords('later', 3, { timeoutMs: 600_000 })
  await broker
    .records('later')
    .catch((error: unknown) => expect(error).toMatchObject({ code: 'VARVE_UNKNOWN_TOPIC' }))
  await client.request(metadata, 12, {
    topics: [{ name: 'later', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    allowAutoTopicCreation: true,
  })
  await produceTo(client, 'later', 'a', 'b')
  await produceTo(client, 'later', 'c')
  expect(values(await waiting)).toEqual(['a', 'b', 'c'])
  expect(values(await broker.waitForRecords('later', 3))).toEqual(['a', 'b', 'c'])
})

test('or by what they are, each looked at once', async () => {
  const { broker, client } = await start({ topics: { orders: 1 } })
  const looks: number[] = []
  const waiting = broker.waitForRecords('orders', (records) => {
    looks.push(records.length)
    return records.some(({ value }) => String(value) === 'last')
  })
  for (const value of ['a', 'b', 'last']) await produceTo(client, 'orders', value)
  expect(values(await waiting)).toEqual(['a', 'b', 'last'])
  expect(looks).toEqual([...looks].sort((a, b) => a - b))
  expect(looks.at(-1)).toBe(3)
  expect(looks.length).toBeLessThanOrEqual(4)
})

test('a wait that is in vain says what is there', async () => {
  const { broker, client } = await start({ topics: { orders: 1 } })
  await produceTo(client, 'orders', 'paid')
  await expect(broker.waitForRecords('orders', 2, { timeoutMs: 20 })).rejects.toMatchObject({
    code: 'VARVE_WAIT_TIMEOUT',
    message: 'after 20 ms orders did not have 2 records: it has 1\n  0@0 null: "paid"',
  })
  await expect(broker.waitForRecords('ordesr', 1, { timeoutMs: 20 })).rejects.toMatchObject({
    message: 'after 20 ms ordesr did not have 1 record: there is no such topic',
  })
  await expect(broker.records('ordesr')).rejects.toMatchObject({
    code: 'VARVE_UNKNOWN_TOPIC',
    message: 'there is no topic ordesr; there are orders',
  })
  await expect(broker.records('orders', { partition: 1 })).rejects.toMatchObject({
    code: 'VARVE_UNKNOWN_PARTITION',
  })
})

test('a wait ends with its signal, and with the broker', async () => {
  const broker = await startBroker()
  const reason = new Error('the test has had enough')
  const controller = new AbortController()
  const aborted = broker.waitForRecords('orders', 1, { signal: controller.signal })
  controller.abort(reason)
  await expect(aborted).rejects.toBe(reason)
  const closed = broker.waitForRecords('orders', 1)
  const outcome = expect(closed).rejects.toMatchObject({ code: 'VARVE_BROKER_CLOSED' })
  await broker.close()
  await outcome
  await expect(broker.records('orders')).rejects.toMatchObject({ code: 'VARVE_BROKER_CLOSED' })
})

test('committed records are those that a consumer of committed records would get', async () => {
  const data = await temporaryDirectory()
  const first = await startBroker({ data, topics: { orders: 1 } })
  await first.close()
  const producer = { producerId: 7n, producerEpoch: 0, baseSequence: 0, transactional: true }
  {
    await using directory = await openDataDirectory(data)
    const log = await directory.openLog('orders-0')
    await log.append([{ value: 'plain' }])
    await Promise.all(log.appendBatches([encodeBatch([{ value: 'aborted' }], { producer })]))
    const marker = { producerId: 7n, producerEpoch: 0, coordinatorEpoch: 0, type: 'abort' } as const
    await Promise.all(log.appendBatches([encodeEndTransactionMarker(marker)]))
  }
  const { broker } = await start({ data })
  expect(values(await broker.records('orders'))).toEqual(['plain', 'aborted'])
  expect(values(await broker.records('orders', { isolation: 'readCommitted' }))).toEqual(['plain'])
})
