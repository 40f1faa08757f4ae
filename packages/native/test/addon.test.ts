/**
 * Between JavaScript and the engine lies a layer that nobody sees until it panics, lends an object twice or casts a number
 * quietly. It is met here directly, without the checks that `@varve/log` makes before it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { compress, crc32c, decompress, openChangedLogs, openDirectory } from '../src/index.js'
import type { NativeDirectory, NativeLog, NativeSlice } from '../src/index.js'

const dir = mkdtempSync(join(tmpdir(), 'varve-native-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const identity = { newClusterId: 'c'.repeat(22), newDirectoryId: 'd'.repeat(22) }
const config = {
  fsync: false,
  segmentBytes: 1 << 20,
  indexIntervalBytes: 4096,
  segmentIndexBytes: 10 << 20,
  maxBatchBytes: 1 << 20,
  validateRecords: true,
  logAppendTime: false,
  cleanupPolicy: 'delete' as const,
  minCleanableDirtyRatio: 0.5,
  deleteRetentionMs: 0,
  preallocate: 'off' as const,
}
let opened = 0
let directory: NativeDirectory
let log: NativeLog

beforeEach(async () => {
  directory = (await openDirectory(join(dir, `${opened++}`), identity, {
    isVolatile: false,
  })) as NativeDirectory
  const logs = await directory.openLogs(
    [{ name: 'a-0', config, number: 0 }],
    openChangedLogs(() => {}),
  )
  log = (logs as NativeLog[])[0]!
})
afterEach(async () => {
  await log.close()
  await directory.close()
})

/** A batch with one empty record, unsealed. */
function unsealed(): Uint8Array {
  const batch = Buffer.alloc(68)
  batch.writeInt32BE(56, 8)
  batch[16] = 2
  batch.fill(0xff, 43, 57)
  batch.writeInt32BE(1, 57)
  batch.set([12, 0, 0, 0, 1, 1, 0], 61)
  return batch
}

function append(): number {
  const results = new Float64Array(1)
  expect(log.appendStaged(unsealed(), Uint32Array.of(68), results)).toBe(1)
  expect(log.refusals()).toEqual([])
  return results[0]!
}

test('CRC-32C has its published check values, also in pieces', () => {
  const digits = Buffer.from('123456789')
  expect(crc32c(digits)).toBe(0xe3069283)
  expect(crc32c(Buffer.alloc(0))).toBe(0)
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
  for (let at = 0; at <= 9; at++)
    expect(crc32c(digits.subarray(at), crc32c(digits.subarray(0, at)))).toBe(0xe3069283)
})

test('the codecs give back what they were given, and failures as values', () => {
  const records = Buffer.from('order '.repeat(20_000))
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const compressed = compress(codec, records)
    expect(compressed.length, codec).toBeLessThan(records.length / 10)
    expect(records.equals(decompress(codec, compressed, records.length) as Buffer), codec).toBe(true)
    expect(decompress(codec, compressed, records.length - 1), codec).toMatchObject({
      code: 'VARVE_DECOMPRESSION_LIMIT',
      message: `the ${codec} data expands to more than ${records.length - 1} bytes`,
    })
    expect(decompress(codec, Buffer.from([1, 2, 3]), 100), codec).toMatchObject({
      code: 'VARVE_BATCH_INVALID',
    })
  }
  expect(records.equals(gunzipSync(compress('gzip', records)))).toBe(true)
  expect(records.equals(decompress('gzip', gzipSync(records), Infinity) as Buffer)).toBe(true)
  expect(() => compress('brotli' as never, records)).toThrow()
})

test('objects can be used while tasks of them run', async () => {
  expect(append()).toBe(0)
  const slice = (await log.sliceCold(0, Infinity, 100, true, false)) as NativeSlice
  const buffer = Buffer.alloc(slice.bytes)
  const tasks = [log.offsetForTime(0), log.sliceCold(0, 1, 100, true, false), slice.read(buffer, 0)]
  expect(append()).toBe(1)
  expect(log.setLeaderEpoch(3)).toBeNull()
  slice.close()
  expect(await tasks[0]).toMatchObject({ offset: 0 })
  expect(await tasks[2]).toBe(68)
  expect(buffer.readInt32BE(8)).toBe(56)
  ;((await tasks[1]) as NativeSlice).close()
})

test('an error comes as a value with its code', async () => {
  expect(log.slice(5, 10, 100, true, false)).toMatchObject({
    code: 'VARVE_OFFSET_OUT_OF_RANGE',
    message: expect.stringContaining('offset 5'),
  })
  expect(
    await openDirectory(directory.logs === undefined ? '' : join(dir, `${opened - 1}`), identity, {
      isVolatile: false,
    }),
  ).toMatchObject({
    code: 'VARVE_LOCKED',
  })
  expect(await openDirectory('/dev/null/x', identity, { isVolatile: false })).toMatchObject({
    code: 'VARVE_NOT_WRITABLE',
    errno: 20,
  })
})

test('arguments of the wrong kind are exceptions, not crashes', () => {
  const results = new Float64Array(1)
  expect(() => log.appendBatches([null as never], false, results)).toThrow()
  expect(() => log.appendStaged(new Uint8Array(10), Uint32Array.of(11), results)).toThrow('exceed')
  expect(() => log.slice('a' as never, 0, 0, true, false)).toThrow()
  expect(() => crc32c('text' as never)).toThrow()
})

test('a staged length that is no batch is refused alone', () => {
  const staging = Buffer.concat([unsealed(), Buffer.alloc(10), unsealed()])
  const results = new Float64Array(3)
  expect(log.appendStaged(staging, Uint32Array.of(68, 10, 68), results)).toBe(3)
  expect([...results]).toEqual([0, -1, 1])
  expect(log.refusals()).toMatchObject([{ code: 'VARVE_BATCH_CORRUPT' }])
})
