/**
 * Figures that nobody checks are believed all the same: a counter that misses the refused, a histogram in the wrong unit, or
 * a hit ratio that counts a read twice leads whoever looks for a slow disk to the wrong place.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog } from '../src/index.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

test('a new log has done nothing', async () => {
  await using log = await openLog(temporaryDirectory())
  const none = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 }
  expect(log.stats()).toEqual({
    append: { batches: 0, records: 0, bytes: 0, refusedBatches: 0, writeMs: none, acknowledgeMs: none },
    flush: { flushMs: none, groupRecords: none },
    read: {
      records: 0,
      cachedReads: 0,
      cachedBytes: 0,
      coldReads: 0,
      coldBytes: 0,
      sentSlices: 0,
      sentBytes: 0,
      hitRatio: null,
    },
    compaction: { completed: 0, failed: 0, replacedBytes: 0, keptBytes: 0 },
    segments: { count: 1, bytes: 0, rolled: 0 },
  })
})

test('counts what was appended, refused and rolled, and the groups that share an fsync', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir, { segmentBytes: 2000 })
  await log.append([{ value: 'one' }, { value: 'two' }])
  await Promise.all(log.appendBatches(Array.from({ length: 30 }, (_, n) => batchOf(`${n}`.padEnd(100)))))
  const bad = batchOf('bad')
  bad[bad.length - 1]! ^= 1
  await expect(log.appendBatches([bad])[0]).rejects.toMatchObject({ code: 'VARVE_BATCH_CORRUPT' })
  await log.flush()

  const { append, flush, segments } = log.stats()
  expect(append).toMatchObject({ batches: 31, records: 32, bytes: segments.bytes, refusedBatches: 1 })
  expect(segments.count).toBe(segments.rolled + 1)
  expect(segments.count).toBeGreaterThan(2)
  // The first append alone, then as many as fit into each segment.
  expect(append.writeMs.count).toBeGreaterThanOrEqual(segments.count)
  expect(append.writeMs.count).toBeLessThan(31)
  expect(append.acknowledgeMs.count).toBe(append.writeMs.count)
  expect(flush.groupRecords.mean * flush.groupRecords.count).toBeCloseTo(32)
  expect(flush.groupRecords.max).toBeGreaterThan(1)
  expect(flush.flushMs.count).toBeGreaterThanOrEqual(flush.groupRecords.count)
  for (const { mean, p50, p90, p99, p999, max } of [append.writeMs, append.acknowledgeMs, flush.flushMs]) {
    // Of milliseconds: neither a write nor a flush takes nanoseconds, nor minutes.
    expect(mean).toBeGreaterThan(0.0005)
    expect(max).toBeLessThan(60_000)
    expect([p50, p90, p99, p999]).toEqual([p50, p90, p99, p999].sort((a, b) => a - b))
    expect(p999).toBeLessThanOrEqual(max)
  }
  await log.close()
  expect(log.stats().append.records).toBe(32)
})

test('tells the size of a log that was there, and not what earlier processes did', async () => {
  const dir = temporaryDirectory()
  await using first = await openLog(dir)
  await first.append([{ value: 'x'.repeat(1000) }])
  await first.close()
  await using log = await openLog(dir)
  expect(log.stats().append.records).toBe(0)
  expect(log.stats().segments).toEqual({
    count: 1,
    bytes: statSync(join(dir, '00000000000000000000.log')).size,
    rolled: 0,
  })
})

test('counts what a compaction has done, and tells of it', async () => {
  const dir = temporaryDirectory()
  const events: object[] = []
  const listener = (event: unknown): void => void events.push(event as object)
  subscribe('varve:log:compact', listener)
  try {
    await using log = await openLog(dir, { cleanupPolicy: 'compact', segmentBytes: 1000 })
    for (let n = 0; n < 50; n++) await log.append([{ key: `k${n % 3}`, value: 'x'.repeat(100) }])
    const { bytes } = log.stats().segments
    await log.compact()
    const { compaction, segments } = log.stats()
    expect(compaction).toMatchObject({ completed: 1, failed: 0 })
    expect(compaction.keptBytes).toBeLessThan(compaction.replacedBytes / 2)
    expect(segments.bytes).toBe(bytes - compaction.replacedBytes + compaction.keptBytes)
    await log.append([{ key: 'k0', value: 'next' }])
    const { replacedBytes, keptBytes } = compaction
    await log.close()
    expect(events).toEqual([{ dir, replacedBytes, keptBytes, error: null }])
  } finally {
    unsubscribe('varve:log:compact', listener)
  }
})

test('tells reads from memory and their records', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  for (let n = 0; n < 10; n++) await log.append([{ value: 'a' }, { value: 'b' }])
  for await (const _ of log.read({ from: 4 })) continue
  for await (const _ of log.readBatches()) continue
  const { read, segments } = log.stats()
  expect(read.records).toBe(16 + 20)
  // Where the file system cannot say what is cached, every read is a cold one.
  expect(read.cachedReads + read.coldReads).toBe(2)
  expect(read.cachedBytes + read.coldBytes).toBe(segments.bytes * 1.8)
  expect(read.hitRatio).toBe(read.cachedReads / 2)
})
