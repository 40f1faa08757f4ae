// A small frame can name a hundred thousand partitions. Decoded it is fifty times its size, read in one go it stands in
// everybody's way, and waiting with all of that in hand it does so for as long as it likes: on a few connections that is
// the whole broker. What such a request costs is paid for, given back as soon as possible, and worked off in portions.
import { fetch, listOffsets } from '@varve/protocol'
import { expect, test } from 'vitest'
import { elementsPerTurn } from '../src/event-loop.js'
import { recordsIn } from './memory-log.js'
import { fetchBody, fetchFrom, produceTo, settle, startTestBroker, until } from './support/test-broker.js'

const many = 100_000

/** A Fetch of `many` entries, of the same partition or each of another. */
function largeFetch(partitionOf: (entry: number) => number, wants: Parameters<typeof fetchBody>[1] = {}) {
  const partitions = Array.from({ length: many }, (_, entry) => ({
    partition: partitionOf(entry),
    fetchOffset: 0,
    partitionMaxBytes: 1 << 20,
  }))
  return { ...fetchBody('orders', wants), topics: [{ topic: 'orders', partitions }] }
}

/** Counts the turns of the event loop until a promise settles, and what `measure` was at most. */
async function during(
  promise: Promise<unknown>,
  measure: () => number,
): Promise<{ turns: number; most: number }> {
  const seen = { turns: 0, most: 0 }
  let timer: NodeJS.Immediate
  const look = (): void => {
    seen.turns++
    seen.most = Math.max(seen.most, measure())
    timer = setImmediate(look)
  }
  look()
  await promise.finally(() => clearImmediate(timer))
  return seen
}

async function withOrders() {
  const test = await startTestBroker()
  await test.createTopic('orders')
  const [greedy, bystander] = [await test.connect(), await test.connect()]
  return { ...test, greedy, bystander }
}

test('ten waiting fetches of the same partition a hundred thousand times cost an append ten looks', async () => {
  const { connect, disk, memory, bystander, clock } = await withOrders()
  const before = clock.pending
  const greedy = await Promise.all(Array.from({ length: 10 }, connect))
  const body = largeFetch(() => 0, { maxWaitMs: 20_000, minBytes: 1 << 29 })
  const answers = greedy.map((client) => client.request(fetch, 4, body))
  await until(() => clock.pending === before + 10, 'all of them wait')
  await settle()
  // What waits has given back what it was decoded to.
  expect(memory.decoded.usedBytes).toBe(0)
  await produceTo(bystander, 'orders', 'x')
  await settle()
  expect(disk.log('orders-0').slicesMade).toBe(10)
  clock.advance(20_000)
  for (const { responses } of await Promise.all(answers)) {
    expect(responses[0]!.partitions).toHaveLength(1)
    expect(recordsIn(responses[0]!.partitions[0]!.records)).toHaveLength(1)
  }
})

test('a hundred thousand partitions are read in portions, and paid for meanwhile', async () => {
  const { greedy, memory } = await withOrders()
  const answer = greedy.request(
    fetch,
    4,
    largeFetch((entry) => entry),
  )
  const { turns, most } = await during(answer, () => memory.decoded.usedBytes)
  expect(turns).toBeGreaterThan(many / elementsPerTurn)
  expect(most).toBeGreaterThan(many * 16)
  expect((await answer).responses[0]!.partitions).toHaveLength(many)
  expect(memory.decoded.usedBytes).toBe(0)
})

test('so are offsets', async () => {
  const { greedy } = await withOrders()
  const partitions = Array.from({ length: many }, (_, partitionIndex) => ({ partitionIndex, timestamp: -1 }))
  const answer = greedy.request(listOffsets, 1, { replicaId: -1, topics: [{ name: 'orders', partitions }] })
  const { turns } = await during(answer, () => 0)
  expect(turns).toBeGreaterThan(many / elementsPerTurn)
  expect((await answer).topics[0]!.partitions).toHaveLength(many)
})

test('a large request waits until it can be paid for, and small ones do not wait for it', async () => {
  const { greedy, connect, bystander, memory } = await withOrders()
  const leaver = await connect()
  let settleOther = (): void => {}
  const { limitBytes } = memory.decoded
  memory.decoded.wait(limitBytes + 1, () => {
    settleOther = () => {
      memory.decoded.release(limitBytes + 1)
      memory.decoded.settle()
    }
  })
  const answer = greedy.request(
    fetch,
    4,
    largeFetch((entry) => entry),
  )
  leaver.send(
    fetch,
    4,
    largeFetch((entry) => entry),
  )
  await until(() => memory.decoded.waiting === 2, 'both wait')
  expect((await fetchFrom(bystander, 'orders')).errorCode).toBe(0)
  leaver.socket.resetAndDestroy()
  await until(() => memory.decoded.waiting === 1, 'who leaves waits no longer')
  expect(greedy.hasUnread).toBe(false)
  settleOther()
  expect((await answer).responses[0]!.partitions).toHaveLength(many)
})
