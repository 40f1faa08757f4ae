/** Every cell of the table for kafkajs, with its default settings but for what a cell is about. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'
import { brokers, largeValue, run, until } from './cells.mjs'

const { CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = kafkajs
const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING })
const admin = kafka.admin()
await admin.connect()

async function create(topic, numPartitions = 1, configEntries = []) {
  await admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] })
  return topic
}

async function produce(topic, messages, { compression, ...settings } = {}) {
  // It warns that its default has changed unless a partitioner is named.
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...settings })
  await producer.connect()
  try {
    await producer.send({ topic, messages, compression })
  } finally {
    await producer.disconnect()
  }
}

/** A consumer of a group, what it has been assigned and what it has read. */
async function member(groupId, topic, { fromBeginning = true } = {}) {
  const consumer = kafka.consumer({ groupId })
  const joined = { consumer, partitions: [], messages: [] }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    joined.partitions = payload.memberAssignment[topic] ?? []
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning })
  await consumer.run({ eachMessage: async ({ message }) => void joined.messages.push(message) })
  return joined
}

/** The first `count` records of a topic, for which this client needs a group. */
async function consume(topic, count) {
  const { consumer, messages } = await member(`of-${topic}`, topic)
  await until(() => messages.length >= count, `${count} records`)
  await consumer.disconnect()
  return messages
}

async function codec(name) {
  const topic = await create(`kafkajs-${name}`)
  const sent = Array.from({ length: 50 }, (_, i) => ({
    key: Buffer.from(`k${i}`),
    value: i % 5 === 4 ? null : Buffer.from(`value ${i} `.repeat(20)),
    headers: { h: Buffer.from(String(i)), empty: Buffer.alloc(0) },
    partition: 0,
  }))
  await produce(topic, sent, { compression: CompressionTypes[name === 'none' ? 'None' : name.toUpperCase()] })
  const read = await consume(topic, 50)
  assert.deepEqual(
    read.map(({ key, value, headers }) => ({ key, value, headers: { ...headers }, partition: 0 })),
    sent,
  )
}

async function large() {
  const topic = await create('kafkajs-large')
  await produce(topic, [{ value: largeValue }])
  assert.deepEqual((await consume(topic, 1))[0].value, largeValue)
  const small = await create('kafkajs-small', 1, [{ name: 'max.message.bytes', value: '10000' }])
  await assert.rejects(produce(small, [{ value: 'x'.repeat(20_000) }]), { type: 'MESSAGE_TOO_LARGE' })
  await produce(small, [{ value: 'small' }])
  assert.equal((await consume(small, 1))[0].value.toString(), 'small')
}

async function idempotent() {
  const topic = await create('kafkajs-idempotent')
  const sent = Array.from({ length: 500 }, (_, i) => ({ value: String(i) }))
  await produce(topic, sent, { idempotent: true })
  const read = await consume(topic, 500)
  assert.deepEqual(
    read.map(({ value }) => ({ value: value.toString() })),
    sent,
  )
}

async function group() {
  const topic = await create('kafkajs-group', 6)
  const members = []
  const share = (each) => () => members.every(({ partitions }) => partitions.length === each)
  for (const each of [6, 3, 2]) {
    members.push(await member('kafkajs-three', topic))
    await until(share(each), `${each} partitions for each`)
  }
  const values = Array.from({ length: 60 }, (_, i) => i)
  await produce(
    topic,
    values.map((i) => ({ value: String(i), partition: i % 6 })),
  )
  const read = () => members.flatMap(({ messages }) => messages.map(({ value }) => Number(value)))
  await until(() => read().length >= 60, 'all records')
  assert.deepEqual(
    read().sort((a, b) => a - b),
    values,
  )
  await members.pop().consumer.disconnect()
  await until(share(3), '3 partitions for each')
  for (const { consumer } of members) await consumer.disconnect()
  await produce(topic, [{ value: 'after', partition: 0 }])
  const late = await member('kafkajs-three', topic)
  await until(() => late.messages.length > 0, 'the last record')
  assert.deepEqual(
    late.messages.map(({ value }) => value.toString()),
    ['after'],
  )
  await late.consumer.disconnect()
}

