// The broker has no transactions of its own, but directories that come from Kafka hold some. A consumer that is shown
// what was not decided, or is not told what was aborted, reads payments that never happened.
import { errors, fetch, listOffsets } from '@varve/protocol'
import { encodeEndTransactionMarker, encodeBatch } from '@varve/records'
import { openLog } from '@varve/log'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fetchBody, fetchFrom, startTestBroker, temporaryDirectory } from './support/test-broker.js'
import { recordsIn } from './memory-log.js'

const transactional = (producerId: number, baseSequence: number, ...values: string[]): Buffer =>
  encodeBatch(
    values.map((value) => ({ value, timestamp: 1000 })),
    { producer: { producerId, producerEpoch: 0, baseSequence, transactional: true } },
  )
const end = (producerId: number, type: 'commit' | 'abort'): Buffer =>
  encodeEndTransactionMarker({ type, producerId, producerEpoch: 0, timestamp: 1000 })
const plain = (value: string): Buffer => encodeBatch([{ value, timestamp: 1000 }])

/** A broker whose topic `orders` was written elsewhere, one batch behind the other. */
async function withLog(...batches: Buffer[]) {
  const data = await temporaryDirectory()
  const before = await startTestBroker({ engine: true, data })
  await before.createTopic('orders')
  await before.broker.close()
  const log = await openLog(join(data, 'orders-0'))
  await Promise.all(log.appendBatches(batches))
  await log.close()
  const test = await startTestBroker({ engine: true, data })
  return { ...test, client: await test.connect() }
}

const committed = { isolationLevel: 1 }
const values = (records: Buffer | null): string[] => recordsIn(records).map(({ value }) => String(value))

test('aborted transactions are named, those that lie elsewhere are not', async () => {
  const { client } = await withLog(
    transactional(1, 0, 'a0', 'a1'), // 0, 1
    transactional(2, 0, 'b0'), // 2
    end(1, 'abort'), // 3
    transactional(2, 1, 'b1'), // 4
    end(2, 'commit'), // 5
    transactional(3, 0, 'c0'), // 6
    end(3, 'abort'), // 7
    plain('d'), // 8
  )
  const all = await fetchFrom(client, 'orders', committed)
  expect([all.highWatermark, all.lastStableOffset]).toEqual([9, 9])
  expect(all.abortedTransactions).toEqual([
    { producerId: 1, firstOffset: 0 },
    { producerId: 3, firstOffset: 6 },
  ])
  const later = await fetchFrom(client, 'orders', { ...committed, offset: 4 })
  expect(later.abortedTransactions).toEqual([{ producerId: 3, firstOffset: 6 }])
  const nothing = await fetchFrom(client, 'orders', { ...committed, offset: 9 })
  expect([nothing.abortedTransactions, nothing.records]).toEqual([[], Buffer.alloc(0)])
  const uncommitted = await fetchFrom(client, 'orders')
  expect([uncommitted.abortedTransactions, uncommitted.records!.length]).toEqual([null, all.records!.length])
})

test('what is not decided is not shown, by Fetch or by ListOffsets', async () => {
  const { client } = await withLog(plain('a'), transactional(1, 0, 'b'), plain('c'))
  const stable = await fetchFrom(client, 'orders', committed)
  expect([values(stable.records), stable.highWatermark, stable.lastStableOffset]).toEqual([['a'], 3, 1])
  expect((await fetchFrom(client, 'orders', { ...committed, offset: 2 })).errorCode).toBe(0)
  expect(values((await fetchFrom(client, 'orders')).records)).toEqual(['a', 'b', 'c'])
  const latest = async (isolationLevel: number): Promise<number> => {
    const partitions = [{ partitionIndex: 0, timestamp: -1 }]
    const { topics } = await client.request(listOffsets, 7, {
      replicaId: -1,
      isolationLevel,
      topics: [{ name: 'orders', partitions }],
    })
    return topics[0]!.partitions[0]!.offset
  }
  expect([await latest(0), await latest(1)]).toEqual([3, 1])
})

test('a consumer of committed records waits for them, not for others', async () => {
  const { client, clock } = await withLog(transactional(1, 0, 'b'), plain('c'))
  const before = clock.pending
  const answer = client.request(fetch, 12, fetchBody('orders', { ...committed, maxWaitMs: 500 }))
  while (clock.pending === before) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(500)
  const { responses } = await answer
  expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: errors.NONE.code, records: Buffer.alloc(0) })
})
