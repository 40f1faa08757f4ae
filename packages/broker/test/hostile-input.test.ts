// Whatever arrives at an open port will arrive. It may cost its own connection, with one line that says why; it may not
// throw into a socket's callback, which would end the process, and no other client may notice.
import { randomBytes } from 'node:crypto'
import { fetch, metadata, produce } from '@varve/protocol'
import { describe, expect, test } from 'vitest'
import { receivingWays } from './support/receiving-ways.js'
import { batchOf, fetchBody, produceBody, produceTo, settle, startTestBroker } from './support/test-broker.js'

const frame = (...bytes: number[]): Buffer => {
  const framed = Buffer.alloc(4 + bytes.length)
  framed.writeInt32BE(bytes.length)
  Buffer.from(bytes).copy(framed, 4)
  return framed
}

/** Key, version, correlation id 1, client id null. */
const header = (key: number, version: number): number[] => [
  key >> 8,
  key & 255,
  version >> 8,
  version & 255,
  0,
  0,
  0,
  1,
  255,
  255,
]

const wrong: [what: string, bytes: Buffer, line: RegExp][] = [
  ['a length of 2 GB', Buffer.from('7fffffff00', 'hex'), /declares 2147483647 bytes/],
  ['a negative length', Buffer.from('ffffffff00', 'hex'), /declares/],
  ['a length of 0', Buffer.from('00000000', 'hex'), /declares 0 bytes/],
  ['a length of 3', Buffer.from('00000003', 'hex'), /declares 3 bytes/],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /HTTP/],
  ['a TLS greeting', Buffer.from('16030102000100', 'hex'), /TLS/],
  ['a header that ends early', frame(0, 3, 0, 1, 0), /./],
  ['a client id longer than the frame', frame(0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 1), /./],
  ['an unknown API key', frame(...header(999, 0)), /API key 999/],
  ['a negative API key', frame(...header(0xffff, 0)), /API key -1/],
  ['an API of the newer groups', frame(...header(68, 0), 0), /API key 68/],
  [
    'a version of the future',
    frame(...header(3, 99), 0),
    /Metadata is served in versions 0 to 13, not in 99/,
  ],
  ['a negative version', frame(...header(1, 0x8000)), /Fetch is served in versions/],
  ['a body that ends early', frame(...header(3, 1), 0, 0, 0, 1), /MetadataRequest/],
  ['an array of 2^31-1 topics', frame(...header(3, 1), 0x7f, 0xff, 0xff, 0xff), /MetadataRequest/],
  [
    'records longer than the frame',
    frame(
      ...header(0, 3),
      255,
      255,
      255,
      255,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      1,
      0,
      1,
      0x74,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0x7f,
      0,
      0,
      0,
    ),
    /ProduceRequest/,
  ],
]

describe.each(receivingWays)('with %s', (_way, receiving) => {
  receiving()

  test.each(wrong)('%s ends its connection and no other', async (_what, bytes, line) => {
    const { connect, createTopic, lines } = await startTestBroker()
    await createTopic('orders')
    const [bystander, stranger] = [await connect(), await connect()]
    const before = lines.length
    stranger.write(bytes)
    await stranger.closed
    expect(lines.slice(before)).toHaveLength(1)
    expect(lines[before]).toMatch(/^warn closed the connection of 127\.0\.0\.1:\d+/)
    expect(lines[before]).toMatch(line)
    expect(lines[before]).not.toMatch(/\n|while working/)
    expect((await produceTo(bystander, 'orders', 'x')).errorCode).toBe(0)
  })

  test('random bytes end their connections', async () => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('orders')
    const bystander = await connect()
    for (let i = 0; i < 50; i++) {
      const stranger = await connect()
      stranger.write(randomBytes(1 + 700 * i))
      stranger.socket.end()
      await stranger.closed
    }
    expect((await produceTo(bystander, 'orders', 'x')).errorCode).toBe(0)
  })

  test('random bodies under good headers are answered or end their connections', async () => {
    const { connect, createTopic, lines } = await startTestBroker()
    await createTopic('orders')
    const bystander = await connect()
    for (const [key, version] of [
      [0, 9],
      [1, 12],
      [1, 4],
      [2, 6],
      [3, 12],
      [10, 4],
      [18, 3],
      [19, 7],
    ] as const) {
      for (let i = 0; i < 20; i++) {
        const stranger = await connect()
        stranger.write(frame(...header(key, version), ...(version > 5 ? [0] : []), ...randomBytes(1 + i * 5)))
        stranger.socket.end()
        await stranger.closed
      }
    }
    expect(lines.filter((line) => line.includes('while working'))).toEqual([])
    expect((await produceTo(bystander, 'orders', 'x')).errorCode).toBe(0)
  })

  test('a good request in front of a bad one is answered', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    client.send(produce, 9, produceBody('orders', batchOf('x')))
    const answer = client.nextFrame()
    client.write(frame(...header(999, 0)))
    await answer
    await client.closed
    expect(disk.log('orders-0').durableOffset).toBe(1)
  })

  test('a frame sent byte by byte is one frame', async () => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    const pieces: Buffer[] = []
    const write = client.write.bind(client)
    client.write = (bytes) => pieces.push(bytes)
    client.send(produce, 9, produceBody('orders', batchOf('x')))
    const answer = client.nextFrame()
    for (const byte of Buffer.concat(pieces)) {
      write(Buffer.from([byte]))
      await settle(1)
    }
    expect((await answer).readInt32BE(0)).toBe(1)
  })

  test('a half-sent frame is let be for ten minutes of silence', async () => {
    const { connect, clock, lines } = await startTestBroker()
    const [half, other] = [await connect(), await connect()]
    half.write(Buffer.from([0, 0, 1, 0, 0, 3]))
    await settle()
    clock.advance(9 * 60_000)
    other.write(Buffer.from([0, 0]))
    await settle()
    expect([half.socket.destroyed, other.socket.destroyed]).toEqual([false, false])
    clock.advance(61_000)
    await half.closed
    expect(other.socket.destroyed).toBe(false)
    expect(lines).toEqual([])
  })
})

