/**
 * A script that appends synchronously exits right behind it, so nothing may be left for an event loop that never turns: not
 * the fsync, not a roll, and not what was appended before without waiting.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog, type Log } from '../src/index.js'
import { runScript } from './child-script.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

async function valuesIn(log: Log): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of log.read()) values.push(String(value))
  return values
}

test.each(['os', 'fsync'] as const)('is there, durable, when it returns (%s)', async (durability) => {
  await using log = await openLog(temporaryDirectory(), { durability })
  expect(log.appendSync([{ value: 'a' }, { value: 'b' }])).toEqual({ baseOffset: 0, lastOffset: 1 })
  expect(log.appendSync([{ value: 'c' }])).toEqual({ baseOffset: 2, lastOffset: 2 })
  expect([log.endOffset, log.durableOffset]).toEqual([3, 3])
  expect(await valuesIn(log)).toEqual(['a', 'b', 'c'])
})

test.each(['os', 'fsync'] as const)(
  'comes behind what was appended before, through rolls (%s)',
  async (durability) => {
    await using log = await openLog(temporaryDirectory(), {
      durability,
      segmentBytes: 400,
      maxPendingBytes: 1000,
    })
    const settled: string[] = []
    const before = Array.from({ length: 20 }, (_, index) => `before ${index}`)
    for (const value of before) void log.append([{ value }]).then(() => settled.push(value))
    void log.appendBatches([batchOf('batch')])[0]!.then(() => settled.push('batch'))
    const sync = Array.from({ length: 10 }, (_, index) => `sync ${index} ${'x'.repeat(100)}`)
    for (const [index, value] of sync.entries()) {
      expect(log.appendSync([{ value }])).toMatchObject({ baseOffset: 21 + index })
    }
    const after = await log.append([{ value: 'after' }])
    expect(after.baseOffset).toBe(31)
    expect(settled).toEqual([...before, 'batch'])
    expect(await valuesIn(log)).toEqual([...before, 'batch', ...sync, 'after'])
  },
)

test('tells followers', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  const following = log.read({ follow: true })
  const next = following.next()
  await new Promise(setImmediate)
  log.appendSync([{ value: 'a' }])
  expect((await next).value).toMatchObject({ offset: 0 })
  await following.return!()
})

test('throws what an append would reject with, and stores nothing', async () => {
  const log = await openLog(temporaryDirectory())
  const codeOf = (records: unknown): unknown => {
    try {
      log.appendSync(records as never)
    } catch (error) {
      return (error as { code: unknown }).code
    }
    return 'nothing thrown'
  }
  expect(codeOf([])).toBe('VARVE_EMPTY_BATCH')
  expect(codeOf([{ Value: 'a' }])).toBe('VARVE_RECORD_INVALID')
  expect(codeOf([{ value: Buffer.alloc(2 << 20) }])).toBe('VARVE_BATCH_TOO_LARGE')
  expect(log.endOffset).toBe(0)
  await log.close()
  expect(codeOf([{ value: 'a' }])).toBe('VARVE_LOG_CLOSED')
})

test('waits for its fsync, and for no callback', async () => {
  const gate = join(temporaryDirectory(), 'gate')
  const script = runScript(
    `
    import { openLog } from '@varve/log'
    import { existsSync, writeFileSync } from 'node:fs'
    import { Worker } from 'node:worker_threads'
    const [, dir, gate] = process.argv
    const log = await openLog(dir)
    writeFileSync(gate, '')
    const opens = \`
      const { rmSync, statSync } = process.getBuiltinModule('fs')
      const { gate, segment } = process.getBuiltinModule('worker_threads').workerData
      // Only once the record is written, and so waits for its fsync.
      const looking = setInterval(() => {
        if (statSync(segment).size === 0) return
        rmSync(gate)
        clearInterval(looking)
      }, 1)
    \`
    const segment = dir + '/00000000000000000000.log'
    new Worker(opens, { eval: true, execArgv: [], workerData: { gate, segment } })
    log.appendSync([{ value: 'a' }])
    console.log(log.durableOffset, !existsSync(gate))
    process.exit()
  `,
    [temporaryDirectory(), gate],
    { env: { VARVE_TEST_FAULT: `sync_data@.log:while=${gate}` } },
  )
  const { stdout, code } = await script
  rmSync(gate, { force: true })
  expect([stdout, code]).toEqual(['1 true\n', 0])
})

test('a failed fsync is thrown, and the log has failed', async () => {
  const { stdout } = await runScript(
    `
    import { openLog } from '@varve/log'
    const log = await openLog(process.argv[1])
    log.appendSync([{ value: 'a' }])
    for (const value of ['b', 'c']) {
      try {
        log.appendSync([{ value }])
      } catch ({ code }) {
        console.log(code, log.state, log.durableOffset)
      }
    }
    process.exit()
  `,
    [temporaryDirectory()],
    { env: { VARVE_TEST_FAULT: 'sync_data@.log:2' } },
  )
  expect(stdout).toBe('VARVE_LOG_FAILED failed 1\n'.repeat(2))
})
