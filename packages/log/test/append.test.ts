/**
 * Appends are gathered and written together, and code that appends without waiting relies on the order in which it did.
 * A queue that reorders kinds, that a single bad record can jam, or that writes a gigabyte in one turn of the event loop
 * passes every test that awaits each append.
 */
import { expect, test } from 'vitest'
import type { RecordInput } from '@varve/records'
import { openDataDirectory, openLog, type Log } from '../src/index.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

async function valuesIn(log: Log): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of log.read()) values.push(String(value))
  return values
}

test('gives every record its offset, in the order of the calls', async () => {
  await using log = await openLog(temporaryDirectory())
  const first = log.append([{ value: 'a' }, { value: 'b' }])
  const second = log.append([{ value: 'c' }])
  expect(await Promise.all([first, second])).toEqual([
    { baseOffset: 0, lastOffset: 1 },
    { baseOffset: 2, lastOffset: 2 },
  ])
  expect([log.startOffset, log.endOffset, log.durableOffset]).toEqual([0, 3, 3])
})

test.each(['microtask', 'immediate'] as const)(
  'keeps the order across kinds of appends (%s)',
  async (gather) => {
    await using log = await openLog(temporaryDirectory(), { gather, durability: 'os' })
    const appended = [
      log.append([{ value: '0' }]),
      ...log.appendBatches([batchOf('1', '2'), batchOf('3')]),
      log.append([{ value: '4' }]),
      log.append([{ value: '5' }]),
      ...log.appendBatches([batchOf('6')]),
    ]
    const offsets = (await Promise.all(appended)).map(({ baseOffset }) => baseOffset)
    expect(offsets).toEqual([0, 1, 3, 4, 5, 6])
    expect(await valuesIn(log)).toEqual(['0', '1', '2', '3', '4', '5', '6'])
  },
)

test('writes what is pending in a microtask, in an immediate, or at once when it is 512 KiB', async () => {
  const value = 'x'.repeat(1 << 18)
  await using microtask = await openLog(temporaryDirectory(), { durability: 'os' })
  void microtask.append([{ value: 'a' }])
  expect(microtask.endOffset).toBe(0)
  await Promise.resolve()
  expect(microtask.endOffset).toBe(1)

  await using immediate = await openLog(temporaryDirectory(), { durability: 'os', gather: 'immediate' })
  void immediate.append([{ value }])
  await Promise.resolve()
  expect(immediate.endOffset).toBe(0)
  void immediate.append([{ value }])
  expect(immediate.endOffset).toBe(2)
})

test('gives the event loop its turn after 4 MiB', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  // Batches of 1 MiB exactly, header and all.
  const value = Buffer.alloc((1 << 20) - 72)
  const appended = Array.from({ length: 12 }, () => log.append([{ value }]))
  // However many microtasks run, only the next turn of the event loop writes on.
  for (let n = 0; n < 100; n++) await Promise.resolve()
  expect(log.endOffset).toBe(4)
  await Promise.all(appended)
  expect(log.endOffset).toBe(12)
})

test('takes a batch larger than its staging buffer, up to maxBatchBytes', async () => {
  await using log = await openLog(temporaryDirectory(), { maxBatchBytes: 3 << 20 })
  const value = Buffer.alloc((3 << 20) - 100, 7)
  await log.append([{ value: 'before' }])
  expect(await log.append([{ value }])).toEqual({ baseOffset: 1, lastOffset: 1 })
  for await (const record of log.read({ from: 1 })) expect(value.equals(record.value!)).toBe(true)
  await expect(log.append([{ value: Buffer.alloc(3 << 20) }])).rejects.toMatchObject({
    code: 'VARVE_BATCH_TOO_LARGE',
    message: expect.stringContaining(`${3 << 20}`),
  })
})

