/**
 * Consumers ask where yesterday begins. Producers' clocks run backwards, batches hold many times, and a record may carry a
 * time that no JavaScript number can: each of these has sent consumers to the wrong offset, or nowhere.
 */
import { expect, test } from 'vitest'
import { encodeBatch } from '@varve/records'
import { openLog } from '../src/index.js'
import { batchOf, resealed } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'
import { unreadableBatch } from './unreadable-batch.js'

const at = (timestamp: number): { timestamp: number; value: string } => ({ timestamp, value: `${timestamp}` })

test('finds the first record at or after a time, within batches and across segments', async () => {
  await using log = await openLog(temporaryDirectory(), { segmentBytes: 256, indexIntervalBytes: 0 })
  expect(await log.offsetForTime(0)).toBeNull()
  expect(await log.maxTimestamp()).toBeNull()
  // Two records a batch, the second one earlier than the first of the next, and one batch late by 25.
  for (let n = 0; n < 20; n++) await log.append([at(100 + 10 * n), at(105 + 10 * n)])
  await log.append([at(275)])
  expect(await log.offsetForTime(0)).toEqual({ offset: 0, timestamp: 100 })
  expect(await log.offsetForTime(100)).toEqual({ offset: 0, timestamp: 100 })
  expect(await log.offsetForTime(101)).toEqual({ offset: 1, timestamp: 105 })
  for (let n = 0; n < 20; n++) {
    expect(await log.offsetForTime(106 + 10 * (n - 1))).toEqual({ offset: 2 * n, timestamp: 100 + 10 * n })
  }
  expect(await log.offsetForTime(296)).toBeNull()
  expect(await log.maxTimestamp()).toEqual({ offset: 39, timestamp: 295 })
})

test('a record before the start of the log is none to be found, though its batch reaches behind it', async () => {
  await using log = await openLog(temporaryDirectory())
  await log.append([at(9), at(1)])
  await log.append([at(2)])
  await log.append([at(7)])
  await log.deleteBefore(1)
  expect(await log.offsetForTime(5)).toEqual({ offset: 3, timestamp: 7 })
  expect(await log.offsetForTime(8)).toBeNull()
  expect(await log.maxTimestamp()).toEqual({ offset: 3, timestamp: 7 })
  await log.deleteBefore(4)
  expect(await log.maxTimestamp()).toBeNull()
})

test('the record with the largest time may lie in the batch within which the log starts', async () => {
  await using log = await openLog(temporaryDirectory())
  await log.append([at(9), at(8)])
  await log.append([at(2)])
  await log.deleteBefore(1)
  expect(await log.maxTimestamp()).toEqual({ offset: 1, timestamp: 8 })
})

test('a record that compaction took away is none to be found, though its batch is still there', async () => {
  const options = { cleanupPolicy: 'compact', segmentBytes: 256, compactionCheckMs: Infinity } as const
  await using log = await openLog(temporaryDirectory(), options)
  const put = (key: string, timestamp: number): Promise<unknown> =>
    log.append([{ key, value: 'v'.repeat(60), timestamp }])
  // The second one ends a segment, so that its batch stays, emptied.
  for (const [key, timestamp] of [
    ['b', 1],
    ['a', 9],
    ['a', 2],
    ['c', 7],
    ['d', 3],
  ] as const)
    await put(key, timestamp)
  expect(await log.offsetForTime(8)).toEqual({ offset: 1, timestamp: 9 })
  await log.compact()
  expect(await log.offsetForTime(8)).toBeNull()
  expect(await log.offsetForTime(5)).toEqual({ offset: 3, timestamp: 7 })
  expect(await log.maxTimestamp()).toEqual({ offset: 3, timestamp: 7 })
})

test('records are looked for off the event loop, whatever their batch expands to', async () => {
  await using log = await openLog(temporaryDirectory(), { maxBatchBytes: 4 << 20 })
  const value = Buffer.alloc(100 << 20)
  const records = [at(1), { timestamp: 2, value }]
  await Promise.all(log.appendBatches([encodeBatch(records, { compression: 'zstd' })]))
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers)), 1)
  expect(await log.offsetForTime(2)).toEqual({ offset: 1, timestamp: 2 })
  expect(await log.maxTimestamp()).toEqual({ offset: 1, timestamp: 2 })
  clearInterval(watch)
  expect(Math.max(most, process.memoryUsage().arrayBuffers) - before).toBeLessThan(1 << 20)
})

test('of equal largest times the first counts', async () => {
  await using log = await openLog(temporaryDirectory())
  await log.append([at(1), at(9), at(9)])
  await log.append([at(9)])
  expect(await log.maxTimestamp()).toEqual({ offset: 1, timestamp: 9 })
})

test('a batch that cannot be decoded in JavaScript is no obstacle', async () => {
  await using log = await openLog(temporaryDirectory())
  await log.append([at(1)])
  await Promise.all(log.appendBatches([unreadableBatch()]))
  expect(await log.offsetForTime(1_700_000_000_003)).toEqual({ offset: 4, timestamp: 1_700_000_000_003 })
  expect(await log.maxTimestamp()).toEqual({ offset: 12, timestamp: 1_700_000_000_011 })
})

test('a time beyond what a number can hold hides nothing', async () => {
  await using log = await openLog(temporaryDirectory())
  const odd = batchOf('odd')
  odd.writeBigInt64BE(2n ** 62n, 27)
  odd.writeBigInt64BE(2n ** 62n, 35)
  await Promise.all(log.appendBatches([resealed(odd)]))
  const found = { offset: 0, timestamp: Number.MAX_SAFE_INTEGER }
  expect(await log.offsetForTime(5)).toEqual(found)
  expect(await log.maxTimestamp()).toEqual(found)
})

test('a time is a whole number', async () => {
  await using log = await openLog(temporaryDirectory())
  for (const time of [NaN, 1.5, Infinity, '1' as never, undefined as never]) {
    await expect(log.offsetForTime(time)).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  }
})

test('lookups and appends do not get in each other’s way', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  await log.append([at(1)])
  const lookups = [log.offsetForTime(0), log.maxTimestamp()]
  await log.append([at(2)])
  log.setLeaderEpoch(1)
  expect(log.endOffset).toBe(2)
  expect((await Promise.all(lookups))[0]).toEqual({ offset: 0, timestamp: 1 })
})
