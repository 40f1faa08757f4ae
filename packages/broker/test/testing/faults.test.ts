/**
 * The failure this guards against: a fault does more or less than it says: it appends what it refuses, loses what it should
 * have done, strikes other topics, clients or requests, or lets a later request overtake a delayed one.
 */
import {
  deleteGroups,
  describeLogDirs,
  describeTopicPartitions,
  errors,
  fetch,
  findCoordinator,
  heartbeat,
  listOffsets,
  metadata,
  offsetFetch,
  produce,
} from '@varve/protocol'
import { encodeBatch } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'
import {
  type Broker,
  type BrokerOptions,
  type FaultOptions,
  ManualClock,
  startBroker,
} from '../../src/index.js'
import { join, sync } from '../support/group-requests.js'
import { RawClient } from '../support/raw-client.js'
import { batchOf, fetchBody, fetchFrom, produceBody, produceTo, settle } from '../support/test-broker.js'

const topics = { orders: 2, payments: 1 }

async function start(options: BrokerOptions = {}) {
  const lines: string[] = []
  const broker = await startBroker({
    topics,
    log: (level, line) => lines.push(`${level} ${line}`),
    ...options,
  })
  const client = await connect(broker)
  onTestFinished(() => broker.close())
  return { broker, client, lines }
}

async function connect(broker: Broker): Promise<RawClient> {
  const client = await RawClient.connect(broker.port)
  onTestFinished(() => client.close())
  return client
}

const values = async (broker: Broker, topic = 'orders'): Promise<string[]> =>
  (await broker.records(topic)).map(({ value }) => String(value))

const code = (name: keyof typeof errors): number => errors[name].code

/** Produces one value to each of these partitions in one request, and gives their error codes. */
async function produceMany(client: RawClient, partitions: readonly [topic: string, index: number][]) {
  const topicData = partitions.map(([name, index]) => ({
    name,
    partitionData: [{ index, records: batchOf(`${name} ${index}`) }],
  }))
  const { responses } = await client.request(produce, 9, { acks: -1, timeoutMs: 1000, topicData })
  return responses.flatMap(({ name, partitionResponses }) =>
    partitionResponses.map(({ index, errorCode }) => `${name} ${index}: ${errorCode}`),
  )
}

test('an error is answered instead of doing anything, as often as it says', async () => {
  const { broker, client } = await start()
  const fault = broker.faults.inject({ api: 'Produce', error: 'NOT_ENOUGH_REPLICAS', times: 2 })
  for (const errorCode of [code('NOT_ENOUGH_REPLICAS'), code('NOT_ENOUGH_REPLICAS'), 0]) {
    const answer = await produceTo(client, 'orders', 'x')
    expect(answer.errorCode).toBe(errorCode)
    if (errorCode !== 0) expect([answer.baseOffset, answer.logStartOffset]).toEqual([-1, -1])
  }
  expect(fault.hits).toBe(2)
  expect(await values(broker)).toEqual(['x'])
})

test('an error for one partition leaves the others of the request alone', async () => {
  const { broker, client } = await start()
  broker.faults.inject({ api: 'Produce', topic: 'orders', partition: 1, error: 'NOT_LEADER_OR_FOLLOWER' })
  const answers = await produceMany(client, [
    ['orders', 0],
    ['orders', 1],
    ['payments', 0],
  ])
  expect(answers.sort()).toEqual([
    'orders 0: 0',
    `orders 1: ${code('NOT_LEADER_OR_FOLLOWER')}`,
    'payments 0: 0',
  ])
  expect(await values(broker)).toEqual(['orders 0'])
  expect(await values(broker, 'payments')).toEqual(['payments 0'])
})

test('a topic is told apart by its id where requests name only that', async () => {
  const { broker, client } = await start()
  const { topics: known } = await client.request(metadata, 12, { topics: null })
  const idOf = (name: string): string => known.find((topic) => topic.name === name)!.topicId
  const fault = broker.faults.inject({ api: 'Produce', topic: 'payments', error: 'KAFKA_STORAGE_ERROR' })
  const send = async (name: string) => {
    const body = produceBody(name, batchOf('x'))
    const topicData = body.topicData.map(({ partitionData }) => ({ topicId: idOf(name), partitionData }))
    const { responses } = await client.request(produce, 13, { ...body, topicData })
    return [responses[0]!.topicId === idOf(name), responses[0]!.partitionResponses[0]!.errorCode]
  }
  expect(await send('orders')).toEqual([true, 0])
  expect(await send('payments')).toEqual([true, code('KAFKA_STORAGE_ERROR')])
  expect(fault.hits).toBe(1)
})

