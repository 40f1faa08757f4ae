/**
 * A topic is many directories on several disks, and nothing but their names says what belongs together. A partition that is
 * found twice, not found, or made anew on another disk while the old one is only not mounted is a topic whose keys have
 * lost their records; and one failure half-way must not leave locks behind that only the end of the process frees.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDataDirectory, openLog, openTopic, type Topic } from '../src/index.js'
import { howToGetOne, smallDisk } from './small-disk.js'
import { temporaryDirectory } from './temporary-directory.js'

const twoDirectories = (): [string, string] => {
  const root = temporaryDirectory()
  return [join(root, 'disk1'), join(root, 'disk2')]
}

const partitionsIn = (dir: string): string[] =>
  readdirSync(dir)
    .filter((name) => /-\d+$/.test(name))
    .sort()

const metadataOf = (dir: string): string => readFileSync(join(dir, 'partition.metadata'), 'utf8')

async function close(...topics: Topic[]): Promise<void> {
  for (const topic of topics) await topic.close()
}

test('new partitions go where the fewest are, of whatever topic', async () => {
  const [one, two] = twoDirectories()
  const orders = await openTopic([one, two], 'orders', { partitions: 3 })
  expect([partitionsIn(one), partitionsIn(two)]).toEqual([['orders-0', 'orders-2'], ['orders-1']])
  // Both topics are this process's, so they share the directories and their locks.
  const users = await openTopic([two, one], 'users', { partitions: 4 })
  expect([partitionsIn(one).length, partitionsIn(two).length]).toEqual([3, 4])
  expect(users.partition(0).dir).toBe(join(two, 'users-0'))
  await close(orders)
  await users.append([{ value: 'still open' }])
  await close(users)
})

test('is a data directory of Kafka’s form each, of one cluster, and gone with the last topic', async () => {
  const [one, two] = twoDirectories()
  const first = await openTopic(two, 'a')
  await close(first)
  const both = await openTopic([one, two], 'b', { partitions: 2 })
  await expect(openDataDirectory(one)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  await expect(openLog(join(two, 'a-0'))).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  await close(both)
  const directories = await Promise.all([one, two].map((dir) => openDataDirectory(dir)))
  expect(directories[0]!.clusterId).toBe(directories[1]!.clusterId)
  expect(directories[0]!.directoryId).not.toBe(directories[1]!.directoryId)
  expect(directories.map(({ cleanShutdown }) => cleanShutdown)).toEqual([true, true])
  for (const directory of directories) await directory.close()
})

test('every partition has the topic’s id, and keeps it', async () => {
  const dirs = twoDirectories()
  const topic = await openTopic(dirs, 'orders', { partitions: 2 })
  expect(topic.id).toMatch(/^[A-Za-z0-9_-]{22}$/)
  await close(topic)
  const more = await openTopic(dirs, 'orders', { partitions: 4 })
  expect(more.id).toBe(topic.id)
  for (let index = 0; index < 4; index++) {
    expect(metadataOf(more.partition(index).dir)).toBe(`version: 0\ntopic_id: ${topic.id}\n`)
  }
  await close(more)
  const other = await openTopic(dirs, 'users')
  expect(other.id).not.toBe(topic.id)
  await close(other)
})

test('partitions are found where they are, whatever has been moved between', async () => {
  const [one, two] = twoDirectories()
  const topic = await openTopic([one, two], 'orders', { partitions: 2 })
  await topic.append([{ value: 'zero' }], { partition: 0 })
  await close(topic)
  renameSync(join(one, 'orders-0'), join(two, 'orders-0'))
  await using again = await openTopic([one, two], 'orders')
  expect(again.partitions).toBe(2)
  expect(again.partition(0).dir).toBe(join(two, 'orders-0'))
  expect(again.partition(0).endOffset).toBe(1)
})

test('more partitions can be asked for later, fewer cannot', async () => {
  const dir = temporaryDirectory()
  await close(await openTopic(dir, 'orders', { partitions: 3 }))
  await expect(openTopic(dir, 'orders', { partitions: 2 })).rejects.toMatchObject({
    code: 'VARVE_INVALID_OPTION',
    message: expect.stringMatching(/orders has 3 partitions.*2/),
  })
  await close(await openTopic(dir, 'orders', { partitions: 5 }))
  await using topic = await openTopic(dir, 'orders')
  expect(topic.partitions).toBe(5)
  expect(() => topic.partition(5)).toThrow(expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }))
})

test('a partition in two directories is refused, both named, and nothing stays locked', async () => {
  const [one, two] = twoDirectories()
  await close(await openTopic([one, two], 'orders', { partitions: 2 }))
  await cp(join(one, 'orders-0'), join(two, 'orders-0'), { recursive: true })
  for (const _ of [1, 2]) {
    await expect(openTopic([one, two], 'orders')).rejects.toMatchObject({
      code: 'VARVE_PARTITION_DUPLICATE',
      message: expect.stringMatching(new RegExp(`${join(one, 'orders-0')}.*${join(two, 'orders-0')}`)),
    })
  }
  await rm(join(two, 'orders-0'), { recursive: true })
  await close(await openTopic([one, two], 'orders'))
})

test('a partition that is not there is not made anew behind its successors', async () => {
  const [one, two] = twoDirectories()
  await close(await openTopic([one, two], 'orders', { partitions: 4 }))
  await expect(openTopic(two, 'orders', { partitions: 4 })).rejects.toMatchObject({
    code: 'VARVE_PARTITION_MISSING',
    message: expect.stringMatching(new RegExp(`partition 0 of the topic orders.*${two}`)),
  })
  expect(partitionsIn(two)).toEqual(['orders-1', 'orders-3'])
})

test('partitions of two topics are told apart by their ids', async () => {
  const [one, two] = twoDirectories()
  await close(await openTopic(one, 'orders', { partitions: 2 }))
  writeFileSync(join(one, 'orders-1', 'partition.metadata'), 'version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAB\n')
  await expect(openTopic([one, two], 'orders')).rejects.toMatchObject({
    code: 'VARVE_PARTITION_METADATA',
    message: expect.stringMatching(/orders-0 belongs.*orders-1 to AAAAAAAAAAAAAAAAAAAAAB/),
  })
})

test('a directory that cannot be opened is named, and the others are let go', async () => {
  const [one, two] = twoDirectories()
  writeFileSync(two, 'no directory')
  for (const _ of [1, 2]) {
    await expect(openTopic([one, two], 'orders')).rejects.toMatchObject({
      code: 'VARVE_NOT_WRITABLE',
      message: expect.stringContaining(two),
    })
  }
  expect(partitionsIn(one)).toEqual([])
  await close(await openTopic(one, 'orders'))
})

const disk = smallDisk(64)

test.skipIf(disk === null)(
  `a full disk is named, and the others are let go${howToGetOne(disk)}`,
  async () => {
    const other = temporaryDirectory()
    const ballast = join(disk!, 'ballast')
    writeFileSync(ballast, Buffer.alloc(64 * 1024))
    await expect(openTopic([other, disk!], 'orders', { partitions: 2 })).rejects.toMatchObject({
      message: expect.stringContaining(disk!),
      cause: { code: 'ENOSPC' },
    })
    rmSync(ballast)
    await using topic = await openTopic([other, disk!], 'orders', { partitions: 2 })
    expect([partitionsIn(other), partitionsIn(disk!)]).toEqual([['orders-0'], ['orders-1']])
    await topic.append([{ value: 'a' }, { value: 'b' }])
  },
)

test('directories of two clusters do not make a topic', async () => {
  const [one, two] = twoDirectories()
  for (const dir of [one, two]) await (await openDataDirectory(dir)).close()
  await expect(openTopic([one, two], 'orders')).rejects.toMatchObject({ code: 'VARVE_META_MISMATCH' })
  await close(await openTopic(one, 'orders'))
})

test('a topic that is open already is refused, and stays usable', async () => {
  const [one, two] = twoDirectories()
  await using topic = await openTopic([one, two], 'orders', { partitions: 2 })
  const link = join(temporaryDirectory(), 'link')
  symlinkSync(one, link)
  await expect(openTopic([link, two], 'orders')).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  await topic.append([{ value: 'a' }])
})

test('opening at once, closing and opening again share the directory in good order', async () => {
  const dir = temporaryDirectory()
  const names = Array.from({ length: 8 }, (_, index) => `topic-${index}`)
  const topics = await Promise.all(names.map((name) => openTopic(dir, name)))
  const closings = topics.map((topic) => topic.close())
  const again = openTopic(dir, 'topic-0')
  await Promise.all(closings)
  await close(await again)
  const directory = await openDataDirectory(dir)
  expect(directory.cleanShutdown).toBe(true)
  expect((await directory.logs()).sort()).toEqual(names.map((name) => `${name}-0`))
  await directory.close()
})

test('names of other things are no partitions', async () => {
  const dir = temporaryDirectory()
  for (const name of ['orders-01', 'orders-0-stray', 'orders', 'orders-x', 'more-orders-7']) {
    mkdirSync(join(dir, name))
  }
  writeFileSync(join(dir, 'orders-9'), 'a file')
  await using topic = await openTopic(dir, 'orders')
  expect(topic.partitions).toBe(1)
})

test.each([
  ['', {}],
  ['.', {}],
  ['..', {}],
  ['a/b', {}],
  ['ümlaut', {}],
  ['x'.repeat(250), {}],
  [7 as never, {}],
  ['ok', { partitions: 0 }],
  ['ok', { partitions: 1.5 }],
  ['ok', { partitions: 100_001 }],
  ['ok', { partitioner: 'murmur' as never }],
  ['ok', { durability: 'maybe' as never }],
])('what cannot be is refused before anything is created: %o %o', async (name, options) => {
  const dir = join(temporaryDirectory(), 'new')
  await expect(openTopic(dir, name, options)).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  expect(existsSync(dir)).toBe(false)
})

test('the longest name that Kafka has is a directory', async () => {
  await using topic = await openTopic(temporaryDirectory(), 'x'.repeat(249), { partitions: 2 })
  await topic.append([{ value: 'a' }])
})

test.each([[[]], [''], [['a', 'a']], [[7]], [undefined]])('directories that are none: %o', async (dirs) => {
  await expect(openTopic(dirs as never, 'orders')).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
})
