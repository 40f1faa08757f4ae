/**
 * What is promised here: a log that compacts holds the last value of each key, at the offset where it always was, and takes
 * no record that compaction could not tell from another. The engine's own tests crash it at every operation.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDataDirectory, openLog, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const compacting = { cleanupPolicy: 'compact', segmentBytes: 1024, durability: 'os' } as const

async function fill(log: Log, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await log.append([{ key: `key ${n % 5}`, value: `${n} ${'v'.repeat(50)}` }])
}

async function map(log: Log): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const { key, value } of log.read()) {
    if (value === null) found.delete(String(key))
    else found.set(String(key), String(value))
  }
  return found
}

const segments = (log: Log): string[] => readdirSync(log.dir).filter((name) => name.endsWith('.log'))

test('keeps the last value of each key, and every offset', async () => {
  const dir = temporaryDirectory()
  let log = await openLog(dir, compacting)
  await fill(log, 100)
  const [before, end, count] = [await map(log), log.endOffset, segments(log).length]
  expect(await log.compact()).toBeGreaterThan(80)
  await log.compact()
  expect(await map(log)).toEqual(before)
  expect([log.startOffset, log.endOffset, log.compactionFailure]).toEqual([0, end, null])
  expect(segments(log).length).toBeLessThan(count / 2)
  const offsets: number[] = []
  for await (const { offset, key } of log.read({ from: 3 })) {
    expect(String(key)).toBe(`key ${offset % 5}`)
    offsets.push(offset)
  }
  expect(offsets.length).toBeLessThan(25)
  await log.close()
  log = await openLog(dir, compacting)
  expect(await map(log)).toEqual(before)
  await log.close()
})

test('a key without a value is deleted', async () => {
  await using log = await openLog(temporaryDirectory(), { ...compacting, deleteRetentionMs: 0 })
  await fill(log, 10)
  await log.append([{ key: 'key 2', value: null }])
  await fill(log, 2)
  for (let n = 0; n < 20; n++) await log.append([{ key: 'filler', value: 'v'.repeat(100) }])
  // The first one says from when on the deletion may go.
  await log.compact()
  await log.compact()
  const keys: (string | null)[] = []
  for await (const { key } of log.read()) keys.push(key === null ? null : String(key))
  expect(keys).not.toContain('key 2')
  expect(keys).toContain('key 3')
})

test('a record without a key is refused', async () => {
  await using log = await openLog(temporaryDirectory(), compacting)
  await expect(log.append([{ key: 'k', value: 'v' }, { value: 'v' }])).rejects.toMatchObject({
    code: 'VARVE_BATCH_INVALID',
    message: expect.stringContaining('record 1 has no key'),
  })
  expect((await log.append([{ key: '', value: 'an empty key is one' }])).baseOffset).toBe(0)
})

test('happens in the background once enough is new', async () => {
  await using log = await openLog(temporaryDirectory(), { ...compacting, compactionCheckMs: 5 })
  await fill(log, 100)
  const size = (): number => segments(log).reduce((sum, name) => sum + statSync(join(log.dir, name)).size, 0)
  await expect.poll(size).toBeLessThan(4096)
  expect((await map(log)).size).toBe(5)
})

test('a log that deletes as well forgets its oldest segments, one that compacts alone does not', async () => {
  const options = { ...compacting, retentionBytes: 0, retentionCheckMs: Infinity }
  await using both = await openLog(temporaryDirectory(), { ...options, cleanupPolicy: 'compact,delete' })
  await using compacts = await openLog(temporaryDirectory(), options)
  for (const log of [both, compacts]) {
    await fill(log, 50)
    await log.flush()
  }
  expect(await both.applyRetention()).toBeGreaterThan(0)
  expect(await compacts.applyRetention()).toBe(0)
})

test('closing the log ends a compaction that takes its time', async () => {
  const slow = { ...compacting, compactionBytesPerSecond: 1000 }
  await using directory = await openDataDirectory(temporaryDirectory())
  const log = await directory.openLog('orders-0', slow)
  await fill(log, 100)
  const asked = log.compact()
  const outcome = asked.then(
    () => 'done',
    (error: { code: string }) => error.code,
  )
  await log.append([{ key: 'k', value: 'appends go on' }])
  await log.close()
  expect(await outcome).toBe('VARVE_LOG_CLOSED')
  expect(readdirSync(log.dir).filter((name) => /cleaned|swap/.test(name))).toEqual([])
})

test('options that cannot be are named', async () => {
  const dir = temporaryDirectory()
  for (const [name, value] of [
    ['cleanupPolicy', 'none'],
    ['minCleanableDirtyRatio', 1.5],
    ['minCleanableDirtyRatio', '0.5'],
    ['deleteRetentionMs', -1],
    ['compactionBytesPerSecond', 0],
    ['compactionCheckMs', NaN],
  ] as const) {
    await expect(openLog(dir, { [name]: value }), name).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
      message: expect.stringContaining(name),
    })
  }
})
