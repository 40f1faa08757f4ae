// Scripts and consoles walk through these answers without a human reading them; each must be what one Kafka node would say.
import {
  createPartitions,
  deleteRecords,
  describeCluster,
  describeLogDirs,
  describeQuorum,
  describeTopicPartitions,
  electLeaders,
  errors,
  listConfigResources,
  listPartitionReassignments,
} from '@varve/protocol'
import { expect, test } from 'vitest'
import { createWith } from './support/configs.js'
import type { RawClient } from './support/raw-client.js'
import {
  fetchFrom,
  produceTo,
  startTestBroker,
  temporaryDirectory,
  topicNames,
} from './support/test-broker.js'

type Assignments = readonly { readonly brokerIds: readonly number[] }[]

async function extend(
  client: RawClient,
  name: string,
  count: number,
  assignments: Assignments | null = null,
  validateOnly = false,
) {
  const request = { topics: [{ name, count, assignments }], timeoutMs: 1000, validateOnly }
  return (await client.request(createPartitions, 3, request)).results[0]!
}

test('CreatePartitions adds partitions that can be written, and that the next start finds', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ engine: true, data })
  await first.createTopic('orders')
  const client = await first.connect()
  await produceTo(client, 'orders', 'a')
  expect(await extend(client, 'orders', 3)).toMatchObject({ errorCode: 0, errorMessage: null })
  expect((await fetchFrom(client, 'orders', { partition: 2 })).errorCode).toBe(0)
  await first.broker.close()
  const second = await startTestBroker({ engine: true, data })
  expect(second.broker.problems).toEqual([])
  const again = await second.connect()
  expect((await fetchFrom(again, 'orders', { partition: 2 })).errorCode).toBe(0)
  expect((await fetchFrom(again, 'orders')).highWatermark).toBe(1)
})

test.each<
  [what: string, count: number, assignments: Assignments | null, error: keyof typeof errors, message: string]
>([
  [
    'fewer',
    1,
    null,
    'INVALID_PARTITIONS',
    'The topic orders currently has 2 partition(s); 1 would not be an increase.',
  ],
  ['as many', 2, null, 'INVALID_PARTITIONS', 'Topic already has 2 partition(s).'],
  [
    '-1',
    -1,
    null,
    'INVALID_PARTITIONS',
    'The topic orders currently has 2 partition(s); -1 would not be an increase.',
  ],
  [
    'far more',
    20_000,
    null,
    'POLICY_VIOLATION',
    'Excessively large number of additional partitions per request.',
  ],
  [
    'a strange broker',
    3,
    [{ brokerIds: [77] }],
    'INVALID_REPLICA_ASSIGNMENT',
    'The manual partition assignment includes broker 77, but no such broker is registered.',
  ],
  [
    'nobody',
    3,
    [{ brokerIds: [] }],
    'INVALID_REPLICA_ASSIGNMENT',
    'The manual partition assignment includes an empty replica list.',
  ],
  [
    'too few assignments',
    4,
    [{ brokerIds: [0] }],
    'INVALID_REPLICA_ASSIGNMENT',
    'Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.',
  ],
])('CreatePartitions refuses %s', async (_what, count, assignments, error, message) => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders', 2)
  const answer = await extend(await connect(), 'orders', count, assignments)
  expect([answer.errorCode, answer.errorMessage]).toEqual([errors[error].code, message])
})

test('CreatePartitions with validateOnly changes nothing, and an unknown topic is unknown', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  expect((await extend(client, 'orders', 5, null, true)).errorCode).toBe(0)
  expect((await extend(client, 'orders', 2, [{ brokerIds: [0] }])).errorCode).toBe(0)
  expect((await extend(client, 'nosuch', 2)).errorCode).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
})

async function deleteBefore(client: RawClient, name: string, offset: number, partitionIndex = 0) {
  const topics = [{ name, partitions: [{ partitionIndex, offset }] }]
  return (await client.request(deleteRecords, 2, { topics, timeoutMs: 1000 })).topics[0]!.partitions[0]!
}

