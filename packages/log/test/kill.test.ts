/**
 * A process that is killed has no last word: what it told others it had stored must be there when the next one opens the
 * log, once, at the offset that it told. The page cache outlives the process, so that this holds for 'os' as for 'fsync'.
 */
import { appendFileSync, truncateSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog, type LogOptions } from '../src/index.js'
import { startScript } from './child-script.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

const appendForEver = `
  import { openLog } from '@varve/log'
  const log = await openLog(process.argv[1], JSON.parse(process.argv[2]))
  let n = 0
  async function append() {
    for (;;) {
      const value = 'value ' + n++ + ' ' + 'x'.repeat(n % 500)
      const { baseOffset } = await log.append([{ value }])
      process.stdout.write(baseOffset + ' ' + value + '.\\n')
      await new Promise(setImmediate)
    }
  }
  for (let lane = 0; lane < 20; lane++) append()
`

/** Runs appenders until so many appends were acknowledged, and kills them. */
async function killedAfter(count: number, dir: string, options: LogOptions): Promise<Map<number, string>> {
  const acknowledged = new Map<number, string>()
  const script = startScript(appendForEver, [dir, JSON.stringify(options)])
  for await (const line of script.lines) {
    const [, offset, value] = /^(\d+) (.*)\.$/.exec(line) ?? []
    // The kill may cut the last line short.
    if (offset === undefined) continue
    acknowledged.set(Number(offset), value!)
    if (acknowledged.size === count) script.process.kill('SIGKILL')
  }
  expect((await script.ended).signal).toBe('SIGKILL')
  return acknowledged
}

test.each([
  { durability: 'os', segmentBytes: 20_000, count: 2000 },
  { durability: 'fsync', segmentBytes: 20_000, count: 500 },
] as const)('everything acknowledged is there, once ($durability)', async ({ count, ...options }) => {
  const dir = temporaryDirectory()
  const acknowledged = await killedAfter(count, dir, options)
  await using log = await openLog(dir, options)
  expect(log.recovered).toEqual({ endOffset: log.endOffset, cutBytes: 0 })
  const counted = new Map<string, number>()
  for await (const { offset, value } of log.read()) {
    const text = String(value)
    counted.set(text, (counted.get(text) ?? 0) + 1)
    if (acknowledged.has(offset)) expect(text).toBe(acknowledged.get(offset))
  }
  expect(counted.size).toBeGreaterThanOrEqual(count)
  expect(Math.max(...counted.values())).toBe(1)
  expect(log.endOffset).toBeGreaterThan(Math.max(...acknowledged.keys()))
})

test('a torn tail is cut and told of, and kept aside where whole batches are in it', async () => {
  const dir = temporaryDirectory()
  await killedAfter(50, dir, { durability: 'os' })
  const path = join(dir, '00000000000000000000.log')
  const size = statSync(path).size
  const half = batchOf('torn').subarray(0, 40)
  appendFileSync(path, half)

  const log = await openLog(dir, { durability: 'os' })
  expect(log.recovered).toEqual({ endOffset: log.endOffset, cutBytes: half.length })
  expect(statSync(path).size).toBe(size)
  const { baseOffset } = await log.append([{ value: 'next' }])
  expect(baseOffset).toBe(log.recovered!.endOffset)
  await log.close()

  await using again = await openLog(dir)
  expect(again.recovered).toBeNull()
})

test('a log that was closed cleanly and has become shorter is corrupt: it can be read, and nothing is cut', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir)
  for (const value of ['a', 'b', 'c']) await log.append([{ value }])
  await log.close()
  const path = join(dir, '00000000000000000000.log')
  const size = statSync(path).size
  truncateSync(path, size - 10)

  const corrupt = await openLog(dir)
  expect(corrupt.state).toBe('corrupt')
  expect(corrupt.recovered).toBeNull()
  const position = (size / 3) * 2
  expect(corrupt.failure).toMatchObject({
    code: 'VARVE_LOG_CORRUPT',
    message: expect.stringMatching(new RegExp(`${path}.*byte ${position}, offset 2`)),
  })
  await expect(corrupt.append([{ value: 'd' }])).rejects.toMatchObject({ code: 'VARVE_LOG_CORRUPT' })
  const values: string[] = []
  for await (const { value } of corrupt.read()) values.push(String(value))
  expect(values).toEqual(['a', 'b'])
  await corrupt.close()
  expect(statSync(path).size).toBe(size - 10)

  // Closing it did not make it clean.
  const again = await openLog(dir)
  expect(again.state).toBe('corrupt')
  await again.close()
})
