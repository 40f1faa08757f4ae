// Tools move replicas, leaders and brokers by what a cluster answers here. A wrong word, and a drained broker still has the
// only copy of something.
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import {
  alterPartitionReassignments,
  electLeaders,
  errors,
  listPartitionReassignments,
  unregisterBroker,
} from '@varve/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { RawClient } from '../support/raw-client.js'
import { TestCluster } from './support/test-cluster.js'

async function start(count = 3): Promise<{ cluster: TestCluster; admin: Admin }> {
  const cluster = await TestCluster.start(count)
  const admin = new Admin({ brokers: cluster.addresses })
  onTestFinished(async () => {
    await admin.close()
    await cluster[Symbol.asyncDispose]()
  })
  return { cluster, admin }
}

async function raw(cluster: TestCluster, nodeId = 1): Promise<RawClient> {
  const client = await RawClient.connect(cluster.brokers.get(nodeId)!.port)
  onTestFinished(() => client.close())
  return client
}

/** Asks again while there is no controller: the one that there was may be the broker that a test has stopped. */
async function answered<Answer extends { readonly errorCode: number }>(
  cluster: TestCluster,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  let answer = await ask()
  await cluster.until(async () => {
    if (answer.errorCode !== errors.NOT_CONTROLLER.code) return true
    answer = await ask()
    return false
  })
  return answer
}

test('a partition moves to another broker with its records, and its old replica goes', async () => {
  const { cluster, admin } = await start()
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  const producer = new Producer({ brokers: cluster.addresses })
  onTestFinished(() => producer.close())
  await Promise.all(['a', 'b', 'c'].map((value) => producer.send('orders', { value })))
  expect(
    await admin.alterPartitionReassignments([{ topic: 'orders', partition: 0, replicas: [3, 2] }]),
  ).toEqual([{ topic: 'orders', partition: 0, error: null }])
  await cluster.until(async () => (await admin.listPartitionReassignments()).length === 0)
  await cluster.until(async () => {
    const [orders] = await admin.describeTopics(['orders'])
    return orders!.partitions[0]!.replicas.join() === '3,2'
  })
  await admin.electLeaders('preferred', null)
  const [orders] = await admin.describeTopics(['orders'])
  expect(orders!.partitions[0]).toMatchObject({ leader: 3, replicas: [3, 2] })
  expect(orders!.partitions[0]!.isr).toContain(3)
  const { records } = await admin.readReplica({ topic: 'orders', partition: 0, nodeId: 3, offset: 0 })
  expect(records.includes('a')).toBe(true)
  await cluster.until(async () => {
    const dirs = await admin.describeLogDirs({ nodeIds: [1] })
    return dirs.every(({ replicas }) => replicas.length === 0)
  })
})

test('a reassignment that cannot be complete is listed, and can be ended', async () => {
  const { cluster, admin } = await start()
  await admin.createTopics([
    {
      name: 'orders',
      replicas: [
        [1, 2],
        [2, 1],
      ],
    },
  ])
  const clientId = 'varve-broker-3'
  cluster.brokers.get(1)!.faults.inject({
    api: 'Fetch',
    topic: 'orders',
    clientId,
    times: Infinity,
    error: 'NOT_LEADER_OR_FOLLOWER',
  })
  const partition = { topic: 'orders', partition: 0 }
  await admin.alterPartitionReassignments([{ ...partition, replicas: [1, 3] }])
  const ongoing = { ...partition, replicas: [1, 3, 2], addingReplicas: [3], removingReplicas: [2] }
  expect(await admin.listPartitionReassignments()).toEqual([ongoing])
  expect(await admin.listPartitionReassignments([partition])).toEqual([ongoing])
  expect(await admin.listPartitionReassignments([{ topic: 'orders', partition: 1 }])).toEqual([])
  await admin.alterPartitionReassignments([{ ...partition, replicas: null }])
  expect(await admin.listPartitionReassignments()).toEqual([])
  const [orders] = await admin.describeTopics(['orders'])
  expect(orders!.partitions[0]!.replicas).toEqual([1, 2])
})

test('each partition that cannot be reassigned has its own error, by whichever broker it is asked for', async () => {
  const { cluster, admin } = await start()
  await admin.createTopics([
    {
      name: 'orders',
      replicas: [
        [1, 2],
        [2, 3],
      ],
    },
  ])
  for (const nodeId of [1, 2, 3]) {
    const client = await raw(cluster, nodeId)
    const answer = await client.request(alterPartitionReassignments, 1, {
      allowReplicationFactorChange: false,
      topics: [
        {
          name: 'orders',
          partitions: [
            { partitionIndex: 0, replicas: [] },
            { partitionIndex: 0, replicas: [1, 9] },
            { partitionIndex: 0, replicas: [1, 1] },
            { partitionIndex: 0, replicas: [1, 2, 3] },
            { partitionIndex: 0, replicas: null },
            { partitionIndex: 1, replicas: [2, 3] },
            { partitionIndex: 7, replicas: [1] },
          ],
        },
        { name: 'none', partitions: [{ partitionIndex: 0, replicas: [1] }] },
      ],
    })
    expect(answer).toMatchObject({ errorCode: 0, errorMessage: null, allowReplicationFactorChange: false })
    const { code: invalid } = errors.INVALID_REPLICA_ASSIGNMENT
    const { code: unknown } = errors.UNKNOWN_TOPIC_OR_PARTITION
    expect(
      answer.responses.map(({ partitions }) =>
        partitions.map(({ errorCode, errorMessage }) => [errorCode, errorMessage]),
      ),
    ).toEqual([
      [
        [invalid, 'The manual partition assignment includes an empty replica list.'],
        [invalid, 'The manual partition assignment includes broker 9, but no such broker is registered.'],
        [invalid, 'The manual partition assignment includes the broker 1 more than once.'],
        [errors.INVALID_REPLICATION_FACTOR.code, 'The replication factor is changed from 2 to 3'],
        [errors.NO_REASSIGNMENT_IN_PROGRESS.code, errors.NO_REASSIGNMENT_IN_PROGRESS.message],
        [0, null],
        [unknown, 'Unable to find partition orders:7.'],
      ],
      [[unknown, 'Unable to find a topic named none.']],
    ])
    const listed = await client.request(listPartitionReassignments, 0, {
      topics: [{ name: 'none', partitionIndexes: [0] }],
    })
    expect(listed.topics).toEqual([])
  }
})