async function reset() {
  const topic = await create('kafkajs-reset')
  await produce(topic, [{ value: 'before' }])
  const earliest = await member('kafkajs-earliest', topic)
  await until(() => earliest.messages.length > 0, 'a record from the start')
  assert.equal(earliest.messages[0].value.toString(), 'before')
  await earliest.consumer.disconnect()
  const latest = await member('kafkajs-latest', topic, { fromBeginning: false })
  // It tells of no position before its first record, so there is one more until one arrives.
  await until(async () => {
    await produce(topic, [{ value: 'after' }])
    return latest.messages.length > 0
  }, 'a record from the end')
  assert.equal(latest.messages[0].value.toString(), 'after')
  await latest.consumer.disconnect()
  // What a group has committed may be gone.
  await produce(topic, [{ value: 'kept' }])
  const [{ high }] = await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(high - 1) }] })
  const late = await member('kafkajs-earliest', topic)
  await until(() => late.messages.length > 0, 'what is left')
  assert.equal(late.messages[0].value.toString(), 'kept')
  await late.consumer.disconnect()
}

async function administration() {
  // One of its own: whoever else asked through it meanwhile would go on asking for the topic that is deleted here.
  const admin = kafka.admin()
  await admin.connect()
  const topic = await create('kafkajs-admin', 2)
  const partitions = async () =>
    (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  assert.equal(await partitions(), 2)
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  assert.equal(await partitions(), 3)
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const configEntries = [{ name: 'retention.ms', value: '12345' }]
  await admin.alterConfigs({ resources: [{ ...resource, configEntries }] })
  const described = await admin.describeConfigs({
    resources: [{ ...resource, configNames: ['retention.ms'] }],
  })
  assert.equal(described.resources[0].configEntries[0].configValue, '12345')
  const before = Date.now()
  const numbers = Array.from({ length: 6 }, (_, i) => ({ value: String(i), partition: 0 }))
  await produce(topic, numbers)
  const offsetsOf = async () =>
    (await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 0)
  assert.deepEqual(await offsetsOf(), { partition: 0, offset: '6', high: '6', low: '0' })
  const since = await admin.fetchTopicOffsetsByTimestamp(topic, before - 1)
  assert.equal(since.find(({ partition }) => partition === 0).offset, '0')
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] })
  assert.deepEqual(await offsetsOf(), { partition: 0, offset: '6', high: '6', low: '2' })
  assert.equal((await admin.describeCluster()).brokers.length, brokers.length)
  await admin.deleteTopics({ topics: [topic] })
  assert.ok(!(await admin.listTopics()).includes(topic))
  await admin.disconnect()
}

async function groups() {
  const topic = await create('kafkajs-groups')
  await produce(topic, [{ value: 'one' }])
  const { consumer, messages } = await member('kafkajs-listed', topic)
  await until(() => messages.length > 0, 'a record')
  const [described] = (await admin.describeGroups(['kafkajs-listed'])).groups
  assert.deepEqual([described.state, described.members.length], ['Stable', 1])
  await consumer.disconnect()
  const listed = async () => (await admin.listGroups()).groups.map(({ groupId }) => groupId)
  assert.ok((await listed()).includes('kafkajs-listed'))
  const committed = async () =>
    (await admin.fetchOffsets({ groupId: 'kafkajs-listed', topics: [topic] }))[0].partitions
  assert.equal((await committed())[0].offset, '1')
  const partitions = [{ partition: 0, offset: '0' }]
  await admin.setOffsets({ groupId: 'kafkajs-listed', topic, partitions })
  assert.equal((await committed())[0].offset, '0')
  await admin.deleteGroups(['kafkajs-listed'])
  assert.ok(!(await listed()).includes('kafkajs-listed'))
}

const cells = {
  none: () => codec('none'),
  gzip: () => codec('gzip'),
  large,
  idempotent,
  group,
  reset,
  administration,
  groups,
}
// A consumer that disconnects waits for its last fetch, for five seconds.
await run(createRequire(import.meta.url)('kafkajs/package.json').version, cells, { atOnce: true })
