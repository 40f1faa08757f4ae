/**
 * A retry that is stored twice, or acknowledged before the original is durable, breaks what an idempotent producer
 * promises; an aborted or undecided record that a reader of committed records gets breaks what a transaction promises.
 */
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import {
  encodeBatch,
  encodeEndTransactionMarker,
  openLog,
  openTopic,
  type AppendResult,
  type Log,
  type ReadOptions,
} from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const idempotent = (baseSequence: number, ...values: string[]): Buffer =>
  encodeBatch(
    values.map((value) => ({ value })),
    { producer: { producerId: 7, producerEpoch: 0, baseSequence } },
  )

const transactional = (producerId: number, baseSequence: number, ...values: string[]): Buffer =>
  encodeBatch(
    values.map((value) => ({ value })),
    { producer: { producerId, producerEpoch: 0, baseSequence, transactional: true } },
  )

const marker = (producerId: number, type: 'commit' | 'abort'): Buffer =>
  encodeEndTransactionMarker({ type, producerId, producerEpoch: 0 })

const append = (log: Log, ...batches: Buffer[]): Promise<AppendResult[]> =>
  Promise.all(log.appendBatches(batches))

const committed: ReadOptions = { isolation: 'readCommitted' }

async function valuesOf(log: Log, options: ReadOptions): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of log.read(options)) values.push(String(value))
  return values
}

test.each(['os', 'fsync'] as const)(
  'a retry is answered with the offsets of the original (%s)',
  async (durability) => {
    await using log = await openLog(temporaryDirectory(), { durability })
    const first = { baseOffset: 0, lastOffset: 1 }
    expect(await append(log, idempotent(0, 'a', 'b'))).toEqual([first])
    expect(await append(log, idempotent(0, 'a', 'b'))).toEqual([first])
    expect(log.durableOffset).toBe(2)
    const together = await append(log, idempotent(2, 'c'), idempotent(2, 'c'), idempotent(0, 'a', 'b'))
    expect(together.map(({ baseOffset }) => baseOffset)).toEqual([2, 2, 0])
    expect(await valuesOf(log, {})).toEqual(['a', 'b', 'c'])
  },
)

test('a retry waits for the flush of the original', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'fsync' })
  const durableWhenTold: number[] = []
  const original = log.appendBatches([idempotent(0, 'a')])[0]!
  const retry = log.appendBatches([idempotent(0, 'a')])[0]!
  await Promise.all([original, retry].map((told) => told.then(() => durableWhenTold.push(log.durableOffset))))
  expect(durableWhenTold).toEqual([1, 1])
})

test('what a producer may not write is refused with a code, and its neighbours are not', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  const epoch = (producerEpoch: number, baseSequence: number): Buffer =>
    encodeBatch([{ value: 'v' }], { producer: { producerId: 7, producerEpoch, baseSequence } })
  const refusals = await Promise.allSettled(
    log.appendBatches([
      epoch(1, 0),
      epoch(1, 2),
      epoch(0, 1),
      transactional(8, 0, 'x'),
      encodeBatch([{ value: 'v' }], { producer: { producerId: 8, producerEpoch: 0, baseSequence: 1 } }),
      encodeEndTransactionMarker({ type: 'abort', producerId: 8, producerEpoch: 0, coordinatorEpoch: 5 }),
      encodeEndTransactionMarker({ type: 'abort', producerId: 8, producerEpoch: 0, coordinatorEpoch: 4 }),
      epoch(1, 1),
    ]),
  )
  expect(
    refusals.map((result) =>
      result.status === 'fulfilled' ? result.value.baseOffset : (result.reason as { code: string }).code,
    ),
  ).toEqual([
    0,
    'VARVE_OUT_OF_ORDER_SEQUENCE',
    'VARVE_PRODUCER_FENCED',
    1,
    'VARVE_INVALID_TXN_STATE',
    2,
    'VARVE_TRANSACTION_COORDINATOR_FENCED',
    3,
  ])
  const refused = (refusals[1] as PromiseRejectedResult).reason as Error
  expect(refused.message).toContain(log.dir)
  expect(refused.message).toMatch(/producer 7, epoch 1: got 2, expected 1/)
})

test('readers of committed records see neither aborted nor undecided ones', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'fsync' })
  await append(log, transactional(1, 0, 'a0', 'a1'), transactional(2, 0, 'b0'), idempotent(0, 'plain'))
  expect(log.lastStableOffset).toBe(0)
  expect(await valuesOf(log, committed)).toEqual([])
  expect(await valuesOf(log, {})).toEqual(['a0', 'a1', 'b0', 'plain'])
  await append(log, marker(2, 'abort'))
  expect(await valuesOf(log, committed)).toEqual([])
  await append(log, marker(1, 'commit'), transactional(2, 1, 'b1'))
  expect(log.lastStableOffset).toBe(6)
  expect(await valuesOf(log, committed)).toEqual(['a0', 'a1', 'plain'])
  expect(await valuesOf(log, { ...committed, from: 1 })).toEqual(['a1', 'plain'])
  await append(log, marker(2, 'commit'))
  expect(await valuesOf(log, committed)).toEqual(['a0', 'a1', 'plain', 'b1'])
  expect(await log.abortedTransactions(0, 100)).toEqual([{ producerId: 2, firstOffset: 2, lastOffset: 4 }])
  expect(await log.abortedTransactions(5, 100)).toEqual([])
  const controls: boolean[] = []
  for await (const batch of log.readBatches(committed)) controls.push(batch.isControl)
  expect(controls, 'whole batches come with the markers').toEqual([false, false, true, true, false, true])
})

