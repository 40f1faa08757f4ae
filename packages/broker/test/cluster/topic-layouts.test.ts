// How the topics of a cluster are laid out: what somebody asks for must be had, or be refused, never be something else.
import { Admin } from '@varve/client/admin'
import { createPartitions, createTopics, errors } from '@varve/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { RawClient } from '../support/raw-client.js'
import { TestCluster } from './support/test-cluster.js'

async function start() {
  const cluster = await TestCluster.start()
  const admin = new Admin({ brokers: cluster.addresses })
  onTestFinished(async () => {
    await admin.close()
    await cluster[Symbol.asyncDispose]()
  })
  return { cluster, admin }
}

const assignmentsOf = (...replicas: number[][]) =>
  replicas.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))

test('what a topic cannot be laid out on is refused, by whichever broker is asked', async () => {
  const { cluster, admin } = await start()
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  for (const nodeId of [1, 2, 3]) {
    const client = await RawClient.connect(cluster.brokers.get(nodeId)!.port)
    onTestFinished(() => client.close())
    const auto = { numPartitions: 1, assignments: [], configs: [] }
    const manual = { numPartitions: -1, replicationFactor: -1, configs: [] }
    const created = await client.request(createTopics, 7, {
      topics: [
        { name: 'a', replicationFactor: 4, ...auto },
        { name: 'b', ...manual, assignments: assignmentsOf([1, 2], [3]) },
        { name: 'c', ...manual, assignments: assignmentsOf([1, 9]) },
        { name: 'd', ...manual, assignments: assignmentsOf([2, 2]) },
      ],
    })
    expect(created.topics.map(({ errorCode, errorMessage }) => [errorCode, errorMessage])).toEqual([
      [
        errors.INVALID_REPLICATION_FACTOR.code,
        'Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because only 3 broker(s) are registered.',
      ],
      [
        errors.INVALID_REPLICA_ASSIGNMENT.code,
        'The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).',
      ],
      [
        errors.INVALID_REPLICA_ASSIGNMENT.code,
        'The manual partition assignment includes broker 9, but no such broker is registered.',
      ],
      [
        errors.INVALID_REPLICA_ASSIGNMENT.code,
        'The manual partition assignment includes the broker 2 more than once.',
      ],
    ])
    const extended = await client.request(createPartitions, 3, {
      topics: [{ name: 'orders', count: 2, assignments: [{ brokerIds: [1, 2, 3] }] }],
      timeoutMs: 1000,
      validateOnly: false,
    })
    expect(extended.results![0]).toMatchObject({
      errorCode: errors.INVALID_REPLICA_ASSIGNMENT.code,
      errorMessage:
        'The manual partition assignment includes a partition with 3 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).',
    })
  }
  expect((await admin.listTopics()).map(({ name }) => name)).toEqual(['orders'])
})

test('further partitions have as many replicas as the first, or those that are named', async () => {
  const { cluster, admin } = await start()
  await admin.createTopics([{ name: 'orders', partitions: 1, replicationFactor: 2 }])
  await admin.createPartitions([{ topic: 'orders', count: 2 }])
  await admin.createPartitions([{ topic: 'orders', count: 3, replicas: [[3, 1]] }])
  await cluster.until(async () => {
    const [orders] = await admin.describeTopics(['orders'])
    return orders!.partitions.length === 3
  })
  const [orders] = await admin.describeTopics(['orders'])
  expect(orders!.partitions.map(({ replicas }) => replicas.length)).toEqual([2, 2, 2])
  expect(orders!.partitions[2]!.replicas).toEqual([3, 1])
})