test('what a peer calls itself cannot break a line of the log', async () => {
  const { connect, lines } = await startTestBroker()
  const client = await connect()
  client.send(produce, 9, produceBody('a\nerror b', batchOf('x'), { acks: 0 }), 'evil\n\u001b[31m')
  await client.closed
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/client id 'evil\?\?\[31m'.*a\?error b-0/)
})

test('a large request without records ends its connection before it is decoded', async () => {
  const { connect, lines } = await startTestBroker()
  const client = await connect()
  client.write(Buffer.concat([Buffer.from([0, 0x40, 0, 1, ...header(3, 1), 0x7f]), Buffer.alloc(4 << 20)]))
  await client.closed
  expect(lines.join('\n')).toMatch(/a request of 4194305 bytes that is not a Produce/)
})

test('requests of very many elements are answered, and others in between', async () => {
  const { connect, createTopic } = await startTestBroker({ autoCreateTopics: false })
  await createTopic('orders')
  const bystander = await connect()
  await produceTo(bystander, 'orders', 'x')
  const [greedy, curious] = [await connect(), await connect()]
  const partitions = Array.from({ length: 60_000 }, (_, partition) => ({
    partition,
    fetchOffset: 0,
    partitionMaxBytes: 1,
  }))
  const fetched = greedy.request(fetch, 12, {
    ...fetchBody('orders'),
    topics: [{ topic: 'orders', partitions }],
  })
  const topics = Array.from({ length: 200_000 }, (_, i) => ({ name: i.toString(36) }))
  const described = curious.request(metadata, 9, { topics })
  await settle()
  expect((await produceTo(bystander, 'orders', 'y')).errorCode).toBe(0)
  expect((await fetched).responses[0]!.partitions).toHaveLength(60_000)
  expect((await described).topics).toHaveLength(200_000)
})

test('an idle connection is closed after ten minutes, one that waits for its answer is not', async () => {
  const { connect, createTopic, disk, clock } = await startTestBroker()
  await createTopic('orders')
  disk.log('orders-0').holdDurability()
  const [idle, waiting] = [await connect(), await connect()]
  waiting.send(produce, 9, produceBody('orders', batchOf('x'), { acks: 1 }))
  await settle()
  clock.advance(601_000)
  await idle.closed
  expect(waiting.socket.destroyed).toBe(false)
  await disk.log('orders-0').flush()
  await waiting.nextFrame()
})

test.each([
  ['5000', 4_000, 2_000],
  ['-1', 24 * 3_600_000, 24 * 3_600_000],
])('connections.max.idle.ms=%s', async (maxIdleMs, idle, more) => {
  const { connect, createTopic, clock } = await startTestBroker({
    configs: { 'connections.max.idle.ms': maxIdleMs },
  })
  await createTopic('orders')
  const client = await connect()
  expect((await produceTo(client, 'orders', 'x')).errorCode).toBe(0)
  clock.advance(idle)
  await settle()
  expect(client.socket.destroyed).toBe(false)
  clock.advance(more)
  await settle()
  if (maxIdleMs === '5000') await client.closed
  else expect(client.socket.destroyed).toBe(false)
})

test('connections beyond the limit are refused, with a line now and then', async () => {
  const { connect, createTopic, lines } = await startTestBroker({ maxConnections: 3 })
  await createTopic('orders')
  const kept = [await connect(), await connect(), await connect()]
  for (let i = 0; i < 20; i++) await (await connect()).closed
  expect(lines.filter((line) => line.includes('refused a connection'))).toHaveLength(1)
  for (const client of kept) expect((await produceTo(client, 'orders', 'x')).errorCode).toBe(0)
  await kept[0]!.close()
  await settle()
  expect((await produceTo(await connect(), 'orders', 'x')).errorCode).toBe(0)
})

test('connections that would take the last file descriptors are refused, and the line says what to do', async () => {
  const { connect, lines } = await startTestBroker({ openFilesLimit: 8 })
  for (let i = 0; i < 5; i++) await (await connect()).closed
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(
    /^warn refused a connection from 127\.0\.0\.1:\d+: of the 8 files .* few are left; raise the limit \(ulimit -n\)/,
  )
})
