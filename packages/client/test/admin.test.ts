// Administration is mostly waiting for the right answer: from the controller and not from whoever was asked first, and
// an error of one topic must not be lost among the successes of others.

import { afterEach, expect, test } from 'vitest'
import { errors, ZERO_UUID } from '@varve/protocol'
import { Admin, type AdminOptions } from '../src/admin.js'
import { ScriptedCluster } from './scripted-cluster.js'

const closing: Array<() => Promise<void>> = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function start(
  count = 1,
  options: Partial<AdminOptions> = {},
  versions: Record<string, [number, number]> = {},
): Promise<{ cluster: ScriptedCluster; admin: Admin }> {
  const cluster = await ScriptedCluster.start(count, { versions })
  const admin = new Admin({ brokers: cluster.addresses, ...options })
  closing.push(
    () => cluster.stop(),
    () => admin.close(),
  )
  return { cluster, admin }
}

const created = ({ body }: any, errorOf: (name: string) => number = () => 0): any => ({
  throttleTimeMs: 0,
  topics: body.topics.map(({ name, numPartitions }: any) => ({
    name,
    topicId: ZERO_UUID,
    errorCode: errorOf(name),
    errorMessage: errorOf(name) === 0 ? null : `about ${name}`,
    numPartitions: Math.max(numPartitions, 1),
    replicationFactor: 1,
    configs: [],
  })),
})

test('topics are created by the controller, with what was asked for', async () => {
  const { cluster, admin } = await start(2)
  cluster.brokers.forEach((broker) =>
    broker.on('Metadata', (request) => ({ ...cluster.metadata(request), controllerId: 1 })),
  )
  cluster.brokers[1]!.on('CreateTopics', (request) => created(request))
  const topics = [
    { name: 'a', partitions: 3, replicationFactor: 2, configs: { 'cleanup.policy': 'compact' } },
    { name: 'b' },
  ]
  expect(await admin.createTopics(topics, { validateOnly: true })).toEqual([
    { name: 'a', topicId: null, partitions: 3, replicationFactor: 1 },
    { name: 'b', topicId: null, partitions: 1, replicationFactor: 1 },
  ])
  const { body } = await cluster.brokers[1]!.received('CreateTopics')
  expect(body).toMatchObject({
    validateOnly: true,
    topics: [
      {
        name: 'a',
        numPartitions: 3,
        replicationFactor: 2,
        configs: [{ name: 'cleanup.policy', value: 'compact' }],
      },
      { name: 'b', numPartitions: -1, replicationFactor: -1 },
    ],
  })
})

test('a broker too old for defaults is given some', async () => {
  const { cluster, admin } = await start(1, {}, { CreateTopics: [0, 3] })
  cluster.brokers[0]!.on('CreateTopics', (request) => created(request))
  expect(await admin.createTopics([{ name: 'a' }])).toMatchObject([{ name: 'a' }])
  expect((await cluster.brokers[0]!.received('CreateTopics')).body.topics[0]).toMatchObject({
    numPartitions: 1,
  })
})

test('a topic that failed is named, with the broker’s own words', async () => {
  const { cluster, admin } = await start()
  cluster.brokers[0]!.on('CreateTopics', (request) =>
    created(request, (name) => (name === 'good' ? 0 : errors.TOPIC_ALREADY_EXISTS.code)),
  )
  const one = admin.createTopics([{ name: 'good' }, { name: 'bad' }])
  await expect(one).rejects.toMatchObject({
    kafkaName: 'TOPIC_ALREADY_EXISTS',
    message: expect.stringMatching(/'bad'.*about bad/),
  })
  const both: any = await admin
    .createTopics([{ name: 'bad' }, { name: 'worse' }])
    .catch((error: unknown) => error)
  expect(both.cause.errors.map(({ message }: Error) => message)).toEqual([
    expect.stringContaining("'bad'"),
    expect.stringContaining("'worse'"),
  ])
})

test('a controller that has moved is asked again', async () => {
  const { cluster, admin } = await start()
  let asked = 0
  cluster.brokers[0]!.on('CreateTopics', (request) =>
    created(request, () => (asked++ < 2 ? errors.NOT_CONTROLLER.code : 0)),
  )
  expect(await admin.createTopics([{ name: 'a' }])).toHaveLength(1)
})

