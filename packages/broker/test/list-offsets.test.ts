// Where a consumer begins is what ListOffsets says. A special timestamp that is taken for a real one, or an end beyond
// the high watermark, makes it begin at the wrong record without a word.
import { errors, listOffsets } from '@varve/protocol'
import { encodeBatch } from '@varve/records'
import { expect, test } from 'vitest'
import { produce } from '@varve/protocol'
import type { RawClient } from './support/raw-client.js'
import { produceBody, produceTo, settle, startTestBroker } from './support/test-broker.js'

/** A topic `orders` whose records have the timestamps 100, 300, 200. */
async function withOrders() {
  const test = await startTestBroker()
  await test.createTopic('orders', 2)
  const client = await test.connect()
  for (const timestamp of [100, 300, 200]) {
    const batch = encodeBatch([{ value: 'v', timestamp }], { compression: 'none' })
    await client.request(produce, 9, produceBody('orders', batch))
  }
  return { ...test, client }
}

interface Ask {
  version?: number
  partition?: number
  isolationLevel?: number
  currentLeaderEpoch?: number
  name?: string
}

async function list(client: RawClient, timestamp: number, ask: Ask = {}) {
  const { version = 11, partition = 0, isolationLevel = 0, currentLeaderEpoch = -1, name = 'orders' } = ask
  const partitions = [{ partitionIndex: partition, currentLeaderEpoch, timestamp }]
  const { topics } = await client.request(listOffsets, version, {
    replicaId: -1,
    isolationLevel,
    topics: [{ name, partitions }],
  })
  return topics[0]!.partitions[0]!
}

test.each(Array.from({ length: 11 }, (_, i) => i + 1))(
  'version %i finds both ends and a time',
  async (version) => {
    const { client } = await withOrders()
    const leaderEpoch = version < 4 ? -1 : 0
    expect(await list(client, -1, { version })).toMatchObject({
      errorCode: 0,
      offset: 3,
      timestamp: -1,
      leaderEpoch,
    })
    expect(await list(client, -2, { version })).toMatchObject({
      errorCode: 0,
      offset: 0,
      timestamp: -1,
      leaderEpoch,
    })
    expect(await list(client, 150, { version })).toMatchObject({
      errorCode: 0,
      offset: 1,
      timestamp: 300,
      leaderEpoch,
    })
  },
)

test('a time after the last record, and any time in an empty partition, finds nothing', async () => {
  const { client } = await withOrders()
  const nothing = { errorCode: 0, offset: -1, timestamp: -1, leaderEpoch: -1 }
  expect(await list(client, 301)).toMatchObject(nothing)
  expect(await list(client, 0, { partition: 1 })).toMatchObject(nothing)
  expect(await list(client, -3, { partition: 1 })).toMatchObject(nothing)
  expect(await list(client, -1, { partition: 1 })).toMatchObject({ errorCode: 0, offset: 0 })
})

test.each([
  [-3, 7, { offset: 1, timestamp: 300, leaderEpoch: 0 }],
  [-4, 8, { offset: 0, timestamp: -1, leaderEpoch: 0 }],
  [-5, 9, { offset: -1, timestamp: -1, leaderEpoch: -1 }],
  [-6, 11, { offset: -1, timestamp: -1, leaderEpoch: -1 }],
])('the special timestamp %i is known from version %i on', async (timestamp, since, found) => {
  const { client } = await withOrders()
  expect(await list(client, timestamp, { version: since })).toMatchObject({ errorCode: 0, ...found })
  expect(await list(client, timestamp, { version: since - 1 })).toMatchObject({
    errorCode: errors.UNSUPPORTED_VERSION.code,
    offset: -1,
    timestamp: -1,
  })
})

test('a special timestamp of the future is not taken for a time', async () => {
  const { client } = await withOrders()
  expect((await list(client, -7)).errorCode).toBe(errors.UNSUPPORTED_VERSION.code)
  expect((await list(client, Number.MIN_SAFE_INTEGER)).errorCode).toBe(errors.UNSUPPORTED_VERSION.code)
})

test('the latest offset is the high watermark for consumers of both isolation levels', async () => {
  const { client, connect, disk } = await withOrders()
  disk.log('orders-0').holdDurability()
  void produceTo(await connect(), 'orders', 'x').catch(() => {})
  await settle()
  expect(disk.log('orders-0').endOffset).toBe(4)
  expect((await list(client, -1)).offset).toBe(3)
  expect((await list(client, -1, { isolationLevel: 1 })).offset).toBe(3)
  await disk.log('orders-0').flush()
  expect((await list(client, -1)).offset).toBe(4)
})

test('unknown partitions, wrong epochs and partitions that come twice are refused', async () => {
  const { client } = await withOrders()
  expect((await list(client, -1, { partition: 2 })).errorCode).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
  expect((await list(client, -1, { name: 'nowhere' })).errorCode).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
  expect((await list(client, -1, { currentLeaderEpoch: 5 })).errorCode).toBe(errors.UNKNOWN_LEADER_EPOCH.code)
  const asked = { partitionIndex: 0, timestamp: -1 }
  const { topics } = await client.request(listOffsets, 5, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: 'orders', partitions: [asked, asked, { partitionIndex: 1, timestamp: -1 }] }],
  })
  const invalid = errors.INVALID_REQUEST.code
  expect(topics[0]!.partitions.map(({ errorCode }) => errorCode)).toEqual([invalid, invalid, 0])
})
