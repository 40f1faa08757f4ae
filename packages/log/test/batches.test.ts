/**
 * A broker hands over what clients sent, several batches in one call. One client's bad batch that fails another client's
 * good one, or a byte of it that reaches the file, would be seen by everybody who reads the partition.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { encodeBatch, RecordBatch } from '@varve/records'
import { openLog } from '../src/index.js'
import { batchOf, resealed, withAttributes } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

const settled = (promises: Array<Promise<unknown>>): Promise<unknown[]> =>
  Promise.all(promises.map((promise) => promise.catch((error: { code?: unknown }) => error.code)))

test('a bad batch never fails its neighbours, and nothing of it is stored', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir, { maxBatchBytes: 1000 })
  const flipped = batchOf('flipped')
  flipped[70]! ^= 1
  const old = batchOf('old')
  old[16] = 1
  const lying = batchOf('lying')
  lying.writeInt32BE(5, 57)
  const good = [batchOf('first'), batchOf('second', 'third'), batchOf('fourth')]
  const results = await settled(
    log.appendBatches([
      good[0]!,
      flipped,
      good[1]!,
      old,
      resealed(lying),
      batchOf('x'.repeat(1000)),
      new Uint8Array(0),
      new Uint8Array(30),
      Buffer.concat([batchOf('two'), batchOf('in one')]),
      good[2]!,
    ]),
  )
  expect(results).toEqual([
    { baseOffset: 0, lastOffset: 0 },
    'VARVE_BATCH_CORRUPT',
    { baseOffset: 1, lastOffset: 2 },
    'VARVE_BATCH_MAGIC',
    'VARVE_BATCH_INVALID',
    'VARVE_BATCH_TOO_LARGE',
    'VARVE_BATCH_CORRUPT',
    'VARVE_BATCH_MAGIC',
    'VARVE_BATCH_CORRUPT',
    { baseOffset: 3, lastOffset: 3 },
  ])
  expect(readFileSync(join(dir, '00000000000000000000.log'))).toEqual(Buffer.concat(good))
})

test('offsets and epoch are assigned in the bytes that were handed in', async () => {
  await using log = await openLog(temporaryDirectory())
  log.setLeaderEpoch(3)
  const batches = [batchOf('a', 'b'), batchOf('c')]
  await Promise.all(log.appendBatches(batches))
  expect(batches.map((batch) => RecordBatch.parse(batch).baseOffset)).toEqual([0, 2])
  expect(batches.map((batch) => RecordBatch.parse(batch).partitionLeaderEpoch)).toEqual([3, 3])
  expect(batches.every((batch) => RecordBatch.parse(batch).verifyCrc())).toBe(true)
})

test('takes any view of bytes: within a larger buffer, shared, and the same one twice', async () => {
  await using log = await openLog(temporaryDirectory())
  const batch = batchOf('value')
  const large = new Uint8Array(batch.length + 50)
  large.set(batch, 13)
  const shared = new Uint8Array(new SharedArrayBuffer(batch.length))
  shared.set(batch)
  const views = [large.subarray(13, 13 + batch.length), shared, batch, batch, batch]
  const results = await Promise.all(log.appendBatches(views))
  expect(results.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 2, 3, 4])
  const offsets: number[] = []
  for await (const { offset, value } of log.read()) {
    expect(String(value)).toBe('value')
    offsets.push(offset)
  }
  expect(offsets).toEqual([0, 1, 2, 3, 4])
  expect([...large.subarray(0, 13), ...large.subarray(13 + batch.length)].every((byte) => byte === 0)).toBe(
    true,
  )
})

test('what is no Uint8Array fails alone', async () => {
  await using log = await openLog(temporaryDirectory())
  const bad = [null, 'text', {}, new DataView(new ArrayBuffer(80)), new Uint16Array(80)] as never[]
  const results = await settled(log.appendBatches([batchOf('a'), ...bad, batchOf('b')]))
  expect(results).toEqual([
    { baseOffset: 0, lastOffset: 0 },
    ...bad.map(() => 'VARVE_BATCH_INVALID'),
    { baseOffset: 1, lastOffset: 1 },
  ])
})

test('a buffer that was transferred away before it was written fails alone', async () => {
  await using log = await openLog(temporaryDirectory())
  const gone = new Uint8Array(batchOf('gone'))
  const results = log.appendBatches([gone, batchOf('kept')])
  structuredClone(gone.buffer, { transfer: [gone.buffer] })
  expect(await settled(results)).toEqual(['VARVE_BATCH_CORRUPT', { baseOffset: 0, lastOffset: 0 }])
})

test('a compressed batch that lies about its records is refused, unless its header is to be believed', async () => {
  const lying = (): Buffer => {
    const batch = encodeBatch([{ value: 'one' }], { compression: 'zstd' })
    batch.writeInt32BE(1, 23)
    batch.writeInt32BE(2, 57)
    return resealed(batch)
  }
  await using log = await openLog(temporaryDirectory())
  expect(await settled(log.appendBatches([lying()]))).toEqual(['VARVE_BATCH_INVALID'])
  await using trusting = await openLog(temporaryDirectory(), { batchValidation: 'header' })
  expect(await settled(trusting.appendBatches([lying()]))).toEqual([{ baseOffset: 0, lastOffset: 1 }])
})

test('compressed batches are stored as they came', async () => {
  await using log = await openLog(temporaryDirectory())
  const records = Array.from({ length: 50 }, (_, n) => ({ key: `${n}`, value: 'v'.repeat(100) }))
  const sent = [encodeBatch(records, { compression: 'gzip' }), encodeBatch(records, { compression: 'lz4' })]
  await Promise.all(log.appendBatches(sent))
  let n = 0
  for await (const { offset, key } of log.read()) {
    expect([offset, String(key)]).toEqual([n, `${n % 50}`])
    n++
  }
  expect(n).toBe(100)
})

test('many bad batches at once leave nobody waiting', async () => {
  const log = await openLog(temporaryDirectory())
  const bad = Array.from({ length: 12 }, () => withAttributes(batchOf('x'.repeat(900_000)), 0))
  for (const batch of bad) batch[100]! ^= 1
  const results = settled(log.appendBatches(bad))
  await log.close()
  expect(await results).toEqual(bad.map(() => 'VARVE_BATCH_CORRUPT'))
})
