/**
 * Whoever watches a log in production learns of it here or not at all: an event that is missing hides a failure, one that
 * is made for nobody costs every append, and one that is told before its cause holds misleads.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { openLog, type LogEvents } from '../src/index.js'
import { runScript } from './child-script.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

const NAMES = [
  'open',
  'recovered',
  'append-failure',
  'flush',
  'roll',
  'delete',
  'truncate',
  'compact',
  'failed',
  'corrupt',
  'close',
]
const ends: Array<() => void> = []
afterEach(() => ends.splice(0).forEach((end) => end()))

type Event = { [name in keyof LogEvents]: { name: name; message: LogEvents[name] } }[keyof LogEvents]

/** Everything that is told of the logs in a directory, in order. */
function watch(dir: string, names: readonly string[] = NAMES): Event[] {
  const events: Event[] = []
  for (const name of names) {
    const listener = (message: unknown): void => {
      if ((message as { dir: string }).dir.startsWith(dir)) {
        events.push({ name: `varve:log:${name}`, message } as unknown as Event)
      }
    }
    subscribe(`varve:log:${name}`, listener)
    ends.push(() => unsubscribe(`varve:log:${name}`, listener))
  }
  return events
}

const namesOf = (events: readonly Event[]): string[] => events.map(({ name }) => name.slice(10))
const of = (events: readonly Event[], name: keyof LogEvents): object[] =>
  events.filter((event) => event.name === name).map(({ message }) => message)

test('tells the life of a log in order', async () => {
  const dir = temporaryDirectory()
  const events = watch(dir)
  const log = await openLog(dir, { segmentBytes: 400 })
  expect(events).toEqual([
    { name: 'varve:log:open', message: { dir, durability: 'fsync', startOffset: 0, endOffset: 0 } },
  ])
  for (let n = 0; n < 10; n++) await log.append([{ value: `${n}`.padEnd(100) }, { value: 'second' }])
  await log.deleteBefore(7)
  await log.close()

  let flushed = 0
  for (const event of of(events, 'varve:log:flush') as Array<LogEvents['varve:log:flush']>) {
    flushed += event.records
    expect(event).toEqual({ dir, flushedOffset: flushed, records: event.records })
  }
  expect(flushed).toBe(20)
  const bases = of(events, 'varve:log:roll').map((event) => (event as LogEvents['varve:log:roll']).baseOffset)
  expect(bases.length).toBeGreaterThan(2)
  expect(bases).toEqual([...new Set(bases)].sort((a, b) => a - b))
  expect(of(events, 'varve:log:delete')).toEqual([{ dir, startOffset: 7, records: 7 }])
  expect(events.at(-1)).toEqual({ name: 'varve:log:close', message: { dir, endOffset: 20, error: null } })
})

test('tells what an unclean stop left, and then that the log is open', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir)
  await log.append([{ value: 'kept' }])
  await log.close()
  appendFileSync(join(dir, '00000000000000000000.log'), batchOf('torn').subarray(0, 40))
  const events = watch(dir)
  await using again = await openLog(dir)
  expect(events).toEqual([
    { name: 'varve:log:recovered', message: { dir, endOffset: 1, cutBytes: 40 } },
    {
      name: 'varve:log:open',
      message: { dir, durability: 'fsync', startOffset: 0, endOffset: again.endOffset },
    },
  ])
})

test('tells of a batch that is refused, and of nothing else', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  const events = watch(dir)
  const bad = batchOf('bad')
  bad[bad.length - 1]! ^= 1
  const error: unknown = await log.appendBatches([bad])[0]!.catch((error: unknown) => error)
  await expect(log.append([])).rejects.toMatchObject({ code: 'VARVE_EMPTY_BATCH' })
  expect(events).toEqual([{ name: 'varve:log:append-failure', message: { dir, error, records: 1 } }])
})

