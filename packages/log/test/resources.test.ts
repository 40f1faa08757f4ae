/**
 * What is forgotten once is forgotten a million times: a descriptor for every slice that nobody closed, a log for every
 * close. A closed log that kept its files open once kept its file system from being unmounted.
 */
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { runScript } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

const canCount = process.platform === 'linux' && readdirSync('/proc/self/fd').length > 0

/** Runs code that sets `result`, with what it takes to count. */
async function count(code: string): Promise<unknown> {
  const { stdout, stderr } = await runScript(
    `
    import { readdirSync } from 'node:fs'
    import { openLog } from '@varve/log'
    const dir = process.argv[1]
    const descriptors = () => readdirSync('/proc/self/fd').length
    const collect = async () => {
      for (let n = 0; n < 5; n++) {
        gc()
        await new Promise(setImmediate)
      }
    }
    let result
    ${code}
    console.log(JSON.stringify(result))
  `,
    [temporaryDirectory()],
    { flags: ['--expose-gc'] },
  )
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

test.runIf(canCount)('a closed log holds no descriptor, and is collected', async () => {
  const { before, after, alive } = (await count(`
    let alive = 0
    const ended = new FinalizationRegistry(() => alive--)
    const cycle = async () => {
      const log = await openLog(dir)
      await log.append([{ value: 'a' }])
      await log.close()
      ended.register(log)
      alive++
    }
    await cycle()
    const before = descriptors()
    for (let n = 0; n < 20; n++) await cycle()
    const after = descriptors()
    await collect()
    result = { before, after, alive }
  `)) as { before: number; after: number; alive: number }
  expect(after).toBe(before)
  // The last one may still lie in a register.
  expect(alive).toBeLessThanOrEqual(1)
})

test.runIf(canCount)(
  'abandoned readings hold no descriptor, and abandoned slices until they are collected',
  async () => {
    const { before, closed, collected } = (await count(`
    const cycle = async (abandon) => {
      const log = await openLog(dir, { segmentBytes: 256 })
      if (log.endOffset === 0) for (let n = 0; n < 40; n++) await log.append([{ value: 'x'.repeat(100) }])
      for (let n = 0; n < 40; n++) await abandon(log, n)
      await log.close()
    }
    await cycle(() => {})
    const before = descriptors()
    const kept = []
    await cycle(async (log, n) => {
      const readers = [log.readBatches({ from: n }), log.read({ from: n })]
      for (const reader of readers) await reader.next()
      kept.push(readers)
    })
    const closed = descriptors()
    await cycle((log, n) => log.slice({ from: n }))
    await collect()
    result = { before, closed, collected: descriptors() }
  `)) as { before: number; closed: number; collected: number }
    expect(closed).toBe(before)
    expect(collected).toBe(before)
  },
)
