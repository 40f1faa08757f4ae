// A disk that fails, or a log that cannot be opened, costs a cluster one replica of a few partitions: nothing of it is thrown
// away, and it is over when they have moved.
import { existsSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import { errors, fetch, listOffsets } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Broker, openBroker } from '../../src/broker.js'
import { resolveOptions } from '../../src/broker-options.js'
import { MemoryDisk } from '../memory-log.js'
import { RawClient } from '../support/raw-client.js'
import { fetchFrom, temporaryDirectory, until } from '../support/test-broker.js'
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
    // A directory that has failed cannot be closed in order.
    await third.close().catch(() => {})
    await cluster[Symbol.asyncDispose]()
  })
  return { cluster, admin, third, disk }
}

/** At once: to a directory that is emptied file by file a broker adds some meanwhile. */
async function takeAway(directory: string): Promise<void> {
  await rename(directory, join(await temporaryDirectory(), 'away'))
}

/** Who leads has written what it does in the directories of new logs: where these are taken away meanwhile, that fails as well. */
async function untilLed(admin: Admin, topic: string, partitions: number): Promise<void> {
  await admin.listOffsets(
    Array.from({ length: partitions }, (_, partition) => ({
      topic,
      partition,
      timestamp: 'latest' as const,
    })),
  )
}

async function isrOf(admin: Admin): Promise<string> {
  const [orders] = await admin.describeTopics(['orders'])
  return [...orders!.partitions[0]!.isr].sort().join()
}

async function leadersAndIsr(admin: Admin, topic: string): Promise<string[]> {
  const [described] = await admin.describeTopics([topic])
  return described!.partitions.map(({ leader, isr }) => `${leader}: ${[...isr].sort().join()}`)
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
  await untilLed(admin, 'orders', 4)
  const [good, bad] = third.dataDirectories as [string, string]
  const inBad = [0, 1, 2, 3].filter((n) => disk.log(`orders-${n}`).dir.startsWith(bad))
  expect(inBad).toHaveLength(2)

  // One log of two notices.
  await takeAway(bad)
  disk.log(`orders-${inBad[0]}`).fail('EIO')
  const expected = replicas.map((_, n) => (inBad.includes(n) ? '1: 1' : '3: 1,3')).join()
  await cluster.until(async () => (await leadersAndIsr(admin, 'orders')).join() === expected)
  await until(() => inBad.every((n) => disk.log(`orders-${n}`).state === 'closed'), 'both are given up')
  expect(third.problems).toEqual(
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
  await untilLed(admin, 'later', 4)
  expect(await leadersAndIsr(admin, 'later')).toEqual(replicas.map(() => '3: 1,3'))

  const moved = inBad.map((partition) => ({ topic: 'orders', partition, replicas: [2, 1] }))
  await admin.alterPartitionReassignments(moved)
  await until(() => third.problems.length === 0, 'they are no problem of this broker any more')
})

const readings: Record<string, (client: RawClient) => Promise<number>> = {
  'a Fetch': async (client) => (await fetchFrom(client, 'orders')).errorCode,
  'a search for a timestamp': async (client) => {
    const partitions = [{ partitionIndex: 0, timestamp: 1 }]
    const { topics } = await client.request(listOffsets, 7, {
      replicaId: -1,
      topics: [{ name: 'orders', partitions }],
    })
    return topics![0]!.partitions[0]!.errorCode
  },
}

test.for(Object.entries(readings))(
  'a log that the disk does not answer to %s is given up, and another replica is asked',
  async ([, read]) => {
    const { cluster, admin, third, disk } = await start()
    await admin.createTopics([{ name: 'orders', replicas: [[3, 1]] }])
    const producer = new Producer({ brokers: cluster.addresses })
    onTestFinished(() => producer.close())
    await producer.send('orders', { value: 'x' })
    const client = await RawClient.connect(third.port)
    onTestFinished(() => client.close())
    expect(await read(client)).toBe(0)

    const log = disk.log('orders-0')
    log.failReads('EIO')
    expect(await read(client)).toBe(errors.KAFKA_STORAGE_ERROR.code)
    await cluster.until(async () => (await isrOf(admin)) === '1')
    const [described] = await admin.describeTopics(['orders'])
    expect(described!.partitions[0]!.leader).toBe(1)
    expect(third.problems).toEqual([
      expect.stringMatching(/^orders-0: .*EIO\. To recover, check its disk, then/),
    ])
    expect(log.state).toBe('closed')
    // The disk takes what is written, and so it is the log's alone.
    const dirs = await admin.describeLogDirs({ nodeIds: [3] })
    expect(dirs.map(({ error }) => error)).toEqual([null])
  },
)

