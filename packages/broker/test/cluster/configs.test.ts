// Configurations that a broker which is alone only describes act in a cluster: an operator who sets one must not set it in vain.
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import { findCoordinator, metadata } from '@varve/protocol'
import type { PartitionFollower } from '@varve/replication'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { BrokerOptions } from '../../src/broker-options.js'
import type { FollowerLog } from '../../src/cluster/followed-partition.js'
import { ReplicaFetcher } from '../../src/cluster/replica-fetcher.js'
import { systemClock } from '../../src/clock.js'
import type { GivenConfigs } from '../../src/configs/static-configs.js'
import type { Partition } from '../../src/partition.js'
import type { ReplicationQuota } from '../../src/replication-quota.js'
import { startBroker } from '../../src/start-broker.js'
import { alter, BROKER, described } from '../support/configs.js'
import { RawClient } from '../support/raw-client.js'
import { TestCluster } from './support/test-cluster.js'

async function start(count: number, configs: GivenConfigs = {}, options: BrokerOptions = {}) {
  const cluster = await TestCluster.start(count, {}, () => ({ configs, ...options }))
  const admin = new Admin({ brokers: cluster.addresses })
  onTestFinished(async () => {
    await admin.close()
    await cluster[Symbol.asyncDispose]()
  })
  const connect = async (nodeId = 1) => {
    const client = await RawClient.connect(cluster.brokers.get(nodeId)!.port)
    onTestFinished(() => client.close())
    return client
  }
  const partitionOf = async (topic: string) => (await admin.describeTopics([topic]))[0]!.partitions[0]!
  return { cluster, admin, connect, partitionOf }
}

test('default.replication.factor is that of topics that are created without one, or by asking for them', async () => {
  const { admin, connect, partitionOf } = await start(2, { 'default.replication.factor': 2 })
  await admin.createTopics([{ name: 'orders' }])
  for (const nodeId of [1, 2]) {
    const asked = { topics: [{ name: `asked-${nodeId}` }], allowAutoTopicCreation: true }
    await (await connect(nodeId)).request(metadata, 12, asked)
  }
  for (const topic of ['orders', 'asked-1', 'asked-2'])
    expect((await partitionOf(topic)).replicas).toHaveLength(2)
})

test('a default.replication.factor for which there are too few brokers is said to be one', async () => {
  const { admin } = await start(1, { 'default.replication.factor': 2 })
  await expect(admin.createTopics([{ name: 'orders' }])).rejects.toThrow('only 1 broker(s) are registered')
})

test.each([
  [{}, 2],
  [{ 'offsets.topic.replication.factor': 1 }, 1],
])(
  'with %j __consumer_offsets has as many replicas as offsets.topic.replication.factor says and there are brokers',
  async (configs, factor) => {
    const { connect, cluster, partitionOf } = await start(2, configs)
    const client = await connect(2)
    await cluster.until(async () => {
      const { coordinators } = await client.request(findCoordinator, 6, {
        keyType: 0,
        coordinatorKeys: ['g'],
      })
      return coordinators![0]!.errorCode === 0
    })
    expect((await partitionOf('__consumer_offsets')).replicas).toHaveLength(factor)
  },
)

test('min.insync.replicas altered for the cluster counts at once, for topics without their own', async () => {
  const { admin, cluster, connect, partitionOf } = await start(2)
  const replicas = [[1, 2]]
  await admin.createTopics([
    { name: 'orders', replicas },
    { name: 'own', replicas, configs: { 'min.insync.replicas': '1' } },
  ])
  await cluster.stopBroker(2)
  await cluster.until(async () => (await partitionOf('orders')).isr.length === 1)
  const producer = new Producer({ brokers: cluster.addresses })
  const impatient = new Producer({ brokers: cluster.addresses, retries: 0 })
  onTestFinished(async () => {
    await Promise.all([producer.close(), impatient.close()])
  })
  await producer.send('orders', { value: 'x' })
  // The broker that has stopped may have been the controller, and has left the in-sync replicas before there is another.
  const client = await connect()
  await cluster.until(async () => {
    const { errorCode } = await alter(client, BROKER, '', [['set', 'min.insync.replicas', '2']])
    return errorCode === 0
  })
  await cluster.until(async () => {
    const outcome = await impatient.send('orders', { value: 'x' }).then(String, String)
    return outcome.includes('NOT_ENOUGH_REPLICAS')
  })
  await producer.send('own', { value: 'x' })
})

