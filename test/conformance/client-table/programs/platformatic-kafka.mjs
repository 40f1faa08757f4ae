/**
 * Every cell of the table for @platformatic/kafka, with its default settings but for what a cell is about. The first argument is
 * the folder that it is installed in, as it wants a newer Node than varve.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { brokers, largeValue, replicationFactor, run, until } from './cells.mjs'

const folder = join(process.argv[2], 'node_modules', '@platformatic', 'kafka')
const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
const { Admin, ConfigResourceTypes, Consumer, IncrementalAlterConfigOperationTypes, ProduceAcks, Producer } =
  await import(pathToFileURL(join(folder, 'dist', 'index.js')).href)

const at = { clientId: 'platformatic-kafka', bootstrapBrokers: brokers }
const admin = new Admin(at)

/** By default it waits for the leader alone, and the end that anybody is told is that of what all replicas in sync have. */
const committed = { acks: ProduceAcks.ALL }

async function create(name, partitions = 1, configs = []) {
  const topic = `platformatic-kafka-${name}`
  await admin.createTopics({ topics: [topic], partitions, replicas: replicationFactor, configs })
  return topic
}

async function produce(topic, records, settings = {}) {
  const producer = new Producer(at)
  const messages = records.map((record) => ({ topic, partition: 0, ...record }))
  try {
    await producer.send({ messages, ...settings })
  } finally {
    await producer.close()
  }
}

async function deleteBefore(topic, offset) {
  const [deleted] = await admin.deleteRecords({
    topics: [{ name: topic, partitions: [{ partition: 0, offset }] }],
  })
  assert.equal(deleted.partitions[0].lowWatermark, offset)
}

/** The offset of partition 0 at a time, or -1 for its end and -2 for its start. */
async function offsetAt(topic, timestamp) {
  const partitions = [{ partitionIndex: 0, timestamp: BigInt(timestamp) }]
  const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions }] })
  return listed.partitions[0].offset
}

/** A consumer of a group, what it has been assigned and what it has read. */
async function member(group, topic, fallbackMode = 'earliest') {
  const consumer = new Consumer({ ...at, groupId: `platformatic-kafka-${group}` })
  const joined = {
    messages: [],
    partitions: () => consumer.assignments?.find((each) => each.topic === topic)?.partitions.length ?? 0,
    // It closes without committing what was read while it committed something else.
    leave: async () => {
      await until(() => stream.offsetsToCommit.size === 0, 'committed')
      await stream.close()
      await consumer.close()
    },
  }
  const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode })
  stream.on('data', (message) => joined.messages.push(message))
  stream.on('error', (error) => (joined.error = error))
  return joined
}

async function untilRead(joined, count) {
  await until(() => {
    if (joined.error !== undefined) throw joined.error
    return joined.messages.length >= count
  }, `${count} records`)
  return joined.messages
}

/** The first `count` records of a topic, for which this client needs a group. */
async function consume(topic, count) {
  const joined = await member(`of-${topic}`, topic)
  await untilRead(joined, count)
  await joined.leave()
  return joined.messages
}

/** A null is undefined where it reads. */
const orNull = (read) => read ?? null

async function codec(name) {
  const topic = await create(name)
  const sent = Array.from({ length: 50 }, (_, i) => ({
    key: Buffer.from(`k${i}`),
    value: i % 5 === 4 ? null : Buffer.from(`value ${i} `.repeat(20)),
    headers: new Map([
      [Buffer.from('h'), Buffer.from(String(i))],
      [Buffer.from('none'), null],
    ]),
  }))
  await produce(topic, sent, { compression: name })
  const read = await consume(topic, 50)
  assert.deepEqual(
    read.map(({ key, value, headers }) => ({
      key,
      value: orNull(value),
      headers: new Map([...headers].map(([name, each]) => [name, orNull(each)])),
    })),
    sent,
  )
}

async function large() {
  const topic = await create('large')
  await produce(topic, [{ value: largeValue }])
  const [{ value }] = await consume(topic, 1)
  assert.ok(value.equals(largeValue))
  const small = await create('small', 1, [{ name: 'max.message.bytes', value: '10000' }])
  await assert.rejects(produce(small, [{ value: Buffer.alloc(20_000) }]), (error) => {
    assert.match(inspect(error, { depth: 5 }), /MESSAGE_TOO_LARGE/)
    return true
  })
  await produce(small, [{ value: Buffer.from('small') }])
  assert.equal((await consume(small, 1))[0].value.toString(), 'small')
}

async function idempotent() {
  const topic = await create('idempotent')
  const values = Array.from({ length: 500 }, (_, i) => String(i))
  await produce(
    topic,
    values.map((value) => ({ value: Buffer.from(value) })),
    { idempotent: true },
  )
  assert.deepEqual(
    (await consume(topic, 500)).map(({ value }) => value.toString()),
    values,
  )
}

