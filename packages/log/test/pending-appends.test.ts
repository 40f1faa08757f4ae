/**
 * A disk that stalls for ten seconds must not become a process that is killed for its memory, nor one that has forgotten
 * whose turn it is when the disk comes back. And who takes an append back must be able to rely on it: taken back and stored
 * all the same is an order that is delivered twice.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { openLog, type AppendResult, type Log } from '../src/index.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

const gate = join(temporaryDirectory(), 'gate')
// Read by the addon when the first directory is opened.
process.env['VARVE_TEST_FAULT'] = `sync_data@.log:while=${gate}`
const closeGate = (): void => writeFileSync(gate, '')
const openGate = (): void => rmSync(gate, { force: true })

const MIB = 1 << 20

async function valuesIn(log: Log): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of log.read()) values.push(String(value))
  return values
}

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise(setImmediate)
}

test('beyond maxPendingBytes nothing more is encoded, and everything is written in its turn', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir, { maxPendingBytes: 16 * MIB })
  closeGate()
  const value = Buffer.alloc(MIB - 100)
  const before = process.memoryUsage().arrayBuffers
  const appends: Array<Promise<AppendResult>> = []
  for (let n = 0; n < 200; n++) {
    appends.push(log.append([{ value }]))
    if (n % 10 === 0) await turns(1)
  }
  // Writes that find the disk slow are done by a thread.
  await vi.waitUntil(() => log.endOffset === 15, { timeout: 30_000 })
  await turns(20)
  expect(log.pendingBytes).toBeLessThanOrEqual(16 * MIB)
  expect(log.pendingBytes).toBeGreaterThan(14 * MIB)
  expect([log.endOffset, log.durableOffset]).toEqual([15, 0])
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(24 * MIB)
  openGate()
  const offsets = (await Promise.all(appends)).map(({ baseOffset }) => baseOffset)
  expect(offsets).toEqual(appends.map((_, index) => index))
  expect(log.pendingBytes).toBe(0)
})

test('one that is larger than the limit is taken when it is alone', async () => {
  await using log = await openLog(temporaryDirectory(), { maxPendingBytes: 1000 })
  const sizes = [5000, 10, 5000, 5000, 10]
  const results = await Promise.all(sizes.map((size) => log.append([{ value: Buffer.alloc(size) }])))
  expect(results.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 2, 3, 4])
})

test('flush and close cover what is held', async () => {
  const log = await openLog(temporaryDirectory(), { maxPendingBytes: 500 })
  const appends = Array.from({ length: 10 }, () => log.append([{ value: 'x'.repeat(200) }]))
  expect(await log.flush()).toBe(10)
  appends.push(...Array.from({ length: 10 }, () => log.append([{ value: 'x'.repeat(200) }])))
  await log.close()
  expect((await Promise.all(appends)).map(({ baseOffset }) => baseOffset)).toEqual(appends.map((_, n) => n))
})

test('what is wrong is refused at once, also while appends are held', async () => {
  await using log = await openLog(temporaryDirectory(), { maxPendingBytes: 500 })
  const good = Array.from({ length: 5 }, () => log.append([{ value: 'x'.repeat(200) }]))
  await expect(log.append([{ value: 5 as never }])).rejects.toMatchObject({ code: 'VARVE_RECORD_INVALID' })
  await expect(log.appendBatches(['no batch' as never])[0]).rejects.toMatchObject({
    code: 'VARVE_BATCH_INVALID',
  })
  // A batch that the engine refuses fails alone, in its turn.
  const [bad] = log.appendBatches([Buffer.alloc(80)])
  const last = log.append([{ value: 'last' }])
  await expect(bad).rejects.toMatchObject({ code: expect.stringMatching(/^VARVE_BATCH_/) })
  await Promise.all(good)
  expect(await last).toMatchObject({ baseOffset: 5 })
})

test('records that are changed while they are held fail alone', async () => {
  await using log = await openLog(temporaryDirectory(), { maxPendingBytes: 500 })
  const first = log.append([{ value: 'x'.repeat(400) }])
  const record = { value: 'y' as unknown }
  const changed = log.append([record as never])
  record.value = 7
  const last = log.append([{ value: 'last' }])
  await expect(changed).rejects.toMatchObject({ code: 'VARVE_RECORD_INVALID' })
  expect((await Promise.all([first, last])).map(({ baseOffset }) => baseOffset)).toEqual([0, 1])
})

test('an append is taken back before the engine has it, and not afterwards', async () => {
  await using log = await openLog(temporaryDirectory())
  const controller = new AbortController()
  const reason = new Error('not any more')
  const options = { signal: controller.signal }
  const before = log.append([{ value: 'before' }], options)
  await Promise.resolve()
  expect(log.endOffset).toBe(1)
  const taken = log.append([{ value: 'taken back' }], options)
  const after = log.append([{ value: 'after' }])
  controller.abort(reason)
  await expect(taken).rejects.toBe(reason)
  expect(await before).toEqual({ baseOffset: 0, lastOffset: 0 })
  expect(await after).toEqual({ baseOffset: 1, lastOffset: 1 })
  expect(await valuesIn(log)).toEqual(['before', 'after'])
  expect(log.pendingBytes).toBe(0)
})

test('what is held is taken back as well, and makes room', async () => {
  await using log = await openLog(temporaryDirectory(), { maxPendingBytes: 2000 })
  closeGate()
  const controller = new AbortController()
  const kept: Array<Promise<AppendResult>> = []
  const taken: Array<Promise<unknown>> = []
  for (let n = 0; n < 10; n++) {
    kept.push(log.append([{ value: `kept ${n} ${'x'.repeat(400)}` }]))
    const append = log.append([{ value: `taken ${n} ${'x'.repeat(400)}` }], { signal: controller.signal })
    if (n >= 3) taken.push(append.catch((error: unknown) => error))
    else kept.push(append)
  }
  await vi.waitUntil(() => log.endOffset === 2, { timeout: 30_000 })
  await turns(5)
  expect(log.endOffset).toBe(2)
  controller.abort('stop')
  openGate()
  expect(new Set(await Promise.all(taken))).toEqual(new Set(['stop']))
  const settled = await Promise.allSettled(kept)
  const stored = await valuesIn(log)
  expect(stored.filter((value) => value.startsWith('kept'))).toHaveLength(10)
  expect(stored).toHaveLength(settled.filter(({ status }) => status === 'fulfilled').length)
  await log.flush()
  expect(log.pendingBytes).toBe(0)
})

test('encoded batches are taken back before the engine has them, and not afterwards', async () => {
  await using log = await openLog(temporaryDirectory())
  const gone = AbortSignal.abort('before')
  await expect(Promise.all(log.appendBatches([batchOf('never')], { signal: gone }))).rejects.toBe('before')
  const controller = new AbortController()
  const { signal } = controller
  const [before] = log.appendBatches([batchOf('before')], { signal })
  await Promise.resolve()
  expect(log.endOffset).toBe(1)
  const taken = log.appendBatches([batchOf('taken'), batchOf('back')], { signal })
  const [after] = log.appendBatches([batchOf('after')])
  controller.abort('stop')
  for (const append of taken) await expect(append).rejects.toBe('stop')
  expect([await before, await after].map((result) => result?.baseOffset)).toEqual([0, 1])
  expect(await valuesIn(log)).toEqual(['before', 'after'])
  expect(log.pendingBytes).toBe(0)
})

test('closing waits for nobody who was taken back', async () => {
  const log = await openLog(temporaryDirectory())
  const controller = new AbortController()
  const append = log.append([{ value: 'a' }], { signal: controller.signal })
  controller.abort('stop')
  const closing = log.close()
  await expect(append).rejects.toBe('stop')
  await closing
})

test('a signal that lives long is not held on to', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  const { signal } = new AbortController()
  let listening = 0
  let most = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) =>
    void ((most = Math.max(most, ++listening)), add(...args))
  signal.removeEventListener = (...args: Parameters<typeof remove>) => void (listening--, remove(...args))
  const appends = Array.from({ length: 20 }, () => log.append([{ value: 'a' }], { signal }))
  appends.push(log.append([{ value: Buffer.alloc(MIB) }], { signal }).catch(() => ({}) as AppendResult))
  await Promise.all(appends)
  // More than ten listeners would make Node warn of a leak.
  expect([listening, most]).toEqual([0, 1])
})

const KINDS = ['append', 'signal', 'batch', 'batch and signal', 'sync'] as const

test('whatever is appended, aborted and awaited, exactly what was not taken back is stored, in order', async () => {
  const step = fc.oneof(
    fc.record({ size: fc.nat({ max: 300 }), kind: fc.constantFrom(...KINDS) }),
    fc.constantFrom('abort' as const, 'turn' as const, 'flush' as const),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.constantFrom('os' as const, 'fsync' as const),
      fc.constantFrom(600, 2000, Infinity),
      async (steps, durability, maxPendingBytes) => {
        const dir = temporaryDirectory()
        const log = await openLog(dir, { durability, maxPendingBytes, segmentBytes: 2000 })
        let controller = new AbortController()
        const outcomes: Array<Promise<{ value: string; offset: number } | null>> = []
        for (const [index, next] of steps.entries()) {
          if (next === 'abort') {
            controller.abort('stop')
            controller = new AbortController()
          } else if (next === 'turn') await turns(1)
          else if (next === 'flush') void log.flush()
          else {
            const value = `${index} ${'x'.repeat(next.size)}`
            const { signal } = controller
            const append = (): Promise<AppendResult> => {
              if (next.kind === 'batch') return log.appendBatches([batchOf(value)])[0]!
              if (next.kind === 'batch and signal') return log.appendBatches([batchOf(value)], { signal })[0]!
              if (next.kind === 'sync') return Promise.resolve(log.appendSync([{ value }]))
              return log.append([{ value }], next.kind === 'signal' ? { signal } : {})
            }
            outcomes.push(
              append().then(
                ({ baseOffset }) => ({ value, offset: baseOffset }),
                () => null,
              ),
            )
          }
        }
        const stored = (await Promise.all(outcomes)).filter((outcome) => outcome !== null)
        expect(await valuesIn(log)).toEqual(stored.map(({ value }) => value))
        expect(stored.map(({ offset }) => offset)).toEqual(stored.map((_, offset) => offset))
        expect(log.pendingBytes).toBe(0)
        await log.close()
      },
    ),
    { numRuns: 60 },
  )
})

test.each([-1, 1.5, NaN, '1' as never])('%o is no limit', async (maxPendingBytes) => {
  await expect(openLog(temporaryDirectory(), { maxPendingBytes })).rejects.toMatchObject({
    code: 'VARVE_INVALID_OPTION',
  })
})
