/**
 * Node has four threads for everybody's files, names and ciphers. A log that keeps one while it waits for something else than its
 * system call, a compaction that takes its time above all, takes it from all others: reads, opens and closes of a
 * program stand still, and neither a process nor a worker ends before the wait does.
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog } from '../src/index.js'
import { runScript, type Ended } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

/** A log whose compaction takes minutes, in a process with one such thread. */
const compacting = `
  import { readFile } from 'node:fs/promises'
  import { Worker } from 'node:worker_threads'
  import { openLog } from '@varve/log'
  const options = { cleanupPolicy: 'compact', segmentBytes: 1024, durability: 'os', compactionBytesPerSecond: 50 }
  const code = (error) => error.code
  const fill = async (log) => {
    for (let n = 0; n < 100; n++) {
      await log.append([{ key: 'key ' + (n % 5), value: 'v'.repeat(50), timestamp: n }])
    }
    await log.flush()
  }
  const [dir, other] = process.argv.slice(1)
`

async function run(code: string, env: Record<string, string> = {}): Promise<Ended['stdout']> {
  const dirs = [temporaryDirectory(), temporaryDirectory()]
  const one = { UV_THREADPOOL_SIZE: '1', ...env }
  const { stdout, stderr, code: exitCode, signal } = await runScript(compacting + code, dirs, { env: one })
  expect({ stderr, exitCode, signal }).toEqual({ stderr: '', exitCode: 0, signal: null })
  await using log = await openLog(dirs[0]!)
  expect(log.endOffset).toBe(100)
  return stdout
}

test('a compaction leaves the thread to files, lookups, opens and closes, and a close ends it', async () => {
  const stdout = await run(`
    const log = await openLog(dir, options)
    await fill(log)
    let isOver = false
    const compacted = log.compact().catch(code).finally(() => (isOver = true))
    console.log((await readFile(process.execPath)).length > 0)
    console.log((await log.offsetForTime(42)).offset)
    const another = await openLog(other)
    await another.close()
    console.log(isOver)
    await log.close()
    console.log(await compacted)
  `)
  expect(stdout).toBe('true\n42\nfalse\nVARVE_LOG_CLOSED\n')
})

test('everything that is asked of a log is answered when it closes', async () => {
  const stdout = await run(`
    const log = await openLog(dir, options)
    await fill(log)
    const asked = [log.compact(), log.compact(), log.deleteBefore(10), log.applyRetention(), log.compact()]
    const closed = log.close()
    console.log((await Promise.all(asked.map((each) => each.catch(code)))).join())
    await closed
  `)
  expect(stdout).toBe(`${Array(5).fill('VARVE_LOG_CLOSED').join()}\n`)
})

test('a process exits in the middle of a compaction', async () => {
  const stdout = await run(`
    const log = await openLog(dir, options)
    await fill(log)
    process.on('exit', () => console.log('exit'))
    log.compact().finally(() => console.log('never'))
    await readFile(process.execPath)
    process.exit()
  `)
  expect(stdout).toBe('exit\n')
})

const worker = `
  import { existsSync, rmSync, writeFileSync } from 'node:fs'
  const source = \`
    import { parentPort, workerData } from 'node:worker_threads'
    import { createRequire } from 'node:module'
    const { openLog } = createRequire(workerData.from)('@varve/log')
    const log = await openLog(workerData.dir, workerData.options)
    parentPort.once('message', () => {
      log.compact().finally(() => parentPort.postMessage('over'))
      parentPort.postMessage('compacting')
    })
    parentPort.postMessage('open')
  \`
  const url = new URL('data:text/javascript,' + encodeURIComponent(source))
  const terminateCompacting = async (options, before = () => {}) => {
    const worker = new Worker(url, { workerData: { dir, options, from: process.cwd() + '/x.js' } })
    worker.on('error', console.error)
    await new Promise((resolve) => worker.once('message', resolve))
    before()
    worker.on('message', console.log)
    const compacting = new Promise((resolve) => worker.once('message', resolve))
    worker.postMessage('compact')
    await compacting
    await worker.terminate()
  }
`

test('a worker is terminated in the middle of a compaction, and takes nobody along', async () => {
  const stdout = await run(`${worker}
    const log = await openLog(dir, options)
    await fill(log)
    await terminateCompacting(options)
    // It goes on without who asked for it, until nobody has the log.
    const own = log.compact().catch(code)
    console.log((await log.append([{ key: 'k', value: 'v' }])).baseOffset)
    await log.truncateTo(100)
    await log.close()
    console.log(await own)
  `)
  expect(stdout).toBe('compacting\n100\nVARVE_LOG_CLOSED\n')
})

test('a compaction whose worker has ended leaves the log to whoever opens it next', async () => {
  const gate = join(temporaryDirectory(), 'gate')
  // No budget gives others a turn; the gate keeps it from its end until the worker has ended.
  const stdout = await run(
    `${worker}
    const unhurried = { ...options, compactionBytesPerSecond: Infinity }
    const log = await openLog(dir, unhurried)
    await fill(log)
    await log.close()
    await terminateCompacting(unhurried, () => writeFileSync('${gate}', ''))
    rmSync('${gate}')
    const again = await openLog(dir, unhurried)
    console.log('whole', existsSync(dir + '/cleaner-offset-checkpoint'))
    await again.close()
  `,
    { VARVE_TEST_FAULT: `read_at@.log:while=${gate}` },
  )
  expect(stdout).toBe('compacting\nwhole false\n')
})
