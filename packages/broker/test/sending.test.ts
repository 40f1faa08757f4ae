// Records go from the files of a log to a socket past everything that the broker knows of: past its memory, its order, its
// watch over peers who take nothing. Each of these has to hold as it does for bytes that it writes itself, and the other
// way about where the system sends no files.
import { readdirSync, readlinkSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { apiVersions, fetch, metadata, produce } from '@varve/protocol'
import { describe, expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import type { RawClient } from './support/raw-client.js'
import { sendingWays } from './support/sending-ways.js'
import {
  batchOf,
  fetchBody,
  fetchFrom,
  produceBody,
  produceTo,
  settle,
  startTestBroker,
  temporaryDirectory,
  until,
  type TestBrokerOptions,
} from './support/test-broker.js'

const MiB = 1024 * 1024

/** A broker over real files, with a topic of `batches` batches of one large value each. */
async function brokerWith(batches: number, options: TestBrokerOptions = {}) {
  const data = await temporaryDirectory()
  const test = await startTestBroker({ engine: true, data, durability: 'os', ...options })
  await test.createTopic('orders')
  const client = await test.connect()
  for (let i = 0; i < batches; i++) await produceTo(client, 'orders', value(i))
  const file = join(data, 'orders-0', '00000000000000000000.log')
  return { ...test, client, file }
}

const value = (i: number): string => `${i} `.repeat(900_000 / `${i} `.length)

const everything = { maxBytes: 2 ** 31 - 1, partitionMaxBytes: 2 ** 31 - 1 }

/** How many descriptors this process has of a file, where the system tells. */
function descriptorsOf(file: string): number {
  if (process.platform !== 'linux') return 0
  const target = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }
  return readdirSync('/proc/self/fd').filter((fd) => target(fd) === file).length
}

async function frames(client: RawClient, count: number): Promise<Buffer[]> {
  const received: Buffer[] = []
  for (let i = 0; i < count; i++) received.push(await client.nextFrame())
  return received
}

describe.each(sendingWays)('by %s', (way, sending) => {
  sending()

  test('responses of all kinds and sizes leave in the order of their requests', async () => {
    const { client, connect } = await brokerWith(20)
    const pipelining = await connect()
    const offsets: number[] = []
    for (let i = 0; i < 60; i++) {
      const offset = (i * 7) % 20
      if (i % 3 === 0) {
        pipelining.send(fetch, 12, fetchBody('orders', { offset, partitionMaxBytes: 1 + (i % 4) * 2 * MiB }))
        offsets[i] = offset
      } else if (i % 3 === 1) pipelining.send(metadata, 12, { topics: null })
      else pipelining.send(produce, 9, produceBody('small', batchOf('x'), { acks: 1 }))
    }
    pipelining.send(apiVersions, 3, { clientSoftwareName: 'raw', clientSoftwareVersion: '1' })
    const received = await frames(pipelining, 61)
    expect(received.map((frame) => frame.readInt32BE(0))).toEqual(received.map((_, i) => i + 1))
    for (const [i, offset] of offsets.entries()) {
      if (offset === undefined) continue
      const partition = fetch.response.decode(received[i]!, 5, 12).responses[0]!.partitions[0]!
      const records = recordsIn(partition.records)
      expect(records.length).toBeGreaterThan(0)
      for (const [n, record] of records.entries()) {
        expect(record.offset).toBe(offset + n)
        expect(String(record.value)).toBe(value(offset + n))
      }
    }
    expect((await fetchFrom(client, 'orders', everything)).errorCode).toBe(0)
  })

  test('a client that reads nothing costs little memory, and is given up after 30 s', async () => {
    const { client, connect, memory, clock, lines, file } = await brokerWith(20, {
      requestMemoryBytes: 16 * MiB,
    })
    const before = descriptorsOf(file)
    const greedy = await connect()
    greedy.socket.pause()
    for (let i = 0; i < 50; i++) greedy.send(fetch, 12, fetchBody('orders', everything))
    // What is read waits in memory for the client, a chunk or two of it; what is sent does not.
    if (way === 'read and write') await until(() => memory.usedBytes > 64 * 1024, 'a chunk waits for it')
    await settle(200)
    expect(memory.usedBytes).toBeLessThan(256 * 1024)
    expect((await fetchFrom(client, 'orders', everything)).errorCode).toBe(0)
    clock.advance(29_000)
    await settle()
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
    // The sender's thread may have filled the kernel's buffers only lately, which counts as progress.
    await until(() => {
      clock.advance(2_000)
      return lines.some((line) => /has read nothing for 30 s/.test(line))
    }, 'the client is given up')
    await until(() => descriptorsOf(file) <= before, 'its files are let go of')
    greedy.socket.resume()
    await greedy.closed
    expect((await produceTo(client, 'orders', 'x')).errorCode).toBe(0)
  })

  test('a client that reads slowly is not given up', async () => {
    const { connect, clock } = await brokerWith(24)
    const client = await connect()
    client.socket.pause()
    const answer = client.request(fetch, 12, fetchBody('orders', everything))
    for (let i = 0; i < 6; i++) {
      await settle()
      clock.advance(20_000)
      for (let taken = 0; taken < 2_000_000;) {
        const chunk = client.socket.read() as Buffer | null
        if (chunk === null) await settle(1)
        else taken += chunk.length
      }
      await settle(30)
    }
    client.socket.resume()
    expect((await answer).responses[0]!.partitions[0]!.errorCode).toBe(0)
  })

  test('clients that go in the middle of a response leave nothing behind', async () => {
    const { client, connect, lines, memory, file } = await brokerWith(20)
    const before = descriptorsOf(file)
    for (let i = 0; i < 20; i++) {
      const leaving = await connect()
      leaving.socket.pause()
      leaving.send(fetch, 12, fetchBody('orders', everything))
      leaving.send(fetch, 12, fetchBody('orders', everything))
      await settle()
      if (i % 2 === 0) leaving.socket.resetAndDestroy()
      else leaving.socket.destroy()
    }
    await until(() => memory.usedBytes === 0, 'everything is given back')
    await until(() => descriptorsOf(file) <= before, 'all files are let go of')
    expect((await fetchFrom(client, 'orders', everything)).errorCode).toBe(0)
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
  })

  test('a client that has sent its last request is answered', async () => {
    const { connect } = await brokerWith(20)
    const client = await connect()
    client.socket.pause()
    client.send(fetch, 12, fetchBody('orders', everything))
    client.send(metadata, 12, { topics: null })
    client.socket.end()
    await settle(100)
    client.socket.resume()
    const received = await frames(client, 2)
    expect(received.map((frame) => frame.readInt32BE(0))).toEqual([1, 2])
    expect(received[0]!.length).toBeGreaterThan(17_900_000)
    await client.closed
  })

  test('a closing broker finishes the response that is on its way', async () => {
    const { connect, broker } = await brokerWith(20)
    const client = await connect()
    client.socket.pause()
    client.send(fetch, 12, fetchBody('orders', everything))
    await until(() => client.socket.bytesRead > 0, 'the response is on its way')
    const closed = broker.close()
    await settle()
    client.socket.resume()
    expect((await client.nextFrame()).length).toBeGreaterThan(17_900_000)
    await closed
    await client.closed
  })

  test('a file that ends too early ends the connection, and the log says why', async () => {
    const { connect, lines, file } = await brokerWith(20)
    const client = await connect()
    client.socket.pause()
    client.send(fetch, 12, fetchBody('orders', everything))
    await until(() => client.socket.bytesRead > 0, 'the response is on its way')
    await settle(200)
    truncateSync(file, 17_000_000)
    client.socket.resume()
    await client.closed
    await until(() => lines.some((line) => line.startsWith('warn')), 'there is a line')
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([
      expect.stringMatching(
        /^warn closed the connection of .*: a response could not be read from the log: .*\.log is corrupt at byte .*the file has become shorter/,
      ),
    ])
  })
})