test('refuses what cannot be encoded and nothing beside it', async () => {
  await using log = await openLog(temporaryDirectory())
  const good = log.append([{ value: 'good' }])
  await expect(log.append([])).rejects.toMatchObject({ code: 'VARVE_EMPTY_BATCH' })
  await expect(log.append([{ value: 5 as never }])).rejects.toMatchObject({ code: 'VARVE_RECORD_INVALID' })
  await expect(log.append([{ value: 'a', timestamp: NaN }])).rejects.toMatchObject({
    code: 'VARVE_RECORD_INVALID',
  })
  await good
  expect(log.endOffset).toBe(1)
})

test.for([
  'hello',
  undefined,
  null,
  { value: 'not in an array' },
  ['str'],
  [{}],
  [[1]],
  [null],
  [undefined],
  [Buffer.from('bytes')],
  [{ Value: 'misspelt' }],
  [{ value: 'good' }, 'bad'],
  [{ value: 'v', headers: new Map([['a', 'b']]) }],
])('stores nothing of %j', async (records) => {
  await using log = await openLog(temporaryDirectory())
  await expect(log.append(records as never)).rejects.toMatchObject({
    code: 'VARVE_RECORD_INVALID',
    message: expect.stringMatching(/must be .*, got ./),
  })
  await log.append([{ value: 'next' }])
  expect(await valuesIn(log)).toEqual(['next'])
})

test('batches that are no array are refused at once', async () => {
  await using log = await openLog(temporaryDirectory())
  for (const batches of [undefined, batchOf('a')]) {
    expect(() => log.appendBatches(batches as never)).toThrow(
      expect.objectContaining({ code: 'VARVE_BATCH_INVALID' }),
    )
  }
  expect(log.endOffset).toBe(0)
})

test.for([undefined, null, 5, '', Buffer.from('dir')])('%j names no directory', async (dir) => {
  for (const open of [openLog, openDataDirectory]) {
    await expect(open(dir as never)).rejects.toMatchObject({
      code: 'VARVE_INVALID_OPTION',
      message: expect.stringContaining('the path of a directory'),
    })
  }
})

test('a record that throws while it is encoded leaves the queue as it was', async () => {
  await using log = await openLog(temporaryDirectory())
  let asked = 0
  const record: RecordInput = {
    get value() {
      if (++asked > 1) throw new Error('asked twice')
      return 'once'
    },
  }
  await expect(log.append([record])).rejects.toThrow('asked twice')
  const [batch] = log.appendBatches([batchOf('a')])
  expect(await batch).toEqual({ baseOffset: 0, lastOffset: 0 })
})

test('an aborted signal refuses the append with its reason', async () => {
  await using log = await openLog(temporaryDirectory())
  const reason = new Error('changed my mind')
  await expect(log.append([{ value: 'a' }], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  expect(log.endOffset).toBe(0)
})

test('what a listener throws is no failure of the append', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  const uncaught: unknown[] = []
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => uncaught.push(error))
  let told = 0
  const unsubscribe = log.subscribe(() => {
    throw new Error('a mistake of the listener')
  })
  log.subscribe(() => told++)
  try {
    await log.append([{ value: 'a' }])
    await new Promise(setImmediate)
  } finally {
    unsubscribe()
    process.removeAllListeners('uncaughtException')
    for (const other of others) process.on('uncaughtException', other)
  }
  expect(told).toBe(1)
  expect(uncaught).toEqual([new Error('a mistake of the listener')])
})

test('appended batches carry the leader epoch', async () => {
  await using log = await openLog(temporaryDirectory())
  await log.append([{ value: 'a' }])
  log.setLeaderEpoch(7)
  await log.append([{ value: 'b' }])
  const epochs: number[] = []
  for await (const batch of log.readBatches()) epochs.push(batch.partitionLeaderEpoch)
  expect(epochs).toEqual([0, 7])
  for (const epoch of [-1, 1.5, NaN, 2 ** 31]) {
    expect(() => log.setLeaderEpoch(epoch)).toThrow(expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }))
  }
  expect(log.leaderEpoch).toBe(7)
})