test('an error after executing is for what has been done', async () => {
  const { broker, client } = await start()
  broker.faults.inject({ api: 'Produce', error: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', when: 'after' })
  expect((await produceTo(client, 'orders', 'x')).errorCode).toBe(code('NOT_ENOUGH_REPLICAS_AFTER_APPEND'))
  expect(await values(broker)).toEqual(['x'])
})

test.each([
  ['before', []],
  ['after', ['x']],
] as const)('a connection that is dropped %s executing', async (when, stored) => {
  const { broker, client, lines } = await start()
  broker.faults.inject({ api: 'Produce', drop: true, when })
  await expect(produceTo(client, 'orders', 'x')).rejects.toThrow('closed')
  expect(await values(broker)).toEqual(stored)
  expect(lines.join('\n')).toContain('a fault dropped it instead of answering a Produce')
  const again = await connect(broker)
  expect((await produceTo(again, 'orders', 'y')).errorCode).toBe(0)
})

test('only requests with the client id are struck', async () => {
  const { broker, client } = await start()
  broker.faults.inject({ api: 'Metadata', clientId: 'other', error: 'LEADER_NOT_AVAILABLE' })
  const ask = async (clientId: string) =>
    (await client.request(metadata, 12, { topics: null }, clientId)).topics.map(({ errorCode }) => errorCode)
  expect(await ask('raw')).toEqual([0, 0])
  expect(await ask('other')).toEqual([code('LEADER_NOT_AVAILABLE'), code('LEADER_NOT_AVAILABLE')])
})

test('Metadata still tells of the brokers, and of the topics that are not meant', async () => {
  const { broker, client } = await start()
  broker.faults.inject({ api: 'Metadata', topic: 'orders', error: 'LEADER_NOT_AVAILABLE', times: 2 })
  const all = await client.request(metadata, 12, { topics: null })
  expect(all.brokers).toHaveLength(1)
  const codes = Object.fromEntries(all.topics.map(({ name, errorCode }) => [name, errorCode]))
  // A request for all topics names none of them.
  expect(codes).toEqual({ orders: 0, payments: 0 })
  const named = await client.request(metadata, 9, { topics: [{ name: 'orders' }, { name: 'payments' }] })
  expect(Object.fromEntries(named.topics.map(({ name, errorCode }) => [name, errorCode]))).toEqual({
    orders: code('LEADER_NOT_AVAILABLE'),
    payments: 0,
  })
})

test('what describes directories and topics tells of the rest as it is', async () => {
  const { broker, client } = await start()
  const error = 'KAFKA_STORAGE_ERROR'
  broker.faults.inject({ api: 'DescribeLogDirs', error })
  const dirs = await client.request(describeLogDirs, 4, { topics: null })
  expect(dirs).toMatchObject({
    errorCode: code(error),
    results: [{ errorCode: code(error), logDir: broker.dataDirectories[0] }],
  })
  broker.faults.inject({ api: 'DescribeTopicPartitions', topic: 'orders', error })
  const described = await client.request(describeTopicPartitions, 0, {
    topics: [{ name: 'orders' }, { name: 'payments' }],
    responsePartitionLimit: 100,
    cursor: null,
  })
  expect(described.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
    ['orders', code(error)],
    ['payments', 0],
  ])
})

test('one partition is told apart in what a request asks of several groups', async () => {
  const { broker, client } = await start()
  const error = 'UNSTABLE_OFFSET_COMMIT'
  broker.faults.inject({ api: 'OffsetFetch', topic: 'orders', partition: 1, error })
  const topics = [
    { name: 'orders', partitionIndexes: [0, 1] },
    { name: 'payments', partitionIndexes: [0] },
  ]
  const answer = await client.request(offsetFetch, 8, {
    groups: [
      { groupId: 'g', topics },
      { groupId: 'h', topics: topics.slice(1) },
    ],
    requireStable: true,
  })
  const found = answer.groups.flatMap(({ groupId, topics: ofGroup, errorCode }) =>
    ofGroup.flatMap(({ name, partitions }) =>
      partitions.map((one) => `${groupId} ${errorCode} ${name} ${one.partitionIndex}: ${one.errorCode}`),
    ),
  )
  expect(found.sort()).toEqual([
    'g 0 orders 0: 0',
    `g 0 orders 1: ${code(error)}`,
    'g 0 payments 0: 0',
    'h 0 payments 0: 0',
  ])
})

test('a fetch is answered at once, for the partitions that are meant, and reads the others', async () => {
  const { broker, client } = await start({ topics: { orders: 1, payments: { records: [{ value: 'p' }] } } })
  const error = 'NOT_LEADER_OR_FOLLOWER'
  broker.faults.inject({ api: 'Fetch', topic: 'orders', error })
  const body = fetchBody('orders', { maxWaitMs: 600_000 })
  const both = { ...body, topics: [...body.topics, ...fetchBody('payments').topics] }
  const { responses } = await client.request(fetch, 12, both)
  expect(responses.map(({ topic, partitions }) => [topic, partitions[0]!.errorCode])).toEqual([
    ['orders', code(error)],
    ['payments', 0],
  ])
  expect(responses[1]!.partitions[0]!.records!.length).toBeGreaterThan(0)
})

test('a fetch of a session is struck for what its session knows', async () => {
  const { broker, client } = await start()
  const request = (epoch: number, id: number, named: boolean) => {
    const body = fetchBody('orders', { maxWaitMs: 50 })
    return client.request(fetch, 12, {
      ...body,
      sessionId: id,
      sessionEpoch: epoch,
      topics: named ? body.topics : [],
    })
  }
  const { sessionId } = await request(0, 0, true)
  expect(sessionId).not.toBe(0)
  const other = broker.faults.inject({ api: 'Fetch', topic: 'payments', error: 'KAFKA_STORAGE_ERROR' })
  const fault = broker.faults.inject({ api: 'Fetch', topic: 'orders', error: 'KAFKA_STORAGE_ERROR' })
  const struck = await request(1, sessionId, false)
  expect(struck.responses[0]!.partitions[0]!.errorCode).toBe(code('KAFKA_STORAGE_ERROR'))
  expect((await request(2, sessionId, false)).errorCode).toBe(0)
  expect([other.hits, fault.hits]).toEqual([0, 1])
  broker.faults.inject({ api: 'Fetch', error: 'FETCH_SESSION_ID_NOT_FOUND' })
  expect(await request(3, sessionId, false)).toMatchObject({
    errorCode: code('FETCH_SESSION_ID_NOT_FOUND'),
    responses: [],
  })
})

test('errors of groups, coordinators and offsets come where clients look for them', async () => {
  const { broker, client } = await start()
  const error = 'COORDINATOR_LOAD_IN_PROGRESS'
  for (const api of ['FindCoordinator', 'Heartbeat', 'DeleteGroups', 'ListOffsets'])
    broker.faults.inject({ api, error })
  const found = await client.request(findCoordinator, 4, { keyType: 0, coordinatorKeys: ['a', 'b'] })
  expect(found.coordinators).toEqual(
    ['a', 'b'].map((key) => ({
      key,
      nodeId: -1,
      host: '',
      port: -1,
      errorCode: code(error),
      errorMessage: errors[error].message,
    })),
  )
  const beat = { groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null }
  expect((await client.request(heartbeat, 4, beat)).errorCode).toBe(code(error))
  const { results } = await client.request(deleteGroups, 2, { groupsNames: ['g'] })
  expect(results).toMatchObject([{ groupId: 'g', errorCode: code(error) }])
  const listed = await client.request(listOffsets, 7, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: 'orders', partitions: [{ partitionIndex: 1, currentLeaderEpoch: -1, timestamp: -1 }] }],
  })
  expect(listed.topics).toMatchObject([
    { name: 'orders', partitions: [{ partitionIndex: 1, errorCode: code(error), offset: -1 }] },
  ])
})

