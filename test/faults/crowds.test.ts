/**
 * Thousands of clients that only hold a connection, and hundreds that take their answers a drop at a time, are what a broker
 * meets on every working day. If each costs it a little too much, or the slow ones stand in line before the quick ones, it ends
 * at the busiest moment. So a broker in a process of its own has such crowds here, while somebody else goes on to be served.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { apiVersions, fetch } from '@varve/protocol'
import { Admin } from '@varve/client'
import { describe, expect, test, type TestContext } from 'vitest'
import { RawClient } from '../../packages/broker/test/support/raw-client.js'
import { sendingWays } from '../../packages/broker/test/support/sending-ways.js'
import { fetchBody, fetchFrom, produceTo } from '../../packages/broker/test/support/test-broker.js'
import { BrokerProcess } from '../support/broker-process.js'
import { temporaryDirectory } from '../support/tree.js'

const MIB = 1 << 20
const TIMEOUT = 120_000

function needsLinux(context: TestContext): void {
  if (process.platform !== 'linux') context.skip('memory and descriptors are read in /proc, which Linux has')
}

/** What the broker's process has in memory. */
function residentBytes({ child }: BrokerProcess): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))!
  return Number(kib) * 1024
}

const descriptors = ({ child }: BrokerProcess): number => readdirSync(`/proc/${child.pid}/fd`).length

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function startWith(topics: readonly string[], ...args: string[]): Promise<BrokerProcess> {
  const data = join(temporaryDirectory(), 'data')
  const broker = await BrokerProcess.start(data, ['--durability', 'os', ...args])
  const admin = new Admin({ brokers: [broker.address] })
  await admin.createTopics(topics.map((name) => ({ name, partitions: 1 })))
  await admin.close()
  return broker
}

/** Writes a record and reads it back, `times` times; who has to stand in line for long fails the test by its time. */
async function isServed(client: RawClient, topic: string, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    const { errorCode, baseOffset } = await produceTo(client, topic, `${n}`)
    expect(errorCode).toBe(0)
    const fetched = await fetchFrom(client, topic, { offset: baseOffset })
    expect([fetched.errorCode, fetched.highWatermark]).toEqual([0, baseOffset + 1])
  }
}

test(
  '10,000 clients that hold a connection cost little memory, and nobody else notices',
  { timeout: TIMEOUT },
  async (context) => {
    needsLinux(context)
    const CLIENTS = 10_000
    const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))!
    if (Number(limit) < 2 * CLIENTS)
      context.skip(`${limit} descriptors are too few; allow more with: ulimit -n`)
    const broker = await startWith(['orders'], '--max-connections', String(CLIENTS + 10))
    const client = await RawClient.connect(broker.port)
    await isServed(client, 'orders', 10)
    const [before, descriptorsBefore] = [residentBytes(broker), descriptors(broker)]
    const crowd: RawClient[] = []
    while (crowd.length < CLIENTS) {
      const more = await Promise.all(Array.from({ length: 500 }, () => RawClient.connect(broker.port)))
      // As each client does: first it asks what it may ask for.
      await Promise.all(more.map((each) => each.request(apiVersions, 0, {})))
      crowd.push(...more)
    }
    expect(descriptors(broker)).toBeGreaterThanOrEqual(descriptorsBefore + CLIENTS)
    await isServed(client, 'orders', 100)
    expect(residentBytes(broker) - before).toBeLessThan(300 * MIB)
    await Promise.all(crowd.map((each) => each.close()))
    await until(() => descriptors(broker) <= descriptorsBefore, 'all of their descriptors are closed')
    await isServed(client, 'orders', 10)
    await client.close()
    expect(broker.errors).toBe('')
    expect(await broker.stop()).toBe(0)
  },
)

describe.each(sendingWays)('by %s', (_way, sending) => {
  sending()

  test(
    '200 clients that read slowly are bounded, get every byte, and hold up nobody',
    { timeout: TIMEOUT },
    async (context) => {
      needsLinux(context)
      const [READERS, BATCHES] = [200, 8]
      const broker = await startWith(['archive', 'orders'], '--request-memory-bytes', String(64 * MIB))
      const client = await RawClient.connect(broker.port)
      for (let n = 0; n < BATCHES; n++) await produceTo(client, 'archive', `${n} `.repeat(500_000))
      const everything = fetchBody('archive', { maxBytes: 2 ** 31 - 1, partitionMaxBytes: 2 ** 31 - 1 })
      const first = await RawClient.connect(broker.port)
      first.send(fetch, 12, everything)
      // Without its length and the number of the request.
      const expected = await first.nextFrame()
      expect(expected.length).toBeGreaterThan(BATCHES * 1_000_000)
      await first.close()
      const before = residentBytes(broker)

      const readers = await Promise.all(
        Array.from({ length: READERS }, async () => {
          const reader = await RawClient.connect(broker.port)
          reader.socket.removeAllListeners('data').pause()
          reader.send(fetch, 12, everything)
          return { socket: reader.socket, position: -4, reader }
        }),
      )
      let most = 0
      let rounds = 0
      for (let waiting = readers; waiting.length > 0; rounds++) {
        if (rounds % 50 === 0) {
          await isServed(client, 'orders', 2)
          most = Math.max(most, residentBytes(broker))
        }
        for (const reader of waiting) {
          const chunk = reader.socket.read() as Buffer | null
          if (chunk === null) continue
          const content = reader.position < 0 ? chunk.subarray(-reader.position) : chunk
          const from = Math.max(0, reader.position)
          if (!content.equals(expected.subarray(from, from + content.length)))
            throw new Error(`other bytes than expected at ${from}`)
          reader.position += chunk.length
        }
        waiting = waiting.filter(({ position }) => position < expected.length)
        await new Promise(setImmediate)
      }
      expect(most - before).toBeLessThan(160 * MIB)
      await Promise.all(readers.map(({ reader }) => reader.close()))
      await client.close()
      expect(broker.errors).toBe('')
      expect(await broker.stop()).toBe(0)
    },
  )
})
