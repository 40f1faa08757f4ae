/**
 * A follower spends its life waiting, and everything that goes wrong with it goes wrong there: a signal that nobody listens
 * to, a `return` that queues behind a `next` which never ends, a listener that stays behind, a log that closes or fails
 * without a word.
 */
import { expect, test } from 'vitest'
import { openLog, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const done = { value: undefined, done: true }

async function appendOne(log: Log, value: string): Promise<void> {
  await log.append([{ value }])
}

test.each(['os', 'fsync'] as const)('gives what was there and then what comes (%s)', async (durability) => {
  await using log = await openLog(temporaryDirectory(), { durability })
  await appendOne(log, '0')
  const values: string[] = []
  const reading = (async () => {
    for await (const { value } of log.read({ follow: true, to: 5 })) values.push(String(value))
  })()
  for (const value of ['1', '2', '3', '4', '5']) await appendOne(log, value)
  await reading
  expect(values).toEqual(['0', '1', '2', '3', '4'])
})

test('an end within a batch is reached', async () => {
  await using log = await openLog(temporaryDirectory())
  const offsets: number[] = []
  const reading = (async () => {
    for await (const { offset } of log.read({ follow: true, to: 2 })) offsets.push(offset)
  })()
  await log.append([{ value: 'a' }, { value: 'b' }, { value: 'c' }])
  await reading
  expect(offsets).toEqual([0, 1])
})

test('an abort while it waits rejects with the reason', async () => {
  await using log = await openLog(temporaryDirectory())
  const controller = new AbortController()
  const reason = new Error('enough')
  for (const reader of [
    log.read({ follow: true, signal: controller.signal }),
    log.readBatches({ follow: true, signal: controller.signal }),
  ]) {
    const next = reader.next()
    setImmediate(() => controller.abort(reason))
    await expect(next).rejects.toBe(reason)
    expect(await reader.next()).toEqual(done)
  }
})

test('return ends a next that waits', async () => {
  await using log = await openLog(temporaryDirectory())
  for (const reader of [log.read({ follow: true }), log.readBatches({ follow: true })]) {
    const waiting = [reader.next(), reader.next()]
    await new Promise(setImmediate)
    expect(await reader.return!()).toEqual(done)
    expect(await Promise.all(waiting)).toEqual([done, done])
    expect(await reader.next()).toEqual(done)
  }
})

test('closing the log ends it with a typed error', async () => {
  const log = await openLog(temporaryDirectory())
  await appendOne(log, 'a')
  const reader = log.read({ follow: true })
  await reader.next()
  const waiting = reader.next()
  const refused = expect(waiting).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
  await log.close()
  await refused
})

test('one signal serves any number of readings and keeps nothing of them', async () => {
  await using log = await openLog(temporaryDirectory())
  const { signal } = new AbortController()
  let listening = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  Object.assign(signal, {
    addEventListener: (...args: Parameters<typeof add>) => (listening++, add(...args)),
    removeEventListener: (...args: Parameters<typeof remove>) => (listening--, remove(...args)),
  })
  let waited = 0
  for (let n = 0; n < 20; n++) {
    const reader = log.read({ follow: true, from: n, signal })
    const next = reader.next()
    await new Promise(setImmediate)
    waited += listening
    await appendOne(log, `${n}`)
    expect((await next).value).toMatchObject({ offset: n })
  }
  expect(waited).toBe(20)
  expect(listening).toBe(0)
})