test('a delay holds up the request and what follows it on the connection, by the clock', async () => {
  const clock = new ManualClock()
  const { broker, client } = await start({ clock })
  const fault = broker.faults.inject({ api: 'Produce', delayMs: 5_000 })
  const first = produceTo(client, 'orders', 'first')
  const second = produceTo(client, 'orders', 'second')
  expect(await fault.waitForHits()).toBe(1)
  const other = await connect(broker)
  await produceTo(other, 'orders', 'of another connection')
  await clock.advance(4_999)
  await settle()
  expect(await values(broker)).toEqual(['of another connection'])
  await clock.advance(1)
  expect([(await first).baseOffset, (await second).baseOffset]).toEqual([1, 2])
  expect(await values(broker)).toEqual(['of another connection', 'first', 'second'])
  expect(clock.pending).toBe(0)
})

test('what is delayed is still what was asked for, although others have sent meanwhile', async () => {
  const clock = new ManualClock()
  const { broker, client } = await start({ clock })
  const joined = await join(client, 9)
  const fault = broker.faults.inject({ api: 'SyncGroup', delayMs: 1_000 })
  const synced = sync(client, 5, joined, 'the assignment of its leader')
  await fault.waitForHits()
  const other = await connect(broker)
  for (let n = 0; n < 10; n++) await produceTo(other, 'orders', 'z'.repeat(1000))
  await clock.advance(1_000)
  expect(String((await synced).assignment)).toBe('the assignment of its leader')
})

