// A decoder that agrees only with our own encoder proves nothing: both could have the same wrong idea of the
// format. These files were written by a real Kafka for real clients, and what must come out of them was printed
// by Kafka's own tool. Encoding goes the same way: a batch that librdkafka sent must come out byte for byte.

import { describe, expect, test } from 'vitest'
import { batchesIn, encodeBatch, VarveError, type RecordBatch } from '../src/index.js'
import { dumpOf, segmentsOf } from './kafka-fixtures.js'

const readable = [
  'rdk-none',
  'rdk-gzip',
  'rdk-lz4',
  'java-none',
  'java-gzip',
  'java-lz4',
  'java-txn',
  'broker-gzip',
  'broker-lz4',
  'headers-nulls',
  'logappendtime',
  'idempotent',
  'txn',
  'compacted',
]

const batchesOf = (name: string): RecordBatch[] =>
  segmentsOf(name).flatMap((segment) => Array.from(batchesIn(segment)))

describe.each([...readable, 'rdk-snappy', 'rdk-zstd', 'java-snappy', 'java-zstd'])('%s', (name) => {
  test('batch headers are what Kafka says they are', () => {
    const expected = dumpOf(name).map(({ fields }) => fields)
    const actual = batchesOf(name).map((batch) => ({
      baseOffset: String(batch.baseOffset),
      lastOffset: String(batch.lastOffset),
      count: String(batch.recordsCount),
      baseSequence: String(batch.baseSequence),
      producerId: String(batch.producerId),
      producerEpoch: String(batch.producerEpoch),
      partitionLeaderEpoch: String(batch.partitionLeaderEpoch),
      isTransactional: String(batch.isTransactional),
      isControl: String(batch.isControl),
      deleteHorizonMs:
        batch.deleteHorizon === null ? 'OptionalLong.empty' : `OptionalLong[${batch.deleteHorizon}]`,
      [batch.timestampType]: String(batch.maxTimestamp),
      size: String(batch.byteLength),
      magic: String(batch.magic),
      compresscodec: batch.compression,
      crc: String(batch.crc),
      isvalid: String(batch.verifyCrc()),
    }))
    expect(expected.length).toBeGreaterThan(0)
    expect(actual).toHaveLength(expected.length)
    actual.forEach((batch, index) => expect(expected[index]).toMatchObject(batch))
  })
})

describe.each(readable)('%s', (name) => {
  test('records are what Kafka says they are', () => {
    const actual = batchesOf(name).flatMap((batch) =>
      [...batch.records()].map((record) => ({
        offset: record.offset,
        timestamp: record.timestamp,
        keySize: record.key?.length ?? -1,
        valueSize: record.value?.length ?? -1,
        headerKeys: record.headers.map(([header]) => header),
        text: batch.isControl
          ? ` endTxnMarker: ${record.key!.readInt16BE(2) === 1 ? 'COMMIT' : 'ABORT'} coordinatorEpoch: ${record.value!.readInt32BE(2)}`
          : (record.key === null ? '' : ` key: ${record.key.toString()}`) +
            (record.value === null ? '' : ` payload: ${record.value.toString()}`),
      })),
    )
    expect(actual).toEqual(dumpOf(name).flatMap(({ records }) => records))
  })
})

test('header values keep null, empty, binary and duplicates apart', () => {
  const last = [...batchesOf('headers-nulls')[0]!.records()].at(-1)!
  expect(last.headers.map(([name, value]) => [name, value === null ? null : value.length])).toEqual([
    ['a', 1],
    ['a', 1],
    ['null', null],
    ['empty', 0],
    ['bin', 256],
    ['ünï', expect.any(Number)],
  ])
  expect([...last.headers[4]![1]!]).toEqual(Array.from({ length: 256 }, (_, byte) => byte))
})

test.each(['rdk-none', 'headers-nulls'])('%s encoded again gives the bytes that Kafka stored', (name) => {
  const [batch] = batchesOf(name)
  const records = [...batch!.records()].map(({ key, value, headers, timestamp }) => ({
    key,
    value,
    headers,
    timestamp,
  }))
  expect(encodeBatch(records).equals(batch!.buffer)).toBe(true)
})

test.each(['rdk-snappy', 'java-snappy', 'rdk-zstd', 'java-zstd'])(
  '%s is refused by name, not misread',
  (name) => {
    const [batch] = batchesOf(name)
    try {
      batch!.records()
      expect.unreachable()
    } catch (error) {
      expect(VarveError.is(error) && error.code).toBe('VARVE_UNSUPPORTED_CODEC')
      expect((error as Error).message).toContain(name.split('-')[1])
    }
  },
)
