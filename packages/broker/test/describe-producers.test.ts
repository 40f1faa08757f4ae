// Somebody who looks for a producer that hangs, or writes twice, sees here what the partition remembers of it.
import { describeProducers, errors, produce } from '@varve/protocol'
import { encodeBatch } from '@varve/records'
import { expect, test } from 'vitest'
import type { RawClient } from './support/raw-client.js'
import { produceBody, startTestBroker } from './support/test-broker.js'

async function describe(client: RawClient, name: string, ...partitionIndexes: number[]) {
  const { topics } = await client.request(describeProducers, 0, { topics: [{ name, partitionIndexes }] })
  return topics[0]!.partitions
}

test('the producers of a partition are listed with what they wrote last', async () => {
  const { connect, createTopic } = await startTestBroker({ engine: true })
  await createTopic('orders', 2)
  const client = await connect()
  for (const producerId of [9, 4]) {
    const producer = { producerId, producerEpoch: 3, baseSequence: 0 }
    const records = encodeBatch(
      [
        { value: 'a', timestamp: 1000 },
        { value: 'b', timestamp: 2000 },
      ],
      { producer },
    )
    await client.request(produce, 9, produceBody('orders', records))
  }
  const [first, second] = await describe(client, 'orders', 0, 1)
  const known = {
    producerEpoch: 3,
    lastSequence: 1,
    lastTimestamp: 2000,
    coordinatorEpoch: -1,
    currentTxnStartOffset: -1,
  }
  expect(first).toEqual({
    partitionIndex: 0,
    errorCode: 0,
    errorMessage: null,
    activeProducers: [
      { producerId: 4, ...known },
      { producerId: 9, ...known },
    ],
  })
  expect(second!.activeProducers).toEqual([])
})

test('what does not exist, or could not, is told apart', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const unknown = errors.UNKNOWN_TOPIC_OR_PARTITION.code
  expect((await describe(client, 'orders', 1))[0]!.errorCode).toBe(unknown)
  expect((await describe(client, 'nowhere', 0))[0]!.errorCode).toBe(unknown)
  expect((await describe(client, 'no/topic', 0))[0]!).toMatchObject({
    errorCode: errors.INVALID_TOPIC_EXCEPTION.code,
    errorMessage: expect.stringContaining('no/topic'),
  })
})