async function group() {
  const topic = await create('group', 6)
  const members = []
  const share = (each) => () => members.every(({ partitions }) => partitions() === each)
  for (const each of [6, 3, 2]) {
    members.push(await member('three', topic))
    await until(share(each), `${each} partitions for each`)
  }
  const numbers = Array.from({ length: 60 }, (_, i) => i)
  await produce(
    topic,
    numbers.map((i) => ({ value: Buffer.from(String(i)), partition: i % 6 })),
  )
  // A fetch that is under way at a rebalance brings records of a partition that another member reads by then.
  const read = () => new Set(members.flatMap(({ messages }) => messages.map(({ value }) => Number(value))))
  await until(() => read().size >= 60, 'all records')
  assert.deepEqual(
    [...read()].sort((a, b) => a - b),
    numbers,
  )
  await members.pop().leave()
  await until(share(3), '3 partitions for each')
  for (const { leave } of members) await leave()
  await produce(topic, [{ value: Buffer.from('after') }])
  const late = await member('three', topic)
  assert.deepEqual(
    (await untilRead(late, 1)).map(({ value }) => value.toString()),
    ['after'],
  )
  await late.leave()
}

async function reset() {
  const topic = await create('reset')
  await produce(topic, [{ value: Buffer.from('before') }])
  const earliest = await member('earliest', topic)
  assert.equal((await untilRead(earliest, 1))[0].value.toString(), 'before')
  await earliest.leave()
  const latest = await member('latest', topic, 'latest')
  // It tells of no position before its first record, so there is one more until one arrives.
  await until(async () => {
    await produce(topic, [{ value: Buffer.from('after') }], committed)
    return latest.messages.length > 0
  }, 'a record from the end')
  assert.equal(latest.messages[0].value.toString(), 'after')
  await latest.leave()
  // What a group has committed may be gone.
  await produce(topic, [{ value: Buffer.from('kept') }], committed)
  await deleteBefore(topic, (await offsetAt(topic, -1)) - 1n)
  const late = await member('earliest', topic)
  assert.equal((await untilRead(late, 1))[0].value.toString(), 'kept')
  await late.leave()
}

async function administration() {
  const topic = await create('admin', 2)
  const partitions = async () =>
    (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic).partitionsCount
  assert.equal(await partitions(), 2)
  await admin.createPartitions({ topics: [{ name: topic, count: 3 }] })
  assert.equal(await partitions(), 3)
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }
  const configOperation = IncrementalAlterConfigOperationTypes.SET
  const configs = [{ name: 'retention.ms', value: '12345', configOperation }]
  await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs }] })
  const [described] = await admin.describeConfigs({
    resources: [{ ...resource, configurationKeys: ['retention.ms'] }],
  })
  assert.equal(described.configs[0].value, '12345')
  const before = Date.now()
  const numbers = Array.from({ length: 6 }, (_, i) => ({ value: Buffer.from(String(i)) }))
  await produce(topic, numbers, committed)
  assert.equal(await offsetAt(topic, -1), 6n)
  assert.equal(await offsetAt(topic, before - 1), 0n)
  await deleteBefore(topic, 2n)
  assert.equal(await offsetAt(topic, -2), 2n)
  const kept = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] })
  assert.deepEqual(
    kept.map(({ results }) => results.flatMap((directory) => directory.topics.map(({ name }) => name))),
    brokers.map(() => [topic]),
  )
  assert.equal((await admin.metadata({ topics: [topic], forceUpdate: true })).brokers.size, brokers.length)
  await admin.deleteTopics({ topics: [topic] })
  assert.ok(!(await admin.listTopics()).includes(topic))
}

async function groups() {
  const topic = await create('groups')
  await produce(topic, [{ value: Buffer.from('one') }])
  const joined = await member('listed', topic)
  await untilRead(joined, 1)
  const name = 'platformatic-kafka-listed'
  const described = (await admin.describeGroups({ groups: [name] })).get(name)
  assert.deepEqual([described.state, described.members.size], ['Stable', 1])
  const [removed] = described.members.keys()
  await admin.removeMembersFromConsumerGroup({ groupId: name, members: [{ memberId: removed }] })
  // It joins again as another one.
  const membersOf = async () => (await admin.describeGroups({ groups: [name] })).get(name).members
  assert.ok(!(await membersOf()).has(removed))
  await until(async () => (await membersOf()).size === 1, 'a member again')
  await joined.leave()
  assert.ok((await admin.listGroups()).has(name))
  const committed = async () => {
    const [found] = await admin.listConsumerGroupOffsets({ groups: [name] })
    return found.topics[0]?.partitions[0].committedOffset
  }
  assert.equal(await committed(), 1n)
  const partitionOffsets = [{ partition: 0, offset: 0n }]
  await admin.alterConsumerGroupOffsets({ groupId: name, topics: [{ name: topic, partitionOffsets }] })
  assert.equal(await committed(), 0n)
  await admin.deleteConsumerGroupOffsets({ groupId: name, topics: [{ name: topic, partitionIndexes: [0] }] })
  assert.equal(await committed(), undefined)
  await admin.deleteGroups({ groups: [name] })
  assert.ok(!(await admin.listGroups()).has(name))
}

await run(version, {
  ...Object.fromEntries(['none', 'gzip', 'snappy', 'lz4', 'zstd'].map((name) => [name, () => codec(name)])),
  large,
  idempotent,
  group,
  reset,
  administration,
  groups,
})
