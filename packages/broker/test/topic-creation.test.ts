// A topic is several directories and one metadata entry, and a crash comes between any two of them. Whatever is left must
// be a whole topic or none, and what belongs to none is put aside with its records, never deleted and never served.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writePartitionMetadata } from '@varve/log'
import { createTopics, deleteTopics, errors, metadata } from '@varve/protocol'
import { expect, test } from 'vitest'
import { metadataLogName } from '../src/metadata/metadata-log.js'
import { VarveError } from '@varve/records'
import {
  fetchFrom,
  produceTo,
  startTestBroker,
  temporaryDirectory,
  topicNames,
  until,
} from './support/test-broker.js'

const partitionDirectories = async (data: string): Promise<string[]> =>
  (await readdir(data)).filter((name) => name !== metadataLogName).sort()

test('topics, their ids and their records are there after a restart', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ data })
  const ids = [await first.createTopic('a', 2), await first.createTopic('b')]
  await produceTo(await first.connect(), 'a', 'x')
  await first.broker.close()
  const second = await startTestBroker({ data, disk: first.disk })
  const client = await second.connect()
  const { topics } = await client.request(metadata, 12, { topics: null })
  expect(topics.map(({ name, topicId, partitions }) => [name, topicId, partitions.length])).toEqual([
    ['a', ids[0], 2],
    ['b', ids[1], 1],
  ])
  expect((await fetchFrom(client, 'a')).highWatermark).toBe(1)
})

test("each directory tells its topic's id in Kafka's format", async () => {
  const data = await temporaryDirectory()
  const { createTopic } = await startTestBroker({ data })
  const topicId = await createTopic('orders', 2)
  for (const index of [0, 1]) {
    const text = await readFile(join(data, `orders-${index}`, 'partition.metadata'), 'utf8')
    expect(text).toBe(`version: 0\ntopic_id: ${topicId}\n`)
  }
})

test('a crash before the metadata entry leaves no topic, and directories that are put aside', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ data })
  const log = first.disk.log(metadataLogName)
  log.holdDurability()
  const client = await first.connect()
  void first.createTopic('orders', 2).catch(() => {})
  await until(() => log.endOffset === 1, 'the entry is written, and not yet durable')
  expect(await partitionDirectories(data)).toEqual(['orders-0', 'orders-1'])
  expect(await topicNames(client)).toEqual([])
  first.disk.crash()

  const second = await startTestBroker({ data, disk: first.disk })
  expect(await topicNames(await second.connect())).toEqual([])
  expect(await partitionDirectories(data)).toEqual([
    expect.stringMatching(/^orders-0\.[0-9a-f]{32}-stray$/),
    expect.stringMatching(/^orders-1\.[0-9a-f]{32}-stray$/),
  ])
  await second.createTopic('orders', 1)
  await second.broker.close()
  const third = await startTestBroker({ data, disk: first.disk })
  expect(third.broker.problems).toEqual([])
})

test('a directory that no topic owns is put aside with what is in it', async () => {
  const data = await temporaryDirectory()
  await mkdir(join(data, 'lost-3'))
  await writeFile(join(data, 'lost-3', '00000000000000000000.log'), 'somebody wants this')
  const long = `${'x'.repeat(249)}-0`
  await mkdir(join(data, long))
  const { connect, lines } = await startTestBroker({ data })
  const [lost, cut] = await partitionDirectories(data)
  expect(lost).toMatch(/^lost-3\.[0-9a-f]{32}-stray$/)
  expect(cut).toMatch(/^x+\.[0-9a-f]{32}-stray$/)
  expect(await readFile(join(data, lost!, '00000000000000000000.log'), 'utf8')).toBe('somebody wants this')
  expect(lines).toContain(`warn the directory lost-3 belongs to no topic; it is kept as ${lost}`)
  expect(await topicNames(await connect())).toEqual([])
})

test('a creation that fails halfway leaves nothing behind', async () => {
  const data = await temporaryDirectory()
  const { createTopic, disk, connect } = await startTestBroker({ data })
  disk.failOpen('orders-1', new VarveError('VARVE_IO', 'no space left on the device'))
  await expect(createTopic('orders', 3)).rejects.toThrow('no space left on the device')
  expect(await partitionDirectories(data)).toEqual([])
  expect(await topicNames(await connect())).toEqual([])
  await createTopic('orders', 3)
  expect(await partitionDirectories(data)).toHaveLength(3)
})

