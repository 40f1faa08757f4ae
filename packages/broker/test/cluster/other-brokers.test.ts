// What a broker answers about partitions that others lead, and what it tells of the others. A client that is not sent on, or is
// sent to the wrong broker, asks in vain until it gives up.
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import {
  deleteRecords,
  describeCluster,
  describeProducers,
  describeQuorum,
  describeTopicPartitions,
  errors,
  fetch,
  listConfigResources,
  listOffsets,
  offsetForLeaderEpoch,
  produce,
} from '@varve/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { encodeBatch } from '@varve/records'
import { BROKER } from '../support/configs.js'
import { RawClient } from '../support/raw-client.js'
import { TestCluster } from './support/test-cluster.js'

const notLeader = errors.NOT_LEADER_OR_FOLLOWER.code

/** Broker 1 leads, broker 2 follows, broker 3 has no replica. */
async function start() {
  const cluster = await TestCluster.start()
  const admin = new Admin({ brokers: cluster.addresses })
  onTestFinished(async () => {
    await admin.close()
    await cluster[Symbol.asyncDispose]()
  })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  const connect = async (nodeId: number) => {
    const client = await RawClient.connect(cluster.brokers.get(nodeId)!.port)
    onTestFinished(() => client.close())
    return client
  }
  return { cluster, admin, connect }
}

async function produceTo(cluster: TestCluster, values: readonly string[]): Promise<void> {
  const producer = new Producer({ brokers: cluster.addresses })
  await Promise.all(values.map((value) => producer.send('orders', { value })))
  await producer.close()
}

test('who does not lead a partition answers NOT_LEADER_OR_FOLLOWER, and Produce and Fetch say who does', async () => {
  const { cluster, admin, connect } = await start()
  const [orders] = await admin.describeTopics(['orders'])
  const { topicId } = orders!
  const { port } = cluster.brokers.get(1)!
  for (const nodeId of [2, 3]) {
    const client = await connect(nodeId)
    const one = { topic: 'orders', partition: 0 }
    const offsets = await client.request(listOffsets, 10, {
      replicaId: -1,
      topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    })
    expect(offsets.topics[0]!.partitions[0]!.errorCode).toBe(notLeader)
    const epochs = await client.request(offsetForLeaderEpoch, 4, {
      replicaId: -1,
      topics: [{ topic: 'orders', partitions: [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0 }] }],
    })
    expect(epochs.topics[0]!.partitions[0]!.errorCode).toBe(notLeader)
    const deleted = await client.request(deleteRecords, 2, {
      topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, offset: 0 }] }],
      timeoutMs: 1000,
    })
    expect(deleted.topics[0]!.partitions[0]).toMatchObject({ errorCode: notLeader, lowWatermark: -1 })
    const records = encodeBatch([{ value: 'x' }])
    for (const acks of [1, -1]) {
      const { responses, nodeEndpoints } = await client.request(produce, 12, {
        acks,
        timeoutMs: 1000,
        topicData: [{ name: one.topic, partitionData: [{ index: 0, records }] }],
      })
      expect(responses[0]!.partitionResponses[0]).toMatchObject({
        errorCode: notLeader,
        currentLeader: { leaderId: 1, leaderEpoch: 0 },
      })
      expect(nodeEndpoints).toEqual([{ nodeId: 1, host: '127.0.0.1', port, rack: null }])
    }
    const old = await client.request(produce, 9, {
      acks: 1,
      timeoutMs: 1000,
      topicData: [{ name: one.topic, partitionData: [{ index: 0, records }] }],
    })
    expect(old.responses[0]!.partitionResponses[0]!.errorCode).toBe(notLeader)
    const { topics } = await client.request(describeTopicPartitions, 0, {
      topics: [{ name: 'orders' }],
      responsePartitionLimit: 10,
    })
    expect(topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, leaderId: 1, replicaNodes: [1, 2] })
  }
  const fetched = await (
    await connect(3)
  ).request(fetch, 17, {
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ topicId: topicId!, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
    forgottenTopicsData: [],
  })
  expect(fetched.responses[0]!.partitions[0]).toMatchObject({
    errorCode: notLeader,
    currentLeader: { leaderId: 1, leaderEpoch: 0 },
  })
  expect(fetched.nodeEndpoints).toEqual([{ nodeId: 1, host: '127.0.0.1', port, rack: null }])
})