test('topics are listed by name and described', async () => {
  const { cluster, admin } = await start(2)
  cluster.topics['b'] = { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', leaders: [0, 1] }
  cluster.topics['a'] = { leaders: [1] }
  expect((await admin.listTopics()).map(({ name }) => name)).toEqual(['a', 'b'])
  expect(await admin.describeTopics(['b'])).toMatchObject([
    {
      name: 'b',
      topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      partitions: [
        { partition: 0, leader: 0 },
        { partition: 1, leader: 1 },
      ],
    },
  ])
  await expect(admin.describeTopics(['b', 'none'])).rejects.toMatchObject({
    kafkaName: 'UNKNOWN_TOPIC_OR_PARTITION',
  })
})

test('offsets are looked up at the leaders', async () => {
  const { cluster, admin } = await start(2)
  cluster.topics['t'] = { leaders: [0, 1] }
  cluster.log('t', 0).add({ value: 'a' }, { value: 'b' })
  cluster.log('t', 1).add({ value: 'c' })
  const queries = [
    { topic: 't', partition: 1, timestamp: 'latest' },
    { topic: 't', partition: 0, timestamp: 'latest' },
    { topic: 't', partition: 0, timestamp: 1234 },
  ] as const
  expect((await admin.listOffsets(queries)).map(({ partition, offset }) => [partition, offset])).toEqual([
    [1, 1],
    [0, 2],
    [0, 0],
  ])
  // A request may name a partition only once.
  const asked = cluster.brokers[0]!.requests.filter(({ name }) => name === 'ListOffsets')
  expect(asked.map(({ body }) => body.topics[0].partitions.map(({ timestamp }: any) => timestamp))).toEqual([
    [-1],
    [1234],
  ])
  await expect(admin.listOffsets([{ topic: 't', partition: 2, timestamp: 'latest' }])).rejects.toMatchObject({
    code: 'VARVE_UNKNOWN_PARTITION',
  })
})

test('an offset whose leader has moved is looked up again', async () => {
  const { cluster, admin } = await start()
  cluster.topics['t'] = { leaders: [0] }
  let asked = 0
  cluster.brokers[0]!.on('ListOffsets', (request) => {
    const response = cluster.listOffsets(request, asked++ === 0 ? 1 : 0)
    return response
  })
  expect(await admin.listOffsets([{ topic: 't', partition: 0, timestamp: 'earliest' }])).toMatchObject([
    { offset: 0 },
  ])
  expect(asked).toBe(2)
})

test('the highest timestamp is not asked of a broker that would misunderstand', async () => {
  const { cluster, admin } = await start(1, {}, { ListOffsets: [0, 6] })
  cluster.topics['t'] = { leaders: [0] }
  await expect(
    admin.listOffsets([{ topic: 't', partition: 0, timestamp: 'maxTimestamp' }]),
  ).rejects.toMatchObject({ code: 'VARVE_UNSUPPORTED_VERSION' })
})

test('nobody there is an error at once', async () => {
  const { cluster, admin } = await start()
  await cluster.stop()
  await expect(admin.listTopics()).rejects.toMatchObject({ code: 'VARVE_NO_BROKER' })
})

test('a topic can have its replicas said, which say how many there are', async () => {
  const { cluster, admin } = await start()
  cluster.brokers[0]!.on('CreateTopics', (request) => created(request))
  await admin.createTopics([
    {
      name: 'a',
      replicas: [
        [1, 0],
        [0, 1],
      ],
    },
  ])
  expect((await cluster.brokers[0]!.received('CreateTopics')).body.topics[0]).toMatchObject({
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [
      { partitionIndex: 0, brokerIds: [1, 0] },
      { partitionIndex: 1, brokerIds: [0, 1] },
    ],
  })
  await expect(admin.createTopics([{ name: 'a', partitions: 1, replicas: [[0]] }])).rejects.toMatchObject({
    code: 'VARVE_INVALID_OPTION',
  })
})

test.each([5, 6])('topics are deleted by the controller, version %i', async (version) => {
  const { cluster, admin } = await start(2, {}, { DeleteTopics: [1, version] })
  cluster.brokers.forEach((broker) =>
    broker.on('Metadata', (request) => ({ ...cluster.metadata(request), controllerId: 1 })),
  )
  cluster.brokers[1]!.on('DeleteTopics', ({ body }) => ({
    throttleTimeMs: 0,
    responses: (version === 6 ? body.topics.map(({ name }: any) => name) : body.topicNames).map(
      (name: string) => ({
        name,
        topicId: ZERO_UUID,
        errorCode: name === 'none' ? errors.UNKNOWN_TOPIC_OR_PARTITION.code : 0,
      }),
    ),
  }))
  await admin.deleteTopics(['a', 'b'])
  await expect(admin.deleteTopics(['a', 'none'])).rejects.toMatchObject({
    kafkaName: 'UNKNOWN_TOPIC_OR_PARTITION',
    message: expect.stringContaining("'none'"),
  })
})

test('partitions are added, where the broker chooses or where it is told', async () => {
  const { cluster, admin } = await start()
  let asked = 0
  cluster.brokers[0]!.on('CreatePartitions', ({ body }) => {
    const errorCode = asked++ === 0 ? errors.NOT_CONTROLLER.code : 0
    return {
      throttleTimeMs: 0,
      results: body.topics.map(({ name }: any) => ({ name, errorCode, errorMessage: null })),
    }
  })
  await admin.createPartitions([
    { topic: 'a', count: 3 },
    { topic: 'b', count: 2, replicas: [[1]] },
  ])
  expect((await cluster.brokers[0]!.received('CreatePartitions', 1)).body).toMatchObject({
    topics: [
      { name: 'a', count: 3, assignments: null },
      { name: 'b', count: 2, assignments: [{ brokerIds: [1] }] },
    ],
    validateOnly: false,
  })
})
