// A broker that has served alone for a year becomes the first of a cluster in one evening. Whatever is lost of it then, a topic, an
// offset, a configuration, is lost for good; and whoever pulls the plug in the middle must be able to begin again.
import { existsSync, readdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Admin } from '@varve/client/admin'
import { Consumer } from '@varve/client/consumer'
import { Producer } from '@varve/client/producer'
import { openDataDirectory } from '@varve/log'
import { expect, onTestFinished, test } from 'vitest'
import { importIntoCluster } from '../../src/cluster/import-into-cluster.js'
import { LocalMetadataStore } from '../../src/metadata/local-metadata-store.js'
import { metadataLogName } from '../../src/metadata/metadata-log.js'
import type { MetadataStore } from '../../src/metadata/metadata-store.js'
import { borrowedMetadataStore } from '../../src/metadata/borrowed-metadata-store.js'
import { startBroker } from '../../src/start-broker.js'
import { temporaryDirectory } from '../support/test-broker.js'

const timeout = 120_000
/** More partitions than a transaction has room for. */
const manyPartitions = 150

/** The directory of a broker that has been used, and was stopped. */
async function usedDirectory(): Promise<string> {
  const data = await temporaryDirectory()
  await using broker = await startBroker({ data, nodeId: 7, durability: 'os' })
  const brokers = [broker.address]
  await using admin = new Admin({ brokers })
  await admin.createTopics([
    { name: 'orders', partitions: 3, configs: { 'min.insync.replicas': '2', 'retention.ms': '-1' } },
    { name: 'many', partitions: manyPartitions },
    { name: 'deleted', partitions: 2 },
  ])
  await admin.deleteTopics(['deleted'])
  await admin.alterConfigs([
    { type: 'broker', name: '', changes: [{ operation: 'set', name: 'compression.type', value: 'zstd' }] },
    { type: 'broker', name: '7', changes: [{ operation: 'set', name: 'max.connections', value: '500' }] },
  ])
  await using producer = new Producer({ brokers })
  await Promise.all(
    Array.from({ length: 30 }, (_, n) => producer.send('orders', { key: `k${n}`, value: `v${n}` })),
  )
  await using consumer = new Consumer({ brokers, groupId: 'billing', offsetReset: 'earliest' })
  consumer.subscribe(['orders'])
  let read = 0
  for await (const _ of consumer) if (++read === 10) break
  await consumer.commit()
  return data
}

async function emptyStore(): Promise<MetadataStore> {
  const path = await temporaryDirectory()
  await mkdir(path, { recursive: true })
  const directory = await openDataDirectory(path, { volatile: true })
  const store = await LocalMetadataStore.open(directory, { durability: 'os' })
  onTestFinished(async () => {
    await store.close()
    await directory.close()
  })
  return store
}

const over = (store: MetadataStore) => ({ openStore: async () => borrowedMetadataStore(store) })

/** The store as one that ends behind so many transactions, applied or not, sees it. */
function endingAfter(store: MetadataStore, transactions: number, isApplied: boolean): MetadataStore {
  let left = transactions
  const shared = borrowedMetadataStore(store)
  return {
    ...shared,
    txn: async (transaction) => {
      if (left-- > 0) return await shared.txn(transaction)
      if (left === -1 && isApplied) await shared.txn(transaction)
      throw new Error('the process has ended')
    },
  }
}

interface Found {
  readonly topics: unknown
  readonly configs: unknown
  readonly committed: unknown
  readonly values: string[]
}

/** What clients find of it in a cluster. */
async function find(data: string, store: MetadataStore): Promise<Found> {
  await using broker = await startBroker({ data, cluster: over(store) })
  expect(broker.problems).toEqual([])
  const brokers = [broker.address]
  await using admin = new Admin({ brokers })
  const topics = await admin.describeTopics(['orders', 'many'])
  const described = await admin.describeConfigs([
    { type: 'broker', name: '7', keys: ['compression.type', 'max.connections'] },
    { type: 'topic', name: 'orders', keys: ['min.insync.replicas', 'retention.ms', 'compression.type'] },
  ])
  const offsets = await admin.listGroupOffsets('billing')
  await using producer = new Producer({ brokers })
  await producer.send('orders', { key: 'last', value: 'last' })
  const values = (await broker.records('orders')).map(({ value }) => value!.toString())
  return {
    topics: topics.map(({ name, partitions }) => [name, partitions.length, partitions[0]]),
    configs: described.map(({ entries }) =>
      Object.fromEntries(entries.map(({ name, value }) => [name, value])),
    ),
    committed: offsets,
    values: values.sort(),
  }
}