test('DeleteRecords moves the start of the log, and -1 moves it to the high watermark', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ engine: true, data })
  await first.createTopic('orders')
  const client = await first.connect()
  for (const value of ['a', 'b', 'c', 'd']) await produceTo(client, 'orders', value)
  expect(await deleteBefore(client, 'orders', 2)).toEqual({
    partitionIndex: 0,
    lowWatermark: 2,
    errorCode: 0,
  })
  expect(await deleteBefore(client, 'orders', 1)).toMatchObject({ lowWatermark: 2, errorCode: 0 })
  expect((await fetchFrom(client, 'orders', { offset: 1 })).errorCode).toBe(errors.OFFSET_OUT_OF_RANGE.code)
  expect((await fetchFrom(client, 'orders', { offset: 2 })).logStartOffset).toBe(2)
  for (const offset of [5, -2]) {
    expect((await deleteBefore(client, 'orders', offset)).errorCode).toBe(errors.OFFSET_OUT_OF_RANGE.code)
  }
  await first.broker.close()
  const second = await startTestBroker({ engine: true, data })
  const again = await second.connect()
  expect((await fetchFrom(again, 'orders', { offset: 2 })).logStartOffset).toBe(2)
  expect(await deleteBefore(again, 'orders', -1)).toMatchObject({ lowWatermark: 4, errorCode: 0 })
})

test('DeleteRecords leaves compacted topics and unknown partitions alone', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  await createWith(client, 'compacted', { 'cleanup.policy': 'compact' })
  await createWith(client, 'both', { 'cleanup.policy': 'compact,delete' })
  expect((await deleteBefore(client, 'compacted', 0)).errorCode).toBe(errors.POLICY_VIOLATION.code)
  expect((await deleteBefore(client, 'both', 0)).errorCode).toBe(0)
  expect((await deleteBefore(client, 'both', 0, 7)).errorCode).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
  expect((await deleteBefore(client, '__consumer_offsets', 0)).errorCode).toBe(
    errors.INVALID_TOPIC_EXCEPTION.code,
  )
})

test('DescribeLogDirs names each directory, its disk, and what its partitions take', async () => {
  const data = [await temporaryDirectory(), await temporaryDirectory()]
  const { connect, createTopic } = await startTestBroker({ engine: true, data })
  await createTopic('orders', 2)
  const client = await connect()
  await produceTo(client, 'orders', 'x'.repeat(1000))
  const { errorCode, results } = await client.request(describeLogDirs, 5, { topics: null })
  expect([errorCode, results.map(({ logDir }) => logDir)]).toEqual([0, data])
  const replicas = results.flatMap(({ topics }) =>
    topics.flatMap(({ name, partitions }) => partitions.map((one) => ({ name, ...one }))),
  )
  expect(replicas.map(({ name, partitionIndex }) => `${name}-${partitionIndex}`).sort()).toEqual([
    'orders-0',
    'orders-1',
  ])
  expect(replicas.find(({ partitionIndex }) => partitionIndex === 0)!.partitionSize).toBeGreaterThan(1000)
  expect(replicas.find(({ partitionIndex }) => partitionIndex === 1)).toMatchObject({
    partitionSize: 0,
    offsetLag: 0,
    isFutureKey: false,
  })
  for (const { totalBytes, usableBytes } of results) {
    expect(usableBytes).toBeGreaterThan(0)
    expect(totalBytes).toBeGreaterThanOrEqual(usableBytes)
  }
  const some = await client.request(describeLogDirs, 1, { topics: [{ topic: 'orders', partitions: [1] }] })
  expect(
    some.results.flatMap(({ topics }) =>
      topics.flatMap(({ partitions }) => partitions.map((one) => one.partitionIndex)),
    ),
  ).toEqual([1])
})

test('DescribeCluster names this broker, its own controller', async () => {
  const { connect, broker } = await startTestBroker()
  const client = await connect()
  const answer = await client.request(describeCluster, 2, {
    includeClusterAuthorizedOperations: true,
    includeFencedBrokers: true,
  })
  expect(answer).toMatchObject({
    errorCode: 0,
    clusterId: broker.clusterId,
    controllerId: 0,
    clusterAuthorizedOperations: 8096,
  })
  expect(answer.brokers).toEqual([
    { brokerId: 0, host: '127.0.0.1', port: broker.port, rack: null, isFenced: false },
  ])
  const controllers = await client.request(describeCluster, 1, {
    includeClusterAuthorizedOperations: false,
    endpointType: 2,
  })
  expect(controllers.errorCode).toBe(errors.MISMATCHED_ENDPOINT_TYPE.code)
})

const partitionsOf = (
  topics: readonly { name: string | null; partitions: readonly { partitionIndex: number }[] }[],
) =>
  topics.map(
    ({ name, partitions }) => `${name} ${partitions.map(({ partitionIndex }) => partitionIndex).join('')}`,
  )

