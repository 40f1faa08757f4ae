// The cheapest way to stop a broker is to make it hold memory: frames that are declared and never sent, sent by half and
// kept open, or answers that nobody reads. All connections together are bounded, and whoever only takes is given up.
import { fetch, produce } from '@varve/protocol'
import { describe, expect, test } from 'vitest'
import { receivingWays } from './support/receiving-ways.js'
import {
  batchOf,
  fetchBody,
  fetchFrom,
  produceBody,
  produceTo,
  settle,
  startTestBroker,
  until,
} from './support/test-broker.js'

const MiB = 1024 * 1024

/** What the process holds outside of the heap, and inside. */
function heldBytes(): number {
  const { rss, external } = process.memoryUsage()
  return rss + external
}

const declare = (bytes: number): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix.writeInt32BE(bytes)
  return prefix
}

/** Whether a promise is settled by now. */
function over(promise: Promise<unknown>): () => boolean {
  let settled = false
  void promise.finally(() => (settled = true))
  return () => settled
}

describe.each(receivingWays)('with %s', (_way, receiving) => {
  receiving()

  test('a hundred connections that each declare 100 MB and send one byte cost next to nothing', async () => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('orders')
    const bystander = await connect()
    const before = heldBytes()
    const strangers = await Promise.all(Array.from({ length: 100 }, connect))
    for (const stranger of strangers) stranger.write(declare(100 * MiB))
    await settle(100)
    expect(heldBytes() - before).toBeLessThan(64 * MiB)
    expect((await produceTo(bystander, 'orders', 'x'.repeat(500_000))).errorCode).toBe(0)
    expect(strangers.some(({ socket }) => socket.destroyed)).toBe(false)
  })

  test('a client that reads nothing is bounded, and given up when it has read nothing for 30 s', async () => {
    const { connect, createTopic, clock, lines, disk } = await startTestBroker({
      requestMemoryBytes: 16 * MiB,
    })
    await createTopic('orders')
    const bystander = await connect()
    for (let i = 0; i < 64; i++) await produceTo(bystander, 'orders', 'x'.repeat(900_000))
    const before = heldBytes()
    const greedy = await connect()
    greedy.socket.pause()
    const everything = fetchBody('orders', { maxBytes: 2 ** 31 - 1, partitionMaxBytes: 2 ** 31 - 1 })
    for (let i = 0; i < 200; i++) greedy.send(fetch, 12, everything)
    await settle(200)
    // 200 times 55 MiB have been asked for.
    expect(heldBytes() - before).toBeLessThan(96 * MiB)
    expect((await fetchFrom(bystander, 'orders')).errorCode).toBe(0)
    clock.advance(29_000)
    await settle()
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
    clock.advance(2_000)
    await until(() => lines.some((line) => /has read nothing for 30 s/.test(line)), 'the client is given up')
    expect(disk.log('orders-0').openSlices).toBe(0)
    greedy.socket.resume()
    await greedy.closed
    expect((await produceTo(bystander, 'orders', 'x')).errorCode).toBe(0)
  })

  test('a client that reads slowly is not given up', async () => {
    const { connect, createTopic, clock } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    for (let i = 0; i < 32; i++) await produceTo(client, 'orders', 'x'.repeat(1_000_000))
    client.socket.pause()
    const answer = client.request(
      fetch,
      12,
      fetchBody('orders', { maxBytes: 2 ** 31 - 1, partitionMaxBytes: 2 ** 31 - 1 }),
    )
    for (let i = 0; i < 10; i++) {
      await settle()
      clock.advance(20_000)
      let taken = 0
      const onData = (bytes: Buffer): void => {
        taken += bytes.length
        if (taken > 2_000_000) client.socket.pause()
      }
      client.socket.on('data', onData)
      client.socket.resume()
      await settle(30)
      client.socket.pause()
      client.socket.off('data', onData)
    }
    client.socket.resume()
    expect((await answer).responses[0]!.partitions[0]!.errorCode).toBe(0)
  })

  test('half-sent large frames hold up others until their senders are given up', async () => {
    const { connect, createTopic, clock, lines } = await startTestBroker({
      requestMemoryBytes: 8 * MiB,
      maxBatchBytes: 8 * MiB,
    })
    await createTopic('orders')
    const bystander = await connect()
    const before = heldBytes()
    const strangers = await Promise.all(Array.from({ length: 6 }, connect))
    for (const stranger of strangers) {
      stranger.write(declare(90 * MiB))
      stranger.write(Buffer.alloc(3 * MiB))
    }
    await settle(100)
    expect(heldBytes() - before).toBeLessThan(64 * MiB)
    // Small requests have their own share of the memory.
    expect((await produceTo(bystander, 'orders', 'small')).errorCode).toBe(0)
    const large = produceTo(bystander, 'orders', 'x'.repeat(2 * MiB))
    const answered = over(large)
    for (let seconds = 0; seconds < 60 && !answered(); seconds++) {
      clock.advance(1000)
      await settle(20)
    }
    expect((await large).errorCode).toBe(0)
    expect(lines.some((line) => /stopped in the middle of a request/.test(line))).toBe(true)
  })

  test('a sender that trickles to keep its half-sent frame is given up too', async () => {
    const { connect, createTopic, clock, lines } = await startTestBroker({ requestMemoryBytes: 4 * MiB })
    await createTopic('orders')
    const bystander = await connect()
    const stranger = await connect()
    stranger.write(declare(90 * MiB))
    stranger.write(Buffer.alloc(6 * MiB))
    await settle(50)
    const large = produceTo(bystander, 'orders', 'x'.repeat(900_000))
    const answered = over(large)
    for (let seconds = 0; seconds < 30 && !answered(); seconds++) {
      stranger.write(Buffer.from([0]))
      clock.advance(1000)
      await settle(20)
    }
    expect((await large).errorCode).toBe(0)
    expect(lines.some((line) => /stopped in the middle of a request/.test(line))).toBe(true)
  })

  test('many large requests at once are all worked off within a small budget', async () => {
    const { connect, createTopic, disk } = await startTestBroker({ requestMemoryBytes: 4 * MiB })
    await createTopic('orders')
    const clients = await Promise.all(Array.from({ length: 12 }, connect))
    const batch = batchOf('x'.repeat(900_000))
    const answers = clients.map(async (client) => {
      for (let i = 0; i < 5; i++) client.send(produce, 9, produceBody('orders', batch))
      for (let i = 0; i < 5; i++) await client.nextFrame()
    })
    await Promise.all(answers)
    expect(disk.log('orders-0').durableOffset).toBe(60)
  })

  test('what connections held when they went is given back', async () => {
    const { connect, createTopic, disk, memory } = await startTestBroker({ requestMemoryBytes: 4 * MiB })
    await createTopic('orders')
    const log = disk.log('orders-0')
    const last = await connect()
    const large = batchOf('x'.repeat(900_000))
    for (let i = 0; i < 4; i++) await produceTo(last, 'orders', 'x'.repeat(900_000))
    log.holdDurability()
    for (let i = 0; i < 20; i++) {
      const [half, unread, unanswered] = [await connect(), await connect(), await connect()]
      half.write(declare(MiB))
      half.write(Buffer.alloc(600_000))
      unread.socket.pause()
      unread.send(fetch, 12, fetchBody('orders', { partitionMaxBytes: 50 * MiB }))
      unanswered.send(produce, 9, produceBody('orders', i % 2 === 0 ? large : batchOf('small'), { acks: 1 }))
      await settle()
      for (const client of [half, unread, unanswered]) await client.close()
    }
    // What had been received completely is still being appended.
    log.releaseDurability()
    await until(() => memory.usedBytes === 0, 'everything is given back')
    expect((await produceTo(last, 'orders', 'x'.repeat(900_000))).errorCode).toBe(0)
    expect((await fetchFrom(last, 'orders', { partitionMaxBytes: 50 * MiB })).errorCode).toBe(0)
    expect(log.openSlices).toBe(0)
  })
})