test.each([
  ['a full disk', 'ENOSPC', 'VARVE_IO', /free space on its disk, then create it again/],
  ['too many open files', 'EMFILE', 'VARVE_IO', /raise the limit on open files .*, then restart the broker/],
  ['a directory that cannot be written', 'EROFS', 'VARVE_NOT_WRITABLE', /make its file system writable/],
])("%s is the storage's error, and the operator hears what to do", async (_what, errno, code, line) => {
  const { connect, disk, lines } = await startTestBroker()
  const cause = Object.assign(new Error(errno), { code: errno })
  disk.failOpen('orders-0', new VarveError(code, 'could not create /data/orders-0', { cause }))
  const topic = { name: 'orders', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
  const { topics } = await (await connect()).request(createTopics, 7, { topics: [topic] })
  expect(topics[0]).toMatchObject({ errorCode: errors.KAFKA_STORAGE_ERROR.code })
  expect(lines.join('\n')).toMatch(line)
  expect(lines.join('\n')).toMatch(/could not create the topic orders: could not create \/data\/orders-0/)
})

test('a partition.metadata that cannot be written is named', async () => {
  const data = await temporaryDirectory()
  // What is in the way is neither full nor broken, but it fails in the same place.
  await mkdir(join(data, 'orders-0', 'partition.metadata.tmp'), { recursive: true })
  await expect(writePartitionMetadata(join(data, 'orders-0'), 'x'.repeat(22), false)).rejects.toMatchObject({
    code: 'VARVE_IO',
    message: expect.stringMatching(/^could not create .*orders-0\/partition\.metadata\.tmp: /),
    cause: { code: 'EISDIR' },
  })
})

test('a creation whose outcome is unknown keeps its directories', async () => {
  // If the entry reached the disk after all, the next start needs them; if it did not, it puts them aside.
  const data = await temporaryDirectory()
  const { createTopic, disk, connect } = await startTestBroker({ data })
  disk.log(metadataLogName).fail()
  await expect(createTopic('orders')).rejects.toThrow('the disk said no')
  expect(await partitionDirectories(data)).toEqual(['orders-0'])
  expect(await topicNames(await connect())).toEqual([])
})

test('a partition whose directory is gone is not quietly begun anew', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ data })
  await first.createTopic('orders', 2)
  await first.broker.close()
  await rm(join(data, 'orders-1'), { recursive: true })
  const { broker, connect } = await startTestBroker({ data, disk: first.disk })
  expect(broker.problems).toEqual([
    expect.stringMatching(/^orders-1: its directory .*orders-1 is missing; put it back from a copy/),
  ])
  expect((await produceTo(await connect(), 'orders', 'x')).errorCode).toBe(0)
})

test("a directory of another topic's id is not served", async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ data })
  await first.createTopic('orders', 2)
  await first.broker.close()
  const stranger = 'bCB5U4x5S3m3Hn_4t1uZyw'
  await writeFile(join(data, 'orders-0', 'partition.metadata'), `version: 0\ntopic_id: ${stranger}\n`)
  await writeFile(join(data, 'orders-1', 'partition.metadata'), 'version: 7\n')
  const { broker } = await startTestBroker({ data, disk: first.disk })
  expect(broker.problems).toEqual([
    expect.stringMatching(`orders-0: .* belongs to the topic id ${stranger}`),
    expect.stringMatching(/orders-1: .* is not a partition\.metadata of version 0/),
  ])
})

test('a lost partition.metadata is written again', async () => {
  const data = await temporaryDirectory()
  const first = await startTestBroker({ data })
  const topicId = await first.createTopic('orders')
  await first.broker.close()
  await rm(join(data, 'orders-0', 'partition.metadata'))
  const { broker } = await startTestBroker({ data, disk: first.disk })
  expect(broker.problems).toEqual([])
  expect(await readFile(join(data, 'orders-0', 'partition.metadata'), 'utf8')).toContain(topicId)
})

test("another broker's directory is refused, and nothing in it is renamed", async () => {
  const data = await temporaryDirectory()
  await mkdir(join(data, 'theirs-0'))
  await writeFile(join(data, 'meta.properties'), 'version=1\nnode.id=1\ncluster.id=x\n')
  await expect(startTestBroker({ data })).rejects.toMatchObject({
    code: 'VARVE_FOREIGN_DIRECTORY',
    message: expect.stringMatching(/holds 1 partitions, theirs-0 for one, .*__varve_metadata-0/),
  })
  expect(await readdir(data)).toEqual(['meta.properties', 'theirs-0'])
})

test('creating and deleting topics looks at their own directories alone, however many others there are', async () => {
  const { broker, disk, connect, createTopic } = await startTestBroker()
  const before = disk.listings
  await createTopic('orders', 3)
  const { responses } = await (
    await connect()
  ).request(deleteTopics, 5, { topicNames: ['orders'], timeoutMs: 1000 })
  expect(responses[0]).toMatchObject({ errorCode: 0 })
  await broker.close()
  expect(disk.listings).toBe(before)
})
