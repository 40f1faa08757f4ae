/**
 * A log works on threads that Node knows nothing of. If they hold the process, a script that forgets to close never ends; if
 * they do not, one that appends and falls off its end loses what it was promised. And a process may end at any moment.
 */
import { expect, test } from 'vitest'
import { openLog } from '../src/index.js'
import { runScript } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

const run = async (
  code: string,
  dir = temporaryDirectory(),
): Promise<{ stdout: string; endOffset: number }> => {
  const { stdout, stderr, code: exitCode, signal } = await runScript(code, [dir])
  expect({ stderr, exitCode, signal }).toEqual({ stderr: '', exitCode: 0, signal: null })
  const log = await openLog(dir)
  const { endOffset } = log
  await log.close()
  return { stdout, endOffset }
}

test.each(['os', 'fsync'])(
  'appends that nobody awaits are settled before the process ends (%s)',
  async (durability) => {
    const { stdout, endOffset } = await run(`
    import { openLog } from '@varve/log'
    openLog(process.argv[1], { durability: '${durability}', segmentBytes: 4096 }).then((log) => {
      let settled = 0
      for (let n = 0; n < 500; n++) log.append([{ value: 'value ' + n }]).then(() => settled++)
      process.on('exit', () => console.log(settled, log.durableOffset))
    })
  `)
    expect(stdout).toBe('500 500\n')
    expect(endOffset).toBe(500)
  },
)

test('a flush, a lookup, a cold read and a close are waited for', async () => {
  const dir = temporaryDirectory()
  const { stdout } = await run(
    `
    import { openLog } from '@varve/log'
    const done = []
    openLog(process.argv[1], { durability: 'os' }).then(async (log) => {
      await log.append([{ value: 'a' }])
      log.flush().then(() => done.push('flush'))
      log.maxTimestamp().then(() => done.push('lookup'))
      log.read().next().then(() => done.push('read'))
      process.once('beforeExit', () => log.close().then(() => done.push('close')))
    })
    process.on('exit', () => console.log(done.sort().join()))
  `,
    dir,
  )
  expect(stdout).toBe('close,flush,lookup,read\n')
})

test('a compaction that was asked for is waited for', async () => {
  const { stdout } = await run(`
    import { openLog } from '@varve/log'
    const options = { cleanupPolicy: 'compact', segmentBytes: 1024, compactionBytesPerSecond: 50_000 }
    openLog(process.argv[1], options).then(async (log) => {
      await Promise.all(Array.from({ length: 20 }, () => log.append([{ key: 'k', value: 'v'.repeat(900) }])))
      await log.flush()
      // It takes a good part of a second, in which nothing else keeps the event loop going.
      log.compact().then((upTo) => console.log(upTo > 0))
    })
  `)
  expect(stdout).toBe('true\n')
})

test('neither an open log nor a follower that waits keeps the process alive', async () => {
  const { stdout, endOffset } = await run(`
    import { openLog } from '@varve/log'
    openLog(process.argv[1]).then(async (log) => {
      log.append([{ value: 'a' }])
      for await (const { value } of log.read({ follow: true, signal: new AbortController().signal })) {
        console.log(String(value))
      }
    })
  `)
  expect(stdout).toBe('a\n')
  expect(endOffset).toBe(1)
})

test('process.exit in the middle of appends, rolls and flushes is an ordinary exit', async () => {
  for (const turns of [0, 1, 3]) {
    await run(`
      import { openLog } from '@varve/log'
      const log = await openLog(process.argv[1], { segmentBytes: 8192 })
      for (let n = 0; n < 2000; n++) log.append([{ value: 'x'.repeat(500) }])
      for (let n = 0; n < ${turns}; n++) await new Promise(setImmediate)
      log.flush()
      log.maxTimestamp()
      log.close()
      process.exit(0)
    `)
  }
})

test('a worker that ends in the middle of appends takes nobody along', async () => {
  const { stdout } = await run(`
    import { Worker, isMainThread, workerData } from 'node:worker_threads'
    for (let n = 0; n < 4; n++) {
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(\`
        import { parentPort, workerData } from 'node:worker_threads'
        import { createRequire } from 'node:module'
        const { openLog } = createRequire(workerData.from)('@varve/log')
        const log = await openLog(workerData.dir, { segmentBytes: 8192 })
        for (let n = 0; n < 500; n++) log.append([{ value: 'x'.repeat(500) }]).catch(() => {})
        log.maxTimestamp().catch(() => {})
        parentPort.postMessage('appending')
        if (workerData.n % 2 === 0) process.exit(0)
        setInterval(() => {}, 1000)
      \`)), { workerData: { n, dir: process.argv[1] + '/' + n, from: process.cwd() + '/x.js' } })
      worker.on('error', console.error)
      const ended = new Promise((resolve) => worker.on('exit', resolve))
      await new Promise((resolve) => worker.on('message', resolve))
      await worker.terminate()
      await ended
    }
    console.log('ended')
  `)
  expect(stdout).toBe('ended\n')
})

test('CommonJS can require it', async () => {
  const dir = temporaryDirectory()
  const { stdout, code } = await runScript(
    `
    const { openLog } = require('@varve/log')
    openLog(process.argv[1]).then(async (log) => {
      console.log((await log.append([{ value: 'a' }])).baseOffset)
      await log.close()
    })
  `,
    [dir],
    { commonJs: true },
  )
  expect([stdout, code]).toEqual(['0\n', 0])
})
