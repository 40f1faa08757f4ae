// Who reads to the end of a log must stop there, although the last offset may belong to no record: logs end in
// transaction markers, in batches that compaction has emptied, in offsets that it has removed. A reader that compares
// the offsets of records with the end waits for ever; and what lies behind the end, damage included, is none of its
// business.

import { expect, test } from 'vitest'
import { encodeBatch } from '@varve/records'
import type { ScriptedCluster } from './scripted-cluster.js'
import { expected, startCluster, startConsumer, t0, take, threeBatches, values } from './scripted-consumer.js'

/** One partition, in which offsets are missing as compaction leaves them: a batch of each [first record, last offset]. */
async function compacted(batches: ReadonlyArray<readonly [number, number]>): Promise<ScriptedCluster> {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0] }
  for (const [baseOffset, lastOffset] of batches) {
    const batch = encodeBatch([{ value: `v${baseOffset}` }], { baseOffset })
    batch.writeInt32BE(lastOffset - baseOffset, 23)
    cluster.log('t').batches.push(batch)
    cluster.log('t').endOffset = lastOffset + 1
  }
  return cluster
}

/** Turns a batch into one without records, as compaction leaves the last batch of a producer. */
function empty(batch: Buffer): Buffer {
  const header = Buffer.from(batch.subarray(0, 61))
  header.writeInt32BE(header.length - 12, 8)
  header.writeInt32BE(0, 57)
  return header
}

test('the end of an assignment ends the iteration, in the middle of a batch as well', async () => {
  const consumer = startConsumer(await threeBatches())
  for (const [offset, end] of [
    [0, 12],
    [2, 6],
    [5, 6],
    [4, 4],
    [9, 3],
  ] as const) {
    consumer.assign([{ ...t0, offset, end }])
    expect(await take(consumer, Infinity)).toEqual(expected(offset, Math.max(offset, end)))
    expect(consumer.position(t0)).toBe(Math.max(offset, end))
    // It stays at its end, and can be sent back.
    expect(await take(consumer, Infinity)).toEqual([])
  }
  consumer.assign([{ ...t0, offset: 0, end: 2 }])
  expect(await take(consumer, Infinity)).toEqual(expected(0, 2))
  consumer.seek(t0, 1)
  expect(await take(consumer, Infinity)).toEqual(expected(1, 2))
  expect(() => consumer.assign([{ ...t0, offset: 0, end: -1 }])).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_OPTION' }),
  )
})

test('partitions that have come to their ends are not asked for any more', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0, 0] }
  for (const partition of [0, 1])
    for (const from of [0, 4]) cluster.log('t', partition).add(...values(from, 4))
  const consumer = startConsumer(cluster, { maxPartitionBytes: 1 })
  consumer.assign([
    { topic: 't', partition: 0, offset: 0, end: 3 },
    { topic: 't', partition: 1, offset: 0, end: 8 },
  ])
  expect((await take(consumer, Infinity)).toSorted()).toEqual(
    [...expected(0, 3), ...expected(0, 8)].toSorted(),
  )
  const asked = cluster.brokers[0]!.requests.filter(({ name }) => name === 'Fetch')
  expect(
    asked.map(({ body }) => body.topics[0].partitions.map(({ partition }: any) => partition).toSorted()),
  ).toEqual([[0, 1], [1]])
})

test.each([
  ['a control batch', (batch: Buffer) => batch.writeInt16BE(0x30, 21)],
  ['a batch without records', null],
])('%s at the end of the log is the end', async (_, change) => {
  const cluster = await threeBatches()
  const { batches } = cluster.log('t')
  if (change === null) batches[2] = empty(batches[2]!)
  else change(batches[2]!)
  const consumer = startConsumer(cluster, { checkCrcs: false })
  consumer.assign([{ ...t0, offset: 0, end: 12 }])
  expect(await take(consumer, Infinity)).toEqual(expected(0, 8))
  expect(consumer.position(t0)).toBe(12)
  // The same with nothing else before it.
  consumer.assign([{ ...t0, offset: 8, end: 12 }])
  for await (const batch of consumer.batches()) expect.unreachable(`${batch.batch.baseOffset}`)
  expect(consumer.position(t0)).toBe(12)
})

test('offsets that compaction removed are passed over, between batches, within them and behind the last record', async () => {
  const cluster = await compacted([
    [3, 5],
    [10, 10],
    [20, 29],
  ])
  const consumer = startConsumer(cluster, { checkCrcs: false })
  const seen = ['3:v3', '10:v10', '20:v20']
  consumer.assign([{ ...t0, offset: 0, end: 30 }])
  expect(await take(consumer, Infinity)).toEqual(seen)
  expect(consumer.position(t0)).toBe(30)
  // An end that no record and no batch has.
  for (const [end, count] of [
    [4, 1],
    [8, 1],
    [15, 2],
    [25, 3],
  ] as const) {
    consumer.assign([{ ...t0, offset: 0, end }])
    expect(await take(consumer, Infinity)).toEqual(seen.slice(0, count))
    expect(consumer.position(t0)).toBe(end)
  }
})

test('a damaged batch behind the end is not looked at', async () => {
  const cluster = await threeBatches()
  cluster.log('t').batches[2]![70]! ^= 0xff
  const consumer = startConsumer(cluster)
  for (const end of [6, 8]) {
    consumer.assign([{ ...t0, offset: 0, end }])
    expect(await take(consumer, Infinity)).toEqual(expected(0, end))
  }
  cluster.log('t').batches.splice(1, 1)
  consumer.assign([{ ...t0, offset: 0, end: 8 }])
  expect(await take(consumer, Infinity)).toEqual(expected(0, 4))
})

test('bytes behind the end that are no batch do not matter', async () => {
  const cluster = await startCluster()
  cluster.topics['t'] = { leaders: [0, 0] }
  cluster.log('t', 0).add(...values(0, 2))
  cluster.log('t', 1).add(...values(0, 2))
  cluster.brokers[0]!.on('Fetch', (request) => {
    const response = cluster.fetchResponse(request, 0)
    const old = encodeBatch(values(2, 1), { baseOffset: 2 })
    old.writeInt8(1, 16)
    for (const partition of response.responses[0].partitions)
      if (partition.partitionIndex === 0) partition.records = Buffer.concat([partition.records, old])
    return response
  })
  const consumer = startConsumer(cluster)
  consumer.assign([0, 1].map((partition) => ({ topic: 't', partition, offset: 0, end: 2 })))
  expect((await take(consumer, Infinity)).toSorted()).toEqual(['0:v0', '0:v0', '1:v1', '1:v1'])
})