test('a follower of committed records waits for the marker', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'fsync' })
  await append(log, transactional(1, 0, 'a'))
  const reader = log.read({ ...committed, follow: true })
  const next = reader.next()
  await append(log, encodeBatch([{ value: 'behind' }]))
  await append(log, marker(1, 'commit'))
  expect(String((await next).value?.value)).toBe('a')
  expect(String((await reader.next()).value?.value)).toBe('behind')
  await reader.return?.()
})

test('a high watermark holds markers back', async () => {
  await using log = await openLog(temporaryDirectory(), { durability: 'os' })
  log.setHighWatermark(0)
  await append(log, transactional(1, 0, 'a'), marker(1, 'commit'))
  log.setHighWatermark(1)
  expect(log.lastStableOffset).toBe(0)
  log.setHighWatermark(2)
  expect(log.lastStableOffset).toBe(2)
  expect(() => log.setHighWatermark(-1)).toThrow(/high watermark/)
})

test('sequences, open transactions and aborts outlive the process', async () => {
  const dir = temporaryDirectory()
  {
    await using log = await openLog(dir, { segmentBytes: 512 })
    for (let sequence = 0; sequence < 8; sequence++) {
      await append(log, idempotent(sequence, 'x'.repeat(60)), transactional(1, sequence, 'y'.repeat(60)))
      if (sequence % 2 === 1) await append(log, marker(1, 'abort'))
    }
    await append(log, transactional(2 ** 33, 0, 'open'))
  }
  await using log = await openLog(dir, { segmentBytes: 512 })
  expect(log.recovered).toBeNull()
  expect(log.producers()).toMatchObject([
    { producerId: 1, producerEpoch: 0, lastSequence: 7, coordinatorEpoch: 0, currentTxnStartOffset: null },
    { producerId: 7, producerEpoch: 0, lastSequence: 7, coordinatorEpoch: -1, currentTxnStartOffset: null },
    { producerId: 2 ** 33, lastSequence: 0, currentTxnStartOffset: log.endOffset - 1 },
  ])
  expect(log.lastStableOffset).toBe(log.endOffset - 1)
  expect(await log.abortedTransactions(0, log.endOffset)).toHaveLength(4)
  expect(await valuesOf(log, committed)).toEqual(Array.from({ length: 8 }, () => 'x'.repeat(60)))
  const [again] = await append(log, idempotent(7, 'x'.repeat(60)))
  expect(again!.baseOffset).toBeLessThan(log.endOffset - 1)
})

test('what Kafka committed is read, and nothing else', async () => {
  const dir = temporaryDirectory()
  mkdirSync(dir, { recursive: true })
  const fixture = fileURLToPath(new URL('../../records/test/fixtures/txn/', import.meta.url))
  for (const file of readdirSync(fixture).filter((name) => name.endsWith('.log'))) {
    copyFileSync(join(fixture, file), join(dir, file))
  }
  await using log = await openLog(dir)
  const offsets: number[] = []
  for await (const { offset } of log.read(committed)) offsets.push(offset)
  expect(offsets).toEqual([0, 1, 6, 7, 11, 12, 14])
  expect(await log.abortedTransactions(0, 16)).toEqual([
    { producerId: 1, firstOffset: 3, lastOffset: 4 },
    { producerId: 1, firstOffset: 5, lastOffset: 10 },
  ])
})

test('an isolation that there is not is refused', async () => {
  await using log = await openLog(temporaryDirectory())
  // As a caller without types may.
  const isolation = 'read_committed' as unknown as 'readCommitted'
  expect(() => log.read({ isolation })).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }) as Error,
  )
})

test('a topic read for committed records leaves out the aborted, and waits for the undecided of each partition', async () => {
  await using topic = await openTopic(temporaryDirectory(), 'orders', { partitions: 2 })
  const [first, second] = [topic.partition(0), topic.partition(1)]
  await append(first, transactional(1, 0, 'aborted'), marker(1, 'abort'))
  await append(first, transactional(1, 1, 'committed'), marker(1, 'commit'))
  await append(second, transactional(2, 0, 'open'))
  await second.append([{ value: 'behind it' }])
  const read = async (options: { isolation?: 'readCommitted' }): Promise<Set<string>> => {
    const values = new Set<string>()
    for await (const { value } of topic.read(options)) values.add(String(value))
    return values
  }
  expect(await read({ isolation: 'readCommitted' })).toEqual(new Set(['committed']))
  expect(await read({})).toEqual(new Set(['aborted', 'committed', 'open', 'behind it']))
  const following = topic.read({ isolation: 'readCommitted', from: 'end', follow: true })
  const next = following.next()
  await append(second, marker(2, 'commit'))
  expect(String((await next).value!.value)).toBe('open')
  expect(String((await following.next()).value!.value)).toBe('behind it')
  await following.return!()
  expect(() => topic.read({ isolation: 'all' as 'readCommitted' })).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }),
  )
})
