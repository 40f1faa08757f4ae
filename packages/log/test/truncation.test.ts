/**
 * A follower that keeps what its leader never had diverges silently. What is cut off must be gone for readers, slices,
 * lookups and after a restart, and appends that come meanwhile must land behind the cut, in their order.
 */
import { expect, test } from 'vitest'
import { batchesIn } from '@varve/records'
import { openLog, type Log } from '../src/index.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

async function fill(log: Log, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await log.append([{ value: `${n}`.padStart(90) }])
}

async function values(log: Log): Promise<string[]> {
  const found: string[] = []
  for await (const record of log.read()) found.push(String(record.value).trim())
  return found
}

test('what is cut off stays cut off, and appends made meanwhile follow the cut in their order', async () => {
  const dir = temporaryDirectory()
  {
    await using log = await openLog(dir, { segmentBytes: 512 })
    await fill(log, 10)
    // Too large to share a batch, which would be cut off as a whole.
    const before = ['a', 'b'].map((value) => log.append([{ value: value.padStart(300) }]))
    const cuts = [log.truncateTo(11), log.truncateTo(4)]
    const behind = ['x', 'y'].map((value) => log.append([{ value }]))
    // The first ones were durable before they were cut off.
    expect((await Promise.all(before)).map(({ baseOffset }) => baseOffset)).toEqual([10, 11])
    expect(await Promise.all(cuts)).toEqual([11, 4])
    expect((await Promise.all(behind)).map(({ baseOffset }) => baseOffset)).toEqual([4, 5])
    expect(await values(log)).toEqual(['0', '1', '2', '3', 'x', 'y'])
  }
  await using log = await openLog(dir)
  expect(log.recovered).toBeNull()
  expect(await values(log)).toEqual(['0', '1', '2', '3', 'x', 'y'])
})

test('readers that have passed the cut are told, those before it go on', async () => {
  await using log = await openLog(temporaryDirectory(), { segmentBytes: 512 })
  await fill(log, 10)
  const ahead = log.read({ follow: true, maxBytes: 1 })
  for (let n = 0; n < 10; n++) await ahead.next()
  const behind = log.read({ follow: true, maxBytes: 1 })
  await behind.next()
  const waiting = ahead.next()
  const slice = await log.slice({ from: 8 })
  await log.truncateTo(5)
  await expect(waiting).rejects.toMatchObject({ code: 'VARVE_TRUNCATED' })
  await expect(async () => slice.read()).rejects.toMatchObject({ code: 'VARVE_TRUNCATED' })
  await log.append([{ value: 'new' }])
  for (let n = 1; n < 5; n++) expect((await behind.next()).value?.offset).toBe(n)
  expect(String((await behind.next()).value?.value)).toBe('new')
  await behind.return?.()
})

test('a follower holds what its leader has, and knows where each epoch ends', async () => {
  await using leader = await openLog(temporaryDirectory(), { segmentBytes: 512 })
  await using follower = await openLog(temporaryDirectory(), { segmentBytes: 700 })
  await fill(leader, 3)
  leader.setLeaderEpoch(4)
  await fill(leader, 3)
  for (let from = 0; from < leader.endOffset;) {
    const slice = await leader.slice({ from, maxBytes: 400 })
    const { lastOffset } = await follower.appendReplicated(await slice.read())
    expect(lastOffset + 1).toBe(slice.nextOffset)
    from = slice.nextOffset
  }
  expect(await values(follower)).toEqual(await values(leader))
  for (const log of [leader, follower]) {
    expect(log.endOffsetForEpoch(0)).toEqual({ epoch: 0, endOffset: 3 })
    expect(log.endOffsetForEpoch(2)).toEqual({ epoch: 0, endOffset: 3 })
    expect(log.endOffsetForEpoch(4)).toEqual({ epoch: 4, endOffset: 6 })
    expect(log.endOffsetForEpoch(5)).toBeNull()
  }
  expect(() => follower.setLeaderEpoch(3)).toThrow(expect.objectContaining({ code: 'VARVE_EPOCH_FENCED' }))
})

test('batches that do not follow are refused, and those in front of them stay', async () => {
  await using log = await openLog(temporaryDirectory())
  const [first, second, gap] = [batchOf('a', 'b'), batchOf('c'), batchOf('d')]
  for (const [batch, offset] of [
    [first, 0],
    [second, 1],
    [gap, 10],
  ] as const) {
    batch.writeBigInt64BE(BigInt(offset), 0)
    batch.writeInt32BE(0, 12)
  }
  await expect(log.appendReplicated(Buffer.concat([first, second]))).rejects.toMatchObject({
    code: 'VARVE_BATCH_INVALID',
  })
  expect(log.endOffset).toBe(2)
  expect(await log.appendReplicated(gap)).toEqual({ baseOffset: 10, lastOffset: 10 })
  expect(await values(log)).toEqual(['a', 'b', 'd'])
  for (const bytes of [Buffer.alloc(0), gap.subarray(0, 30), Buffer.concat([gap, Buffer.alloc(3)])]) {
    await expect(log.appendReplicated(bytes)).rejects.toMatchObject({ code: 'VARVE_BATCH_CORRUPT' })
  }
  const kept = await (await log.slice({ from: 0 })).read()
  expect([...batchesIn(kept)].map((batch) => batch.baseOffset)).toEqual([0, 10])
})

test('a log starts over where its leader starts, and goes on from there', async () => {
  const dir = temporaryDirectory()
  {
    await using log = await openLog(dir, { segmentBytes: 512 })
    log.setLeaderEpoch(3)
    await fill(log, 10)
    const inFront = log.read({ follow: true, maxBytes: 1 })
    await inFront.next()
    const slice = await log.slice({ from: 8 })
    const before = log.append([{ value: 'durable, and gone' }])
    const started = log.truncateFullyAndStartAt(1000)
    const behind = log.append([{ value: 'first' }])
    expect((await before).baseOffset).toBe(10)
    expect(await started).toBe(1000)
    expect((await behind).baseOffset).toBe(1000)
    expect([log.startOffset, log.endOffset]).toEqual([1000, 1001])
    expect(log.endOffsetForEpoch(2)).toEqual({ epoch: 2, endOffset: 1000 })
    await expect(inFront.next()).rejects.toMatchObject({ code: 'VARVE_OFFSET_OUT_OF_RANGE' })
    await expect(async () => slice.read()).rejects.toMatchObject({ code: 'VARVE_TRUNCATED' })
    const ahead = log.read({ from: 1001, follow: true })
    const waiting = ahead.next()
    expect(await log.truncateFullyAndStartAt(5)).toBe(5)
    await expect(waiting).rejects.toMatchObject({ code: 'VARVE_TRUNCATED' })
    await log.append([{ value: 'again' }])
  }
  await using log = await openLog(dir)
  expect([log.recovered, log.startOffset, await values(log)]).toEqual([null, 5, ['again']])
  await expect(log.truncateFullyAndStartAt(-1)).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
})
