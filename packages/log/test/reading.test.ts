/**
 * A reader asks for any range of offsets, and batches begin and end where producers happened to cut them. An end within a
 * batch once made the records in front of it disappear; a bad batch must not take the good ones before it along.
 */
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog, type Log, type ReadOptions } from '../src/index.js'
import { batchOf, withAttributes } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'
import { unreadableBatch, UNREADABLE_RECORDS } from './unreadable-batch.js'

async function offsetsIn(log: Log, options?: ReadOptions): Promise<number[]> {
  const offsets: number[] = []
  for await (const { offset } of log.read(options)) offsets.push(offset)
  return offsets
}

async function batchesIn(log: Log, options?: ReadOptions): Promise<Array<[number, number]>> {
  const batches: Array<[number, number]> = []
  for await (const { baseOffset, lastOffset } of log.readBatches(options))
    batches.push([baseOffset, lastOffset])
  return batches
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n)

/** Batches 0–4, 5–9 and 10–14. */
async function threeBatches(): Promise<Log> {
  const log = await openLog(temporaryDirectory())
  const batch = (): Buffer => batchOf(...range(0, 5).map((n) => `${n}`))
  await Promise.all(log.appendBatches([batch(), batch(), batch()]))
  return log
}

test.each([1, 100, 1 << 20])('every range of offsets, reading %i bytes at once', async (maxBytes) => {
  await using log = await threeBatches()
  expect(await offsetsIn(log, { maxBytes })).toEqual(range(0, 15))
  for (let from = 0; from <= 15; from++) {
    for (let to = 0; to <= 16; to++) {
      const expected = range(from, Math.max(from, Math.min(to, 15)))
      expect(await offsetsIn(log, { from, to, maxBytes }), `${from} to ${to}`).toEqual(expected)
    }
  }
})

test('batches come whole when the range begins or ends within one', async () => {
  await using log = await threeBatches()
  expect(await batchesIn(log, { from: 3, to: 7 })).toEqual([
    [0, 4],
    [5, 9],
  ])
  expect(await batchesIn(log, { from: 5, to: 10 })).toEqual([[5, 9]])
  expect(await batchesIn(log, { from: 7, to: 7 })).toEqual([])
})

test('reads what was durable when the reading began', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  await log.append([{ value: '0' }])
  const seen: number[] = []
  for await (const { offset } of log.read()) {
    seen.push(offset)
    await log.append([{ value: 'later' }])
  }
  expect(seen).toEqual([0])
})

test('offsets that the log does not have, and numbers that are none, are errors', async () => {
  await using log = await threeBatches()
  for (const from of [-1, 16, Number.MAX_SAFE_INTEGER]) {
    await expect(offsetsIn(log, { from }), `${from}`).rejects.toMatchObject({
      code: 'VARVE_OFFSET_OUT_OF_RANGE',
    })
    await expect(batchesIn(log, { from, follow: true })).rejects.toMatchObject({
      code: 'VARVE_OFFSET_OUT_OF_RANGE',
    })
  }
  expect(await offsetsIn(log, { from: 15 })).toEqual([])
  const invalid = expect.objectContaining({ code: 'VARVE_INVALID_OPTION' })
  for (const value of [NaN, 1.5, 2 ** 60, '3' as never]) {
    expect(() => log.read({ from: value }), `from ${value}`).toThrow(invalid)
    expect(() => log.readBatches({ to: value }), `to ${value}`).toThrow(invalid)
    expect(() => log.read({ maxBytes: value }), `maxBytes ${value}`).toThrow(invalid)
  }
  expect(() => log.read({ to: -1 })).toThrow(invalid)
})

test('calls of next that do not wait for each other are answered in order', async () => {
  await using log = await threeBatches()
  const reader = log.read({ maxBytes: 1 })
  const results = await Promise.all(range(0, 18).map(() => reader.next()))
  expect(results.map(({ value, done }) => (done === true ? 'done' : value.offset))).toEqual([
    ...range(0, 15),
    'done',
    'done',
    'done',
  ])
})

test('a reader that was returned gives nothing more', async () => {
  await using log = await threeBatches()
  const reader = log.read()
  await reader.next()
  expect(await reader.return!()).toEqual({ value: undefined, done: true })
  expect(await reader.next()).toEqual({ value: undefined, done: true })
  const seen: number[] = []
  for await (const { offset } of log.read()) {
    seen.push(offset)
    if (offset === 1) break
  }
  expect(seen).toEqual([0, 1])
})

