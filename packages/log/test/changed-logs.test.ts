/**
 * libuv looks at every handle that is open whenever one of them is called, so all logs of a thread have to share one, and
 * tell through it who has changed. A log that is forgotten there leaves its appends waiting for ever.
 */
import { expect, test } from 'vitest'
import { forgetLog, listenToLog, numberLog } from '../src/changed-logs.js'
import { openDataDirectory } from '../src/index.js'
import { openDirectory, type NativeDirectory, type NativeLog } from '@varve/native'
import { join } from 'node:path'
import { runScript } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

const LOGS = 100

/** Opens many logs, appends to all of them at once, and prints how many handles that took. */
const useMany = `
  const { openDataDirectory } = await import('@varve/log')
  const asyncHandles = () => process.report.getReport().libuv.filter(({ type }) => type === 'async').length
  const directory = await openDataDirectory(dir)
  const first = await directory.openLog('first-0')
  const before = asyncHandles()
  const names = Array.from({ length: ${LOGS} }, (_, n) => 'orders-' + n)
  const logs = await Promise.all(names.map((name) => directory.openLog(name)))
  const more = asyncHandles() - before
  let told = 0
  for (const log of logs) log.subscribe(() => told++)
  const appended = await Promise.all(
    [first, ...logs].flatMap((log) => [1, 2, 3].map(() => log.append([{ value: 'x' }]))),
  )
  const result = { more, appended: appended.length, durable: logs.every((log) => log.durableOffset === 3), told: told >= ${LOGS} }
  await directory.close()
`
const expected = { more: 0, appended: 3 * (LOGS + 1), durable: true, told: true }

test('many logs share one handle of the event loop, and all are told', async () => {
  const code = `const dir = process.argv[1]; ${useMany}; console.log(JSON.stringify(result))`
  const { stdout, stderr } = await runScript(code, [temporaryDirectory()])
  expect(JSON.parse(stdout || stderr)).toEqual(expected)
})

test('those of a worker share its own', async () => {
  const inWorker = `
    import { parentPort, workerData as dir } from 'node:worker_threads'
    ${useMany}
    parentPort.postMessage(result)
  `
  // A module of a data URL finds no package by its name.
  const source = inWorker.replace(
    "'@varve/log'",
    JSON.stringify(new URL('../dist/index.js', import.meta.url).href),
  )
  const code = `
    import { Worker } from 'node:worker_threads'
    import { openDataDirectory } from '@varve/log'
    const [, dir, source] = process.argv
    const directory = await openDataDirectory(dir)
    const own = await directory.openLog('main-0')
    const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(source)), { workerData: dir })
    worker.once('message', async (result) => {
      await own.append([{ value: 'x' }])
      await directory.close()
      console.log(JSON.stringify(result))
    })
  `
  const { stdout, stderr } = await runScript(code, [temporaryDirectory(), source])
  expect(JSON.parse(stdout || stderr)).toEqual(expected)
})

const identity = { newClusterId: 'c'.repeat(22), newDirectoryId: 'd'.repeat(22) }

test('a callback that throws costs no other log its call, and one that was forgotten has none', async () => {
  const path = join(temporaryDirectory(), 'data')
  const directory = (await openDirectory(path, identity, { isVolatile: false })) as NativeDirectory
  const numbered = Array.from({ length: 3 }, () => numberLog())
  const wanted = numbered.map(({ number }) => ({ name: `orders-${number}`, config: { fsync: true }, number }))
  const logs = (await directory.openLogs(wanted, numbered[0]!.changedLogs)) as NativeLog[]
  const [forgotten, faulty, last] = numbered.map(({ number }) => number) as [number, number, number]
  const called: string[] = []
  const uncaught: unknown[] = []
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => uncaught.push(error))
  try {
    listenToLog(forgotten, () => called.push('forgotten'))
    forgetLog(forgotten)
    listenToLog(faulty, () => {
      throw new Error('a mistake')
    })
    const told = new Promise<void>((resolve) => {
      listenToLog(last, () => {
        called.push('last')
        resolve()
      })
    })
    // All three change in one turn, and the last one is told last.
    for (const log of logs) log.requestFlush()
    for (const log of logs) {
      log.appendStaged(unsealed(), Uint32Array.of(68), new Float64Array(1))
      log.waitUntilDurable(1)
    }
    await told
    await new Promise(setImmediate)
    expect(called).not.toContain('forgotten')
    expect(uncaught).toContainEqual(new Error('a mistake'))
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const other of others) process.on('uncaughtException', other)
    for (const { number } of numbered) forgetLog(number)
    for (const log of logs) await log.close()
    await directory.close()
  }
})

/** A batch with one empty record, unsealed. */
function unsealed(): Uint8Array {
  const batch = Buffer.alloc(68)
  batch.writeInt32BE(56, 8)
  batch[16] = 2
  batch.fill(0xff, 43, 57)
  batch.writeInt32BE(1, 57)
  batch.set([12, 0, 0, 0, 1, 1, 0], 61)
  return batch
}

test('changes of many logs that pile up while the thread is busy are all told, in few calls', async () => {
  const directory = await openDataDirectory(temporaryDirectory())
  const names = Array.from({ length: LOGS }, (_, n) => `orders-${n}`)
  const logs = await Promise.all(names.map((name) => directory.openLog(name)))
  const calls = new Map(logs.map((log) => [log, 0]))
  for (const log of logs) log.subscribe(() => calls.set(log, calls.get(log)! + 1))
  // Each blocks the thread until it is durable, and nothing is told meanwhile.
  for (let round = 0; round < 10; round++) for (const log of logs) log.appendSync([{ value: 'x' }])
  while ([...calls.values()].includes(0)) await new Promise(setImmediate)
  for (const [log, count] of calls) {
    expect(count).toBeLessThan(10)
    expect(log.durableOffset).toBe(10)
  }
  await directory.close()
})
