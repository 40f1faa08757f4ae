// Everything above a partition relies on one line: the high watermark. It may not pass what is durable, it never goes
// back, and whoever waits for it is told, or refused when it cannot come any more.
import { expect, test } from 'vitest'
import { BrokerConfigs } from '../src/configs/broker-configs.js'
import { topicSettings } from '../src/configs/topic-settings.js'
import { soleMembership, soleState } from '../src/membership.js'
import type { MetadataStore } from '../src/metadata/metadata-store.js'
import { Partition } from '../src/partition.js'
import { MemoryDisk, type MemoryLog } from './memory-log.js'
import { batchOf, settle, temporaryDirectory } from './support/test-broker.js'

const noStore = { list: async () => ({ entries: [], revision: 0 }) } as unknown as MetadataStore
const settings = topicSettings(new Map(), await BrokerConfigs.load(noStore, 0, new Map()), 'os')

async function opened(): Promise<{ partition: Partition; log: MemoryLog }> {
  const directory = await new MemoryDisk().openDataDirectory(await temporaryDirectory())
  const log = (await directory.openLog('orders-0')) as unknown as MemoryLog
  const partition = new Partition({
    topic: 'orders',
    state: soleState(0, { topicId: 't', partition: 0, leaderEpoch: 4 }),
    membership: soleMembership(0),
    settings,
  })
  partition.attach(log)
  return { partition, log }
}

test('the high watermark follows durability, and appends carry the leader epoch', async () => {
  const { partition, log } = await opened()
  log.holdDurability()
  const batch = batchOf('a', 'b')
  const appended = partition.append(batch, true)
  expect([partition.logEndOffset, partition.highWatermark]).toEqual([2, 0])
  await log.flush()
  expect(await appended).toBe(0)
  expect([partition.highWatermark, partition.lastStableOffset]).toEqual([2, 2])
  expect(batch.readInt32BE(12)).toBe(4)
})

test('listeners hear of every advance and of failure, until they stop', async () => {
  const { partition, log } = await opened()
  const heard: (number | string)[] = []
  const listener = (changed: Partition): unknown => heard.push(changed.failure?.code ?? changed.highWatermark)
  partition.listen(listener)
  await partition.append(batchOf('a'), false)
  await partition.append(batchOf('b'), true)
  log.fail()
  partition.unlisten(listener)
  partition.detach()
  expect(heard).toEqual([1, 2, 'VARVE_LOG_FAILED'])
})

test('a failing log refuses who waits and who comes later', async () => {
  const { partition, log } = await opened()
  log.holdDurability()
  const waiting = [partition.append(batchOf('a'), true), partition.append(batchOf('b'), false)]
  log.fail()
  for (const append of waiting) await expect(append).rejects.toMatchObject({ code: 'VARVE_LOG_FAILED' })
  await expect(partition.append(batchOf('c'), true)).rejects.toMatchObject({ code: 'VARVE_LOG_FAILED' })
  expect(partition.highWatermark).toBe(0)
})

test('a partition without a log refuses everything with the reason', async () => {
  const partition = new Partition({
    topic: 'orders',
    state: soleState(0, { topicId: 't', partition: 0, leaderEpoch: 0 }),
    membership: soleMembership(0),
    settings,
  })
  await expect(partition.append(batchOf('a'), true)).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  await expect(partition.offsetForTime(0)).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  await expect(partition.maxTimestamp()).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  expect(() => partition.read(0, { upTo: 1, maxBytes: 1, minOneBatch: true })).toThrow(
    'the log of orders-0 is not open',
  )
  expect([partition.readable, partition.logStartOffset, partition.logEndOffset]).toEqual([false, -1, -1])
})

test('what is read ends at the high watermark', async () => {
  const { partition, log } = await opened()
  await partition.append(batchOf('a'), true)
  log.holdDurability()
  void partition.append(batchOf('b'), true).catch(() => {})
  await settle()
  const records = await partition.read(0, { upTo: Infinity, maxBytes: 1 << 20, minOneBatch: true })
  expect(records.byteLength).toBe(batchOf('a').length)
  records.close()
  expect(log.openSlices).toBe(0)
})
