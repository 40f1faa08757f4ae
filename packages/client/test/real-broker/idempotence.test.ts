// A producer that retries, and a broker that knows the numbers of its batches: whatever gets lost on the way, each record is
// there once and in order.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Admin, Consumer, Producer } from '../../src/index.js'
import { created, useRealBroker } from './real-broker.js'

const broker = useRealBroker()
let admin: Admin
beforeAll(() => {
  admin = new Admin({ brokers: broker.brokers })
})
afterAll(() => admin.close())

const values = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`.repeat(90))

async function readAll(topic: string, count: number): Promise<string[]> {
  await using consumer = new Consumer({ brokers: broker.brokers })
  consumer.assign([{ topic, partition: 0, offset: 0, end: count }])
  const read: string[] = []
  for await (const { value } of consumer) read.push(String(value))
  return read
}

test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
  'a broker takes numbered batches, %s',
  async (compression) => {
    const topic = `numbered-${compression}`
    await created(admin, { name: topic, partitions: 1 })
    await using producer = new Producer({ brokers: broker.brokers, compression, batchBytes: 500 })
    const sent = await Promise.all(values(10).map((value) => producer.send(topic, { value })))
    expect(sent.map(({ offset }) => offset)).toEqual(values(10).map((_, index) => index))
    const [{ producers }] = (await admin.describeProducers([{ topic, partition: 0 }])) as [any]
    expect(producers).toMatchObject([{ producerEpoch: 0, lastSequence: 9 }])
    expect(await readAll(topic, 10)).toEqual(values(10))
  },
)

/** Stands between a client and the broker, and cuts connections behind a number of bytes. */
async function startDetour(lose: (socket: Socket, answered: number) => boolean): Promise<() => number> {
  const { port, advertised } = broker.detour
  const sockets = new Set<Socket>()
  let lost = 0
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    const ends = [near, far]
    for (const end of ends) {
      sockets.add(end)
      end.on('error', () => undefined)
      end.on('close', () => {
        sockets.delete(end)
        for (const other of ends) other.destroy()
      })
    }
    near.pipe(far)
    far.on('data', (chunk) => {
      if (lose(near, chunk.length)) {
        lost++
        near.destroy()
      } else near.write(chunk)
    })
  }).listen(advertised, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return () => lost
}

test('answers that get lost: every record is there once, in order, and knows its offset', async () => {
  await created(admin, { name: 'cut-off', partitions: 1 })
  let answers = 0
  // Every fifth thing that the broker says is not heard.
  const lost = await startDetour(() => ++answers % 5 === 0)
  await using producer = new Producer({
    brokers: [`127.0.0.1:${broker.detour.advertised}`],
    batchBytes: 500,
    lingerMs: 0,
    retryBackoffMs: 1,
  })
  const sent: number[] = []
  for (let round = 0; round < 20; round++) {
    const some = values(200).slice(round * 10, round * 10 + 10)
    const deliveries = await Promise.all(some.map((value) => producer.send('cut-off', { value })))
    sent.push(...deliveries.map(({ offset }) => offset))
  }
  expect(lost()).toBeGreaterThan(5)
  expect(sent).toEqual(values(200).map((_, index) => index))
  expect(await admin.listOffsets([{ topic: 'cut-off', partition: 0, timestamp: 'latest' }])).toMatchObject([
    { offset: 200 },
  ])
  expect(await readAll('cut-off', 200)).toEqual(values(200))
})
