// A disk does not fail as a whole. One partition that cannot be opened, or whose log has failed or is damaged, must cost
// its own writers and no one else, keep what is durable readable, and be named where the operator looks.
import { errors, fetch, listOffsets, metadata, produce } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import {
  batchOf,
  fetchBody,
  fetchFrom,
  produceBody,
  produceTo,
  settle,
  startTestBroker,
  temporaryDirectory,
} from './support/test-broker.js'

const storageError = errors.KAFKA_STORAGE_ERROR.code

test('a failed log refuses writes, serves what is durable, and its neighbours go on', async () => {
  const { connect, createTopic, disk, broker, lines } = await startTestBroker()
  await createTopic('orders', 2)
  const client = await connect()
  await produceTo(client, 'orders', 'a')
  const log = disk.log('orders-0')
  log.holdDurability()
  const late = await connect()
  const answers = [
    late.request(produce, 9, produceBody('orders', batchOf('b'), { acks: 1 })),
    (await connect()).request(produce, 9, produceBody('orders', batchOf('c'), { acks: -1 })),
  ]
  await settle()
  log.fail()
  for (const { responses } of await Promise.all(answers)) {
    expect(responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: storageError, baseOffset: -1 })
  }
  expect(await produceTo(client, 'orders', 'd')).toMatchObject({ errorCode: storageError })
  expect(recordsIn((await fetchFrom(client, 'orders')).records)).toHaveLength(1)
  expect((await fetchFrom(client, 'orders', { offset: 1, maxWaitMs: 500 })).errorCode).toBe(storageError)
  const { responses } = await client.request(produce, 9, produceBody('orders', batchOf('e'), { index: 1 }))
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  expect(broker.problems).toEqual([expect.stringMatching(/^orders-0: .*the disk said no/)])
  expect(
    lines.filter((line) => /^error orders-0 takes no writes any more: .*the disk said no/.test(line)),
  ).toHaveLength(1)
})

test('clients too old for the code are told to look for another leader', async () => {
  const { connect, createTopic, disk } = await startTestBroker()
  await createTopic('orders')
  disk.log('orders-0').fail()
  const client = await connect()
  const notLeader = errors.NOT_LEADER_OR_FOLLOWER.code
  const { responses } = await client.request(produce, 3, produceBody('orders', batchOf('a')))
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(notLeader)
  expect((await fetchFrom(client, 'orders', {}, 5)).errorCode).toBe(notLeader)
  expect((await fetchFrom(client, 'orders', {}, 6)).errorCode).toBe(storageError)
})

test('a damaged range is refused by itself', async () => {
  const { connect, createTopic, disk, broker } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  for (const value of ['a', 'b', 'c', 'd']) await produceTo(client, 'orders', value)
  disk.log('orders-0').damage(1, 3)
  const read = async (offset: number) => {
    const { errorCode, records } = await fetchFrom(client, 'orders', { offset })
    return [errorCode, ...recordsIn(records).map(({ value }) => String(value))]
  }
  expect(await read(0)).toEqual([0, 'a'])
  expect(await read(1)).toEqual([errors.CORRUPT_MESSAGE.code])
  expect(await read(3)).toEqual([0, 'd'])
  expect(await produceTo(client, 'orders', 'e')).toMatchObject({ errorCode: storageError })
  expect(broker.problems).toHaveLength(1)
})

test('a partition that does not open at start leaves the others served', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ data })
  await first.createTopic('orders', 2)
  await produceTo(await first.connect(), 'orders', 'a')
  await first.broker.close()
  first.disk.failOpen('orders-0', new VarveError('VARVE_LOG_CORRUPT', 'segment 0 of orders-0 is damaged'))

  const { connect, broker, lines } = await startTestBroker({ data, disk: first.disk })
  expect(broker.problems).toEqual(['orders-0: segment 0 of orders-0 is damaged'])
  expect(lines).toContain('error orders-0: segment 0 of orders-0 is damaged')
  const client = await connect()
  const { topics } = await client.request(metadata, 12, { topics: [{ name: 'orders' }] })
  expect(topics[0]!.partitions.map(({ errorCode, offlineReplicas }) => [errorCode, offlineReplicas])).toEqual(
    [
      [0, [0]],
      [0, []],
    ],
  )
  expect(await produceTo(client, 'orders', 'b')).toMatchObject({ errorCode: storageError })
  expect((await fetchFrom(client, 'orders')).errorCode).toBe(storageError)
  const partitions = [0, 1].map((partitionIndex) => ({ partitionIndex, timestamp: -1 }))
  const listed = await client.request(listOffsets, 7, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: 'orders', partitions }],
  })
  expect(listed.topics[0]!.partitions.map(({ errorCode }) => errorCode)).toEqual([storageError, 0])
  const topic = fetchBody('orders', { partition: 1 }).topics[0]!
  const both = await client.request(fetch, 12, {
    ...fetchBody('orders', { maxWaitMs: 500 }),
    topics: [fetchBody('orders').topics[0]!, topic],
  })
  expect(both.responses.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).toEqual([
    storageError,
    0,
  ])
})
