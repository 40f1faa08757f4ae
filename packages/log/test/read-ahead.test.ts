/**
 * A reading that waits for the disk, then for its consumer, then for the disk again takes as long as both together. But what is
 * fetched ahead for nobody costs a disk the reads that somebody else waits for, and what is fetched without bound costs
 * memory for each of a thousand readers.
 */
import { expect, test } from 'vitest'
import { openLog, type Log, type ReadOptions } from '../src/index.js'
import type { LogSlice } from '../src/slice.js'
import type { SliceOptions } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const KIB = 1 << 10
const MIB = 1 << 20

type Fetched = Array<{ from: number; maxBytes: number }>

/** A log of 4 MiB in batches of 16 KiB, whose every slice is read from the disk; `fetched` is what was asked of it. */
const coldLog = (): Promise<{ log: Log; fetched: Fetched }> => countedLog(true)

async function countedLog(isCold: boolean): Promise<{ log: Log; fetched: Fetched }> {
  const log = await openLog(temporaryDirectory(), { durability: 'os' })
  const value = Buffer.alloc(16 * KIB - 100)
  await Promise.all(Array.from({ length: 256 }, () => log.append([{ value }])))
  const fetched: Fetched = []
  const slice = log.slice.bind(log) as (options: SliceOptions) => LogSlice
  Object.assign(log, {
    slice(options: SliceOptions) {
      fetched.push({ from: options.from, maxBytes: options.maxBytes! })
      const taken = slice(options)
      const read = taken.read.bind(taken)
      if (isCold) taken.read = async (buffer) => read(buffer)
      return taken
    },
  })
  return { log, fetched }
}

async function readTo(log: Log, end: number, options: ReadOptions = {}): Promise<number[]> {
  const offsets: number[] = []
  for await (const { offset } of log.read(options)) {
    offsets.push(offset)
    if (offsets.length === end) break
  }
  return offsets
}

const sizes = (fetched: ReadonlyArray<{ maxBytes: number }>): number[] =>
  fetched.map(({ maxBytes }) => maxBytes)

test('a reading that goes on has the next chunk on its way, and doubles it up to 1 MiB', async () => {
  const { log, fetched } = await coldLog()
  const reading = log.read()
  const read = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) await reading.next()
  }
  await read(1)
  expect(sizes(fetched)).toEqual([256 * KIB])
  // The second chunk is needed, so the third is fetched with it.
  await read(17)
  expect(sizes(fetched)).toEqual([256 * KIB, 256 * KIB, 512 * KIB])
  let records = 18
  for await (const _ of reading) records++
  expect(records).toBe(256)
  expect(sizes(fetched).slice(3)).toEqual([MIB, MIB, MIB])
  expect(new Set(fetched.map(({ from }) => from)).size).toBe(fetched.length)
  await log.close()
})

test('a lookup fetches what it needs and no more', async () => {
  const { log, fetched } = await coldLog()
  for (const from of [200, 10, 100])
    expect(await readTo(log, 3, { from })).toEqual([from, from + 1, from + 2])
  expect(fetched.map(({ from }) => from)).toEqual([200, 10, 100])
  await log.close()
})

test('nothing is fetched behind the end, nor beyond what the caller bounds', async () => {
  const { log, fetched } = await coldLog()
  expect(await readTo(log, 256, { from: 0, to: 40, maxBytes: 128 * KIB })).toHaveLength(40)
  expect(sizes(fetched)).toEqual(Array.from({ length: fetched.length }, () => 128 * KIB))
  expect(Math.max(...fetched.map(({ from }) => from))).toBeLessThan(40)
  await log.close()
})

test('what is in memory is read when it is wanted', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  await Promise.all(Array.from({ length: 100 }, () => log.append([{ value: Buffer.alloc(16 * KIB) }])))
  let slices = 0
  const slice = log.slice.bind(log)
  Object.assign(log, { slice: (options: SliceOptions) => (slices++, slice(options)) })
  await readTo(log, 20)
  expect(slices).toBe(2)
})

test('a failure of the disk ahead is told behind what was read before it', async () => {
  const { log } = await coldLog()
  const slice = log.slice.bind(log) as (options: SliceOptions) => LogSlice
  let taken = 0
  Object.assign(log, {
    slice(options: SliceOptions) {
      if (++taken === 3) throw new Error('a bad disk')
      return slice(options)
    },
  })
  const reading = log.read()
  for (let offset = 0; offset < 32; offset++) expect((await reading.next()).value).toMatchObject({ offset })
  await expect(reading.next()).rejects.toThrow('a bad disk')
  expect(await reading.next()).toEqual({ value: undefined, done: true })
  await log.close()
})

test('batches and their records are views of the bytes that were read: nothing is copied per record', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  await Promise.all(
    Array.from({ length: 30 }, (_, n) => log.append([{ key: `${n}`, value: 'v'.repeat(100) }])),
  )
  const memory = new Set<ArrayBufferLike>()
  for await (const batch of log.readBatches()) {
    memory.add(batch.buffer.buffer)
    for (const { key, value } of batch.records()) memory.add(key!.buffer).add(value!.buffer)
  }
  expect(memory.size).toBe(1)
})

test('with reuseMemory what was given out stays until the next is asked for, and is fetched over no sooner', async () => {
  const { log } = await coldLog()
  const buffers = new Set<ArrayBufferLike>()
  const whole: number[] = []
  for await (const batch of log.readBatches({ reuseMemory: true })) {
    // Fetching ahead must have had time to spoil what is looked at here.
    await new Promise(setImmediate)
    const records = Array.from(batch.records())
    expect(records.map(({ value }) => value!.every((byte) => byte === 0))).toEqual(records.map(() => true))
    whole.push(...records.map(({ offset }) => offset))
    buffers.add(batch.buffer.buffer)
  }
  expect(whole).toEqual(Array.from({ length: 256 }, (_, offset) => offset))
  // Chunks double from 256 KiB to 1 MiB, and two of the largest are in use in turn.
  expect(buffers.size).toBeLessThanOrEqual(5)
  await log.close()
})

test('with reuseMemory a reading that goes on comes to fetch 1 MiB at once of what is in memory, too', async () => {
  const { log, fetched } = await countedLog(false)
  await readTo(log, Infinity, { reuseMemory: true })
  expect(sizes(fetched).slice(0, 5)).toEqual([256 * KIB, 256 * KIB, 512 * KIB, MIB, MIB])
  fetched.length = 0
  await readTo(log, Infinity, { reuseMemory: true, maxBytes: 128 * KIB })
  expect(new Set(sizes(fetched))).toEqual(new Set([128 * KIB]))
  await log.close()
})

test('a batch that is larger than the memory of those before it has its own', async () => {
  const log = await openLog(temporaryDirectory(), { durability: 'os' })
  const sizes = [10, 300 * KIB, 20, 700 * KIB, 30]
  for (const size of sizes) await log.append([{ value: Buffer.alloc(size, size % 251) }])
  const seen: Array<[number, boolean]> = []
  for await (const { value } of log.read({ reuseMemory: true, maxBytes: 64 * KIB })) {
    seen.push([value!.length, value!.every((byte) => byte === value!.length % 251)])
  }
  expect(seen).toEqual(sizes.map((size) => [size, true]))
  await log.close()
})