test('unclean.leader.election.enable, of a topic or altered for the cluster, gives a partition any leader', async () => {
  const { admin, cluster, connect, partitionOf } = await start(3)
  const replicas = [[3, 2]]
  await admin.createTopics([
    { name: 'orders', replicas },
    { name: 'own', replicas, configs: { 'unclean.leader.election.enable': 'true' } },
  ])
  const { port } = cluster.brokers.get(2)!
  await cluster.stopBroker(2)
  await cluster.until(async () => (await partitionOf('orders')).isr.join() === '3')
  await cluster.stopBroker(3)
  await cluster.until(async () => (await partitionOf('orders')).leader === -1)
  await cluster.startBroker(2, { port })
  await cluster.until(async () => (await partitionOf('own')).leader === 2)
  expect((await partitionOf('orders')).leader).toBe(-1)
  const client = await connect()
  expect(
    (await alter(client, BROKER, '', [['set', 'unclean.leader.election.enable', 'true']])).errorCode,
  ).toBe(0)
  await cluster.until(async () => (await partitionOf('orders')).leader === 2)
})

test('leaders go back every leader.imbalance.check.interval.seconds, if auto.leader.rebalance.enable says so', async () => {
  const interval = { 'leader.imbalance.check.interval.seconds': 1 }
  const moves = await Promise.all(
    [interval, { ...interval, 'auto.leader.rebalance.enable': false }].map(async (configs) => {
      const { admin, cluster, partitionOf } = await start(2, configs)
      await admin.createTopics([{ name: 'orders', replicas: [[2, 1]] }])
      const { port } = cluster.brokers.get(2)!
      await cluster.stopBroker(2)
      await cluster.startBroker(2, { port, configs })
      await cluster.until(async () => (await partitionOf('orders')).isr.length === 2)
      return async () => (await partitionOf('orders')).leader
    }),
  )
  const [first, second] = moves
  await vi.waitUntil(async () => (await first!()) === 2, { timeout: 30_000 })
  expect(await second!()).toBe(1)
})

test('a follower that lacks records for replica.lag.time.max.ms is not in sync', async () => {
  const { admin, cluster, partitionOf } = await start(2, { 'replica.lag.time.max.ms': 200 })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  const { faults } = cluster.brokers.get(1)!
  const clientId = 'varve-broker-2'
  faults.inject({ api: 'Fetch', topic: 'orders', clientId, times: Infinity, error: 'NOT_LEADER_OR_FOLLOWER' })
  const producer = new Producer({ brokers: cluster.addresses })
  onTestFinished(() => producer.close())
  const sent = producer.send('orders', { value: 'x' })
  await cluster.until(async () => (await partitionOf('orders')).isr.join() === '1')
  await sent
})