test('a preferred leader is elected where it is in sync, and not where it is down', async () => {
  const { cluster, admin } = await start()
  await admin.createTopics([
    {
      name: 'orders',
      replicas: [
        [3, 1, 2],
        [1, 2, 3],
      ],
    },
  ])
  await cluster.stopBroker(3)
  const codesOf = async (topicPartitions: { topic: string; partitions: number[] }[] | null) => {
    const client = await raw(cluster)
    const { errorCode, replicaElectionResults } = await answered(cluster, () =>
      client.request(electLeaders, 2, { electionType: 0, topicPartitions }),
    )
    expect(errorCode).toBe(0)
    return replicaElectionResults.map(({ topic, partitionResult }) => [
      topic,
      ...partitionResult.map(({ partitionId, errorCode: code }) => [partitionId, code]),
    ])
  }
  expect(
    await codesOf([
      { topic: 'orders', partitions: [0, 1, 2] },
      { topic: 'none', partitions: [0] },
    ]),
  ).toEqual([
    [
      'orders',
      [0, errors.PREFERRED_LEADER_NOT_AVAILABLE.code],
      [1, errors.ELECTION_NOT_NEEDED.code],
      [2, errors.UNKNOWN_TOPIC_OR_PARTITION.code],
    ],
    ['none', [0, errors.UNKNOWN_TOPIC_OR_PARTITION.code]],
  ])
  expect(await codesOf(null)).toEqual([['orders', [0, errors.PREFERRED_LEADER_NOT_AVAILABLE.code]]])
  await cluster.startBroker(3)
  await cluster.until(async () => {
    const [orders] = await admin.describeTopics(['orders'])
    return orders!.partitions.every(({ isr }) => isr.length === 3)
  })
  expect(await codesOf(null)).toEqual([['orders', [0, 0]]])
  expect(await codesOf(null)).toEqual([])
})

test('an unclean election gives a partition a leader that has none, if a replica is there', async () => {
  const { cluster, admin } = await start()
  await admin.createTopics([
    { name: 'orders', replicas: [[3, 2]] },
    { name: 'lone', replicas: [[3]] },
  ])
  await cluster.stopBroker(2)
  await cluster.until(async () => {
    const [orders] = await admin.describeTopics(['orders'])
    return orders!.partitions[0]!.isr.join() === '3'
  })
  await cluster.stopBroker(3)
  await cluster.startBroker(2)
  await cluster.until(async () => {
    const topics = await admin.describeTopics(['orders', 'lone'])
    return topics.every(({ partitions }) => partitions[0]!.leader === -1)
  })
  const outcomes = await admin.electLeaders('unclean', null)
  expect(outcomes.map(({ topic, isElected, error }) => [topic, isElected, error?.kafkaName]).sort()).toEqual([
    ['lone', false, 'ELIGIBLE_LEADERS_NOT_AVAILABLE'],
    ['orders', true, undefined],
  ])
  const [orders] = await admin.describeTopics(['orders'])
  expect(orders!.partitions[0]).toMatchObject({ leader: 2, isr: [2] })
})

test('a broker can be unregistered, and one that is not there cannot', async () => {
  const { cluster, admin } = await start()
  const { controllerId } = await admin.describeCluster()
  const brokerId = controllerId === 3 ? 2 : 3
  const client = await raw(cluster)
  const ask = () => client.request(unregisterBroker, 0, { brokerId })
  const epochOf = async () => {
    const { entries } = await cluster.store.list(`/brokers/${brokerId}`)
    return entries.map(({ value }) => JSON.parse(value).brokerEpoch as number | null)
  }
  const [before] = await epochOf()
  expect(await answered(cluster, ask)).toMatchObject({ errorCode: 0, errorMessage: null })
  // It lives, and registers again.
  await cluster.until(async () => {
    const [now] = await epochOf()
    return typeof now === 'number' && now !== before
  })
  await cluster.stopBroker(brokerId)
  expect(await answered(cluster, ask)).toMatchObject({
    errorCode: errors.BROKER_ID_NOT_REGISTERED.code,
    errorMessage: `Broker ID ${brokerId} is not currently registered`,
  })
})
