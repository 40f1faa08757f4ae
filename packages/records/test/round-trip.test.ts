// Whatever a caller may legally hand in comes back: every mix of null, empty, text and binary, any order of
// timestamps, any codec. batchByteLength must be exact as well, because callers allocate by it and write by
// writeBatch: one byte too few lost the end of a batch, one too many left garbage behind it.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  BatchBuilder,
  batchByteLength,
  batchesIn,
  encodeBatch,
  RecordBatch,
  sealBatch,
  writeBatch,
  type Bytes,
  type RecordInput,
} from '../src/index.js'

const bytes: fc.Arbitrary<Bytes | undefined> = fc.oneof(
  fc.constant(null),
  fc.constant(undefined),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 200 }),
  fc.uint8Array({ maxLength: 60 }),
)
const pairs = fc.array(
  fc.tuple(
    fc.string({ maxLength: 30 }),
    bytes.map((value) => value ?? null),
  ),
  { maxLength: 4 },
)
const record: fc.Arbitrary<RecordInput> = fc
  .record(
    {
      key: bytes,
      value: bytes,
      headers: pairs,
      timestamp: fc.oneof(
        fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER }),
        fc.constant(1_700_000_000_000),
      ),
    },
    { requiredKeys: [] },
  )
  .filter((record) => 'key' in record || 'value' in record)
const batch = fc.array(record, { minLength: 1, maxLength: 20 })

const normal = (value: Bytes | undefined): Buffer | null =>
  value === null || value === undefined ? null : Buffer.from(value as string)

const NOW = 1_712_345_678_901

function expected(records: readonly RecordInput[], baseOffset: number): object[] {
  return records.map(({ key, value, headers, timestamp }, index) => ({
    offset: baseOffset + index,
    timestamp: timestamp ?? NOW,
    key: normal(key),
    value: normal(value),
    headers: ((headers ?? []) as ReadonlyArray<readonly [string, Bytes]>).map(([name, bytes]) => [
      name,
      normal(bytes),
    ]),
  }))
}

const read = (batch: RecordBatch): object[] =>
  [...batch.records()].map(({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key,
    value,
    headers,
  }))

test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
  'records come back as they went in: %s',
  (compression) => {
    fc.assert(
      fc.property(batch, fc.integer({ min: 0, max: 2 ** 52 }), (records, baseOffset) => {
        const encoded = RecordBatch.parse(encodeBatch(records, { compression, now: NOW, baseOffset }))
        expect(encoded.verifyCrc()).toBe(true)
        expect(encoded.compression).toBe(compression)
        expect(encoded.maxTimestamp).toBe(Math.max(...records.map(({ timestamp }) => timestamp ?? NOW)))
        expect(read(encoded)).toEqual(expected(records, baseOffset))
      }),
      { numRuns: 150 },
    )
  },
)

test('writeBatch fills exactly what batchByteLength said, and touches nothing around it', () => {
  fc.assert(
    fc.property(batch, fc.nat({ max: 20 }), (records, at) => {
      const length = batchByteLength(records, NOW)
      const target = Buffer.alloc(at + length + 8, 0xa5)
      const end = writeBatch(target, at, records, NOW)
      expect(end).toBe(at + length)
      expect(RecordBatch.parse(target, at).crc).toBe(0)
      sealBatch(target, at, end)
      expect(target.subarray(at, end).equals(encodeBatch(records, { now: NOW }))).toBe(true)
      expect(target.subarray(0, at).every((byte) => byte === 0xa5)).toBe(true)
      expect(target.subarray(end).every((byte) => byte === 0xa5)).toBe(true)
    }),
    { numRuns: 150 },
  )
})

test('headers given as an object are the same as pairs', () => {
  const headers = { source: 'web', trace: Buffer.from([1, 2]), nothing: null }
  expect(encodeBatch([{ value: null, headers }], { now: NOW })).toEqual(
    encodeBatch([{ value: null, headers: Object.entries(headers) }], { now: NOW }),
  )
})

test.each(['snappy', 'lz4', 'zstd'] as const)(
  'a large %s batch spans several blocks and comes back',
  (compression) => {
    const value = Buffer.from(Array.from({ length: 700_000 }, (_, index) => (index * index) >>> 7))
    const encoded = RecordBatch.parse(encodeBatch([{ value }, { value }], { compression }))
    expect([...encoded.records()].map((record) => record.value!.equals(value))).toEqual([true, true])
  },
)

test('several batches are found one after another, and one that is cut short ends quietly', () => {
  const first = encodeBatch([{ value: 'a' }, { value: 'b' }], { baseOffset: 5 })
  const second = encodeBatch([{ value: 'c' }], { baseOffset: 7 })
  const both = Buffer.concat([first, second])
  for (let cut = 0; cut <= both.length; cut++) {
    const found = [...batchesIn(both.subarray(0, cut))].map(({ baseOffset }) => baseOffset)
    expect(found).toEqual(cut < first.length ? [] : cut < both.length ? [5] : [5, 7])
  }
})

test('parts of a record are views of the memory that was decoded, not copies', () => {
  const encoded = encodeBatch([{ key: 'key', value: 'value' }])
  const [record] = RecordBatch.parse(encoded).records()
  encoded[encoded.indexOf('value')] = 'V'.charCodeAt(0)
  expect(record!.value!.toString()).toBe('Value')
  expect(record!.value).toBe(record!.value)
})

test('a batch built record by record is the batch encoded at once', () => {
  fc.assert(
    fc.property(batch, fc.constantFrom('none', 'gzip', 'snappy', 'lz4', 'zstd'), (records, compression) => {
      const builder = new BatchBuilder(1 << 20)
      for (const record of records) expect(builder.append(record, NOW)).toBe(true)
      expect(builder.byteLength).toBe(batchByteLength(records, NOW))
      expect(builder.finish(compression).equals(encodeBatch(records, { compression, now: NOW }))).toBe(true)
    }),
    { numRuns: 150 },
  )
})

test('a full builder refuses the next record and stays what it was', () => {
  const record = { value: Buffer.alloc(100) }
  for (const maxBytes of [200, 400, 3000, 5000]) {
    const builder = new BatchBuilder(maxBytes)
    const records: RecordInput[] = []
    while (builder.append(record, NOW)) records.push(record)
    expect(builder.recordsCount).toBe(records.length)
    expect(builder.byteLength).toBe(batchByteLength(records, NOW))
    expect(builder.byteLength).toBeLessThanOrEqual(maxBytes)
    expect(batchByteLength([...records, record], NOW)).toBeGreaterThan(maxBytes)
    expect(() => builder.append({ timestamp: -7 }, NOW)).toThrow('timestamp')
    expect(builder.finish().equals(encodeBatch(records, { now: NOW }))).toBe(true)
  }
})

test('a record larger than the limit gets a batch to itself', () => {
  const builder = new BatchBuilder(1000)
  const large = { value: Buffer.alloc(5000, 'x') }
  expect(builder.append(large, NOW)).toBe(true)
  expect(builder.append({ value: 'y' }, NOW)).toBe(false)
  expect(builder.finish().equals(encodeBatch([large], { now: NOW }))).toBe(true)
})
