// Reads from followers (KIP-392): a consumer that stays within its rack pays for no traffic between them, and must read the same.
import { Admin } from '@varve/client/admin'
import { Consumer } from '@varve/client/consumer'
import { Producer } from '@varve/client/producer'
import { errors, fetch } from '@varve/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { RawClient } from '../support/raw-client.js'
import { TestCluster } from './support/test-cluster.js'

const selector = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'

async function start(configs: Record<string, string>) {
  const cluster = await TestCluster.start(3, {}, (nodeId) => ({ rack: `rack-${nodeId}`, configs }))
  const admin = new Admin({ brokers: cluster.addresses })
  onTestFinished(async () => {
    await admin.close()
    await cluster[Symbol.asyncDispose]()
  })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  const producer = new Producer({ brokers: cluster.addresses })
  for (const value of ['a', 'b', 'c']) await producer.send('orders', { value })
  await producer.close()
  const connect = async (nodeId: number) => {
    const client = await RawClient.connect(cluster.brokers.get(nodeId)!.port)
    onTestFinished(() => client.close())
    return client
  }
  return { cluster, connect }
}

const body = (rackId: string, fetchOffset = 0, session: { id: number; epoch: number } | null = null) => ({
  rackId,
  // Who is sent elsewhere does not wait.
  maxWaitMs: 600_000,
  minBytes: 1_000_000,
  sessionId: session?.id ?? 0,
  sessionEpoch: session?.epoch ?? -1,
  topics: [{ topic: 'orders', partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 10_000 }] }],
  forgottenTopicsData: [],
})

test('a leader sends a consumer to the replica in its rack, at once and in each answer of a session', async () => {
  const { connect } = await start({ 'replica.selector.class': selector })
  const client = await connect(1)
  const first = await client.request(fetch, 12, body('rack-2', 3))
  expect(first.responses[0]!.partitions[0]).toMatchObject({
    errorCode: 0,
    preferredReadReplica: 2,
    highWatermark: 3,
    logStartOffset: 0,
  })
  expect(first.responses[0]!.partitions[0]!.records).toHaveLength(0)
  const opened = await client.request(fetch, 12, body('rack-2', 0, { id: 0, epoch: 0 }))
  const { sessionId } = opened
  expect(sessionId).toBeGreaterThan(0)
  const again = await client.request(fetch, 12, {
    ...body('rack-2', 0, { id: sessionId, epoch: 1 }),
    topics: [],
  })
  expect(again.responses[0]!.partitions[0]!.preferredReadReplica).toBe(2)
})

test('a leader serves who is in its own rack, in one without a replica, or ahead of the others', async () => {
  const { connect } = await start({ 'replica.selector.class': selector })
  const client = await connect(1)
  for (const rack of ['rack-1', 'rack-3', '']) {
    const { responses } = await client.request(fetch, 12, { ...body(rack), minBytes: 1 })
    expect(responses[0]!.partitions[0]!.preferredReadReplica).toBe(-1)
    expect(responses[0]!.partitions[0]!.records!.length).toBeGreaterThan(0)
  }
  const { responses } = await client.request(fetch, 12, body('rack-2', 9))
  expect(responses[0]!.partitions[0]).toMatchObject({
    errorCode: errors.OFFSET_OUT_OF_RANGE.code,
    preferredReadReplica: -1,
  })
})

test('without the selector nobody is sent elsewhere', async () => {
  const { connect } = await start({})
  const { responses } = await (await connect(1)).request(fetch, 12, { ...body('rack-2'), minBytes: 1 })
  expect(responses[0]!.partitions[0]!.preferredReadReplica).toBe(-1)
})

test('a consumer reads from the follower in its rack, and what is produced meanwhile', async () => {
  const { cluster } = await start({ 'replica.selector.class': selector })
  const { faults } = cluster.brokers.get(2)!
  const consumer = new Consumer({ brokers: cluster.addresses, rack: 'rack-2', clientId: 'reader' })
  onTestFinished(() => consumer.close())
  const producer = new Producer({ brokers: cluster.addresses })
  onTestFinished(() => producer.close())
  const asked = faults.inject({ api: 'Fetch', clientId: 'reader', times: Infinity, delayMs: 1 })
  consumer.assign([{ topic: 'orders', partition: 0, offset: 0 }])
  const values: string[] = []
  for await (const { value } of consumer) {
    values.push(String(value))
    if (values.length === 3) await producer.send('orders', { value: 'd' })
    if (values.length === 4) break
  }
  expect(values).toEqual(['a', 'b', 'c', 'd'])
  expect(asked.hits).toBeGreaterThan(0)
})