test('all that a broker had is there in its cluster', { timeout }, async () => {
  const data = await usedDirectory()
  const store = await emptyStore()
  const imported = await importIntoCluster({ data, cluster: over(store) })
  expect(imported).toMatchObject({ brokerId: 7, topics: 3, partitions: 3 + manyPartitions + 1 })
  expect(existsSync(join(data, metadataLogName))).toBe(false)
  expect(existsSync(imported.metadataAside)).toBe(true)
  const found = await find(data, store)
  expect(found.topics).toMatchObject([
    ['orders', 3, { leader: 7, replicas: [7], isr: [7] }],
    ['many', manyPartitions, { leader: 7, replicas: [7], isr: [7] }],
  ])
  expect(found.configs).toEqual([
    { 'compression.type': 'zstd', 'max.connections': '500' },
    { 'min.insync.replicas': '2', 'retention.ms': '-1', 'compression.type': 'zstd' },
  ])
  expect(JSON.stringify(found.committed)).toMatch(/"offset":[1-9]/)
  expect(found.values).toEqual([...Array.from({ length: 30 }, (_, n) => `v${n}`), 'last'].sort())
  expect(
    readdirSync(data).filter((name) => /^(orders|many|__consumer_offsets)-.*(stray|delete)$/.test(name)),
  ).toEqual([])
  // And it is of that cluster for good.
  await expect(startBroker({ data })).rejects.toMatchObject({ code: 'VARVE_FOREIGN_DIRECTORY' })
  await expect(importIntoCluster({ data, cluster: over(store) })).rejects.toMatchObject({
    code: 'VARVE_NOT_ALONE',
  })
})

test.each([true, false])(
  'an import that ends at any of its transactions, applied: %s, is done again and misses nothing',
  { timeout },
  async (isApplied) => {
    const data = await usedDirectory()
    const store = await emptyStore()
    const elsewhere = await temporaryDirectory()
    let isDone = false
    let interruptions = 0
    while (!isDone) {
      const openStore = async () => endingAfter(store, interruptions, isApplied)
      const outcome = await importIntoCluster({ data, cluster: { openStore } }).catch(
        (error: unknown) => error,
      )
      isDone = !(outcome instanceof Error)
      if (!isDone) {
        expect((outcome as Error).message).toBe('the process has ended')
        expect(existsSync(join(data, metadataLogName))).toBe(true)
        interruptions++
      }
      // Nobody makes a cluster of what is half there.
      if ((await store.list('/import')).entries.length === 0) continue
      const other = startBroker({ data: elsewhere, nodeId: 1, cluster: over(store) })
      await expect(other).rejects.toMatchObject({ code: 'VARVE_IMPORT_UNFINISHED' })
    }
    // A note, what was left, partitions, topics, the rest, and the id of the cluster.
    expect(interruptions).toBeGreaterThanOrEqual(7)
    const { values, topics } = await find(data, store)
    expect(values).toHaveLength(31)
    expect(topics).toMatchObject([
      ['orders', 3, { leader: 7 }],
      ['many', manyPartitions, { leader: 7 }],
    ])
  },
)

test(
  'what is not that of a broker that has stopped, or not into nothing, is not imported',
  { timeout },
  async () => {
    const data = await usedDirectory()
    const store = await emptyStore()
    {
      await using _ = await startBroker({ data })
      await expect(importIntoCluster({ data, cluster: over(store) })).rejects.toMatchObject({
        code: 'VARVE_LOCKED',
      })
    }
    await store.txn({ puts: [{ key: '/topics/other', value: '{}' }] })
    await expect(importIntoCluster({ data, cluster: over(store) })).rejects.toThrow(
      'has 1 entries already, /topics/other for one, that are not of this broker',
    )
    const fresh = await temporaryDirectory()
    await expect(importIntoCluster({ data: fresh, cluster: over(store) })).rejects.toMatchObject({
      code: 'VARVE_NOT_ALONE',
    })
    // It can be started alone as before.
    await using broker = await startBroker({ data })
    expect(await broker.records('orders')).toHaveLength(30)
  },
)