test('tells once that what was durable is damaged', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir)
  await log.append([{ value: 'aaaa' }])
  await log.append([{ value: 'bbbb' }])
  await log.close()
  const path = join(dir, '00000000000000000000.log')
  const bytes = readFileSync(path)
  bytes[bytes.indexOf('aaaa')]! ^= 1
  writeFileSync(path, bytes)

  const events = watch(dir)
  const again = await openLog(dir)
  for (let n = 0; n < 2; n++) {
    const reading = (async () => {
      for await (const _ of again.read()) continue
    })()
    await expect(reading).rejects.toMatchObject({ code: 'VARVE_LOG_CORRUPT' })
  }
  await expect(again.append([{ value: 'c' }])).rejects.toThrow()
  await again.close()
  expect(namesOf(events).sort()).toEqual(['append-failure', 'close', 'corrupt', 'open'])
  expect(of(events, 'varve:log:corrupt')).toEqual([
    { dir, error: expect.objectContaining({ code: 'VARVE_LOG_CORRUPT' }) },
  ])
})

test('tells of an fsync that failed: everything that waited for it, and the log', async () => {
  const script = `
    import { subscribe } from 'node:diagnostics_channel'
    import { openLog } from '@varve/log'
    const told = []
    for (const name of ['append-failure', 'failed', 'flush', 'close']) {
      subscribe('varve:log:' + name, ({ error }) => told.push(name + ' ' + error?.code))
    }
    const log = await openLog(process.argv[1])
    await Promise.allSettled([log.append([{ value: 'a' }]), log.append([{ value: 'b' }])])
    await log.close().catch(() => {})
    console.log(JSON.stringify(told))
  `
  const env = { VARVE_TEST_FAULT: 'sync_data@.log:1' }
  const { stdout, stderr } = await runScript(script, [temporaryDirectory()], { env })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual([
    'failed VARVE_LOG_FAILED',
    'append-failure VARVE_LOG_FAILED',
    'append-failure VARVE_LOG_FAILED',
    'close VARVE_LOG_FAILED',
  ])
})

test('tells of truncations, which are no deletions', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir)
  for (const value of ['a', 'b', 'c']) await log.append([{ value }])
  const events = watch(dir, ['delete', 'truncate'])
  await log.truncateTo(2)
  await log.truncateFullyAndStartAt(7)
  await log.append([{ value: 'd' }])
  await log.deleteBefore(8)
  await log.close()
  const told = events.map(({ name, message }) => [name, (message as { startOffset: number }).startOffset])
  expect(of(events, 'varve:log:truncate')).toEqual([
    { dir, startOffset: 0, endOffset: 2 },
    { dir, startOffset: 7, endOffset: 7 },
  ])
  expect(told.at(-1)).toEqual(['varve:log:delete', 8])
  expect(of(events, 'varve:log:delete')).toEqual([{ dir, startOffset: 8, records: 1 }])
})

test('a subscriber that comes late hears from then on, and everything up to then at once', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  await log.append([{ value: 'a' }])
  await log.append([{ value: 'b' }])
  const events = watch(dir, ['flush'])
  await log.append([{ value: 'c' }])
  // An append may be answered a turn before its flush is told.
  while (events.length === 0) await new Promise(setImmediate)
  expect(events).toEqual([{ name: 'varve:log:flush', message: { dir, flushedOffset: 3, records: 3 } }])
})

test('without subscribers the engine is asked nothing and no event is made', async () => {
  const { LogWatch } = await import('../src/diagnostics.js')
  let asked = 0
  const native = {
    flushedOffset: 0,
    startOffset: 0,
    endOffset: 0,
    activeSegment: 0,
    truncations: 0,
    recovered: null,
    failure: null,
  }
  const counting = new Proxy(native, { get: (target, name) => (asked++, Reflect.get(target, name)) })
  const watching = new LogWatch(counting as never, '/log')
  const atOpening = asked
  watching.changed()
  watching.appendFailed(new Error('refused') as never, 1)
  watching.closed(null)
  expect(asked).toBe(atOpening)
  watch('/log', ['flush'])
  native.flushedOffset = 5
  watching.changed()
  expect(asked).toBe(atOpening + 1)
})
