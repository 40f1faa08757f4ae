// Whoever moves partitions says how much of the network that may take (KIP-73): more, and clients suffer; nothing at all, and the
// move never ends.
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import { describe, expect, onTestFinished, test } from 'vitest'
import { newsForReplica } from '../../src/fetch-targets.js'
import type { Partition } from '../../src/partition.js'
import { type ReplicationEnd, ReplicationQuota } from '../../src/replication-quota.js'
import { alter, BROKER, described } from '../support/configs.js'
import { ManualClock } from '../support/manual-clock.js'
import { RawClient } from '../support/raw-client.js'
import { batchOf } from '../support/test-broker.js'
import { replicaOn, stateOf, TestMembership } from './support/replica.js'
import { TestCluster } from './support/test-cluster.js'

interface Throttled {
  readonly partition: Partition
  readonly quota: ReplicationQuota
  readonly clock: ManualClock
  alterRate(rate: number): void
}

/** A partition that broker 1 leads, of which replica 3 is not in sync, with a rate of 1,000 bytes per second. */
async function throttled(replicas: string[], end: ReplicationEnd = 'leader'): Promise<Throttled> {
  const clock = new ManualClock()
  const { partition } = await replicaOn(new TestMembership(1), stateOf({ isr: [1, 2] }))
  const none = new Set<string>()
  partition.configure({
    ...partition.settings,
    throttledReplicas: { leader: none, follower: none, [end]: new Set(replicas) },
  })
  let rate = 1000
  let altered = (): void => {}
  const configs = {
    number: (name: string) => (name === `${end}.replication.throttled.rate` ? rate : NaN),
    onChange: (listener: () => void) => {
      altered = listener
      return () => {}
    },
  }
  const quota = new ReplicationQuota({ end, brokerId: 1, configs, clock })
  const alterRate = (another: number): void => {
    rate = another
    altered()
  }
  return { partition, quota, clock, alterRate }
}

describe('a quota', () => {
  test.each([
    [['0:1'], 3, 501],
    [['*'], 3, 501],
    [['0:1'], 2, 0],
    [['0:3', '1:1'], 3, 0],
    [[], 3, 0],
  ])('of %j has replica %i wait for %i ms', async (replicas, replicaId, waitMs) => {
    for (const end of ['leader', 'follower'] as const) {
      const { partition, quota } = await throttled(replicas, end)
      quota.record(partition, 1500)
      expect(quota.waitMs(partition, replicaId)).toBe(waitMs)
    }
  })

  test('is another one when its rate is altered', async () => {
    const { partition, quota, clock, alterRate } = await throttled(['*'])
    quota.record(partition, 1500)
    alterRate(100)
    expect(quota.waitMs(partition, 3)).toBe(5001)
    await clock.advance(5000)
    expect(quota.waitMs(partition, 3)).toBe(1)
    await clock.advance(1)
    expect(quota.waitMs(partition, 3)).toBe(0)
    alterRate(0)
    expect(quota.waitMs(partition, 3)).toBe(Infinity)
  })
})

test('a Fetch that has to wait for its quota is not answered as long as it may wait', async () => {
  const { partition, quota, clock } = await throttled(['*'])
  await partition.append(batchOf('a'), false)
  const reader = { apiVersion: 18, isolation: 'readUncommitted', rack: null, quota } as const
  const news = (id: number) => newsForReplica([partition], { ...reader, replica: { id, epoch: 10 } })
  for (const replicaId of [2, 3]) {
    const at = { fetchOffset: 0, lastFetchedEpoch: -1, logStartOffset: 0, durableOffset: 0, highWatermark: 0 }
    partition.fetchedBy({ ...at, fetchId: 0, replicaId, replicaEpoch: 10, currentLeaderEpoch: 5 })
  }
  expect([news(2), news(3)]).toEqual(['records', 'records'])
  quota.record(partition, 1500)
  expect([news(2), news(3)]).toEqual(['records', null])
  await clock.advance(501)
  expect(news(3)).toBe('records')
})

test.each(['leader', 'follower'] as const)(
  'a replica that is added gets nothing while the rate of its %s is 0, and everything when it may',
  { timeout: 60_000 },
  async (end) => {
    const cluster = await TestCluster.start(3)
    const admin = new Admin({ brokers: cluster.addresses })
    const producer = new Producer({ brokers: cluster.addresses })
    onTestFinished(async () => {
      await producer.close()
      await admin.close()
      await cluster[Symbol.asyncDispose]()
    })
    const nodeId = end === 'leader' ? 1 : 3
    const client = await RawClient.connect(cluster.brokers.get(nodeId)!.port)
    onTestFinished(() => client.close())
    const rateName = `${end}.replication.throttled.rate`
    const alterRate = async (...change: ['set', string, string] | ['delete', string]): Promise<void> => {
      const { errorCode } = await alter(client, BROKER, String(nodeId), [change])
      expect(errorCode).toBe(0)
    }
    expect((await described(client, BROKER, String(nodeId))).has(rateName)).toBe(false)
    await alterRate('set', rateName, '0')
    expect((await described(client, BROKER, String(nodeId))).get(rateName)!.value).toBe('0')
    await admin.createTopics([
      {
        name: 'moving',
        replicas: [[1, 2]],
        configs: { [`${end}.replication.throttled.replicas`]: `0:${nodeId}` },
      },
      { name: 'other', replicas: [[1, 3]], configs: { 'min.insync.replicas': '2' } },
    ])
    await producer.send('moving', { value: 'a' })
    const partition = { topic: 'moving', partition: 0 }
    await admin.alterPartitionReassignments([{ ...partition, replicas: [1, 3] }])
    const endOn3 = async (): Promise<number> => {
      const [directory] = await admin.describeLogDirs({ nodeIds: [3] })
      return directory!.replicas.find(({ topic }) => topic === 'moving')?.sizeBytes ?? -1
    }
    await cluster.until(async () => (await endOn3()) === 0)
    // The same Fetches bring what is not throttled, and bring it at once.
    for (let n = 0; n < 20; n++) await producer.send('other', { value: 'b' })
    expect(await endOn3()).toBe(0)
    expect(await admin.listPartitionReassignments()).toHaveLength(1)
    await alterRate('delete', rateName)
    await cluster.until(async () => (await admin.listPartitionReassignments()).length === 0)
    const { records } = await admin.readReplica({ ...partition, nodeId: 3, offset: 0 })
    expect(records.includes('a')).toBe(true)
  },
)
