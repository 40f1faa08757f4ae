// Clients send several requests before the first is answered and match responses by their order. One response out of
// place breaks the connection; Produce requests that wait for each other's flush make group commit worthless; a request
// that overtakes a waiting fetch sees a state that Kafka would not have shown it.
import { apiVersions, fetch, metadata, produce } from '@varve/protocol'
import { describe, expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import type { RawClient } from './support/raw-client.js'
import { batchOf, fetchBody, produceBody, settle, startTestBroker, until } from './support/test-broker.js'
import { receivingWays } from './support/receiving-ways.js'

const software = { clientSoftwareName: 'raw', clientSoftwareVersion: '1' }

async function correlationIds(client: RawClient, count: number): Promise<number[]> {
  const ids: number[] = []
  for (let i = 0; i < count; i++) ids.push((await client.nextFrame()).readInt32BE(0))
  return ids
}

describe.each(receivingWays)('with %s', (_way, receiving) => {
  receiving()

  test('responses come in the order of the requests, whichever is ready first', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    disk.log('orders-0').holdDurability()
    const client = await connect()
    client.send(produce, 9, produceBody('orders', batchOf('a')))
    client.send(produce, 9, produceBody('nowhere', batchOf('b')))
    client.send(apiVersions, 3, software)
    client.send(metadata, 12, { topics: null })
    await settle()
    expect(client.hasUnread).toBe(false)
    await disk.log('orders-0').flush()
    expect(await correlationIds(client, 4)).toEqual([1, 2, 3, 4])
  })

  test('the appends of pipelined Produce requests share a flush', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    client.socket.cork()
    for (let i = 0; i < 100; i++) client.send(produce, 9, produceBody('orders', batchOf(`${i}`)))
    client.socket.uncork()
    expect(await correlationIds(client, 100)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
    expect(Math.max(...disk.log('orders-0').groups)).toBeGreaterThan(20)
  })

  test('a fetch sees what was produced before it on the same connection', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    disk.log('orders-0').holdDurability()
    const client = await connect()
    client.send(produce, 9, produceBody('orders', batchOf('a')))
    const fetched = (async () => {
      await client.nextFrame()
      const { responses } = fetch.response.decode(await client.nextFrame(), 5, 12)
      return recordsIn(responses[0]!.partitions[0]!.records).length
    })()
    client.send(fetch, 12, fetchBody('orders'))
    await settle()
    await disk.log('orders-0').flush()
    expect(await fetched).toBe(1)
  })

  test('what follows a waiting fetch waits with it', async () => {
    const { connect, createTopic, disk, clock } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    const before = clock.pending
    client.send(fetch, 12, fetchBody('orders', { maxWaitMs: 500 }))
    client.send(produce, 9, produceBody('orders', batchOf('a')))
    await until(() => clock.pending > before, 'the fetch waits')
    await settle()
    expect([client.hasUnread, disk.log('orders-0').endOffset]).toEqual([false, 0])
    clock.advance(500)
    expect(await correlationIds(client, 2)).toEqual([1, 2])
    expect(disk.log('orders-0').endOffset).toBe(1)
  })

  test('a connection with very many requests under way is read no further, and loses none', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    const log = disk.log('orders-0')
    log.holdDurability()
    const client = await connect()
    const count = 1500
    for (let i = 0; i < count; i++) client.send(produce, 9, produceBody('orders', batchOf(`${i}`)))
    await until(() => log.endOffset >= 512, 'as many as may be are under way')
    await settle(50)
    expect(log.endOffset).toBe(512)
    const answers = correlationIds(client, count)
    while (log.durableOffset < count) {
      await log.flush()
      await settle(2)
    }
    expect(await answers).toEqual(Array.from({ length: count }, (_, i) => i + 1))
  })

  test('what was produced before the client went is stored', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    for (let i = 0; i < 700; i++) client.send(produce, 9, produceBody('orders', batchOf(`${i}`), { acks: 0 }))
    client.socket.end()
    await client.closed
    await until(() => disk.log('orders-0').durableOffset === 700, 'all of it is stored')
  })
})
