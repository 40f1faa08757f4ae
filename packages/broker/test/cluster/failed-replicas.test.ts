// A disk that fails, or a log that cannot be opened, costs a cluster one replica of a few partitions: nothing of it is thrown
// away, and it is over when they have moved.
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import { VarveError } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'
import { type Broker, openBroker } from '../../src/broker.js'
import { resolveOptions } from '../../src/broker-options.js'
import { MemoryDisk } from '../memory-log.js'
import { temporaryDirectory, until } from '../support/test-broker.js'
import { borrowedMetadataStore } from '../../src/metadata/borrowed-metadata-store.js'
import { TestCluster } from './support/test-cluster.js'

/** Two brokers on disks, and broker 3 over logs in memory that fail on command, in so many data directories. */
async function start(
  directories = 1,
): Promise<{ cluster: TestCluster; admin: Admin; third: Broker; disk: MemoryDisk }> {
  const cluster = await TestCluster.start(2)
  const disk = new MemoryDisk()
  const data = await Promise.all(Array.from({ length: directories }, () => temporaryDirectory()))
  const options = { data, nodeId: 3 }
  const third = await openBroker(
    resolveOptions({ ...options, cluster: { openStore: async () => borrowedMetadataStore(cluster.store) } }),
    { openDataDirectory: disk.openDataDirectory },
  )
  const admin = new Admin({ brokers: cluster.addresses })
  onTestFinished(async () => {
    await admin.close()
    await third.close()
    await cluster[Symbol.asyncDispose]()
  })
  return { cluster, admin, third, disk }
}

async function isrOf(admin: Admin): Promise<string> {
  const [orders] = await admin.describeTopics(['orders'])
  return [...orders!.partitions[0]!.isr].sort().join()
}

test('a log that fails leaves the in-sync replicas, and is let go of when its partition has moved', async () => {
  const { cluster, admin, third, disk } = await start()
  await admin.createTopics([{ name: 'orders', replicas: [[3, 1]] }])
  await until(() => disk.logs.has('orders-0'), 'the log is open')
  const log = disk.log('orders-0')
  const dir = join(third.dataDirectories[0]!, 'orders-0')
  log.fail()
  await cluster.until(async () => (await isrOf(admin)) === '1')
  const producer = new Producer({ brokers: cluster.addresses })
  onTestFinished(() => producer.close())
  await producer.send('orders', { value: 'x' })
  expect(third.problems.length).toBe(1)
  await admin.alterPartitionReassignments([{ topic: 'orders', partition: 0, replicas: [2, 1] }])
  await until(() => third.problems.length === 0 && !existsSync(dir), 'nothing is left of it')
  expect(log.state).toBe('closed')
})

test('of a data directory that fails every log is given up, of the others none, and new ones are made there', async () => {
  const { cluster, admin, third, disk } = await start(2)
  const replicas = [0, 1, 2, 3].map(() => [3, 1])
  await admin.createTopics([{ name: 'orders', replicas }])
  await until(() => disk.logs.size === 4, 'the logs are open')
  const [good, bad] = third.dataDirectories as [string, string]
  const inBad = [0, 1, 2, 3].filter((n) => disk.log(`orders-${n}`).dir.startsWith(bad))
  expect(inBad).toHaveLength(2)
  const leadersAndIsr = async (topic: string): Promise<string[]> => {
    const [described] = await admin.describeTopics([topic])
    return described!.partitions.map(({ leader, isr }) => `${leader}: ${[...isr].sort().join()}`)
  }

  // One log of two notices.
  await rm(bad, { recursive: true })
  disk.log(`orders-${inBad[0]}`).fail('EIO')
  const expected = replicas.map((_, n) => (inBad.includes(n) ? '1: 1' : '3: 1,3')).join()
  await cluster.until(async () => (await leadersAndIsr('orders')).join() === expected)
  expect(third.problems).toEqual(
    // The other one may have noticed by itself, while it wrote something there.
    inBad.map((n) => expect.stringMatching(new RegExp(`^orders-${n}: .*${bad}`))),
  )
  const dirs = await admin.describeLogDirs({ nodeIds: [3] })
  expect(dirs.map(({ path, error }) => [path, error?.kafkaName])).toEqual([
    [good, undefined],
    [bad, 'KAFKA_STORAGE_ERROR'],
  ])

  await admin.createTopics([{ name: 'later', replicas }])
  await until(() => [0, 1, 2, 3].every((n) => disk.logs.has(`later-${n}`)), 'the logs are open')
  for (const n of [0, 1, 2, 3]) expect(disk.log(`later-${n}`).dir.startsWith(good)).toBe(true)
  expect(await leadersAndIsr('later')).toEqual(replicas.map(() => '3: 1,3'))

  const moved = inBad.map((partition) => ({ topic: 'orders', partition, replicas: [2, 1] }))
  await admin.alterPartitionReassignments(moved)
  await until(() => third.problems.length === 0, 'they are no problem of this broker any more')
})

test('a data directory that fails when a log is to be made there gets none, and another one has it', async () => {
  const { cluster, admin, third, disk } = await start(2)
  const [good, bad] = third.dataDirectories as [string, string]
  await admin.createTopics([{ name: 'orders', replicas: [[3, 1]] }])
  await until(() => disk.logs.has('orders-0'), 'the log is open')
  expect(disk.log('orders-0').dir.startsWith(good)).toBe(true)
  await rm(bad, { recursive: true })
  const cause = Object.assign(new Error('gone'), { code: 'EIO' })
  disk.failOpen('later-0', new VarveError('VARVE_IO', 'the disk said no', { cause }))
  await admin.createTopics([{ name: 'later', replicas: [[3, 1]] }])
  await until(() => disk.logs.has('later-0'), 'the log is open')
  expect(disk.log('later-0').dir.startsWith(good)).toBe(true)
  await cluster.until(async () => (await isrOf(admin)) === '1,3')
  expect(third.problems).toEqual([])
})

test('a log that cannot be opened stays where it is, and its partition may move', async () => {
  const cluster = await TestCluster.start()
  const admin = new Admin({ brokers: cluster.addresses.slice(0, 2) })
  onTestFinished(async () => {
    await admin.close()
    await cluster[Symbol.asyncDispose]()
  })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 3]] }])
  const dir = join(cluster.brokers.get(3)!.dataDirectories[0]!, 'orders-0')
  await until(() => existsSync(join(dir, 'partition.metadata')), 'the log is open')
  await cluster.stopBroker(3)
  await writeFile(join(dir, 'partition.metadata'), 'torn')
  const third = await cluster.startBroker(3)
  expect(third.problems.length).toBe(1)
  await cluster.until(async () => (await isrOf(admin)) === '1')
  expect(existsSync(dir)).toBe(true)
  await admin.alterPartitionReassignments([{ topic: 'orders', partition: 0, replicas: [1, 2] }])
  await until(() => third.problems.length === 0, 'it is no problem any more')
  expect(existsSync(dir)).toBe(true)
})
