// A decoder that agrees only with our own encoder proves nothing: both could have the same wrong idea of the
// format. These files were written by a real Kafka for real clients, and what must come out of them was printed
// by Kafka's own tool. Encoding goes the same way: a batch that librdkafka sent must come out byte for byte.

import { describe, expect, test } from 'vitest'
import { batchesIn, encodeBatch, type RecordBatch } from '../src/index.js'
import { dumpedFields } from './kafka-dump.js'
import { dumpOf, segmentsOf } from './kafka-fixtures.js'

const topics = [
  ...['rdk', 'java', 'broker'].flatMap((writer) =>
    ['gzip', 'snappy', 'lz4', 'zstd'].map((codec) => `${writer}-${codec}`),
  ),
  'rdk-none',
  'java-none',
  'java-txn',
  'headers-nulls',
  'logappendtime',
  'idempotent',
  'txn',
  'txn-open',
  'compacted',
]
/** Their keys and values are structures of the broker's, which the tool prints decoded. */
const internalTopics = ['consumer-offsets', 'transaction-state']

const batchesOf = (name: string): RecordBatch[] =>
  segmentsOf(name).flatMap((segment) => Array.from(batchesIn(segment)))

describe.each([...topics, ...internalTopics])('%s', (name) => {
  test('batch headers are what Kafka says they are', () => {
    const expected = dumpOf(name).map(({ fields }) => fields)
    const actual = batchesOf(name).map(dumpedFields)
    expect(expected.length).toBeGreaterThan(0)
    expect(actual).toHaveLength(expected.length)
    actual.forEach((batch, index) => expect(expected[index]).toMatchObject(batch))
  })
})

describe.each([...topics, ...internalTopics])('%s', (name) => {
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
          : internalTopics.includes(name)
            ? expect.any(String)
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

test('snappy is written in the framing of Kafka’s Java side', () => {
  const [theirs] = batchesOf('broker-snappy')
  const [ours] = batchesIn(
    encodeBatch([{ value: Buffer.alloc(40_000) }, { value: 'x' }], { compression: 'snappy' }),
  )
  const framing = theirs!.buffer.subarray(61, 61 + 16)
  expect(ours!.buffer.subarray(61, 61 + 16)).toEqual(framing)
  // Two blocks: of 32 KiB, as the varint at a block's start says, and of the rest.
  const first = ours!.buffer.readInt32BE(77)
  expect(ours!.buffer.subarray(81, 84).toString('hex')).toBe('808002')
  const second = ours!.buffer.readInt32BE(81 + first)
  expect(ours!.buffer.length).toBe(85 + first + second)
})
