/**
 * A slice is what a broker promises to a socket before it has read a byte: its length must be the length of what is read,
 * it must end between two batches, and the offset to go on from must never skip a record.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { RecordBatch } from '@varve/records'
import { openLog, type Log, type SliceOptions } from '../src/index.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

/** Batches 0–4, 5–9 and 10–14, all of the same length. */
async function threeBatches(): Promise<{ log: Log; length: number }> {
  const log = await openLog(temporaryDirectory())
  const batches = ['a', 'b', 'c'].map((value) => batchOf(...Array<string>(5).fill(value)))
  await Promise.all(log.appendBatches(batches))
  return { log, length: batches[0]!.length }
}

async function sliceOf(log: Log, options: SliceOptions): Promise<[number, number]> {
  const slice = await log.slice(options)
  const bytes = await slice.read()
  expect(bytes.length).toBe(slice.byteLength)
  slice.close()
  return [slice.byteLength, slice.nextOffset]
}

test('holds the bytes of the file, from the batch with the first offset on', async () => {
  const { log, length } = await threeBatches()
  const file = readFileSync(join(log.dir, '00000000000000000000.log'))
  const slice = await log.slice({ from: 7 })
  expect([slice.from, slice.byteLength, slice.nextOffset]).toEqual([7, 2 * length, 15])
  expect(await slice.read()).toEqual(file.subarray(length))
  expect(RecordBatch.parse(await slice.read()).baseOffset).toBe(5)
  slice.close()
  await log.close()
})

test('ends at the size, the upper offset or the durable end, between two batches', async () => {
  const { log, length } = await threeBatches()
  expect(await sliceOf(log, { from: 0 })).toEqual([3 * length, 15])
  expect(await sliceOf(log, { from: 0, maxBytes: 2 * length })).toEqual([2 * length, 10])
  expect(await sliceOf(log, { from: 0, maxBytes: 2 * length - 1 })).toEqual([length, 5])
  expect(await sliceOf(log, { from: 3, maxBytes: 1 })).toEqual([length, 5])
  expect(await sliceOf(log, { from: 3, maxBytes: 1, minOneBatch: false })).toEqual([0, 3])
  expect(await sliceOf(log, { from: 0, upTo: 10 })).toEqual([2 * length, 10])
  expect(await sliceOf(log, { from: 15 })).toEqual([0, 15])
  await log.close()
})

test('the batch that holds the last offset below the upper one comes whole', async () => {
  const { log, length } = await threeBatches()
  for (const upTo of [1, 4, 5]) expect(await sliceOf(log, { from: 0, upTo })).toEqual([length, 5])
  for (const upTo of [6, 9, 10]) expect(await sliceOf(log, { from: 0, upTo })).toEqual([2 * length, 10])
  expect(await sliceOf(log, { from: 6, upTo: 7 })).toEqual([length, 10])
  expect(await sliceOf(log, { from: 6, upTo: 6 })).toEqual([0, 6])
  expect(await sliceOf(log, { from: 6, upTo: 2 })).toEqual([0, 6])
  await log.close()
})

test('offsets outside of the log, and numbers that are none, are errors', async () => {
  const { log } = await threeBatches()
  const outOfRange = expect.objectContaining({ code: 'VARVE_OFFSET_OUT_OF_RANGE' })
  for (const from of [-1, 16, Number.MAX_SAFE_INTEGER]) {
    expect(() => log.slice({ from }), `${from}`).toThrow(outOfRange)
  }
  const invalid = expect.objectContaining({ code: 'VARVE_INVALID_OPTION' })
  for (const value of [NaN, 1.5, Infinity, -Infinity, 2 ** 60, undefined as never, '1' as never]) {
    expect(() => log.slice({ from: value }), `from ${value}`).toThrow(invalid)
  }
  for (const value of [NaN, 1.5, -1, '1' as never]) {
    expect(() => log.slice({ from: 0, upTo: value }), `upTo ${value}`).toThrow(invalid)
    expect(() => log.slice({ from: 0, maxBytes: value }), `maxBytes ${value}`).toThrow(invalid)
  }
  expect(await sliceOf(log, { from: 0, upTo: Infinity, maxBytes: Infinity })).toEqual(
    await sliceOf(log, { from: 0 }),
  )
  await log.close()
})

test('can be read again, and after its log has closed, but not once it is closed itself', async () => {
  const { log } = await threeBatches()
  const slice = await log.slice({ from: 0 })
  const first = await slice.read()
  await log.close()
  expect(await slice.read()).toEqual(first)
  slice.close()
  slice.close()
  expect(() => slice.read()).toThrow(expect.objectContaining({ code: 'VARVE_LOG_CLOSED' }))
  expect(() => log.slice({ from: 0 })).toThrow(expect.objectContaining({ code: 'VARVE_LOG_CLOSED' }))
})
