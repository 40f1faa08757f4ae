/**
 * A lock keeps other processes away, and the threads of one process are one process: several of them may append to one log. What
 * can go wrong then is what a process's end hides otherwise: a worker that is terminated in the middle of an append has no
 * chance to close anything, and must neither take the log down for the others nor keep it from them for ever.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { afterAll, expect, test, vi } from 'vitest'
import { openDataDirectory, openLog, type Log, type LogOptions } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const workers = new Set<Worker>()
afterAll(async () => {
  for (const worker of workers) await worker.terminate()
})

const log = new URL('../dist/index.js', import.meta.url).href

/** Starts a worker on code that has `openLog`, `dir`, `options` and `tell`, and is called with the messages it is sent. */
function start(dir: string, options: LogOptions, code: string): Worker {
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    const { dir, options } = workerData
    const { openLog } = await import(${JSON.stringify(log)})
    const tell = (message) => parentPort.postMessage(message)
    const heard = () => new Promise((resolve) => parentPort.once('message', resolve))
    ${code}
  `
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
  const worker = new Worker(url, { workerData: { dir, options }, execArgv: [] })
  workers.add(worker)
  worker.once('exit', () => workers.delete(worker))
  return worker
}

async function message(worker: Worker): Promise<unknown> {
  const [told] = (await once(worker, 'message')) as [unknown]
  return told
}

async function valuesIn(log: Log): Promise<string[]> {
  const values: string[] = []
  for await (const { offset, value } of log.read()) {
    expect(offset).toBe(values.length)
    values.push(String(value))
  }
  return values
}

test.each(['os', 'fsync'] as const)(
  'several threads append to one log, each its own in order (%s)',
  async (durability) => {
    const dir = temporaryDirectory()
    const options = { durability, segmentBytes: 20_000 } as const
    const append = `
    const log = await openLog(dir, options)
    tell('open')
    const name = await heard()
    const appends = []
    for (let n = 0; n < 500; n++) {
      appends.push(log.append([{ value: name + ' ' + n }]))
      if (n % 50 === 0) await new Promise(setImmediate)
    }
    const offsets = (await Promise.all(appends)).map(({ baseOffset }) => baseOffset)
    await log.close()
    tell(offsets)
    parentPort.close()
  `
    const threads = ['a', 'b', 'c'].map((name) => ({ name, worker: start(dir, options, append) }))
    await Promise.all(threads.map(({ worker }) => message(worker)))
    const main = await openLog(dir, options)
    const results = threads.map(({ worker }) => message(worker) as Promise<number[]>)
    for (const { name, worker } of threads) worker.postMessage(name)
    const own = (
      await Promise.all(Array.from({ length: 500 }, (_, n) => main.append([{ value: `main ${n}` }])))
    ).map(({ baseOffset }) => baseOffset)
    const offsets = new Map<string, number[]>([['main', own]])
    for (const [index, { name }] of threads.entries()) offsets.set(name, await results[index]!)
    const values = await valuesIn(main)
    expect(values).toHaveLength(2000)
    for (const [name, each] of offsets) {
      for (const [n, offset] of each.entries()) expect(values[offset]).toBe(`${name} ${n}`)
      expect(each).toEqual([...each].sort((a, b) => a - b))
    }
    await main.close()
    const directory = await openDataDirectory(dir)
    expect(directory.cleanShutdown).toBe(true)
    await directory.close()
  },
)

test('a follower is told of what another thread appends, also without an fsync', async () => {
  const dir = temporaryDirectory()
  const options = { durability: 'os' } as const
  await using main = await openLog(dir, options)
  const worker = start(
    dir,
    options,
    `
    const log = await openLog(dir, options)
    tell('open')
    for (;;) {
      const value = await heard()
      if (value === 'close') break
      await log.append([{ value }])
    }
    await log.close()
    parentPort.close()
  `,
  )
  await message(worker)
  const following = main.read({ follow: true })
  for (const value of ['a', 'b', 'c']) {
    const next = following.next()
    await new Promise(setImmediate)
    worker.postMessage(value)
    expect(String((await next).value.value)).toBe(value)
  }
  await following.return!()
  worker.postMessage('close')
  await once(worker, 'exit')
  // The other's close closed nothing here.
  expect(main.state).toBe('open')
  await main.append([{ value: 'd' }])
})

test('a worker that only follows stays until it is terminated', async () => {
  const dir = temporaryDirectory()
  await using main = await openLog(dir)
  const worker = start(
    dir,
    {},
    `
    const log = await openLog(dir)
    tell('open')
    for await (const { value } of log.read({ follow: true })) tell(String(value))
  `,
  )
  await message(worker)
  // Once it has nothing to do but to wait it would end, if nothing kept it.
  const { eventLoopUtilization } = worker.performance
  const idle = eventLoopUtilization().idle
  await vi.waitUntil(() => eventLoopUtilization().idle > idle + 5, { timeout: 30_000 })
  const heard = message(worker)
  await main.append([{ value: 'a' }])
  expect(await heard).toBe('a')
  await worker.terminate()
})

test('twice in one thread is refused, with another durability too, and nobody else is disturbed', async () => {
  const dir = temporaryDirectory()
  await using main = await openLog(dir, { durability: 'os' })
  await expect(openLog(dir)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  const worker = start(
    dir,
    {},
    `
    const codes = []
    for (const durability of ['fsync', 'os', 'os']) {
      await openLog(dir, { durability }).then(() => codes.push('opened'), ({ code }) => codes.push(code))
    }
    tell(codes)
    await heard()
    process.exit()
  `,
  )
  expect(await message(worker)).toEqual(['VARVE_INVALID_OPTION', 'opened', 'VARVE_LOCKED'])
  worker.postMessage('exit')
  await once(worker, 'exit')
  await main.append([{ value: 'a' }])
  expect(main.endOffset).toBe(1)
})

test('many threads open, close and open again at once', async () => {
  const dir = temporaryDirectory()
  const code = `
    for (let n = 0; n < 15; n++) {
      const log = await openLog(dir, options)
      await log.append([{ value: 'v' }])
      await log.close()
    }
    tell('done')
  `
  const threads = Array.from({ length: 3 }, () => start(dir, {}, code))
  await Promise.all(threads.map(message))
  await using log = await openLog(dir)
  expect(await valuesIn(log)).toHaveLength(45)
})

test.each(['os', 'fsync'] as const)(
  'workers that are terminated with appends under way hurt nobody (%s)',
  { timeout: 60_000 },
  async (durability) => {
    const dir = temporaryDirectory()
    const options = { durability, segmentBytes: 50_000 } as const
    let main: Log | null = await openLog(dir, options)
    const code = `
      const log = await openLog(dir, options)
      let n = 0
      const lane = async () => {
        for (;;) {
          const { baseOffset } = await log.append([{ value: 'worker ' + n++ }])
          tell(baseOffset)
          await new Promise(setImmediate)
        }
      }
      for (let l = 0; l < 8; l++) lane()
    `
    const acknowledged = new Set<number>()
    let own = 0
    const appendUntil = async (log: Log, worker: Worker): Promise<void> => {
      const ended = once(worker, 'exit').then(() => true)
      const turn = (): Promise<boolean> => new Promise((resolve) => setImmediate(resolve, false))
      do {
        const { baseOffset } = await log.append([{ value: `main ${own++}` }])
        acknowledged.add(baseOffset)
      } while (!(await Promise.race([ended, turn()])))
    }
    for (let round = 0; round < 6; round++) {
      const worker = start(dir, options, code)
      let told = 0
      const enough = new Promise<void>((resolve) => {
        worker.on('message', (offset: number) => {
          expect(acknowledged.has(offset)).toBe(false)
          acknowledged.add(offset)
          if (++told === 60) resolve()
        })
      })
      const appending = main === null ? Promise.resolve() : appendUntil(main, worker)
      await enough
      await worker.terminate()
      await appending
      // From the fourth round on nobody but the worker has the log.
      if (round === 2) {
        await main!.close()
        main = null
      }
    }
    await using log = await openLog(dir, options)
    const values = await valuesIn(log)
    for (const offset of acknowledged) expect(values[offset]).toBeDefined()
    expect(values.filter((value) => value.startsWith('main'))).toEqual(
      Array.from({ length: own }, (_, n) => `main ${n}`),
    )
  },
)

test(
  'one that is terminated while it opens, appends synchronously or closes leaves no lock behind',
  { timeout: 60_000 },
  async () => {
    const dir = temporaryDirectory()
    const codes = [
      `tell('now'); for (;;) { const log = await openLog(dir, options); await log.close() }`,
      `const log = await openLog(dir, options); tell('now'); for (;;) log.appendSync([{ value: 'v' }])`,
      `const log = await openLog(dir, options); log.append([{ value: 'v' }]); tell('now'); await log.close()`,
      `const log = await openLog(dir, options); tell('now'); await log.read({ follow: true }).next()`,
    ]
    for (let round = 0; round < 12; round++) {
      const worker = start(dir, {}, codes[round % codes.length]!)
      await message(worker)
      await worker.terminate()
    }
    const log = await openLog(dir)
    await log.append([{ value: 'after' }])
    await valuesIn(log)
    await log.close()
  },
)
