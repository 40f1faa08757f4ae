// Moving replicas and electing leaders is what an operator does when something is wrong already. A question that gets lost
// with its controller, one refusal that hides what became of the others, or an election that cost records unasked, makes it worse.

import { expect, test } from 'vitest'
import { errors } from '@varve/protocol'
import { startAdmin } from './scripted-admin.js'
import type { ScriptedCluster } from './scripted-cluster.js'

/** Who the controller is, as all brokers tell. */
function control(cluster: ScriptedCluster, nodeId: () => number): void {
  for (const broker of cluster.brokers)
    broker.on('Metadata', (request) => ({ ...cluster.metadata(request), controllerId: nodeId() }))
}

const reassigned =
  (errorOf: (partition: number) => number = () => 0) =>
  ({ body }: any): any => ({
    throttleTimeMs: 0,
    errorCode: 0,
    errorMessage: null,
    responses: body.topics.map(({ name, partitions }: any) => ({
      name,
      partitions: partitions.map(({ partitionIndex }: any) => ({
        partitionIndex,
        errorCode: errorOf(partitionIndex),
        errorMessage: errorOf(partitionIndex) === 0 ? null : 'not so',
      })),
    })),
  })

const elected =
  (errorOf: (partition: number) => number = () => 0) =>
  ({ body }: any): any => ({
    throttleTimeMs: 0,
    errorCode: 0,
    replicaElectionResults: (body.topicPartitions ?? [{ topic: 't', partitions: [4] }]).map(
      ({ topic, partitions }: any) => ({
        topic,
        partitionResult: partitions.map((partitionId: number) => ({
          partitionId,
          errorCode: errorOf(partitionId),
          errorMessage: null,
        })),
      }),
    ),
  })

test('replicas are moved by the controller, and one refusal does not hide the others', async () => {
  const { cluster, admin } = await startAdmin(2)
  control(cluster, () => 1)
  const refusal = errors.INVALID_REPLICA_ASSIGNMENT.code
  cluster.brokers[1]!.on(
    'AlterPartitionReassignments',
    reassigned((partition) => (partition === 1 ? refusal : 0)),
  )
  const outcomes = await admin.alterPartitionReassignments([
    { topic: 't', partition: 1, replicas: [7] },
    { topic: 'u', partition: 0, replicas: null },
    { topic: 't', partition: 0, replicas: [2, 1] },
  ])
  expect(outcomes).toEqual([
    {
      topic: 't',
      partition: 1,
      error: expect.objectContaining({
        kafkaName: 'INVALID_REPLICA_ASSIGNMENT',
        message: expect.stringMatching(/t-1.*not so/),
      }),
    },
    { topic: 'u', partition: 0, error: null },
    { topic: 't', partition: 0, error: null },
  ])
  expect((await cluster.brokers[1]!.received('AlterPartitionReassignments')).body.topics).toEqual([
    {
      name: 't',
      partitions: [
        { partitionIndex: 1, replicas: [7] },
        { partitionIndex: 0, replicas: [2, 1] },
      ],
    },
    { name: 'u', partitions: [{ partitionIndex: 0, replicas: null }] },
  ])
  expect(await admin.alterPartitionReassignments([])).toEqual([])
})

test.each(['answers that it is another', 'goes away'])(
  'the controller is found again when the one that was asked %s',
  async (how) => {
    const { cluster, admin } = await startAdmin(2)
    let controller = 0
    control(cluster, () => controller)
    cluster.brokers[0]!.on('AlterPartitionReassignments', (request) => {
      controller = 1
      if (how === 'goes away') request.socket.destroy()
      else return { ...reassigned()(request), errorCode: errors.NOT_CONTROLLER.code, responses: [] }
      return undefined
    })
    cluster.brokers[1]!.on('AlterPartitionReassignments', reassigned())
    const wanted = [{ topic: 't', partition: 0, replicas: [1] }]
    expect(await admin.alterPartitionReassignments(wanted)).toMatchObject([{ error: null }])
    expect(cluster.brokers[1]!.count('AlterPartitionReassignments')).toBe(1)
  },
)

test('what is refused as a whole is thrown', async () => {
  const { cluster, admin } = await startAdmin()
  const refused = {
    throttleTimeMs: 0,
    errorCode: errors.CLUSTER_AUTHORIZATION_FAILED.code,
    errorMessage: 'no',
  }
  cluster.brokers[0]!.on('AlterPartitionReassignments', () => ({ ...refused, responses: [] }))
  cluster.brokers[0]!.on('ListPartitionReassignments', () => ({ ...refused, topics: [] }))
  cluster.brokers[0]!.on('ElectLeaders', () => ({ ...refused, replicaElectionResults: [] }))
  cluster.brokers[0]!.on('UnregisterBroker', () => refused)
  const calls = [
    admin.alterPartitionReassignments([{ topic: 't', partition: 0, replicas: null }]),
    admin.listPartitionReassignments(),
    admin.electLeaders('preferred', null),
    admin.unregisterBroker(3),
  ]
  for (const call of calls)
    await expect(call).rejects.toMatchObject({ kafkaName: 'CLUSTER_AUTHORIZATION_FAILED' })
})

test('reassignments under way are listed, all or some', async () => {
  const { cluster, admin } = await startAdmin()
  cluster.brokers[0]!.on('ListPartitionReassignments', () => ({
    throttleTimeMs: 0,
    errorCode: 0,
    errorMessage: null,
    topics: [
      {
        name: 't',
        partitions: [{ partitionIndex: 3, replicas: [1, 2, 3], addingReplicas: [3], removingReplicas: [1] }],
      },
    ],
  }))
  expect(await admin.listPartitionReassignments()).toEqual([
    { topic: 't', partition: 3, replicas: [1, 2, 3], addingReplicas: [3], removingReplicas: [1] },
  ])
  await admin.listPartitionReassignments([
    { topic: 't', partition: 3 },
    { topic: 't', partition: 4 },
  ])
  const asked = cluster.brokers[0]!.requests.filter(({ name }) => name === 'ListPartitionReassignments')
  expect(asked.map(({ body }) => body.topics)).toEqual([null, [{ name: 't', partitionIndexes: [3, 4] }]])
  expect(await admin.listPartitionReassignments([])).toEqual([])
})

