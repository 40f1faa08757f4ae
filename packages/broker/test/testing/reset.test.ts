/**
 * The failure this guards against: a test finds what the one before it left in the broker, or its client has to connect anew
 * because somebody tidied up.
 */
import {
  createPartitions,
  createTopics,
  deleteTopics,
  describeConfigs,
  errors,
  heartbeat,
  incrementalAlterConfigs,
  metadata,
  offsetFetch,
  produce,
} from '@varve/protocol'
import { encodeBatch } from '@varve/records'
import { readdir } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { type BrokerOptions, ManualClock, startBroker, type StoredRecord } from '../../src/index.js'
import { commit, join, sync } from '../support/group-requests.js'
import { RawClient } from '../support/raw-client.js'
import { fetchFrom, produceTo, produceBody, temporaryDirectory, topicNames } from '../support/test-broker.js'

async function start(options: BrokerOptions) {
  const broker = await startBroker(options)
  const client = await RawClient.connect(broker.port)
  onTestFinished(async () => {
    await client.close()
    await broker.close()
  })
  return { broker, client }
}

const topics = { orders: { partitions: 2, records: [{ key: 'a', value: 'first' }] }, plain: 1 }

async function idOf(client: RawClient, name: string): Promise<string> {
  const answer = await client.request(metadata, 12, { topics: [{ name, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }] })
  return answer.topics[0]!.topicId
}

