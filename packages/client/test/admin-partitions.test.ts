// Records are deleted by leaders, and what is deleted is gone: a request that reaches the wrong one must come back to the
// right one, with the same offset. Descriptions that come in pages must neither lose a page nor turn it for ever.

import { expect, test } from 'vitest'
import { errors } from '@varve/protocol'
import { startAdmin } from './scripted-admin.js'

const lowWatermarks =
  (errorOf: (partition: number) => number = () => 0) =>
  ({ body }: any): any => ({
    throttleTimeMs: 0,
    topics: body.topics.map(({ name, partitions }: any) => ({
      name,
      partitions: partitions.map(({ partitionIndex, offset }: any) => ({
        partitionIndex,
        lowWatermark: offset === -1 ? 99 : offset,
        errorCode: errorOf(partitionIndex),
      })),
    })),
  })

test('records are deleted at the leaders', async () => {
  const { cluster, admin } = await startAdmin(2)
  cluster.topics['t'] = { leaders: [0, 1] }
  for (const broker of cluster.brokers) broker.on('DeleteRecords', lowWatermarks())
  expect(
    await admin.deleteRecords([
      { topic: 't', partition: 1, before: 'latest' },
      { topic: 't', partition: 0, before: 5 },
    ]),
  ).toEqual([
    { topic: 't', partition: 1, logStartOffset: 99 },
    { topic: 't', partition: 0, logStartOffset: 5 },
  ])
  expect(cluster.brokers.map((broker) => broker.count('DeleteRecords'))).toEqual([1, 1])
})

test('a leader that has moved is found again', async () => {
  const { cluster, admin } = await startAdmin(2)
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[0]!.on('DeleteRecords', (request) => {
    cluster.topics['t'] = { leaders: [1] }
    return lowWatermarks(() => errors.NOT_LEADER_OR_FOLLOWER.code)(request)
  })
  cluster.brokers[1]!.on('DeleteRecords', lowWatermarks())
  expect(await admin.deleteRecords([{ topic: 't', partition: 0, before: 5 }])).toMatchObject([
    { logStartOffset: 5 },
  ])
})

test('what cannot be deleted is an error, and so is a partition that is not there', async () => {
  const { cluster, admin } = await startAdmin()
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[0]!.on(
    'DeleteRecords',
    lowWatermarks(() => errors.OFFSET_OUT_OF_RANGE.code),
  )
  await expect(admin.deleteRecords([{ topic: 't', partition: 0, before: 5 }])).rejects.toMatchObject({
    kafkaName: 'OFFSET_OUT_OF_RANGE',
  })
  await expect(admin.deleteRecords([{ topic: 't', partition: 1, before: 5 }])).rejects.toMatchObject({
    code: 'VARVE_UNKNOWN_PARTITION',
  })
  await expect(admin.deleteRecords([{ topic: 'none', partition: 0, before: 5 }])).rejects.toMatchObject({
    kafkaName: 'UNKNOWN_TOPIC_OR_PARTITION',
  })
})

test('producers of a partition come as they are remembered', async () => {
  const { cluster, admin } = await startAdmin()
  cluster.topics['t'] = { leaders: [0] }
  const producer = {
    producerId: 7,
    producerEpoch: 1,
    lastSequence: 4,
    lastTimestamp: 123,
    coordinatorEpoch: -1,
  }
  cluster.brokers[0]!.on('DescribeProducers', () => ({
    throttleTimeMs: 0,
    topics: [
      {
        name: 't',
        partitions: [
          { partitionIndex: 0, errorCode: 0, activeProducers: [{ ...producer, currentTxnStartOffset: 3 }] },
        ],
      },
    ],
  }))
  expect(await admin.describeProducers([{ topic: 't', partition: 0 }])).toEqual([
    { topic: 't', partition: 0, producers: [{ ...producer, transactionStartOffset: 3 }] },
  ])
})

const partition = (partitionIndex: number): any => ({
  errorCode: 0,
  partitionIndex,
  leaderId: 0,
  leaderEpoch: 2,
  replicaNodes: [0, 1],
  isrNodes: [0],
  eligibleLeaderReplicas: [1],
  lastKnownElr: [],
  offlineReplicas: [1],
})
const page = (name: string, indexes: number[], nextCursor: any): any => ({
  throttleTimeMs: 0,
  topics: [
    {
      errorCode: 0,
      name,
      topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      partitions: indexes.map(partition),
    },
  ],
  nextCursor,
})

test('pages are put together, each beginning where the last one ended', async () => {
  const { cluster, admin } = await startAdmin()
  const pages = [
    page('a', [0, 1], { topicName: 'a', partitionIndex: 2 }),
    page('a', [2], { topicName: 'b', partitionIndex: 0 }),
    page('b', [0], null),
  ]
  cluster.brokers[0]!.on('DescribeTopicPartitions', () => pages.shift())
  const found = await admin.describeTopicPartitions(['b', 'a'], { pageSize: 2 })
  expect(found.map(({ name, partitions }) => [name, partitions.length])).toEqual([
    ['b', 1],
    ['a', 3],
  ])
  expect(found[1]!.partitions[2]).toEqual({
    partition: 2,
    leader: 0,
    leaderEpoch: 2,
    replicas: [0, 1],
    isr: [0],
    offlineReplicas: [1],
    eligibleLeaderReplicas: [1],
    lastKnownEligibleLeaderReplicas: [],
  })
  const asked = cluster.brokers[0]!.requests.filter(({ name }) => name === 'DescribeTopicPartitions')
  expect(asked.map(({ body }) => body)).toEqual([
    { topics: [{ name: 'a' }, { name: 'b' }], responsePartitionLimit: 2, cursor: null },
    {
      topics: [{ name: 'a' }, { name: 'b' }],
      responsePartitionLimit: 2,
      cursor: { topicName: 'a', partitionIndex: 2 },
    },
    { topics: [{ name: 'b' }], responsePartitionLimit: 2, cursor: { topicName: 'b', partitionIndex: 0 } },
  ])
})

test('a cursor that stands still is an error, not a loop', async () => {
  const { cluster, admin } = await startAdmin()
  cluster.brokers[0]!.on('DescribeTopicPartitions', () =>
    page('a', [0], { topicName: 'a', partitionIndex: 1 }),
  )
  await expect(admin.describeTopicPartitions(['a'])).rejects.toMatchObject({ code: 'VARVE_INVALID_RESPONSE' })
})
