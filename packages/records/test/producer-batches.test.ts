// A batch of an idempotent or transactional producer that differs from Kafka's in one bit is refused, or taken for
// another producer's, or ends no transaction. What librdkafka, the Java client and a broker wrote must come out of the
// encoder byte for byte.

import { expect, test } from 'vitest'
import {
  batchesIn,
  decodeEndTransactionMarker,
  encodeBatch,
  encodeEndTransactionMarker,
  RecordBatch,
  type EndTransactionMarker,
  type ProducerFields,
} from '../src/index.js'
import { dumpOf, segmentsOf } from './kafka-fixtures.js'

const batchesOf = (name: string): RecordBatch[] =>
  segmentsOf(name).flatMap((segment) => Array.from(batchesIn(segment)))

function encodedAgain(batch: RecordBatch): Buffer {
  const { baseOffset, producerId, producerEpoch, baseSequence, isTransactional: transactional } = batch
  const marker = decodeEndTransactionMarker(batch)
  if (marker !== null) {
    const encoded = encodeEndTransactionMarker(marker)
    encoded.writeBigInt64BE(BigInt(baseOffset), 0)
    return encoded
  }
  const producer = { producerId, producerEpoch, baseSequence, transactional }
  return encodeBatch([...batch.records()], producerId === -1 ? { baseOffset } : { baseOffset, producer })
}

test.each(['idempotent', 'txn', 'java-txn', 'txn-open', 'java-none'])('%s is written as it was', (name) => {
  const batches = batchesOf(name).filter((batch) => batch.compression === 'none')
  expect(batches.length).toBeGreaterThan(0)
  for (const batch of batches)
    expect(encodedAgain(batch).equals(batch.buffer), `${batch.baseOffset}`).toBe(true)
})

test('markers say what the tool of Kafka says', () => {
  const controls = ['txn', 'java-txn'].flatMap((name) => {
    const dumped = dumpOf(name).flatMap(({ fields, records }) =>
      fields.isControl === 'true' ? [records[0]!.text.trim()] : [],
    )
    const markers = batchesOf(name).flatMap((batch) => decodeEndTransactionMarker(batch) ?? [])
    const told = markers.map(
      ({ type, coordinatorEpoch }) =>
        `endTxnMarker: ${type.toUpperCase()} coordinatorEpoch: ${coordinatorEpoch}`,
    )
    expect(told).toEqual(dumped)
    return told
  })
  expect(controls).toHaveLength(8)
})

test('fields of every size come back, compressed or not', () => {
  const extremes: ProducerFields[] = [
    { producerId: 0, producerEpoch: 0, baseSequence: 0 },
    { producerId: 2n ** 63n - 1n, producerEpoch: 32_767, baseSequence: 2 ** 31 - 1, transactional: true },
    { producerId: 7, producerEpoch: 1, baseSequence: -1, transactional: true },
  ]
  for (const producer of extremes) {
    for (const compression of ['none', 'gzip'] as const) {
      const batch = RecordBatch.parse(encodeBatch([{ value: 'v' }], { compression, producer }))
      expect(batch).toMatchObject({
        producerEpoch: producer.producerEpoch,
        baseSequence: producer.baseSequence,
        isTransactional: producer.transactional ?? false,
        isControl: false,
        compression,
      })
      expect(BigInt(batch.producerId)).toBe(BigInt(producer.producerId))
      expect(batch.verifyCrc()).toBe(true)
    }
  }
})

test('a field that Kafka has no room for is refused with its name', () => {
  const sound = { producerId: 1, producerEpoch: 1, baseSequence: 1 }
  const wrong: Array<[Partial<ProducerFields>, string]> = [
    [{ producerId: -1 }, 'producerId'],
    [{ producerId: 2n ** 63n }, 'producerId'],
    [{ producerId: 2 ** 53 }, 'producerId'],
    [{ producerEpoch: -1 }, 'producerEpoch'],
    [{ producerEpoch: 32_768 }, 'producerEpoch'],
    [{ baseSequence: -1 }, 'baseSequence'],
    [{ baseSequence: 2 ** 31 }, 'baseSequence'],
    [{ baseSequence: 0.5 }, 'baseSequence'],
  ]
  for (const [fields, name] of wrong) {
    const encode = (): Buffer => encodeBatch([{ value: 'v' }], { producer: { ...sound, ...fields } })
    expect(encode).toThrow(expect.objectContaining({ code: 'VARVE_RECORD_INVALID' }) as Error)
    expect(encode).toThrow(name)
  }
  const marker: EndTransactionMarker = { type: 'abort', producerId: 1, producerEpoch: 0 }
  expect(() => encodeEndTransactionMarker({ ...marker, coordinatorEpoch: -1 })).toThrow('coordinatorEpoch')
  expect(() => encodeEndTransactionMarker({ ...marker, producerId: -1 })).toThrow('producerId')
})

test('what is no marker is not taken for one', () => {
  expect(decodeEndTransactionMarker(RecordBatch.parse(encodeBatch([{ key: 'k', value: 'v' }])))).toBeNull()
  const bytes = encodeEndTransactionMarker({ type: 'commit', producerId: 1, producerEpoch: 0 })
  // The type of the control record stands behind the header, six bytes of the record and the key's version.
  bytes[69] = 2
  expect(decodeEndTransactionMarker(RecordBatch.parse(bytes))).toBeNull()
})
