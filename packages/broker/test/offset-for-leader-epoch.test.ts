// A consumer asks this after a change of leader, to learn whether what it has read is still there. An end that is too high
// lets it go on behind records that are gone; one that is too low makes it read what it has read.
import { errors, offsetForLeaderEpoch } from '@varve/protocol'
import { expect, test } from 'vitest'
import type { RawClient } from './support/raw-client.js'
import { produceTo, startTestBroker } from './support/test-broker.js'

async function ask(
  client: RawClient,
  asked: { topic?: string; partition?: number; currentLeaderEpoch?: number; leaderEpoch: number },
  version = 4,
) {
  const { topic = 'orders', partition = 0, ...epochs } = asked
  const topics = [{ topic, partitions: [{ partition, ...epochs }] }]
  const response = await client.request(offsetForLeaderEpoch, version, { topics })
  return response.topics[0]!.partitions[0]!
}

test.each([2, 3, 4])('version %i tells where the current epoch ends', async (version) => {
  const { connect, createTopic } = await startTestBroker({ engine: true })
  await createTopic('orders')
  const client = await connect()
  expect(await ask(client, { leaderEpoch: 0 }, version)).toEqual({
    errorCode: 0,
    partition: 0,
    leaderEpoch: 0,
    endOffset: 0,
  })
  await produceTo(client, 'orders', 'a', 'b')
  expect(await ask(client, { leaderEpoch: 0, currentLeaderEpoch: 0 }, version)).toMatchObject({
    endOffset: 2,
  })
})

test('a later epoch than any has no end', async () => {
  const { connect, createTopic } = await startTestBroker({ engine: true })
  await createTopic('orders')
  const client = await connect()
  await produceTo(client, 'orders', 'a')
  expect(await ask(client, { leaderEpoch: 1 })).toMatchObject({
    errorCode: 0,
    leaderEpoch: -1,
    endOffset: -1,
  })
})

test('another current epoch than the partition has, and what does not exist, are refused', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const code = async (asked: Parameters<typeof ask>[1]): Promise<number> =>
    (await ask(client, asked)).errorCode
  expect(await code({ leaderEpoch: 0, currentLeaderEpoch: 1 })).toBe(errors.UNKNOWN_LEADER_EPOCH.code)
  expect(await code({ leaderEpoch: 0, partition: 1 })).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
  expect(await code({ leaderEpoch: 0, topic: 'nowhere' })).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
})
