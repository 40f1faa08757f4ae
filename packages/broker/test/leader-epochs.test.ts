// A directory that comes from a Kafka has had several leaders. A broker that went on in an epoch of the past would be
// refused by its own log, and one that knows no other epoch than its own could not tell a client what was truncated.
import { join } from 'node:path'
import { openLog } from '@varve/log'
import { errors, metadata, offsetForLeaderEpoch } from '@varve/protocol'
import { expect, test } from 'vitest'
import { fetchFrom, produceTo, startTestBroker, temporaryDirectory } from './support/test-broker.js'

/** A broker whose topic `orders` has two records of the epoch 1, one of 4 and one of 6. */
async function withEpochs() {
  const data = await temporaryDirectory()
  const before = await startTestBroker({ engine: true, data })
  await before.createTopic('orders')
  await before.broker.close()
  const log = await openLog(join(data, 'orders-0'))
  for (const [epoch, count] of [
    [1, 2],
    [4, 1],
    [6, 1],
  ] as const) {
    log.setLeaderEpoch(epoch)
    await log.append(Array.from({ length: count }, () => ({ value: `epoch ${epoch}` })))
  }
  await log.close()
  const test = await startTestBroker({ engine: true, data })
  return { ...test, client: await test.connect() }
}

test('it goes on in the latest epoch of its log', async () => {
  const { client, broker } = await withEpochs()
  expect(broker.problems).toEqual([])
  const { topics } = await client.request(metadata, 12, { topics: [{ name: 'orders' }] })
  expect(topics[0]!.partitions[0]!.leaderEpoch).toBe(6)
  expect(await produceTo(client, 'orders', 'next')).toMatchObject({ errorCode: 0, baseOffset: 4 })
  const code = async (currentLeaderEpoch: number): Promise<number> =>
    (await fetchFrom(client, 'orders', { currentLeaderEpoch })).errorCode
  expect([await code(5), await code(6), await code(7)]).toEqual([
    errors.FENCED_LEADER_EPOCH.code,
    0,
    errors.UNKNOWN_LEADER_EPOCH.code,
  ])
})

test('OffsetForLeaderEpoch knows where each epoch ended', async () => {
  const { client } = await withEpochs()
  const end = async (leaderEpoch: number): Promise<[number, number]> => {
    const topics = [{ topic: 'orders', partitions: [{ partition: 0, leaderEpoch }] }]
    const response = await client.request(offsetForLeaderEpoch, 4, { topics })
    const { leaderEpoch: epoch, endOffset } = response.topics[0]!.partitions[0]!
    return [epoch, endOffset]
  }
  expect([await end(1), await end(3), await end(4), await end(6), await end(7)]).toEqual([
    [1, 2],
    [1, 2],
    [4, 3],
    [6, 4],
    [-1, -1],
  ])
})

test('Fetch tells a reader of an epoch that ended earlier where they part', async () => {
  const { client } = await withEpochs()
  const fetched = (lastFetchedEpoch: number, offset: number) =>
    fetchFrom(client, 'orders', { lastFetchedEpoch, offset })
  expect((await fetched(1, 2)).records!.length).toBeGreaterThan(0)
  const diverged = { errorCode: 0, records: Buffer.alloc(0) }
  expect(await fetched(1, 3)).toMatchObject({ ...diverged, divergingEpoch: { epoch: 1, endOffset: 2 } })
  expect(await fetched(5, 3)).toMatchObject({ ...diverged, divergingEpoch: { epoch: 4, endOffset: 3 } })
  expect((await fetched(7, 3)).errorCode).toBe(errors.OFFSET_OUT_OF_RANGE.code)
})
