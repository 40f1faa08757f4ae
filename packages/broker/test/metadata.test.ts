// Metadata is how a client finds its way, and by default how a topic comes to be. A topic that is answered before it can
// be used costs every client a round of retries; a name that becomes a path must be checked here too.
import { errors, metadata, ZERO_UUID } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { expect, test } from 'vitest'
import type { RawClient } from './support/raw-client.js'
import { produceTo, startTestBroker, topicNames } from './support/test-broker.js'

const versions = Array.from({ length: 14 }, (_, version) => version)
const named = (...names: string[]) => ({ topics: names.map((name) => ({ name })) })

async function ask(client: RawClient, name: string, version = 12, allowAutoTopicCreation = true) {
  const { topics } = await client.request(metadata, version, {
    topics: [{ name }],
    ...(version >= 4 && { allowAutoTopicCreation }),
  })
  return topics[0]!
}

test.each(versions)('version %i names the broker and the topic', async (version) => {
  const { connect, createTopic, broker } = await startTestBroker()
  const topicId = await createTopic('orders', 3)
  const client = await connect()
  const response = await client.request(metadata, version, named('orders'))
  expect(response.brokers).toEqual([{ nodeId: 0, host: '127.0.0.1', port: broker.port, rack: null }])
  expect(response.errorCode).toBe(0)
  if (version >= 1) expect(response.controllerId).toBe(0)
  if (version >= 2) expect(response.clusterId).toBe(broker.clusterId)
  const topic = response.topics[0]!
  expect([topic.errorCode, topic.name]).toEqual([0, 'orders'])
  if (version >= 10) expect(topic.topicId).toBe(topicId)
  expect(topic.partitions.map((partition) => partition.partitionIndex)).toEqual([0, 1, 2])
  for (const { errorCode, leaderId, replicaNodes, isrNodes, offlineReplicas } of topic.partitions) {
    expect([errorCode, leaderId, replicaNodes, isrNodes, offlineReplicas]).toEqual([0, 0, [0], [0], []])
  }
})

test('an empty list means all topics in version 0 and none after it; null means all', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('a')
  await createTopic('b')
  const client = await connect()
  const names = async (version: number, topics: [] | null) =>
    (await client.request(metadata, version, { topics })).topics.map(({ name }) => name)
  expect(await names(0, [])).toEqual(['a', 'b'])
  expect(await names(1, [])).toEqual([])
  expect(await names(1, null)).toEqual(['a', 'b'])
  expect(await names(13, null)).toEqual(['a', 'b'])
})

test.each(versions)('version %i creates an unknown topic, ready to be written', async (version) => {
  const { connect } = await startTestBroker({ defaultPartitions: 2 })
  const client = await connect()
  const topic = await ask(client, 'new', version)
  expect([topic.errorCode, topic.partitions.length]).toEqual([0, 2])
  expect((await produceTo(client, 'new', 'x')).errorCode).toBe(0)
})

test('nothing is created where the request or the broker does not want it', async () => {
  const willing = await startTestBroker()
  const client = await willing.connect()
  const unknown = errors.UNKNOWN_TOPIC_OR_PARTITION.code
  expect((await ask(client, 'new', 4, false)).errorCode).toBe(unknown)
  expect(await topicNames(client)).toEqual([])
  const unwilling = await startTestBroker({ autoCreateTopics: false })
  expect((await ask(await unwilling.connect(), 'new')).errorCode).toBe(unknown)
})

test.each([
  ['', errors.INVALID_TOPIC_EXCEPTION],
  ['..', errors.INVALID_TOPIC_EXCEPTION],
  ['../../etc', errors.INVALID_TOPIC_EXCEPTION],
  ['a b', errors.INVALID_TOPIC_EXCEPTION],
  ['x'.repeat(250), errors.INVALID_TOPIC_EXCEPTION],
  ['or_ders', errors.INVALID_TOPIC_EXCEPTION],
  ['__varve_metadata', errors.UNKNOWN_TOPIC_OR_PARTITION],
  ['__consumer_offsets', errors.UNKNOWN_TOPIC_OR_PARTITION],
])('%j is not created', async (name, error) => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('or.ders')
  const client = await connect()
  expect((await ask(client, name)).errorCode).toBe(error.code)
  expect(await topicNames(client)).toEqual(['or.ders'])
})

test('clients that ask for the same new topic at once get the same one', async () => {
  const { connect, createTopic, lines } = await startTestBroker()
  const clients = await Promise.all([connect(), connect(), connect()])
  // Whichever of them wins: the one that creates explicitly may be told that the topic exists.
  const explicitly = createTopic('new').catch(() => undefined)
  const topics = await Promise.all(clients.map((client) => ask(client, 'new')))
  expect(topics.map(({ errorCode }) => errorCode)).toEqual([0, 0, 0])
  expect(new Set(topics.map(({ topicId }) => topicId)).size).toBe(1)
  await explicitly
  expect(lines.filter((line) => line.includes('created topic new'))).toHaveLength(1)
})

test('one request creates at most 100 topics, the next one the rest', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const names = Array.from({ length: 120 }, (_, i) => `t${i}`)
  const created = async () =>
    (await client.request(metadata, 12, named(...names))).topics.filter(({ errorCode }) => errorCode === 0)
      .length
  expect(await created()).toBe(100)
  expect(await created()).toBe(120)
})

test('topics are found by id from version 12 on', async () => {
  const { connect, createTopic } = await startTestBroker()
  const topicId = await createTopic('orders')
  const client = await connect()
  const unknownId = 'bCB5U4x5S3m3Hn_4t1uZyw'
  const byId = async (version: number, id: string) =>
    (await client.request(metadata, version, { topics: [{ topicId: id, name: null }] })).topics[0]!
  expect(await byId(12, topicId)).toMatchObject({ errorCode: 0, name: 'orders', topicId })
  expect(await byId(13, unknownId)).toMatchObject({
    errorCode: errors.UNKNOWN_TOPIC_ID.code,
    name: null,
    topicId: unknownId,
  })
  const refused = await client.request(metadata, 10, { topics: [{ topicId, name: 'orders' }] })
  expect(refused.topics[0]).toMatchObject({ errorCode: errors.INVALID_REQUEST.code, topicId })
  expect(refused.brokers).toEqual([])
  const nothing = await client.request(metadata, 12, { topics: [{ topicId: ZERO_UUID, name: null }] })
  expect([nothing.topics, nothing.brokers]).toEqual([[], []])
})

test('authorized operations are all of them, where asked for', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const asked = {
    ...named('orders'),
    includeTopicAuthorizedOperations: true,
    includeClusterAuthorizedOperations: true,
  }
  const response = await client.request(metadata, 8, asked)
  expect(response.topics[0]!.topicAuthorizedOperations).toBe(0b1101_1111_1000)
  expect(response.clusterAuthorizedOperations).toBe(0b1_1111_1010_0000)
  const plain = await client.request(metadata, 8, named('orders'))
  expect(plain.topics[0]!.topicAuthorizedOperations).toBe(-(2 ** 31))
})

test('a topic whose log cannot be created is answered with the reason, and can be asked for again', async () => {
  const { connect, disk, lines } = await startTestBroker()
  const client = await connect()
  disk.failOpen('new-0', new VarveError('VARVE_IO', 'no space left on the device'))
  expect((await ask(client, 'new')).errorCode).toBe(errors.KAFKA_STORAGE_ERROR.code)
  expect(lines.join('\n')).toContain('could not create the topic new: no space left on the device')
  expect((await ask(client, 'new')).errorCode).toBe(0)
})
