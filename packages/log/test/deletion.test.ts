/**
 * A log that grows for ever fills the disk, and one that deletes what it must keep is worse. Records that were deleted
 * have come back after a restart, readers were stuck in front of the new start, and time never came for retention
 * because nobody asked.
 */
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openLog, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const segments = (dir: string): number => readdirSync(dir).filter((name) => name.endsWith('.log')).length

async function fill(log: Log, count: number, timestamp = Date.now()): Promise<void> {
  for (let n = 0; n < count; n++) await log.append([{ timestamp, value: Buffer.alloc(100, n) }])
}

const offsets = async (log: Log, from?: number): Promise<number[]> => {
  const found: number[] = []
  for await (const record of log.read({ from })) found.push(record.offset)
  return found
}

test('records before an offset are gone, also after reopening, and their segments with them', async () => {
  const dir = temporaryDirectory()
  {
    await using log = await openLog(dir, { segmentBytes: 512 })
    await fill(log, 12)
    expect(segments(dir)).toBe(4)
    expect(await log.deleteBefore(7)).toBe(7)
    expect([log.startOffset, log.endOffset, segments(dir)]).toEqual([7, 12, 2])
    expect(await log.deleteBefore(3)).toBe(7)
    await expect(log.deleteBefore(13)).rejects.toMatchObject({ code: 'VARVE_OFFSET_OUT_OF_RANGE' })
    await expect(offsets(log, 6)).rejects.toMatchObject({ code: 'VARVE_OFFSET_OUT_OF_RANGE' })
  }
  await using log = await openLog(dir)
  expect([log.recovered, log.startOffset]).toEqual([null, 7])
  expect(await offsets(log)).toEqual([7, 8, 9, 10, 11])
  expect(await log.deleteBefore(12)).toBe(12)
  expect(await offsets(log)).toEqual([])
  expect((await log.append([{ value: 'goes on' }])).baseOffset).toBe(12)
})

test('a slice of deleted records stays readable', async () => {
  await using log = await openLog(temporaryDirectory(), { segmentBytes: 512 })
  await fill(log, 6)
  const slice = await log.slice({ from: 0 })
  const before = Buffer.from(await slice.read())
  await log.deleteBefore(5)
  expect(before.equals(await slice.read())).toBe(true)
  slice.close()
})

test('retention goes by size and by age, whole segments at a time', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir, { segmentBytes: 512, retentionBytes: 1008, retentionMs: 60_000 })
  await fill(log, 12)
  expect(await log.applyRetention()).toBe(6)
  expect(segments(dir)).toBe(2)
  await using old = await openLog(temporaryDirectory(), { segmentBytes: 512, retentionMs: 60_000 })
  await fill(old, 4, Date.now() - 100_000)
  await fill(old, 4)
  expect(await old.applyRetention()).toBe(3)
})

test('the log looks for what it need not retain by itself', async () => {
  await using log = await openLog(temporaryDirectory(), {
    segmentBytes: 512,
    retentionBytes: 0,
    retentionCheckMs: 5,
  })
  await fill(log, 4)
  await expect.poll(() => log.startOffset).toBe(4)
})

test('a following reader goes on behind what is deleted under its feet', async () => {
  await using log = await openLog(temporaryDirectory(), { segmentBytes: 512 })
  await fill(log, 4)
  const reading = log.read({ follow: true })
  for (let n = 0; n < 4; n++) expect((await reading.next()).value?.offset).toBe(n)
  await log.deleteBefore(4)
  await fill(log, 1)
  expect((await reading.next()).value?.offset).toBe(4)
  await reading.return?.()
})

test('under os, what is appended is flushed in time', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir, { durability: 'os', flushIntervalMs: 1, flushIntervalBytes: 1e9 })
  await fill(log, 3)
  await expect.poll(async () => log.flushedOffset).toBe(3)
})

test('limits are whole numbers or Infinity', async () => {
  for (const name of ['retentionMs', 'retentionBytes', 'segmentMs', 'flushIntervalMs', 'retentionCheckMs']) {
    for (const value of [-1, 1.5, NaN, '1']) {
      const opening = openLog(temporaryDirectory(), { [name]: value })
      await expect(opening).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
    }
    await using _log = await openLog(temporaryDirectory(), { [name]: Infinity })
  }
})
