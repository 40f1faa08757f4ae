// A cluster in one process, over one store in it: what brokers do beside the rules.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Admin } from '@varve/client/admin'
import { Consumer } from '@varve/client/consumer'
import { Producer } from '@varve/client/producer'
import { expect, test } from 'vitest'
import { ManualClock } from '../support/manual-clock.js'
import { TestCluster } from './support/test-cluster.js'

const timeout = 120_000

test('what acks=all has answered is on every replica, byte for byte', { timeout }, async () => {
  await using cluster = await TestCluster.start()
  const admin = new Admin({ brokers: cluster.addresses })
  await admin.createTopics([{ name: 'orders', partitions: 3, replicationFactor: 3 }])
  const producer = new Producer({ brokers: cluster.addresses })
  const values = Array.from({ length: 300 }, (_, n) => `v${n}`)
  await Promise.all(values.map((value) => producer.send('orders', { value })))
  const [described] = await admin.describeTopics(['orders'])
  expect(described!.partitions.map(({ leader, isr }) => [leader, [...isr].sort()])).toEqual(
    [1, 2, 3].map((leader) => [leader, [1, 2, 3]]),
  )
  await Promise.all([producer.close(), admin.close()])
  const directories = [...cluster.brokers.values()].map(({ dataDirectories }) => dataDirectories[0]!)
  for (const id of [1, 2, 3]) await cluster.stopBroker(id)
  let bytes = 0
  for (const partition of [0, 1, 2]) {
    const path = join(`orders-${partition}`, `${'0'.repeat(20)}.log`)
    const [first, ...others] = await Promise.all(directories.map((dir) => readFile(join(dir, path))))
    bytes += first!.length
    for (const other of others) expect(other.equals(first!)).toBe(true)
  }
  expect(bytes).toBeGreaterThan(300 * 5)
})

test(
  'every broker is restarted while records are produced, and none of them is lost or refused',
  { timeout },
  async () => {
    await using cluster = await TestCluster.start()
    const brokers = cluster.addresses
    const admin = new Admin({ brokers })
    await admin.createTopics([
      { name: 'orders', partitions: 3, replicationFactor: 3, configs: { 'min.insync.replicas': '2' } },
    ])
    const producer = new Producer({ brokers })
    let sent = 0
    const over = new AbortController()
    const producing = (async () => {
      while (!over.signal.aborted) {
        await producer.send('orders', { value: `v${sent}` })
        sent++
      }
    })()
    for (const id of [1, 2, 3]) {
      await cluster.stopBroker(id)
      await cluster.startBroker(id)
      const before = sent
      await cluster.until(async () => {
        const [orders] = await admin.describeTopics(['orders'])
        return sent > before + 10 && orders!.partitions.every(({ isr }) => isr.length === 3)
      })
    }
    over.abort()
    await producing
    const ends = await admin.listOffsets(
      [0, 1, 2].map((partition) => ({ topic: 'orders', partition, timestamp: 'latest' as const })),
    )
    expect(ends.reduce((sum, { offset }) => sum + offset, 0)).toBe(sent)
    await Promise.all([producer.close(), admin.close()])
  },
)

test('a follower that comes back is in sync as soon as it has caught up', { timeout }, async () => {
  // The leader's clock stands still, so that nothing looks after a while.
  const leading = { clock: new ManualClock() }
  await using cluster = await TestCluster.start(2, { sessionTimeoutSeconds: 60 }, (id) =>
    id === 1 ? leading : {},
  )
  await using admin = new Admin({ brokers: cluster.addresses })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  const inSync = async (): Promise<number> => {
    const [orders] = await admin.describeTopics(['orders'])
    return orders!.partitions[0]!.isr.length
  }
  await cluster.stopBroker(2)
  expect(await inSync()).toBe(1)
  await using producer = new Producer({ brokers: cluster.addresses })
  for (const value of ['a', 'b', 'c']) await producer.send('orders', { value })
  await cluster.startBroker(2)
  await cluster.until(async () => (await inSync()) === 2)
})

test('groups go on when the leaders of their partitions stop', { timeout }, async () => {
  await using cluster = await TestCluster.start()
  const brokers = cluster.addresses
  const admin = new Admin({ brokers })
  await admin.createTopics([{ name: 'orders', partitions: 6, replicationFactor: 3 }])
  const producer = new Producer({ brokers })
  const seen = new Map<string, Set<string>>()
  const stop = new AbortController()
  const readers = ['a', 'b', 'c', 'd'].map(async (group) => {
    const values = new Set<string>()
    seen.set(group, values)
    const consumer = new Consumer({ brokers, groupId: group, offsetReset: 'earliest' })
    consumer.subscribe(['orders'])
    try {
      for await (const record of consumer.records({ signal: stop.signal })) values.add(String(record.value))
    } catch (error) {
      if (!stop.signal.aborted) throw error
    }
    await consumer.close()
  })
  let sent = 0
  const send = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) await producer.send('orders', { value: `v${sent++}` })
  }
  const caughtUp = (): Promise<void> =>
    cluster.until(async () => [...seen.values()].every(({ size }) => size === sent))
  await send(20)
  await caughtUp()
  for (const id of [1, 2, 3]) {
    await cluster.stopBroker(id)
    await send(10)
    await caughtUp()
    await cluster.startBroker(id)
    await cluster.until(async () => {
      const topics = await admin.describeTopics(['orders', '__consumer_offsets'])
      return topics.every(({ partitions }) => partitions.every(({ isr }) => isr.length === 3))
    })
  }
  stop.abort()
  await Promise.all(readers)
  const committed = await admin.listGroupOffsets('a')
  expect(committed.reduce((sum, { offset }) => sum + (offset ?? 0), 0)).toBe(sent)
  await Promise.all([producer.close(), admin.close()])
})
