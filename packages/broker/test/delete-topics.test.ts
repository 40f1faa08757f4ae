// A deleted topic is gone for everybody at once: a consumer that waits at it must hear, or it waits for ever, and a new topic
// of the name must not get the old one's records. Its files go later, and a crash in between must neither bring the topic
// back nor leave its directories for good.
import { readdir } from 'node:fs/promises'
import { openDataDirectory } from '@varve/log'
import { deleteTopics, errors, fetch, metadata, produce, ZERO_UUID } from '@varve/protocol'
import { expect, test } from 'vitest'
import { LocalMetadataStore } from '../src/metadata/local-metadata-store.js'
import { renameAway } from '../src/stray-directory.js'
import { TopicDeletions } from '../src/topic-deletions.js'
import { topicKey } from '../src/topic-entry.js'
import { createWith } from './support/configs.js'
import type { RawClient } from './support/raw-client.js'
import {
  batchOf,
  fetchBody,
  fetchFrom,
  produceBody,
  produceTo,
  settle,
  startTestBroker,
  temporaryDirectory,
  topicNames,
  until,
} from './support/test-broker.js'

async function remove(client: RawClient, ...topics: { name?: string; topicId?: string }[]) {
  const named = topics.map(({ name = null, topicId = ZERO_UUID }) => ({ name, topicId }))
  return (await client.request(deleteTopics, 6, { topics: named, topicNames: [], timeoutMs: 1000 })).responses
}

/** The directories of a topic that are there, by what their names end with. */
async function directoriesOf(data: string, topic: string): Promise<string[]> {
  const names = (await readdir(data)).filter((name) => name.startsWith(`${topic}-`))
  return names.map((name) => name.replace(/\.[0-9a-f]{32}-/, '.…-')).sort()
}

test.each([1, 2, 3, 4, 5])('version %i deletes by name', async (version) => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const request = { topics: [], topicNames: ['orders', 'nosuch'], timeoutMs: 1000 }
  const { responses } = await client.request(deleteTopics, version, request)
  expect(responses.map(({ name, errorCode }) => [name, errorCode])).toEqual([
    ['orders', 0],
    ['nosuch', errors.UNKNOWN_TOPIC_OR_PARTITION.code],
  ])
  expect(await topicNames(client)).toEqual([])
})

test('version 6 deletes by name or by id, and answers both', async () => {
  const { connect, createTopic } = await startTestBroker()
  const [a, b] = [await createTopic('a'), await createTopic('b')]
  const client = await connect()
  expect(await remove(client, { name: 'a' }, { topicId: b })).toMatchObject([
    { name: 'a', topicId: a, errorCode: 0 },
    { name: 'b', topicId: b, errorCode: 0 },
  ])
  expect(await topicNames(client)).toEqual([])
})