test('a follower tells where its log ends and which producers it knows, and who has no replica does not', async () => {
  const { cluster, admin, connect } = await start()
  await produceTo(cluster, ['a'])
  const body = { topics: [{ name: 'orders', partitionIndexes: [0] }] }
  const ask = async (nodeId: number) =>
    (await (await connect(nodeId)).request(describeProducers, 0, body)).topics[0]!.partitions[0]!
  const [leader, follower, stranger] = await Promise.all([1, 2, 3].map(ask))
  expect(leader!.activeProducers).toHaveLength(1)
  expect(follower).toMatchObject({ errorCode: 0, activeProducers: leader!.activeProducers })
  expect(stranger).toMatchObject({ errorCode: notLeader, activeProducers: [] })
  const end = [{ topic: 'orders', partition: 0, timestamp: 'latest' as const }]
  expect(await admin.listOffsets(end, { replicaOn: 2 })).toMatchObject([{ offset: 1 }])
  const dirs = await admin.describeLogDirs()
  expect(dirs.map(({ nodeId, replicas }) => [nodeId, replicas.map(({ offsetLag }) => offsetLag)])).toEqual([
    [1, [0]],
    [2, [0]],
    [3, []],
  ])
})

test('records are deleted from the live replicas before that is answered', async () => {
  const { cluster, admin } = await start()
  await produceTo(cluster, ['a', 'b', 'c'])
  expect(await admin.deleteRecords([{ topic: 'orders', partition: 0, before: 2 }])).toEqual([
    { topic: 'orders', partition: 0, logStartOffset: 2 },
  ])
  const replica = { topic: 'orders', partition: 0, nodeId: 2, offset: 3 }
  expect(await admin.readReplica(replica)).toMatchObject({ logStartOffset: 2 })
})

test('records whose deletion a follower does not report in time are answered REQUEST_TIMED_OUT, unless it is gone', async () => {
  const { cluster, connect } = await start()
  await produceTo(cluster, ['a', 'b', 'c'])
  const { faults } = cluster.brokers.get(1)!
  const clientId = 'varve-broker-2'
  faults.inject({ api: 'Fetch', topic: 'orders', clientId, times: Infinity, error: 'NOT_LEADER_OR_FOLLOWER' })
  const client = await connect(1)
  const ask = async (offset: number, timeoutMs: number) => {
    const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, offset }] }]
    return (await client.request(deleteRecords, 2, { topics, timeoutMs })).topics[0]!.partitions[0]
  }
  expect(await ask(2, 1)).toEqual({
    partitionIndex: 0,
    lowWatermark: 0,
    errorCode: errors.REQUEST_TIMED_OUT.code,
  })
  const waiting = ask(3, 600_000)
  await cluster.stopBroker(2)
  expect(await waiting).toEqual({ partitionIndex: 0, lowWatermark: 3, errorCode: 0 })
})

test('every broker tells of all of them, and lets the controller speak for the quorum', async () => {
  const { cluster, connect } = await start()
  const ports = [1, 2, 3].map((nodeId) => cluster.brokers.get(nodeId)!.port)
  const leaders = new Set<number>()
  for (const nodeId of [1, 2, 3]) {
    const client = await connect(nodeId)
    const asked = { includeClusterAuthorizedOperations: false, includeFencedBrokers: true }
    const { brokers, controllerId } = await client.request(describeCluster, 2, asked)
    expect(brokers.map(({ brokerId, port, isFenced }) => [brokerId, port, isFenced])).toEqual(
      ports.map((port, place) => [place + 1, port, false]),
    )
    const listed = await client.request(listConfigResources, 1, { resourceTypes: [BROKER] })
    expect(listed.configResources.map(({ resourceName }) => resourceName).sort()).toEqual(['1', '2', '3'])
    const { errorCode, topics, nodes } = await client.request(describeQuorum, 2, {
      topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
    })
    expect(errorCode).toBe(0)
    const { leaderId, leaderEpoch, currentVoters } = topics[0]!.partitions[0]!
    leaders.add(leaderId)
    expect(leaderId).toBe(controllerId)
    expect(leaderEpoch).toBeGreaterThan(0)
    expect(currentVoters.map(({ replicaId }) => replicaId)).toEqual([controllerId])
    expect(nodes.map((node) => [node.nodeId, node.listeners[0]!.port])).toEqual([
      [controllerId, ports[controllerId - 1]],
    ])
  }
  expect(leaders.size).toBe(1)
})
