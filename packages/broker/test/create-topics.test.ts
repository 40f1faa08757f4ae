// An administrator's scripts rely on the exact refusals of CreateTopics: "exists already" is fine, anything else is not.
// A setting that is taken and then ignored, or a topic that half exists, would surface much later.
import { createTopics, type CreateTopicsRequestInput, errors, metadata, ZERO_UUID } from '@varve/protocol'
import { expect, test } from 'vitest'
import type { RawClient } from './support/raw-client.js'
import { startTestBroker, topicNames } from './support/test-broker.js'

type Creatable = CreateTopicsRequestInput['topics'][number]

const topic = (name: string, rest: Partial<Creatable> = {}): Creatable => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...rest,
})

async function create(client: RawClient, topics: Creatable[], { version = 7, validateOnly = false } = {}) {
  return (await client.request(createTopics, version, { topics, validateOnly })).topics
}

test.each([2, 3, 4, 5, 6, 7])('version %i creates a topic', async (version) => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const [result] = await create(client, [topic('orders', { numPartitions: 3 })], { version })
  expect(result).toMatchObject({ name: 'orders', errorCode: 0, errorMessage: null })
  if (version >= 5) expect(result).toMatchObject({ numPartitions: 3, replicationFactor: 1 })
  if (version >= 5) expect(result!.configs).toHaveLength(37)
  const described = await client.request(metadata, 12, {
    topics: [{ name: 'orders' }],
    allowAutoTopicCreation: false,
  })
  expect(described.topics[0]!.partitions).toHaveLength(3)
  if (version >= 7) expect(described.topics[0]!.topicId).toBe(result!.topicId)
})

test('-1 stands for the defaults', async () => {
  const { connect } = await startTestBroker({ defaultPartitions: 4 })
  const client = await connect()
  const [result] = await create(client, [topic('orders', { numPartitions: -1, replicationFactor: -1 })])
  expect(result).toMatchObject({ errorCode: 0, numPartitions: 4, replicationFactor: 1 })
})

const assignment = (...of: [number, number[]][]): Partial<Creatable> => ({
  numPartitions: -1,
  replicationFactor: -1,
  assignments: of.map(([partitionIndex, brokerIds]) => ({ partitionIndex, brokerIds })),
})

test('a manual assignment to this broker is taken', async () => {
  const { connect } = await startTestBroker()
  const [result] = await create(await connect(), [topic('orders', assignment([1, [0]], [0, [0]]))])
  expect(result).toMatchObject({ errorCode: 0, numPartitions: 2 })
})

test.each<[string, Creatable, keyof typeof errors, RegExp]>([
  [
    'a name with a slash',
    topic('a/b'),
    'INVALID_TOPIC_EXCEPTION',
    /contains one or more characters other than/,
  ],
  ['an empty name', topic(''), 'INVALID_TOPIC_EXCEPTION', /empty string/],
  ['a dot', topic('.'), 'INVALID_TOPIC_EXCEPTION', /'\.' is not allowed/],
  [
    'a long name',
    topic('x'.repeat(250)),
    'INVALID_TOPIC_EXCEPTION',
    /longer than the max allowed length 249/,
  ],
  ['a topic that is there', topic('old_one'), 'TOPIC_ALREADY_EXISTS', /^Topic 'old_one' already exists\.$/],
  ['a colliding name', topic('old.one'), 'INVALID_TOPIC_EXCEPTION', /collides with existing topic: old_one/],
  ['the metadata log', topic('__varve_metadata'), 'INVALID_REQUEST', /internal topic/],
  ['the offsets topic', topic('__consumer_offsets'), 'INVALID_REQUEST', /internal topic/],
  ['no partitions', topic('new', { numPartitions: 0 }), 'INVALID_PARTITIONS', /non-positive/],
  ['-2 partitions', topic('new', { numPartitions: -2 }), 'INVALID_PARTITIONS', /non-positive/],
  ['2^31-1 partitions', topic('new', { numPartitions: 2 ** 31 - 1 }), 'POLICY_VIOLATION', /at most 10000/],
  ['no replicas', topic('new', { replicationFactor: 0 }), 'INVALID_REPLICATION_FACTOR', /larger than 0/],
  [
    'three replicas',
    topic('new', { replicationFactor: 3 }),
    'INVALID_REPLICATION_FACTOR',
    /only 1 broker\(s\)/,
  ],
  [
    'a configuration that nobody knows',
    topic('new', { configs: [{ name: 'retention', value: '1' }] }),
    'INVALID_CONFIG',
    /^Unknown topic config name: retention$/,
  ],
  [
    'a configuration without a value',
    topic('new', { configs: [{ name: 'retention.ms', value: null }] }),
    'INVALID_CONFIG',
    /^Null value not supported for : retention\.ms$/,
  ],
  [
    'an assignment and a replication factor',
    topic('new', { ...assignment([0, [0]]), replicationFactor: 1 }),
    'INVALID_REQUEST',
    /replication factor was not set to -1/,
  ],
  [
    'an assignment and a number of partitions',
    topic('new', { ...assignment([0, [0]]), numPartitions: 1 }),
    'INVALID_REQUEST',
    /numPartitions was not set to -1/,
  ],
  ['a stranger', topic('new', assignment([0, [9]])), 'INVALID_REPLICA_ASSIGNMENT', /includes broker 9/],
  ['one broker twice', topic('new', assignment([0, [0, 0]])), 'INVALID_REPLICA_ASSIGNMENT', /more than once/],
  ['no broker', topic('new', assignment([0, []])), 'INVALID_REPLICA_ASSIGNMENT', /empty replica list/],
  [
    'a gap',
    topic('new', assignment([0, [0]], [2, [0]])),
    'INVALID_REPLICA_ASSIGNMENT',
    /consecutive 0-based/,
  ],
  [
    'a partition twice',
    topic('new', assignment([0, [0]], [0, [0]])),
    'INVALID_REPLICA_ASSIGNMENT',
    /multiple manual/,
  ],
])('%s is refused, and its neighbour created', async (_what, refused, error, message) => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('old_one')
  const client = await connect()
  const [result, neighbour] = await create(client, [refused, topic('neighbour')])
  expect(result!.errorCode).toBe(errors[error].code)
  expect(result!.errorMessage).toMatch(message)
  expect(result!.topicId).toBe(ZERO_UUID)
  expect(neighbour!.errorCode).toBe(0)
  expect(await topicNames(client)).toEqual(['old_one', 'neighbour'])
})

test('a name that comes twice is refused once', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const results = await create(client, [topic('twin'), topic('other'), topic('twin')])
  expect(results.map(({ name, errorCode }) => [name, errorCode])).toEqual([
    ['twin', errors.INVALID_REQUEST.code],
    ['other', 0],
  ])
})

test('the limit on partitions is one of the request', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const half = { numPartitions: 6000 }
  const results = await create(client, [topic('a', half), topic('b', half)], { validateOnly: true })
  expect(results.map(({ errorCode }) => errorCode)).toEqual([0, errors.POLICY_VIOLATION.code])
})

test('validateOnly says what would be, and creates nothing', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const [good, bad] = await create(client, [topic('good', { numPartitions: 2 }), topic('b d')], {
    validateOnly: true,
  })
  expect(good).toMatchObject({ errorCode: 0, numPartitions: 2, topicId: ZERO_UUID })
  expect(bad!.errorCode).toBe(errors.INVALID_TOPIC_EXCEPTION.code)
  expect(await topicNames(client)).toEqual([])
})
