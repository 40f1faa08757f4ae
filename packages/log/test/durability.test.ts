/**
 * "Acknowledged" is the one word that a log must not get wrong. Here every fsync of a segment waits at a gate, so that
 * whatever settles, or becomes visible, before the gate opens does so without an fsync.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { openLog, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const gate = join(temporaryDirectory(), 'gate')
// Read by the addon when the first directory is opened.
process.env['VARVE_TEST_FAULT'] = `sync_data@.log:while=${gate}`
const closeGate = (): void => writeFileSync(gate, '')
const openGate = (): void => rmSync(gate, { force: true })

/**
 * Waits until so much is written, which a thread does where the disk is slow. Then there are enough turns of the event loop, with
 * work on the thread pool between them, for anything due to have happened.
 */
async function settle(log: Log, endOffset: number): Promise<void> {
  await vi.waitUntil(() => log.endOffset >= endOffset, { timeout: 30_000, interval: 1 })
  for (let n = 0; n < 20; n++) {
    await log.maxTimestamp()
    await new Promise(setImmediate)
  }
}

function stateOf(promise: Promise<unknown>): () => string {
  let state = 'pending'
  promise.then(
    () => (state = 'resolved'),
    () => (state = 'rejected'),
  )
  return () => state
}

test("under 'fsync' nothing settles, and nobody sees anything, before an fsync covers it", async () => {
  await using log = await openLog(temporaryDirectory())
  await log.append([{ value: 'a' }])
  closeGate()
  const append = log.append([{ value: 'b' }])
  const flush = log.flush()
  const follower = log.read({ from: 1, follow: true })
  const next = follower.next()
  const states = [append, flush, next].map(stateOf)
  await settle(log, 2)
  expect(states.map((state) => state())).toEqual(['pending', 'pending', 'pending'])
  expect([log.endOffset, log.durableOffset]).toEqual([2, 1])
  const seen: number[] = []
  for await (const { offset } of log.read()) seen.push(offset)
  expect(seen).toEqual([0])
  expect(() => log.slice({ from: 2 })).toThrow(expect.objectContaining({ code: 'VARVE_OFFSET_OUT_OF_RANGE' }))

  openGate()
  expect(await append).toEqual({ baseOffset: 1, lastOffset: 1 })
  expect(log.durableOffset).toBe(2)
  expect(await flush).toBe(2)
  expect((await next).value).toMatchObject({ offset: 1 })
  await follower.return!()
})

test('a reading may begin where records wait for their fsync', async () => {
  await using log = await openLog(temporaryDirectory())
  closeGate()
  const pending = log.append([{ value: 'pending' }, { value: 'pending' }])
  await settle(log, 2)
  expect([log.endOffset, log.durableOffset]).toEqual([2, 0])
  for await (const { offset } of log.read({ from: 1 })) expect.unreachable(`${offset} is not durable`)
  const follower = log.read({ from: log.endOffset, follow: true })
  const next = follower.next()
  await new Promise(setImmediate)
  openGate()
  await pending
  await log.append([{ value: 'new' }])
  expect(String((await next).value.value)).toBe('new')
  await follower.return!()
})

test('what is appended during an fsync is settled in order by a later one', async () => {
  await using log = await openLog(temporaryDirectory())
  closeGate()
  const settled: number[] = []
  const append = (): Promise<unknown> =>
    log.append([{ value: 'a' }]).then(({ baseOffset }) => settled.push(baseOffset))
  const first = append()
  await settle(log, 1)
  const later = Array.from({ length: 100 }, append)
  await settle(log, 101)
  expect(settled).toEqual([])
  expect([log.endOffset, log.durableOffset]).toEqual([101, 0])
  openGate()
  await Promise.all([first, ...later])
  expect(settled).toEqual(Array.from({ length: 101 }, (_, n) => n))
  expect(log.durableOffset).toBe(101)
})

test("under 'os' an append does not wait, and flush() does", async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  closeGate()
  await log.append([{ value: 'a' }])
  expect(log.durableOffset).toBe(1)
  const flush = log.flush()
  const state = stateOf(flush)
  await settle(log, 1)
  expect(state()).toBe('pending')
  openGate()
  expect(await flush).toBe(1)
})

test('a close during an fsync waits for it, and everybody who waits is answered', async () => {
  const log = await openLog(temporaryDirectory())
  closeGate()
  const append = log.append([{ value: 'a' }])
  const flush = log.flush()
  await settle(log, 1)
  const close = log.close()
  const state = stateOf(close)
  expect(log.state).toBe('closed')
  await expect(log.append([{ value: 'b' }])).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  await new Promise(setImmediate)
  expect(state()).toBe('pending')
  openGate()
  expect(await append).toEqual({ baseOffset: 0, lastOffset: 0 })
  expect(await flush).toBe(1)
  await close
})