test('an answer that is delayed has been executed before, and comes at the end of the broker', async () => {
  const { broker, client } = await start({ clock: new ManualClock() })
  broker.faults.inject({ api: 'Produce', delayMs: 60_000, when: 'after' })
  const produced = produceTo(client, 'orders', 'x')
  expect((await broker.waitForRecords('orders', 1))[0]!.offset).toBe(0)
  await broker.close()
  expect((await produced).errorCode).toBe(0)
})

test('with acks=0 there is no answer to tell it in, so that the connection ends, as in Kafka', async () => {
  const { broker, client } = await start()
  broker.faults.inject({ api: 'Produce', error: 'KAFKA_STORAGE_ERROR' })
  client.send(produce, 9, produceBody('orders', batchOf('x'), { acks: 0 }))
  await client.closed
  expect(await values(broker)).toEqual([])
})

test('a dropped fetch lets go of what it has read', async () => {
  const { broker, client } = await start({ topics: { orders: { records: [{ value: 'x' }] } } })
  broker.faults.inject({ api: 'Fetch', drop: true, when: 'after' })
  await expect(fetchFrom(client, 'orders')).rejects.toThrow('closed')
  expect((await fetchFrom(await connect(broker), 'orders')).records!.length).toBeGreaterThan(0)
})

test('faults are met in the order of their injection, one for each request, until they are removed', async () => {
  const { broker, client } = await start()
  const errorCode = async () => (await produceTo(client, 'orders', 'x')).errorCode
  const always = broker.faults.inject({ api: 0, error: 'KAFKA_STORAGE_ERROR', times: Infinity })
  const once = broker.faults.inject({ api: 'Produce', error: 'NOT_ENOUGH_REPLICAS' })
  expect([await errorCode(), await errorCode()]).toEqual(
    Array.from({ length: 2 }, () => code('KAFKA_STORAGE_ERROR')),
  )
  always.remove()
  expect([await errorCode(), await errorCode()]).toEqual([code('NOT_ENOUGH_REPLICAS'), 0])
  expect([always.hits, once.hits]).toEqual([2, 1])
  {
    using fault = broker.faults.inject({ api: 'Produce', error: 'NOT_ENOUGH_REPLICAS', times: Infinity })
    expect(await errorCode()).not.toBe(0)
    expect(fault.hits).toBe(1)
  }
  expect(await errorCode()).toBe(0)
  await expect(once.waitForHits(2, { timeoutMs: 10 })).rejects.toMatchObject({
    code: 'VARVE_WAIT_TIMEOUT',
    message: 'after 10 ms the fault had not met 2 Produce requests; it had met 1',
  })
})

test('a retry of a batch whose answer was lost is the same batch', async () => {
  const { broker, client } = await start()
  broker.faults.inject({ api: 'Produce', drop: true, when: 'after' })
  const send = async (from: RawClient) => {
    const producer = { producerId: 9n, producerEpoch: 0, baseSequence: 0 }
    const { responses } = await from.request(
      produce,
      9,
      produceBody('orders', encodeBatch([{ value: 'x' }], { producer })),
    )
    return responses[0]!.partitionResponses[0]!
  }
  await expect(send(client)).rejects.toThrow('closed')
  expect(await send(await connect(broker))).toMatchObject({ errorCode: 0, baseOffset: 0 })
  expect(await values(broker)).toEqual(['x'])
})

test.each<[string, FaultOptions, string]>([
  ['an API that is not served', { api: 'SaslHandshake', drop: true }, 'api must be one of Produce, Fetch'],
  ['no fault at all', { api: 'Produce' }, 'give error, drop or delayMs'],
  [
    'an answer for who gets none',
    { api: 'Produce', drop: true, error: 'NOT_COORDINATOR' },
    'either error or drop',
  ],
  ['an error that there is not', { api: 'Produce', error: 'OOPS' as never }, 'OOPS'],
  [
    'a topic where none is named',
    { api: 'Heartbeat', topic: 'orders', drop: true },
    'Heartbeat name no topics',
  ],
  [
    'a partition where none is named',
    { api: 'CreateTopics', topic: 't', partition: 0, drop: true },
    'no partitions',
  ],
  ['a partition of no topic', { api: 'Produce', partition: 0, drop: true }, 'needs its topic'],
  ['half a time', { api: 'Produce', times: 0.5, drop: true }, 'times must be'],
  ['a delay backwards', { api: 'Produce', delayMs: -1 }, 'delayMs must be'],
  ['another moment', { api: 'Produce', drop: true, when: 'during' as never }, "'before' or 'after'"],
])('%s is refused', async (_, options, message) => {
  const { broker } = await start()
  expect(() => broker.faults.inject(options)).toThrow(message)
  try {
    broker.faults.inject(options)
  } catch (error) {
    expect(error).toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  }
})
