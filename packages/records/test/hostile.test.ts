// A broker and a consumer decode what strangers send. Bytes that are no batch, or a batch that lies about its
// lengths, must give a typed error: a RangeError from a Buffer ends a process that did not expect it, and a few
// kilobytes that expand to gigabytes end it whether it expects them or not.

import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { batchesIn, decompress, encodeBatch, RecordBatch, sealBatch, VarveError } from '../src/index.js'
import { segmentsOf } from './kafka-fixtures.js'

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (VarveError.is(error)) return error.code
    throw error
  }
  return 'nothing thrown'
}

/** Reads everything there is to read, and fails the test if anything but a VarveError comes out. */
function readEverything(bytes: Buffer): string {
  return codeOf(() => {
    for (const batch of batchesIn(bytes)) {
      void [batch.nextOffset, batch.producerId, batch.timestampType, batch.verifyCrc()]
      for (const record of batch.records({ maxDecompressedBytes: 1 << 20 })) {
        void [record.key, record.value, record.headers, record.timestampBigInt]
      }
    }
  })
}

const plain = encodeBatch([
  { key: 'k', value: 'v'.repeat(40), headers: { a: 'b', c: null } },
  { key: null, value: 'second', timestamp: 1 },
])

test.each([
  'headers-nulls',
  'rdk-gzip',
  'rdk-snappy',
  'java-snappy',
  'java-lz4',
  'rdk-zstd',
  'java-zstd',
  'logappendtime',
  'txn',
])('%s with any bytes changed', (name) => {
  const original = segmentsOf(name)[0]!
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: original.length - 1 }), fc.nat({ max: 255 })), {
        minLength: 1,
        maxLength: 6,
      }),
      (changes) => {
        const bytes = Buffer.from(original)
        for (const [at, byte] of changes) bytes[at] = byte
        readEverything(bytes)
      },
    ),
    { numRuns: 500 },
  )
})

test('random bytes behind a valid batch header', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 0, maxLength: 80 }),
      fc.nat({ max: 127 }),
      fc.nat({ max: 5 }),
      (body, attributes, count) => {
        const bytes = Buffer.concat([plain.subarray(0, 61), body])
        bytes.writeInt32BE(bytes.length - 12, 8)
        bytes.writeInt16BE(attributes, 21)
        bytes.writeInt32BE(count, 57)
        readEverything(bytes)
      },
    ),
    { numRuns: 1000 },
  )
})

test('random bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => void readEverything(Buffer.from(bytes))),
  )
})

test.each([
  ['an old message format', 'VARVE_BATCH_MAGIC', (bytes: Buffer) => bytes.writeInt8(1, 16)],
  ['a length smaller than a header', 'VARVE_BATCH_CORRUPT', (bytes: Buffer) => bytes.writeInt32BE(10, 8)],
  ['a negative length', 'VARVE_BATCH_CORRUPT', (bytes: Buffer) => bytes.writeInt32BE(-1, 8)],
  ['a length beyond the buffer', 'VARVE_BATCH_CORRUPT', (bytes: Buffer) => bytes.writeInt32BE(0x7fffffff, 8)],
  ['a negative count', 'VARVE_BATCH_INVALID', (bytes: Buffer) => bytes.writeInt32BE(-2, 57)],
  ['a negative last offset delta', 'VARVE_BATCH_INVALID', (bytes: Buffer) => bytes.writeInt32BE(-1, 23)],
])('%s', (_, code, damage) => {
  const bytes = Buffer.from(plain)
  damage(bytes)
  expect(codeOf(() => RecordBatch.parse(bytes))).toBe(code)
})

test.each([
  ['more records declared than there are', (bytes: Buffer) => bytes.writeInt32BE(3, 57)],
  ['fewer records declared than there are', (bytes: Buffer) => bytes.writeInt32BE(1, 57)],
  ['an offset beyond the last one', (bytes: Buffer) => bytes.writeInt32BE(0, 23)],
  ['an unknown codec number', (bytes: Buffer) => bytes.writeInt16BE(5, 21)],
])('%s', (_, damage) => {
  const bytes = Buffer.from(plain)
  damage(bytes)
  sealBatch(bytes, 0, bytes.length)
  expect(['VARVE_BATCH_INVALID', 'VARVE_UNSUPPORTED_CODEC']).toContain(readEverything(bytes))
})

