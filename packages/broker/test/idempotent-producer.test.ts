// A producer that got no answer sends its batch again. If it is stored twice, or refused although it is in the log, or
// accepted although one before it is missing, then "exactly once" is a setting and not a fact.
import { describeProducers, errors, produce } from '@varve/protocol'
import { crc32c, encodeBatch } from '@varve/records'
import { expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import type { RawClient } from './support/raw-client.js'
import { fetchFrom, produceBody, startTestBroker, temporaryDirectory } from './support/test-broker.js'

const producerId = 42

function batch(baseSequence: number, values: string[], producerEpoch = 0): Buffer {
  return encodeBatch(
    values.map((value) => ({ value, timestamp: Date.now() })),
    { producer: { producerId, producerEpoch, baseSequence } },
  )
}

async function send(client: RawClient, records: Buffer, acks = -1) {
  const { responses } = await client.request(produce, 9, produceBody('orders', records, { acks }))
  const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
  return [errorCode, baseOffset]
}

const values = async (client: RawClient): Promise<string[]> =>
  recordsIn((await fetchFrom(client, 'orders')).records).map(({ value }) => String(value))

async function started(data?: string) {
  const broker = await startTestBroker({ engine: true, ...(data !== undefined && { data }) })
  return { ...broker, client: await broker.connect() }
}

test.each([1, -1])('with acks %i a retry is answered as the original was, and stored once', async (acks) => {
  const { client, createTopic } = await started()
  await createTopic('orders')
  expect(await send(client, batch(0, ['a', 'b']), acks)).toEqual([0, 0])
  expect(await send(client, batch(2, ['c']), acks)).toEqual([0, 2])
  expect(await send(client, batch(0, ['a', 'b']), acks)).toEqual([0, 0])
  expect(await send(client, batch(2, ['c']), acks)).toEqual([0, 2])
  expect(await values(client)).toEqual(['a', 'b', 'c'])
})

test('retries that arrive beside their original are stored once', async () => {
  const { client, createTopic } = await started()
  await createTopic('orders')
  for (let copy = 0; copy < 4; copy++)
    for (let sequence = 0; sequence < 5; sequence++)
      client.send(produce, 9, produceBody('orders', batch(sequence, [`r${sequence}`])))
  for (let frame = 0; frame < 20; frame++) await client.nextFrame()
  expect(await values(client)).toEqual(['r0', 'r1', 'r2', 'r3', 'r4'])
})

test('a gap is refused, and what was missing may still come', async () => {
  const { client, createTopic } = await started()
  await createTopic('orders')
  const gap = [errors.OUT_OF_ORDER_SEQUENCE_NUMBER.code, -1]
  expect(await send(client, batch(0, ['a']))).toEqual([0, 0])
  expect(await send(client, batch(2, ['c']))).toEqual(gap)
  const { responses } = await client.request(produce, 9, produceBody('orders', batch(2, ['c'])))
  // Kafka names the start of the log here: a producer whose records were deleted learns that from it.
  expect(responses[0]!.partitionResponses[0]!.logStartOffset).toBe(0)
  expect(await send(client, batch(1, ['b']))).toEqual([0, 1])
  expect(await send(client, batch(2, ['c']))).toEqual([0, 2])
})

test('one older than the last five is out of order, since nobody remembers where it is', async () => {
  const { client, createTopic } = await started()
  await createTopic('orders')
  for (let sequence = 0; sequence < 6; sequence++) await send(client, batch(sequence, ['x']))
  expect(await send(client, batch(1, ['x']))).toEqual([0, 1])
  expect(await send(client, batch(0, ['x']))).toEqual([errors.OUT_OF_ORDER_SEQUENCE_NUMBER.code, -1])
})

test('a later epoch starts at 0 and fences the earlier one', async () => {
  const { client, createTopic } = await started()
  await createTopic('orders')
  expect(await send(client, batch(0, ['a'], 0))).toEqual([0, 0])
  expect(await send(client, batch(1, ['b'], 1))).toEqual([errors.OUT_OF_ORDER_SEQUENCE_NUMBER.code, -1])
  expect(await send(client, batch(0, ['b'], 1))).toEqual([0, 1])
  expect(await send(client, batch(1, ['c'], 0))).toEqual([errors.INVALID_PRODUCER_EPOCH.code, -1])
})

test('a producer that the partition does not know may start with any sequence (KIP-360)', async () => {
  const { client, createTopic } = await started()
  await createTopic('orders')
  expect(await send(client, batch(77, ['a']))).toEqual([0, 0])
  expect(await send(client, batch(78, ['b']))).toEqual([0, 1])
})

test('sequences go on at 0 behind the largest', async () => {
  const { client, createTopic } = await started()
  await createTopic('orders')
  expect(await send(client, batch(2 ** 31 - 2, ['a', 'b']))).toEqual([0, 0])
  expect(await send(client, batch(0, ['c']))).toEqual([0, 2])
})

test('a producer without a sequence is refused', async () => {
  const { client, createTopic } = await started()
  await createTopic('orders')
  const none = encodeBatch([{ value: 'x' }], {
    producer: { producerId, producerEpoch: 0, baseSequence: -1, transactional: true },
  })
  expect(await send(client, none)).toEqual([errors.UNSUPPORTED_FOR_MESSAGE_FORMAT.code, -1])
  const untold = batch(0, ['x'])
  untold.writeInt32BE(-1, 53)
  untold.writeUInt32BE(crc32c(untold.subarray(21)), 17)
  expect(await send(client, untold)).toEqual([errors.INVALID_RECORD.code, -1])
})

test('a retry after a restart is still known', async () => {
  const data = await temporaryDirectory()
  const first = await started(data)
  await first.createTopic('orders')
  expect(await send(first.client, batch(0, ['a', 'b']))).toEqual([0, 0])
  await first.broker.close()
  const second = await started(data)
  expect(await send(second.client, batch(0, ['a', 'b']))).toEqual([0, 0])
  expect(await send(second.client, batch(2, ['c']))).toEqual([0, 2])
  expect(await values(second.client)).toEqual(['a', 'b', 'c'])
})

test('a producer that has been idle for too long is forgotten, by the times of its batches', async () => {
  const data = await temporaryDirectory()
  const write = async (client: RawClient, id: number, timestamp: number): Promise<void> => {
    const producer = { producerId: id, producerEpoch: 0, baseSequence: 0 }
    const records = encodeBatch([{ value: 'x', timestamp }], { producer })
    await client.request(produce, 9, produceBody('orders', records))
  }
  const known = async (client: RawClient) => {
    const topics = [{ name: 'orders', partitionIndexes: [0] }]
    const response = await client.request(describeProducers, 0, { topics })
    return response.topics[0]!.partitions[0]!.activeProducers.map(({ producerId: id }) => id)
  }
  const options = { engine: true, data, producerIdExpirationMs: 3_600_000 }
  const first = await startTestBroker(options)
  await first.createTopic('orders')
  const client = await first.connect()
  await write(client, 1, Date.now() - 3_700_000)
  await write(client, 2, Date.now() - 3_400_000)
  expect(await known(client)).toEqual([1, 2])
  await first.broker.close()
  const second = await startTestBroker(options)
  expect(await known(await second.connect())).toEqual([2])
})