test('an election tells who was elected, who need not be and who cannot be', async () => {
  const { cluster, admin } = await startAdmin()
  const codes = [0, errors.ELECTION_NOT_NEEDED.code, errors.PREFERRED_LEADER_NOT_AVAILABLE.code]
  cluster.brokers[0]!.on(
    'ElectLeaders',
    elected((partition) => codes[partition] ?? 0),
  )
  const where = [0, 1, 2].map((partition) => ({ topic: 't', partition }))
  expect(await admin.electLeaders('preferred', where)).toEqual([
    { ...where[0], isElected: true, error: null },
    { ...where[1], isElected: false, error: null },
    {
      ...where[2],
      isElected: false,
      error: expect.objectContaining({ kafkaName: 'PREFERRED_LEADER_NOT_AVAILABLE' }),
    },
  ])
  expect(await admin.electLeaders('unclean', null)).toEqual([
    { topic: 't', partition: 4, isElected: true, error: null },
  ])
  const bodies = cluster.brokers[0]!.requests.filter(({ name }) => name === 'ElectLeaders').map(
    ({ body }) => [body.electionType, body.topicPartitions],
  )
  expect(bodies).toEqual([
    [0, [{ topic: 't', partitions: [0, 1, 2] }]],
    [1, null],
  ])
})

test('a broker that knows no unclean election is not asked for one, which would be a preferred one there', async () => {
  const { cluster, admin } = await startAdmin(1, {}, { ElectLeaders: [0, 0] })
  cluster.brokers[0]!.on('ElectLeaders', elected())
  await expect(admin.electLeaders('unclean', null)).rejects.toMatchObject({
    code: 'VARVE_UNSUPPORTED_VERSION',
  })
  expect(await admin.electLeaders('preferred', null)).toHaveLength(1)
  expect(cluster.brokers[0]!.count('ElectLeaders')).toBe(1)
})

test('fenced brokers are told of where the broker knows of them', async () => {
  for (const [max, asked] of [
    [2, true],
    [1, undefined],
  ] as const) {
    const { cluster, admin } = await startAdmin(1, {}, { DescribeCluster: [0, max] })
    cluster.brokers[0]!.on('DescribeCluster', () => ({
      throttleTimeMs: 0,
      errorCode: 0,
      clusterId: 'c',
      controllerId: 0,
      brokers: [{ brokerId: 3, host: 'h', port: 1, rack: 'a', ...(max === 2 ? { isFenced: true } : {}) }],
    }))
    const { nodes } = await admin.describeCluster({ includeFenced: true })
    expect(nodes).toEqual([{ nodeId: 3, host: 'h', port: 1, rack: 'a', isFenced: max === 2 }])
    expect(
      (await cluster.brokers[0]!.received('DescribeCluster')).body.includeFencedBrokers || undefined,
    ).toBe(asked)
  }
})

test('a replica is read from its own broker, leader or not', async () => {
  const { cluster, admin } = await startAdmin(3)
  cluster.topics['t'] = { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', leaders: [0] }
  const log = cluster.log('t').add({ value: 'a' }).add({ value: 'b' })
  cluster.brokers[2]!.on('Fetch', (request) => {
    const response = cluster.fetchResponse(request, 0)
    response.responses[0].partitions[0].logStartOffset = 0
    return response
  })
  const where = { nodeId: 2, topic: 't', partition: 0, offset: 1 }
  expect(await admin.readReplica(where, { maxBytes: 500 })).toEqual({
    records: log.batches[1],
    highWatermark: 2,
    logStartOffset: 0,
  })
  expect((await cluster.brokers[2]!.received('Fetch')).body).toMatchObject({
    maxWaitMs: 0,
    maxBytes: 500,
    topics: [{ partitions: [{ partition: 0, fetchOffset: 1, partitionMaxBytes: 500 }] }],
  })
  await expect(admin.readReplica({ ...where, offset: 9 })).rejects.toMatchObject({
    kafkaName: 'OFFSET_OUT_OF_RANGE',
  })
})

test('a replica is asked for its offsets as itself', async () => {
  const { cluster, admin } = await startAdmin(2)
  cluster.topics['t'] = { leaders: [0] }
  cluster.brokers[1]!.on('ListOffsets', (request) => cluster.listOffsets(request, 0))
  cluster.log('t').add({ value: 'a' })
  const latest = [{ topic: 't', partition: 0, timestamp: 'latest' }] as const
  expect(await admin.listOffsets(latest, { replicaOn: 1 })).toMatchObject([{ offset: 1 }])
  expect((await cluster.brokers[1]!.received('ListOffsets')).body.replicaId).toBe(-2)
  expect(cluster.brokers[0]!.count('ListOffsets')).toBe(0)
})

test('a cluster too old for descriptions page by page is described all the same', async () => {
  const { cluster, admin } = await startAdmin(1, {}, { DescribeTopicPartitions: null })
  cluster.topics['t'] = { leaders: [0, -1] }
  const [topic] = await admin.describeTopicPartitions(['t'])
  expect(topic!.partitions).toMatchObject([
    { leader: 0, offlineReplicas: [], eligibleLeaderReplicas: null },
    { leader: -1, lastKnownEligibleLeaderReplicas: null },
  ])
})
