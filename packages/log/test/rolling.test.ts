/**
 * While a log rolls, the files of the next segment are made on a thread and appends wait. That pause is where an order gets
 * lost, a promise is forgotten, or a close overtakes what waits.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog, type Log } from '../src/index.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

const segmentsIn = (dir: string): string[] => readdirSync(dir).filter((name) => name.endsWith('.log'))

async function valuesIn(log: Log): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of log.read()) values.push(String(value))
  return values
}

const expected = Array.from({ length: 600 }, (_, n) => `${n}`)

/** Appends the values, every third as an encoded batch, without waiting for any. */
function appendAll(log: Log): Array<Promise<{ baseOffset: number }>> {
  return expected.map((value, n) =>
    n % 3 === 0 ? log.appendBatches([batchOf(value)])[0]! : log.append([{ value }]),
  )
}

test.each([
  { durability: 'os', gather: 'microtask' },
  { durability: 'fsync', gather: 'immediate' },
] as const)(
  'appends during rolls keep their order, and everything is readable ($durability)',
  async (options) => {
    const dir = temporaryDirectory()
    const log = await openLog(dir, { ...options, segmentBytes: 1024 })
    const results = await Promise.all(appendAll(log))
    expect(results.map(({ baseOffset }) => `${baseOffset}`)).toEqual(expected)
    expect(await valuesIn(log)).toEqual(expected)
    await log.close()
    expect(segmentsIn(dir).length).toBeGreaterThan(20)
    for (const name of segmentsIn(dir)) expect(statSync(join(dir, name)).size).toBeLessThanOrEqual(1024)

    await using again = await openLog(dir, { segmentBytes: 1024 })
    expect(again.recovered).toBeNull()
    expect(await valuesIn(again)).toEqual(expected)
  },
)

test('a close right behind them waits for every roll and loses nothing', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir, { segmentBytes: 512 })
  const results = appendAll(log)
  await log.close()
  expect((await Promise.all(results)).length).toBe(expected.length)
  await using again = await openLog(dir)
  expect(again.recovered).toBeNull()
  expect(await valuesIn(again)).toEqual(expected)
})

test('a flush right behind them covers all of them', async () => {
  await using log = await openLog(temporaryDirectory(), { segmentBytes: 512, durability: 'os' })
  const results = appendAll(log)
  expect(await log.flush()).toBe(expected.length)
  expect((await Promise.all(results)).length).toBe(expected.length)
})

test('a follower goes from segment to segment', async () => {
  await using log = await openLog(temporaryDirectory(), { segmentBytes: 512 })
  const values: string[] = []
  const reading = (async () => {
    for await (const { value } of log.read({ follow: true, to: expected.length })) values.push(String(value))
  })()
  await Promise.all(appendAll(log))
  await reading
  expect(values).toEqual(expected)
})

test('a batch larger than a segment gets one of its own', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir, { segmentBytes: 1024 })
  for (const value of ['a', 'b'.repeat(5000), 'c'.repeat(5000), 'd']) await log.append([{ value }])
  expect(segmentsIn(dir)).toHaveLength(4)
  expect((await valuesIn(log)).map((value) => value.length)).toEqual([1, 5000, 5000, 1])
})