test('records, topics and configurations are those of the start, on the same connection', async () => {
  const { broker, client } = await start({ topics })
  const before = await broker.records('orders')
  const id = await idOf(client, 'orders')
  await produceTo(client, 'orders', 'more')
  await produceTo(client, 'plain', 'more', 'and more')
  const topic = { name: 'mine', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
  await client.request(createTopics, 7, { topics: [topic] })
  await produceTo(client, 'mine', 'more')
  await client.request(incrementalAlterConfigs, 1, {
    resources: [
      {
        resourceType: 2,
        resourceName: 'plain',
        configs: [{ name: 'retention.ms', configOperation: 0, value: '1' }],
      },
      {
        resourceType: 4,
        resourceName: '0',
        configs: [{ name: 'log.retention.ms', configOperation: 0, value: '1' }],
      },
    ],
    validateOnly: false,
  })

  await broker.reset()

  expect((await topicNames(client)).sort()).toEqual(['orders', 'plain'])
  const withoutTime = (records: typeof before) => records.map(({ timestamp: _, ...rest }) => rest)
  expect(withoutTime(await broker.records('orders'))).toEqual(withoutTime(before))
  expect(await broker.records('plain')).toEqual([])
  expect(await idOf(client, 'orders')).toBe(id)
  expect((await produceTo(client, 'plain', 'again')).baseOffset).toBe(0)
  expect((await fetchFrom(client, 'plain')).highWatermark).toBe(1)
  const { results } = await client.request(describeConfigs, 4, {
    resources: [
      { resourceType: 2, resourceName: 'plain', configurationKeys: ['retention.ms'] },
      { resourceType: 4, resourceName: '0', configurationKeys: ['log.retention.ms'] },
    ],
  })
  expect(results.map(({ configs }) => configs[0]!.value)).toEqual(['604800000', null])
  // The files of what was deleted do not pile up until the end.
  await expect
    .poll(async () => (await readdir(broker.dataDirectories[0]!)).filter((name) => name.endsWith('-delete')))
    .toEqual([])
})

test('a start topic that was deleted, or has more partitions, is as it was', async () => {
  const { broker, client } = await start({ topics })
  await client.request(createPartitions, 3, {
    topics: [{ name: 'orders', count: 5, assignments: null }],
    timeoutMs: 1000,
    validateOnly: false,
  })
  await client.request(deleteTopics, 5, { topicNames: ['plain'], timeoutMs: 1000 })
  await broker.reset()
  const answer = await client.request(metadata, 12, { topics: null })
  expect(Object.fromEntries(answer.topics.map(({ name, partitions }) => [name, partitions.length]))).toEqual({
    orders: 2,
    plain: 1,
  })
  expect(await broker.records('orders')).toHaveLength(1)
})

test('groups and what they have committed are gone, and their members are told', async () => {
  const { broker, client } = await start({ topics: { t: 1 } })
  const joined = await join(client, 9)
  await sync(client, 5, joined)
  const { memberId, generationId } = joined
  await commit(client, 9, 42, {
    generationIdOrMemberEpoch: generationId,
    memberId,
    groupInstanceId: null,
  })
  const committed = async () => {
    const { topics: found } = await client.request(offsetFetch, 7, {
      groupId: 'g',
      topics: [{ name: 't', partitionIndexes: [0] }],
      requireStable: false,
    })
    return found[0]!.partitions[0]!.committedOffset
  }
  const beat = async () =>
    (await client.request(heartbeat, 4, { groupId: 'g', generationId, memberId, groupInstanceId: null }))
      .errorCode
  expect([await committed(), await beat()]).toEqual([42, 0])
  await broker.reset()
  expect([await committed(), await beat()]).toEqual([-1, errors.UNKNOWN_MEMBER_ID.code])
  const again = await join(client, 9)
  expect(again).toMatchObject({ errorCode: 0, generationId: 1 })
})

test('who waits for a rebalance is answered, and no timer of a group is left', async () => {
  const clock = new ManualClock()
  const { broker, client } = await start({ clock })
  const first = await join(client, 9)
  await sync(client, 5, first)
  const timers = clock.pending
  const other = await RawClient.connect(broker.port)
  onTestFinished(() => other.close())
  const joining = join(other, 9)
  const beat = { groupId: 'g', generationId: 1, memberId: first.memberId, groupInstanceId: null }
  await expect
    .poll(async () => (await client.request(heartbeat, 4, beat)).errorCode)
    .toBe(errors.REBALANCE_IN_PROGRESS.code)
  await broker.reset()
  expect((await joining).errorCode).toBe(errors.NOT_COORDINATOR.code)
  // Only the one that looks for expired offsets.
  expect([timers, clock.pending]).toEqual([2, 1])
})

test('a producer goes on as one that the partition has never seen', async () => {
  const { broker, client } = await start({ topics: { t: 1 } })
  const send = async (baseSequence: number) => {
    const producer = { producerId: 5n, producerEpoch: 3, baseSequence }
    const batch = encodeBatch([{ value: `at ${baseSequence}` }], { producer })
    const { responses } = await client.request(produce, 9, produceBody('t', batch))
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
    return [errorCode, baseOffset]
  }
  expect(await send(0)).toEqual([0, 0])
  expect(await send(1)).toEqual([0, 1])
  await broker.reset()
  expect(await send(2)).toEqual([0, 0])
  expect(await send(0)).toEqual([errors.OUT_OF_ORDER_SEQUENCE_NUMBER.code, -1])
})

test('who waits goes on waiting, for what comes then', async () => {
  const { broker, client } = await start({ topics: { seeded: { records: [{ value: 'seed' }] }, empty: 1 } })
  const consumer = await RawClient.connect(broker.port)
  onTestFinished(() => consumer.close())
  const isNew = ({ value }: StoredRecord): boolean => String(value) === 'new'
  const waiting = broker.waitForRecords('seeded', (records) => records.some(isNew))
  const fetching = fetchFrom(consumer, 'empty', { maxWaitMs: 600_000 })
  await broker.reset()
  await produceTo(client, 'seeded', 'new')
  await produceTo(client, 'empty', 'new')
  expect((await waiting).map(({ offset, value }) => [offset, String(value)])).toEqual([
    [0, 'seed'],
    [1, 'new'],
  ])
  expect(await fetching).toMatchObject({ errorCode: 0, highWatermark: 1 })
})

test('resets wait for each other, and clients may create and delete topics meanwhile', async () => {
  const { broker, client } = await start({ topics })
  const other = await RawClient.connect(broker.port)
  onTestFinished(() => other.close())
  const over = new AbortController()
  const meddling = (async () => {
    while (!over.signal.aborted) {
      const wanted = ['mine', 'orders'].map((name) => ({ name, numPartitions: 3, replicationFactor: 1 }))
      const creation = wanted.map((topic) => ({ ...topic, assignments: [], configs: [] }))
      await other.request(createTopics, 7, { topics: creation })
      await other.request(deleteTopics, 5, { topicNames: ['orders', 'mine'], timeoutMs: 1000 })
    }
  })()
  for (let round = 0; round < 8; round++) await Promise.all([broker.reset(), broker.reset()])
  over.abort()
  await meddling
  await broker.reset()
  expect((await topicNames(client)).sort()).toEqual(['orders', 'plain'])
  expect(await broker.records('orders')).toHaveLength(1)
})

test('what was injected is forgotten', async () => {
  const { broker, client } = await start({ topics: { t: 1 } })
  const fault = broker.faults.inject({ api: 'Produce', drop: true, times: Infinity })
  await broker.reset()
  expect((await produceTo(client, 't', 'x')).errorCode).toBe(0)
  expect(fault.hits).toBe(0)
})

test('a data directory of its own is nobody’s to empty, nor a broker that is closed', async () => {
  const broker = await startBroker({ data: await temporaryDirectory(), topics })
  await expect(broker.reset()).rejects.toMatchObject({ code: 'VARVE_NOT_TEMPORARY' })
  expect(await broker.records('orders')).toHaveLength(1)
  await broker.close()
  await expect(broker.reset()).rejects.toMatchObject({ code: 'VARVE_BROKER_CLOSED' })
})