test('followers fetch within replica.fetch.wait.max.ms, replica.fetch.max.bytes and replica.fetch.response.max.bytes', async () => {
  const session = { errorCode: 0, sessionId: 7, responses: [] }
  const asked = await new Promise<unknown>((resolve) => {
    let requests = 0
    const fetcher = new ReplicaFetcher({
      brokerId: 2,
      leaderId: 1,
      limits: { waitMaxMs: 7, responseMaxBytes: 8, partitionMaxBytes: 9 },
      quota: { waitMs: () => 0 } as unknown as ReplicationQuota,
      dial: async () =>
        ({
          requestFrame: (_: unknown, body: unknown, options: unknown) => {
            // The first one only makes a session.
            if (++requests === 1) return Promise.resolve({ body: session, release: () => {} })
            resolve([body, options])
            return new Promise(() => {})
          },
          close: () => {},
          onClose: () => {},
        }) as never,
      clock: systemClock,
      log: () => {},
    })
    onTestFinished(() => fetcher.close())
    const partition = { state: { topicId: 'id', partition: 0 } } as Partition
    const follower = { fetch: () => ({ fetchId: 1 }), lost: () => {} } as unknown as PartitionFollower
    fetcher.add(partition, follower, {} as FollowerLog)
  })
  expect(asked).toMatchObject([
    { maxWaitMs: 7, maxBytes: 8, topics: [{ partitions: [{ partitionMaxBytes: 9 }] }] },
    { timeoutMs: 10_007 },
  ])
  const limits = {
    'replica.fetch.wait.max.ms': '70',
    'replica.fetch.max.bytes': '900',
    'replica.fetch.response.max.bytes': '8000',
  }
  const { connect } = await start(1, limits)
  const found = await described(await connect(), BROKER, '1')
  for (const [name, value] of Object.entries(limits))
    expect([name, found.get(name)!.value]).toEqual([name, value])
})

test('broker.session.timeout.ms is how long a registration outlives its broker, in whole seconds', async () => {
  const { cluster, connect } = await start(1)
  const grantLease = vi.spyOn(cluster.store, 'grantLease')
  await cluster.startBroker(2, { configs: { 'broker.session.timeout.ms': 4000 } })
  expect(grantLease).toHaveBeenCalledWith(4)
  const found = await described(await connect(2), BROKER, '2')
  expect(found.get('broker.session.timeout.ms')).toMatchObject({ value: '4000', readOnly: true })
  await expect(cluster.startBroker(3, { configs: { 'broker.session.timeout.ms': 4500 } })).rejects.toThrow(
    'broker.session.timeout.ms must be whole seconds, not 4500 ms',
  )
})

test('brokers reach each other by the listener that inter.broker.listener.name names', async () => {
  const options = {
    // Nobody can connect where the first one is said to be.
    listeners: 'OUTSIDE://127.0.0.1:0,INSIDE://127.0.0.1:0',
    advertisedListeners: 'OUTSIDE://127.0.0.1:1',
  }
  const configs = { 'inter.broker.listener.name': 'INSIDE' }
  const cluster = await TestCluster.start(2, {}, () => ({ configs, ...options }))
  const inside = [...cluster.brokers.values()].map(({ listeners }) => `127.0.0.1:${listeners[1]!.port}`)
  const admin = new Admin({ brokers: inside })
  onTestFinished(async () => {
    await admin.close()
    await cluster[Symbol.asyncDispose]()
  })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  const producer = new Producer({ brokers: inside })
  await producer.send('orders', { value: 'x' })
  await producer.close()
  const replica = { topic: 'orders', partition: 0, nodeId: 2, offset: 0 }
  // A follower hears a little later how far its leader is.
  await cluster.until(async () => (await admin.readReplica(replica)).records.length > 0)
})

test.each([true, false])(
  'with controlled.shutdown.enable=%s a broker that stops says so, or not',
  async (isEnabled) => {
    const { cluster } = await start(2, { 'controlled.shutdown.enable': isEnabled })
    const txn = vi.spyOn(cluster.store, 'txn')
    await cluster.stopBroker(2)
    const saidSo = txn.mock.calls.some(([{ puts }]) =>
      puts?.some(({ key, value }) => key === '/brokers/2' && value.includes('"shuttingDown":true')),
    )
    expect(saidSo).toBe(isEnabled)
  },
)

test('what acts in a cluster alone is refused where there is none', async () => {
  await expect(startBroker({ configs: { 'default.replication.factor': 2 } })).rejects.toThrow(
    'the configuration default.replication.factor acts in a cluster only',
  )
})