test('a log whose records the disk keeps back when they have been promised is given up', async () => {
  const { cluster, admin, third, disk } = await start()
  await admin.createTopics([
    { name: 'orders', replicas: [[3, 1]] },
    { name: 'bills', replicas: [[3, 1]] },
  ])
  const producer = new Producer({ brokers: cluster.addresses })
  onTestFinished(() => producer.close())
  for (const topic of ['orders', 'bills']) await producer.send(topic, { value: 'x' })
  const log = disk.log('orders-0')
  const slice = log.slice.bind(log)
  vi.spyOn(log, 'slice').mockImplementation((options) => {
    const found = slice(options)
    log.failReads('EIO')
    return found
  })
  const client = await RawClient.connect(third.port)
  onTestFinished(() => client.close())
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }]
  const topics = ['orders', 'bills'].map((topic) => ({ topic, partitions }))
  const response = client.request(fetch, 12, { maxWaitMs: 0, minBytes: 1, topics, forgottenTopicsData: [] })
  await expect(response).rejects.toThrow('the connection was closed')
  await cluster.until(async () => (await isrOf(admin)) === '1')
  // The other log of the response has nothing to do with it.
  expect(third.problems).toEqual([expect.stringMatching(/^orders-0: /)])
})

test('a log that is damaged is no failed disk, and goes on to be served', async () => {
  const { cluster, admin, third, disk } = await start()
  await admin.createTopics([{ name: 'orders', replicas: [[3, 1]] }])
  const producer = new Producer({ brokers: cluster.addresses })
  onTestFinished(() => producer.close())
  await producer.send('orders', { value: 'x' })
  const client = await RawClient.connect(third.port)
  onTestFinished(() => client.close())
  vi.spyOn(disk.log('orders-0'), 'slice').mockImplementation(() => {
    throw new VarveError('VARVE_LOG_CORRUPT', 'the CRC does not match')
  })
  expect((await fetchFrom(client, 'orders')).errorCode).toBe(errors.CORRUPT_MESSAGE.code)
  expect(third.problems).toEqual([])
  expect(await isrOf(admin)).toBe('1,3')
})

test('a data directory that fails is noticed where nothing but a read of one log says so', async () => {
  const { cluster, admin, third, disk } = await start(2)
  const replicas = [0, 1, 2, 3].map(() => [3, 1])
  await admin.createTopics([{ name: 'orders', replicas }])
  await untilLed(admin, 'orders', 4)
  const [good, bad] = third.dataDirectories as [string, string]
  const inBad = [0, 1, 2, 3].filter((n) => disk.log(`orders-${n}`).dir.startsWith(bad))
  await takeAway(bad)
  disk.log(`orders-${inBad[0]}`).failReads('EIO')
  const client = await RawClient.connect(third.port)
  onTestFinished(() => client.close())
  const { topics } = await client.request(listOffsets, 7, {
    replicaId: -1,
    topics: [{ name: 'orders', partitions: [{ partitionIndex: inBad[0]!, timestamp: 1 }] }],
  })
  expect(topics[0]!.partitions[0]!.errorCode).toBe(errors.KAFKA_STORAGE_ERROR.code)
  const expected = replicas.map((_, n) => (inBad.includes(n) ? '1: 1' : '3: 1,3')).join()
  await cluster.until(async () => (await leadersAndIsr(admin, 'orders')).join() === expected)
  expect(third.problems).toEqual(
    inBad.map((n) => expect.stringMatching(new RegExp(`^orders-${n}: .*${bad}`))),
  )
  const dirs = await admin.describeLogDirs({ nodeIds: [3] })
  expect(dirs.map(({ path, error }) => [path, error?.kafkaName])).toEqual([
    [good, undefined],
    [bad, 'KAFKA_STORAGE_ERROR'],
  ])
  await expect(third.close()).rejects.toMatchObject({
    code: 'VARVE_IO',
    message: expect.stringContaining(bad),
  })
})

test('a follower whose disk does not answer gives the log up', async () => {
  const { cluster, admin, third, disk } = await start()
  await admin.createTopics([{ name: 'orders', replicas: [[1, 3]] }])
  await until(() => disk.logs.has('orders-0'), 'the log is open')
  const log = disk.log('orders-0')
  const cause = Object.assign(new Error('gone'), { code: 'EIO' })
  log.refusal = new VarveError('VARVE_IO', 'the disk said no', { cause })
  const producer = new Producer({ brokers: cluster.addresses, acks: 1 })
  onTestFinished(() => producer.close())
  await producer.send('orders', { value: 'x' })
  await cluster.until(async () => (await isrOf(admin)) === '1')
  expect(third.problems).toEqual([expect.stringMatching(/^orders-0: the disk said no/)])
})

test('a data directory that fails when a log is to be made there gets none, and another one has it', async () => {
  const { cluster, admin, third, disk } = await start(2)
  const [good, bad] = third.dataDirectories as [string, string]
  await admin.createTopics([{ name: 'orders', replicas: [[3, 1]] }])
  await until(() => disk.logs.has('orders-0'), 'the log is open')
  expect(disk.log('orders-0').dir.startsWith(good)).toBe(true)
  await takeAway(bad)
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