test('a changed byte anywhere under the CRC is noticed', () => {
  for (let at = 21; at < plain.length; at++) {
    const bytes = Buffer.from(plain)
    bytes[at]! ^= 1
    expect(RecordBatch.parse(bytes).verifyCrc()).toBe(false)
  }
})

test('offsets and producer ids at the edge of 64 bits do not throw', () => {
  const bytes = Buffer.from(plain)
  bytes.fill(0x7f, 0, 8)
  bytes.writeBigInt64BE(2n ** 63n - 1n, 43)
  const batch = RecordBatch.parse(bytes)
  expect(batch.nextOffset).toBe(Number.MAX_SAFE_INTEGER)
  expect(batch.producerId).toBe(2n ** 63n - 1n)
  expect([...batch.records()].map(({ offset }) => offset)).toEqual([
    Number.MAX_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER,
  ])
})

test('a timestamp beyond 2^53 is a typed error as a number and exact as a BigInt', () => {
  const bytes = Buffer.from(plain)
  bytes.writeBigInt64BE(2n ** 62n + 1n, 27)
  bytes.writeBigInt64BE(2n ** 62n + 1n, 35)
  const batch = RecordBatch.parse(bytes)
  const [record] = batch.records()
  expect(codeOf(() => record!.timestamp)).toBe('VARVE_UNSAFE_TIMESTAMP')
  expect(record!.timestampBigInt).toBe(2n ** 62n + 1n)
  expect(codeOf(() => batch.maxTimestamp)).toBe('VARVE_UNSAFE_TIMESTAMP')
  expect(batch.maxTimestampBigInt).toBe(2n ** 62n + 1n)
})

test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('a %s bomb ends at the limit', (compression) => {
  const bomb = RecordBatch.parse(encodeBatch([{ value: Buffer.alloc(8 << 20) }], { compression }))
  expect(bomb.byteLength).toBeLessThan(1 << 19)
  expect(codeOf(() => bomb.records({ maxDecompressedBytes: 1 << 20 }))).toBe('VARVE_DECOMPRESSION_LIMIT')
  expect([...bomb.records({ maxDecompressedBytes: 16 << 20 })]).toHaveLength(1)
})

const lz4Frame = (blocks: Array<{ size: number; bytes: Buffer }>, contentSize?: bigint): Buffer => {
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, contentSize === undefined ? 0x60 : 0x68, 0x70])
  const content = Buffer.alloc(contentSize === undefined ? 0 : 8)
  if (contentSize !== undefined) content.writeBigUInt64LE(contentSize)
  const parts = blocks.map(({ size, bytes }) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(size)
    return Buffer.concat([length, bytes])
  })
  return Buffer.concat([head, content, Buffer.from([0]), ...parts])
}

test.each([
  ['nothing at all', Buffer.alloc(0)],
  ['a legacy frame', Buffer.from('02214c18000000000000', 'hex')],
  ['no end mark', lz4Frame([{ size: 3, bytes: Buffer.from('abc') }])],
  ['a block beyond the end', lz4Frame([{ size: 0x7fffffff, bytes: Buffer.from('abc') }])],
  ['a content size of 2^60', lz4Frame([{ size: 0, bytes: Buffer.alloc(0) }], 2n ** 60n)],
  ['gzip instead', gzipSync('abc')],
])('an lz4 batch with %s', (_, blob) => {
  expect(codeOf(() => decompress('lz4', blob, 1 << 20))).toBe('VARVE_BATCH_INVALID')
})

test('gzip data cut short', () => {
  expect(codeOf(() => decompress('gzip', gzipSync('some text').subarray(0, 15), 1 << 20))).toBe(
    'VARVE_BATCH_INVALID',
  )
})

test('a malformed record ends the iteration after the sound ones', () => {
  const bytes = Buffer.from(plain)
  bytes[bytes.indexOf('second') - 1] = 0x7f
  const seen: number[] = []
  const records = RecordBatch.parse(bytes).records()
  expect(
    codeOf(() => {
      for (const record of records) seen.push(record.offset)
    }),
  ).toBe('VARVE_BATCH_INVALID')
  expect(seen).toEqual([0])
  expect(records.next().done).toBe(true)
})
