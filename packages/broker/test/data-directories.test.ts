// A broker with several disks that forgets where a partition is creates it anew, empty, beside the one with the records;
// and one that is given the disks of two brokers mixes their topics. Both have cost people their data.
import { cpSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDataDirectory } from '@varve/log'
import { Admin, Consumer, Producer } from '@varve/client'
import { startBroker, startCluster, type Broker } from '../src/index.js'
import { temporaryDirectory } from './support/test-broker.js'

let disks: [string, string]
const brokers: Broker[] = []

beforeEach(async () => {
  disks = [await temporaryDirectory(), await temporaryDirectory()]
})
afterEach(async () => {
  for (const broker of brokers.splice(0)) await broker.close()
})

async function start(...data: string[]): Promise<Broker> {
  const broker = await startBroker({ data, defaultPartitions: 6 })
  brokers.push(broker)
  return broker
}

const partitions = (disk: string): string[] =>
  readdirSync(disk)
    .filter((name) => name.startsWith('orders-') && !name.endsWith('-stray'))
    .sort()

async function produce(broker: Broker): Promise<void> {
  await using producer = new Producer({ brokers: [broker.address] })
  await Promise.all(
    Array.from({ length: 30 }, (_, n) => producer.send('orders', { key: `${n}`, value: `value ${n}` })),
  )
}

async function consume(broker: Broker): Promise<string[]> {
  await using consumer = new Consumer({ brokers: [broker.address] })
  consumer.assign(Array.from({ length: 6 }, (_, partition) => ({ topic: 'orders', partition, offset: 0 })))
  const values: string[] = []
  for await (const record of consumer) {
    values.push(String(record.value))
    if (values.length === 30) break
  }
  return values.sort()
}

const expected = Array.from({ length: 30 }, (_, n) => `value ${n}`).sort()

test('partitions are spread over the directories, and found wherever they are', async () => {
  const broker = await start(...disks)
  expect(broker.dataDirectories).toEqual(disks)
  await produce(broker)
  expect(disks.map((disk) => partitions(disk).length)).toEqual([3, 3])
  await broker.close()
  // The metadata is found in the second one, and a partition that was moved in the other.
  renameSync(join(disks[0], partitions(disks[0])[0]!), join(disks[1], partitions(disks[0])[0]!))
  const again = await start(disks[1], disks[0])
  expect(again.problems).toEqual([])
  expect(await consume(again)).toEqual(expected)
  await using admin = new Admin({ brokers: [again.address] })
  await admin.createTopics([{ name: 'more', partitions: 3 }])
  expect(readdirSync(disks[0]).filter((name) => name.startsWith('more-')).length).toBeGreaterThan(1)
})

test('without one of its directories the broker names what is missing and serves the rest', async () => {
  const broker = await start(...disks)
  await produce(broker)
  await broker.close()
  const alone = await start(disks[0])
  expect(alone.problems).toHaveLength(3)
  expect(alone.problems[0]).toContain('is missing')
  await alone.close()
  const again = await start(...disks)
  expect(again.problems).toEqual([])
  expect(await consume(again)).toEqual(expected)
})

test('a partition in two directories is refused, and neither is touched', async () => {
  const broker = await start(...disks)
  await produce(broker)
  await broker.close()
  const name = partitions(disks[0])[0]!
  cpSync(join(disks[0], name), join(disks[1], name), { recursive: true })
  const again = await start(...disks)
  expect(again.problems).toHaveLength(1)
  expect(again.problems[0]).toContain(`${join(disks[0], name)} and ${join(disks[1], name)}`)
  expect(disks.map((disk) => partitions(disk).length)).toEqual([3, 4])
})

test('directories of two brokers or clusters are not served together', async () => {
  for (const disk of disks) await (await start(disk)).close()
  await expect(start(...disks)).rejects.toMatchObject({ code: 'VARVE_FOREIGN_DIRECTORY' })
  const other = await temporaryDirectory()
  await (await openDataDirectory(other, { clusterId: 'another-cluster-000000' })).close()
  await expect(start(disks[0], other)).rejects.toMatchObject({ code: 'VARVE_META_MISMATCH' })
  await expect(start(disks[0], disks[0])).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  const broker = await start(disks[0])
  expect(broker.problems).toEqual([])
})

test('one broker is not started where several have their directories, whose records it would put aside', async () => {
  await using cluster = await startCluster({ data: disks[0], brokers: 2, topics: { orders: 1 } })
  await cluster.close()
  const before = readdirSync(disks[0])
  await expect(start(disks[1], disks[0])).rejects.toMatchObject({
    code: 'VARVE_FOREIGN_DIRECTORY',
    message: expect.stringContaining('broker-1, broker-2'),
  })
  expect([readdirSync(disks[0]), readdirSync(disks[1])]).toEqual([before, []])
})
