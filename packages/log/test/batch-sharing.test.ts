/**
 * Appends of one tick share batches, because a batch costs as much as several small records. Nobody may notice it in what an
 * append promises: its own offsets, its own failure, all of its records or none, and an abort that takes back nothing of
 * the others.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { RecordInput } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'
import { openLog, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const SHARED_BYTES = 16_384

async function batchesOf(log: Log): Promise<Array<{ records: number; bytes: number }>> {
  const batches = []
  for await (const { recordsCount, byteLength } of log.readBatches())
    batches.push({ records: recordsCount, bytes: byteLength })
  return batches
}

async function recordsOf(log: Log): Promise<Array<[number, string, number]>> {
  const records: Array<[number, string, number]> = []
  for await (const { offset, value, timestamp } of log.read())
    records.push([offset, String(value), timestamp])
  return records
}

test.each(['os', 'fsync'] as const)(
  'each append has the offsets of its own records, and each record is what it was (%s)',
  async (durability) => {
    await using log = await openLog(temporaryDirectory(), { durability })
    const appends: Array<RecordInput[]> = Array.from({ length: 300 }, (_, n) =>
      Array.from({ length: 1 + (n % 4) }, (_, rank) => ({
        value: `${n}.${rank}`.padEnd((n * 37) % 500, '.'),
        // Neither ascending nor near each other.
        timestamp: 1_700_000_000_000 + ((n * 7919) % 1000) * (n % 2 === 0 ? 1 : 1e6),
      })),
    )
    const results = await Promise.all(appends.map((records) => log.append(records)))
    let next = 0
    const expected: Array<[number, string, number]> = []
    appends.forEach((records, n) => {
      expect(results[n]).toEqual({ baseOffset: next, lastOffset: next + records.length - 1 })
      for (const { value, timestamp } of records) expected.push([next++, String(value), timestamp!])
    })
    expect(await recordsOf(log)).toEqual(expected)
    const batches = await batchesOf(log)
    expect(batches.length).toBeLessThan(20)
    for (const { bytes } of batches) expect(bytes).toBeLessThanOrEqual(SHARED_BYTES)
  },
)

test('the largest timestamp of a shared batch is found', async () => {
  await using log = await openLog(temporaryDirectory())
  await Promise.all([5, 9, 7].map((timestamp) => log.append([{ value: 'v', timestamp }])))
  expect(await batchesOf(log)).toMatchObject([{ records: 3 }])
  expect(await log.maxTimestamp()).toEqual({ offset: 1, timestamp: 9 })
  expect(await log.offsetForTime(6)).toEqual({ offset: 1, timestamp: 9 })
})

test('a shared batch stays within what the log allows', async () => {
  for (const limit of [{ maxBatchBytes: 400 }, { segmentBytes: 400 }]) {
    await using log = await openLog(temporaryDirectory(), limit)
    await Promise.all(Array.from({ length: 30 }, () => log.append([{ value: 'x'.repeat(50) }])))
    const batches = await batchesOf(log)
    expect(batches.reduce((sum, { records }) => sum + records, 0)).toBe(30)
    for (const { bytes } of batches) expect(bytes).toBeLessThanOrEqual(400)
    expect(batches.length).toBeLessThan(15)
  }
})

/** Opens the log in another thread; what is returned configures it there while this thread stands still. */
async function configuredElsewhere(dir: string): Promise<(maxBatchBytes: number) => void> {
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    const { openLog } = await import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)})
    const log = await openLog(workerData.dir)
    parentPort.on('message', async (maxBatchBytes) => {
      await log.configure({ maxBatchBytes })
      Atomics.add(workerData.turns, 0, 1)
      Atomics.notify(workerData.turns, 0)
    })
    parentPort.postMessage('open')
  `
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
  const turns = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(url, { workerData: { dir, turns }, execArgv: [] })
  onTestFinished(async () => void (await worker.terminate()))
  await once(worker, 'message')
  return (maxBatchBytes) => {
    const turn = Atomics.load(turns, 0)
    worker.postMessage(maxBatchBytes)
    // Not equal where the other thread was quicker.
    expect(Atomics.wait(turns, 0, turn, 60_000)).not.toBe('timed-out')
  }
}

// The queue hears of it when its tick has ended, and has encoded by then what goes by the limit before.
test('what another thread forbids a shared batch, each append may still do', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  const configure = await configuredElsewhere(dir)
  const value = (n: number): string => `${n} ${'x'.repeat(n === 25 ? 500 : n % 60)}`
  const append = (n: number): Promise<unknown> =>
    log.append([
      { value: value(n), timestamp: n * 1e9, headers: { n: String(n) } },
      { value: null, timestamp: 7 },
    ])
  const appends = Array.from({ length: 50 }, (_, n) => append(n))
  // In batches of their own, behind all of these.
  appends.push(log.append([{ key: 'k', value: 'behind', timestamp: 5 }]))
  const behind = log.append([{ value: 'alone', timestamp: 6 }], { signal: new AbortController().signal })
  configure(400)
  const results = await Promise.allSettled([...appends, behind])
  expect(results[25]).toMatchObject({ reason: { code: 'VARVE_BATCH_TOO_LARGE' } })
  const taken = Array.from({ length: 50 }, (_, n) => n).filter((n) => n !== 25)
  taken.forEach((n, index) => {
    expect(results[n]).toMatchObject({ value: { baseOffset: index * 2, lastOffset: index * 2 + 1 } })
  })
  expect(results.slice(50)).toMatchObject([{ value: { baseOffset: 98 } }, { value: { baseOffset: 99 } }])
  expect(await recordsOf(log)).toEqual([
    ...taken.flatMap((n, index) => [
      [index * 2, value(n), n * 1e9],
      [index * 2 + 1, 'null', 7],
    ]),
    [98, 'behind', 5],
    [99, 'alone', 6],
  ])
  const batches = await batchesOf(log)
  for (const { bytes } of batches) expect(bytes).toBeLessThanOrEqual(400)
  expect(batches.length).toBeLessThan(35)
})

test('a synchronous append behind shared ones has its turn when they are parted', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  const configure = await configuredElsewhere(dir)
  const appends = Array.from({ length: 20 }, () => log.append([{ value: 'x'.repeat(50) }]))
  configure(200)
  expect(log.appendSync([{ value: 'last' }])).toEqual({ baseOffset: 20, lastOffset: 20 })
  expect((await Promise.all(appends)).map(({ baseOffset }) => baseOffset)).toEqual([...appends.keys()])
})

test("a shared batch that the log's codec makes too large is parted", async () => {
  await using log = await openLog(temporaryDirectory(), { maxBatchBytes: 400, compression: 'gzip' })
  const values = Array.from({ length: 30 }, () => randomBytes(50))
  const results = await Promise.all(values.map((value) => log.append([{ value }])))
  expect(results.map(({ baseOffset }) => baseOffset)).toEqual([...values.keys()])
  const read: Buffer[] = []
  for await (const record of log.read()) read.push(record.value!)
  expect(read).toEqual(values)
  expect((await batchesOf(log)).length).toBeLessThan(30)
})

test('an append that cannot be encoded fails alone, wherever in its records that shows', async () => {
  await using log = await openLog(temporaryDirectory())
  const bad = { value: 'half', headers: { name: 1 as never } }
  const thrown = new Error('from a getter')
  const throwing = {
    get value(): string {
      throw thrown
    },
  }
  const [first, refused, second, broken, third] = await Promise.allSettled([
    log.append([{ value: 'first' }]),
    log.append([{ value: 'good' }, bad]),
    log.append([{ value: 'second' }]),
    log.append([{ value: 'good' }, throwing]),
    log.append([{ value: 'third' }]),
  ])
  expect([first, second, third]).toMatchObject([0, 1, 2].map((n) => ({ value: { baseOffset: n } })))
  expect(refused).toMatchObject({ reason: { code: 'VARVE_RECORD_INVALID' } })
  expect(broken).toMatchObject({ reason: thrown })
  expect((await recordsOf(log)).map(([, value]) => value)).toEqual(['first', 'second', 'third'])
})

test('one that can be aborted shares with nobody', async () => {
  await using log = await openLog(temporaryDirectory())
  const controller = new AbortController()
  const kept = [log.append([{ value: 'a' }])]
  const aborted = log.append([{ value: 'b' }], { signal: controller.signal })
  kept.push(log.append([{ value: 'c' }]), log.append([{ value: 'd' }]))
  controller.abort(new Error('enough'))
  await expect(aborted).rejects.toThrow('enough')
  expect((await Promise.all(kept)).map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 2])
  expect((await recordsOf(log)).map(([, value]) => value)).toEqual(['a', 'c', 'd'])
})

// A compacted log refuses a batch that has a record without a key.
test('records with a key and records without one are not in one batch', async () => {
  await using log = await openLog(temporaryDirectory())
  const keyed = [true, true, false, true, false, false]
  await Promise.all(keyed.map((has) => log.append([has ? { key: 'k', value: 'v' } : { value: 'v' }])))
  await log.append([{ key: 'k', value: 'v' }, { value: 'v' }])
  expect((await batchesOf(log)).map(({ records }) => records)).toEqual([2, 1, 1, 2, 2])
})

test('what is appended behind a truncation does not share with what comes before it', async () => {
  await using log = await openLog(temporaryDirectory())
  const before = log.append([{ value: 'before' }])
  const cut = log.truncateTo(1)
  const behind = [log.append([{ value: 'x' }]), log.append([{ value: 'y' }])]
  expect(await before).toMatchObject({ baseOffset: 0 })
  expect(await cut).toBe(1)
  expect((await Promise.all(behind)).map(({ baseOffset }) => baseOffset)).toEqual([1, 2])
  expect((await recordsOf(log)).map(([, value]) => value)).toEqual(['before', 'x', 'y'])
})