test('an abort between two records ends the reading with its reason', async () => {
  await using log = await threeBatches()
  const controller = new AbortController()
  const reason = new Error('enough')
  const seen: number[] = []
  const reading = (async () => {
    for await (const { offset } of log.read({ signal: controller.signal })) {
      seen.push(offset)
      if (offset === 2) controller.abort(reason)
    }
  })()
  await expect(reading).rejects.toBe(reason)
  expect(seen).toEqual([0, 1, 2])
})

test('from a time, the start or the end', async () => {
  await using log = await openLog(temporaryDirectory())
  await log.append([10, 20, 30].map((timestamp) => ({ value: 'v', timestamp })))
  await log.append([{ value: 'v', timestamp: 40 }])
  const from = async (from: ReadOptions['from']): Promise<number[]> => offsetsIn(log, { from })
  expect(await from('start')).toEqual([0, 1, 2, 3])
  expect(await from({ timestamp: 0 })).toEqual([0, 1, 2, 3])
  expect(await from({ timestamp: 20 })).toEqual([1, 2, 3])
  expect(await from({ timestamp: 31 })).toEqual([3])
  expect(await from({ timestamp: 41 })).toEqual([])
  expect(await from('end')).toEqual([])
  const batches = log.readBatches({ from: { timestamp: 20 } })
  expect(await batches.next()).toMatchObject({ value: { baseOffset: 0 } })

  // The end is that of the call, whenever the first record is asked for.
  const following = log.read({ from: 'end', follow: true })
  await log.append([{ value: 'new' }])
  expect(await following.next()).toMatchObject({ value: { offset: 4 } })
  await following.return!()
})

test('what is no place to start is refused at once', async () => {
  await using log = await openLog(temporaryDirectory())
  for (const from of ['middle', 1.5, NaN, null, {}, { timestamp: 1.5 }]) {
    expect(() => log.read({ from: from as never })).toThrow(
      expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }),
    )
  }
})

test("a transaction's markers are batches but no records", async () => {
  await using log = await openLog(temporaryDirectory())
  await Promise.all(log.appendBatches([batchOf('a'), withAttributes(batchOf('marker'), 0x20), batchOf('b')]))
  expect(await offsetsIn(log)).toEqual([0, 2])
  expect(await batchesIn(log)).toEqual([
    [0, 0],
    [1, 1],
    [2, 2],
  ])
})

test('a codec that cannot be read is named with the log and the offset, and what follows is not passed over to', async () => {
  await using log = await openLog(temporaryDirectory())
  await Promise.all(log.appendBatches([batchOf('a'), unreadableBatch(), batchOf('c')]))
  const reader = log.read()
  expect(await reader.next()).toMatchObject({ value: { offset: 0 } })
  await expect(reader.next()).rejects.toMatchObject({
    code: 'VARVE_UNSUPPORTED_CODEC',
    message: expect.stringMatching(new RegExp(`^${log.dir}: .*offset 1`)),
  })
  expect(await reader.next()).toEqual({ value: undefined, done: true })
  const next = 1 + UNREADABLE_RECORDS
  expect(await offsetsIn(log, { from: next })).toEqual([next])
})

test('compressed bytes that are garbage are named in the same way', async () => {
  await using log = await openLog(temporaryDirectory(), { batchValidation: 'header' })
  await Promise.all(log.appendBatches([batchOf('a'), withAttributes(batchOf('not gzip'), 1)]))
  await expect(offsetsIn(log)).rejects.toMatchObject({
    code: 'VARVE_BATCH_INVALID',
    message: expect.stringMatching(new RegExp(`^${log.dir}: .*offset 1`)),
  })
})

test('a flipped bit is found by whoever reads it, who still gets what lies before; the log is read-only then', async () => {
  await using log = await threeBatches()
  const path = join(log.dir, '00000000000000000000.log')
  const third = (await readFile(path)).length / 3
  const file = await open(path, 'r+')
  await file.write(Buffer.from([0xff]), 0, 1, third + 70)
  await file.close()

  const seen: number[] = []
  const reading = (async () => {
    for await (const { offset } of log.read()) seen.push(offset)
  })()
  await expect(reading).rejects.toMatchObject({
    code: 'VARVE_LOG_CORRUPT',
    message: expect.stringMatching(new RegExp(`${path}.*byte ${third}, offset 5`)),
  })
  expect(seen).toEqual(range(0, 5))
  expect(log.state).toBe('corrupt')
  expect(log.failure).toMatchObject({ code: 'VARVE_LOG_CORRUPT' })
  await expect(log.append([{ value: 'x' }])).rejects.toMatchObject({ code: 'VARVE_LOG_CORRUPT' })
  expect(await offsetsIn(log, { to: 5 })).toEqual(range(0, 5))
  expect(await offsetsIn(log, { from: 10 })).toEqual(range(10, 15))
})