test('what cannot be deleted is said as Kafka says it', async () => {
  const { connect, createTopic } = await startTestBroker()
  const id = await createTopic('orders')
  const client = await connect()
  const answers = await remove(
    client,
    { name: 'nosuch' },
    { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' },
    { name: 'orders', topicId: id },
    {},
    { name: 'twice' },
    { name: 'twice' },
  )
  expect(answers.map(({ errorCode, errorMessage }) => [errorCode, errorMessage])).toEqual([
    [errors.UNKNOWN_TOPIC_OR_PARTITION.code, 'This server does not host this topic-partition.'],
    [errors.UNKNOWN_TOPIC_ID.code, 'This server does not host this topic ID.'],
    [errors.INVALID_REQUEST.code, 'You may not specify both topic name and topic id.'],
    [errors.INVALID_REQUEST.code, 'Neither topic name nor id were specified.'],
    [errors.INVALID_REQUEST.code, 'Duplicate topic name.'],
  ])
  expect(await topicNames(client)).toEqual(['orders'])
})

test('delete.topic.enable=false keeps every topic', async () => {
  const { connect, createTopic } = await startTestBroker({ configs: { 'delete.topic.enable': false } })
  await createTopic('orders')
  const client = await connect()
  expect((await remove(client, { name: 'orders' }))[0]!.errorCode).toBe(errors.TOPIC_DELETION_DISABLED.code)
  expect(await topicNames(client)).toEqual(['orders'])
})

test('a fetch that waits is told, by name and by id', async () => {
  const { connect, createTopic } = await startTestBroker()
  const topicId = await createTopic('orders')
  const [byName, byId, admin] = [await connect(), await connect(), await connect()]
  const body = fetchBody('orders', { maxWaitMs: 30_000 })
  const waiting = [
    byName.request(fetch, 12, body),
    byId.request(fetch, 13, { ...body, topics: [{ ...body.topics[0]!, topicId }] }),
  ]
  await settle()
  await remove(admin, { name: 'orders' })
  const codes = (await Promise.all(waiting)).map(({ responses }) => responses[0]!.partitions[0]!.errorCode)
  expect(codes).toEqual([errors.UNKNOWN_TOPIC_OR_PARTITION.code, errors.UNKNOWN_TOPIC_ID.code])
})

test('a fetch session finds the new topic of the name, not the old one', async () => {
  const { connect, createTopic } = await startTestBroker({ engine: true, data: await temporaryDirectory() })
  await createTopic('orders')
  const [consumer, admin] = [await connect(), await connect()]
  await produceTo(admin, 'orders', 'old')
  const body = fetchBody('orders')
  const { sessionId, responses } = await consumer.request(fetch, 12, {
    ...body,
    sessionId: 0,
    sessionEpoch: 0,
  })
  expect(responses[0]!.partitions[0]!.highWatermark).toBe(1)
  const next = async (sessionEpoch: number) => {
    const answer = await consumer.request(fetch, 12, { ...body, topics: [], sessionId, sessionEpoch })
    return answer.responses[0]?.partitions[0]
  }
  await remove(admin, { name: 'orders' })
  expect((await next(1))!.errorCode).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
  await createTopic('orders')
  expect(await next(2)).toMatchObject({ errorCode: 0, highWatermark: 0 })
})

test('a produce that waits is told, by name and by id', async () => {
  const { connect, createTopic, disk } = await startTestBroker()
  const topicId = await createTopic('orders')
  const [byName, byId, admin] = [await connect(), await connect(), await connect()]
  const log = disk.log('orders-0')
  log.holdDurability()
  // What is pending in a log that is closed is lost with the topic, not made durable first.
  log.close = async () => log.fail()
  const body = produceBody('orders', batchOf('a'))
  const waiting = [
    byName.request(produce, 9, body),
    byId.request(produce, 13, { ...body, topicData: [{ ...body.topicData[0]!, topicId }] }),
  ]
  await until(() => log.endOffset === 2, 'both were appended')
  await remove(admin, { name: 'orders' })
  const codes = (await Promise.all(waiting)).map(
    ({ responses }) => responses[0]!.partitionResponses[0]!.errorCode,
  )
  expect(codes).toEqual([errors.UNKNOWN_TOPIC_OR_PARTITION.code, errors.UNKNOWN_TOPIC_ID.code])
})

test('directories are renamed at once, and their files removed after file.delete.delay.ms', async () => {
  const data = await temporaryDirectory()
  const { connect, clock } = await startTestBroker({ engine: true, data })
  const client = await connect()
  await createWith(client, 'orders', { 'file.delete.delay.ms': '5000' })
  await produceTo(client, 'orders', 'a')
  await remove(client, { name: 'orders' })
  expect(await directoriesOf(data, 'orders')).toEqual(['orders-0.…-delete'])
  clock.advance(4999)
  await settle()
  expect(await directoriesOf(data, 'orders')).toEqual(['orders-0.…-delete'])
  clock.advance(1)
  await expect.poll(() => directoriesOf(data, 'orders')).toEqual([])
})

test('a new topic of the name begins anew, with another id', async () => {
  const { connect, createTopic } = await startTestBroker({ engine: true, data: await temporaryDirectory() })
  const first = await createTopic('orders', 2)
  const client = await connect()
  await produceTo(client, 'orders', 'old')
  await remove(client, { name: 'orders' })
  const second = await createTopic('orders')
  expect(second).not.toBe(first)
  expect((await produceTo(client, 'orders', 'new')).baseOffset).toBe(0)
  expect((await fetchFrom(client, 'orders')).highWatermark).toBe(1)
  const { topics } = await client.request(metadata, 12, { topics: [{ name: 'orders' }] })
  expect(topics[0]!.partitions).toHaveLength(1)
})

test('what was deleted stays deleted, and the next start removes what is left of it', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ engine: true, data })
  await first.createTopic('orders')
  await first.createTopic('kept')
  await remove(await first.connect(), { name: 'orders' })
  await first.broker.close()
  expect(await directoriesOf(data, 'orders')).toEqual(['orders-0.…-delete'])
  const second = await startTestBroker({ engine: true, data })
  expect(await topicNames(await second.connect())).toEqual(['kept'])
  await expect.poll(() => directoriesOf(data, 'orders')).toEqual([])
})

test.each([0, 1])(
  'a crash behind the decision, with %i of 2 directories renamed, is finished by the next start',
  async (renamed) => {
    const data = await temporaryDirectory()
    const first = await startTestBroker({ engine: true, data })
    const topicId = await first.createTopic('orders', 2)
    await first.broker.close()
    await inMetadata(data, async (store) => {
      const note = TopicDeletions.note({ name: 'orders', topicId, partitions: 2 })
      await store.txn({ deletes: [topicKey('orders')], puts: [note] })
    })
    for (let index = 0; index < renamed; index++) await renameAway(data, `orders-${index}`, 'delete')

    const second = await startTestBroker({ engine: true, data })
    expect(await topicNames(await second.connect())).toEqual([])
    await expect.poll(() => directoriesOf(data, 'orders')).toEqual([])
    await second.broker.close()
    await inMetadata(data, async (store) => {
      expect((await store.list('/')).entries).toEqual([])
    })
  },
)

/** Opens the metadata of a data directory that no broker has open. */
async function inMetadata(data: string, work: (store: LocalMetadataStore) => Promise<void>): Promise<void> {
  const directory = await openDataDirectory(data)
  const store = await LocalMetadataStore.open(directory, { durability: 'fsync' })
  await work(store)
  await store.close()
  await directory.close()
}
