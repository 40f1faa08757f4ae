/**
 * A log that serves clients cannot be closed to give it other settings. What can go wrong is a setting that counts for some
 * of the appends that are under way, for one thread only, or half of what was asked for.
 */
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterAll, expect, test } from 'vitest'
import { openLog, openTopic, type LogSettings } from '../src/index.js'
import { sampleText } from '../../../test/support/sample-text.js'
import { temporaryDirectory } from './temporary-directory.js'

const workers = new Set<Worker>()
afterAll(async () => {
  for (const worker of workers) await worker.terminate()
})

const segmentsIn = (dir: string): number => readdirSync(dir).filter((name) => name.endsWith('.log')).length

const value = 'x'.repeat(300)

test('batches are compressed at the level that was configured last', async () => {
  await using log = await openLog(temporaryDirectory(), { compression: 'lz4' })
  const text = sampleText(500, 1)
  const sizes: number[] = []
  for (const level of [9, 12, 9]) {
    await log.configure({ compressionLz4Level: level })
    await log.append([{ value: text }])
  }
  for await (const batch of log.readBatches()) sizes.push(batch.byteLength)
  expect(sizes[1]).toBeLessThan(sizes[0]!)
  expect(sizes[2]).toBe(sizes[0])
  for (const wrong of [
    { compressionGzipLevel: 0 },
    { compressionLz4Level: 18 },
    { compressionZstdLevel: 23 },
  ])
    await expect(log.configure(wrong)).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
})

test('settings count from the call on, in the order of the appends around it', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  const before = log.append([{ value }])
  const configured = log.configure({ maxBatchBytes: 200 })
  const behind = log.append([{ value: 'small' }])
  expect(await before).toEqual({ baseOffset: 0, lastOffset: 0 })
  await configured
  expect(await behind).toEqual({ baseOffset: 1, lastOffset: 1 })
  await expect(log.append([{ value }])).rejects.toMatchObject({ code: 'VARVE_BATCH_TOO_LARGE' })
  await log.configure({ maxBatchBytes: 1000 })
  expect(await log.append([{ value }])).toEqual({ baseOffset: 2, lastOffset: 2 })
})

test('what is left out stays as it is', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir, { segmentBytes: 400, maxBatchBytes: 390 })
  await log.configure({ retentionMs: Infinity, segmentMs: undefined })
  for (let n = 0; n < 3; n++) await log.append([{ value }])
  expect(segmentsIn(dir)).toBe(3)
  await expect(log.append([{ value: value + value }])).rejects.toMatchObject({
    code: 'VARVE_BATCH_TOO_LARGE',
  })
})

test('either all of the settings count or none', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  const refused: Array<[LogSettings, RegExp]> = [
    [{ segmentBytes: 400, retentionMs: -1 }, /retentionMs/],
    [{ segmentBytes: 400, durability: 'never' as 'os' }, /durability/],
    [{ segmentBytes: 400, ...({ gather: 'immediate' } as object) }, /gather/],
  ]
  for (const [settings, message] of refused) {
    await expect(log.configure(settings)).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
      message: expect.stringMatching(message),
    })
  }
  for (let n = 0; n < 3; n++) await log.append([{ value }])
  expect(segmentsIn(dir)).toBe(1)
})

test("a log that becomes 'fsync' has everything on disk when it says so", async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  await log.append([{ value: 'a' }])
  expect(log.flushedOffset).toBe(0)
  await log.configure({ durability: 'fsync' })
  expect([log.durability, log.flushedOffset]).toEqual(['fsync', 1])
  await log.append([{ value: 'b' }])
  expect(log.flushedOffset).toBe(2)
  await log.configure({ durability: 'os' })
  await log.append([{ value: 'c' }])
  expect([log.durability, log.durableOffset, log.flushedOffset]).toEqual(['os', 3, 2])
})

test('how much may be pending can be changed', async () => {
  await using log = await openLog(temporaryDirectory())
  await log.configure({ maxPendingBytes: 1000 })
  const appends = Array.from({ length: 10 }, () => log.append([{ value }]))
  expect(log.pendingBytes).toBeLessThan(1001)
  await Promise.all(appends)
  await log.configure({ maxPendingBytes: 5000 })
  const more = Array.from({ length: 10 }, () => log.append([{ value }]))
  expect(log.pendingBytes).toBeGreaterThan(3000)
  await Promise.all(more)
})

test('threads that append meanwhile lose nothing, and go by what another has configured', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    const { openLog } = await import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)})
    const log = await openLog(workerData)
    const appends = []
    parentPort.postMessage('open')
    let stopped = false
    parentPort.once('message', () => (stopped = true))
    while (!stopped) {
      for (let n = 0; n < 20; n++) appends.push(log.append([{ value: 'v'.repeat(50) }]))
      await new Promise(setImmediate)
    }
    const offsets = (await Promise.all(appends)).map(({ baseOffset }) => baseOffset)
    const large = log.append([{ value: 'x'.repeat(40_000) }]).catch(({ code }) => code)
    parentPort.postMessage({ offsets, large: await large })
    await log.close()
  `
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
  const worker = new Worker(url, { workerData: dir, execArgv: [] })
  workers.add(worker)
  worker.once('exit', () => workers.delete(worker))
  await once(worker, 'message')
  const policies = ['lz4', 'producer', 'zstd'] as const
  for (let n = 0; n < 30; n++) {
    const durability = n % 2 === 0 ? 'os' : 'fsync'
    await log.configure({ durability, segmentBytes: 2000 + 1000 * n, compression: policies[n % 3] })
  }
  await log.configure({ maxBatchBytes: 32_768 })
  const told = once(worker, 'message') as Promise<[{ offsets: number[]; large: string }]>
  worker.postMessage('stop')
  const [{ offsets, large }] = await told
  expect(large).toBe('VARVE_BATCH_TOO_LARGE')
  expect(new Set(offsets).size).toBe(offsets.length)
  let read = 0
  for await (const record of log.read()) expect(record.offset).toBe(read++)
  expect(read).toBe(offsets.length)
})

test('a log that is closed, or only read, takes no settings', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir)
  await log.close()
  await expect(log.configure({ segmentBytes: 400 })).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  await using reading = await openLog(dir, { readOnly: true })
  await expect(reading.configure({ segmentBytes: 400 })).rejects.toMatchObject({ code: 'VARVE_READ_ONLY' })
})

test('a topic configures all its partitions', async () => {
  await using topic = await openTopic(temporaryDirectory(), 'orders', { partitions: 2 })
  await topic.configure({ durability: 'os' })
  expect([topic.partition(0).durability, topic.partition(1).durability]).toEqual(['os', 'os'])
  await expect(topic.configure({ segmentBytes: 1 })).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
})