test('DescribeTopicPartitions goes through all topics page by page', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('b', 3)
  await createTopic('a', 2)
  await createTopic('c', 1)
  const client = await connect()
  const pages: string[][] = []
  let cursor: { topicName: string; partitionIndex: number } | null = null
  do {
    const page = await client.request(describeTopicPartitions, 0, {
      topics: [],
      responsePartitionLimit: 2,
      cursor,
    })
    pages.push(partitionsOf(page.topics))
    cursor = page.nextCursor as typeof cursor
  } while (cursor !== null)
  expect(pages).toEqual([['a 01'], ['b 01'], ['b 2', 'c 0']])
})

test('DescribeTopicPartitions describes what was asked for, and max.request.partition.size.limit limits it', async () => {
  const { connect, createTopic } = await startTestBroker({
    configs: { 'max.request.partition.size.limit': 1 },
  })
  const topicId = await createTopic('orders', 2)
  const client = await connect()
  const topics = [{ name: 'orders' }, { name: 'a/b' }, { name: 'nosuch' }]
  const answer = await client.request(describeTopicPartitions, 0, { topics })
  expect(answer.nextCursor).toEqual({ topicName: 'orders', partitionIndex: 1 })
  expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
    ['a/b', errors.INVALID_TOPIC_EXCEPTION.code],
    ['nosuch', errors.UNKNOWN_TOPIC_OR_PARTITION.code],
    ['orders', 0],
  ])
  expect(answer.topics[2]).toMatchObject({
    topicId,
    isInternal: false,
    partitions: [
      {
        leaderId: 0,
        replicaNodes: [0],
        isrNodes: [0],
        eligibleLeaderReplicas: [],
        lastKnownElr: [],
        offlineReplicas: [],
      },
    ],
  })
})

test('no election is needed, and no replica is being moved', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const topicPartitions = [
    { topic: 'orders', partitions: [0, 7] },
    { topic: 'nosuch', partitions: [0] },
  ]
  const { replicaElectionResults } = await client.request(electLeaders, 2, {
    electionType: 0,
    topicPartitions,
  })
  expect(
    replicaElectionResults.flatMap(({ partitionResult }) =>
      partitionResult.map((one) => [one.errorCode, one.errorMessage]),
    ),
  ).toEqual([
    [errors.ELECTION_NOT_NEEDED.code, 'Leader election not needed for topic partition.'],
    [errors.UNKNOWN_TOPIC_OR_PARTITION.code, 'No such partition as orders-7'],
    [errors.UNKNOWN_TOPIC_OR_PARTITION.code, 'No such topic as nosuch'],
  ])
  expect(
    (await client.request(electLeaders, 2, { electionType: 1, topicPartitions: null }))
      .replicaElectionResults,
  ).toEqual([])
  expect(await client.request(listPartitionReassignments, 0, {})).toMatchObject({ errorCode: 0, topics: [] })
})

test('DescribeQuorum names this node as leader and only voter of a log that grows', async () => {
  const { connect, createTopic } = await startTestBroker()
  const client = await connect()
  const ask = async (topicName = '__cluster_metadata') => {
    const { topics, nodes } = await client.request(describeQuorum, 2, {
      topics: [{ topicName, partitions: [{ partitionIndex: 0 }] }],
    })
    const node = { nodeId: 0, listeners: [{ name: 'PLAINTEXT', host: '127.0.0.1' }] }
    expect(nodes).toMatchObject(topicName === '__cluster_metadata' ? [node] : [])
    return topics[0]!.partitions[0]!
  }
  const before = await ask()
  expect(before).toMatchObject({
    errorCode: 0,
    leaderId: 0,
    observers: [],
    currentVoters: [{ replicaId: 0 }],
  })
  await createTopic('orders')
  const after = await ask()
  expect(after.highWatermark).toBeGreaterThan(before.highWatermark)
  expect(after.currentVoters[0]!.logEndOffset).toBe(after.highWatermark)
  expect((await ask('orders')).errorCode).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
})

test('ListConfigResources lists topics and this broker, of the types that are asked for', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const list = async (resourceTypes: number[], version = 1) => {
    const { errorCode, configResources } = await client.request(listConfigResources, version, {
      resourceTypes,
    })
    return errorCode === 0
      ? configResources.map((one) => `${one.resourceType} ${one.resourceName}`)
      : errorCode
  }
  expect(await list([])).toEqual(['2 orders', '4 0'])
  expect(await list([2])).toEqual(['2 orders'])
  expect(await list([16, 32])).toEqual([])
  expect(await list([3])).toBe(errors.UNSUPPORTED_VERSION.code)
  expect(await list([], 0)).toEqual([])
  expect(await topicNames(client)).toEqual(['orders'])
})
