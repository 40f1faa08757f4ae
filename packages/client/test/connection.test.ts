// Everything a client does rests on one rule: the n-th response on a connection answers the n-th request. Whatever
// breaks the rule (a response out of order, one that never comes, half a frame and then nothing) must end the
// connection with an error that names the reason, and must never hand somebody the answer to another question.

import { afterEach, expect, test } from 'vitest'
import { fetch, FramePool, metadata, produce, ZERO_UUID } from '@varve/protocol'
import { Connection, type ConnectionOptions } from '../src/connection.js'
import { ManualClock } from './manual-clock.js'
import { outcomeOf } from './outcome.js'
import { ScriptedBroker, type ScriptedBrokerOptions } from './scripted-broker.js'

const open: Array<{ stop(): Promise<void> } | Connection> = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await (one instanceof Connection ? one.close() : one.stop())
})

async function start(options?: ScriptedBrokerOptions): Promise<ScriptedBroker> {
  const broker = await ScriptedBroker.start(options)
  open.push(broker)
  return broker
}

async function dial(broker: ScriptedBroker, options?: ConnectionOptions): Promise<Connection> {
  const connection = await Connection.dial('127.0.0.1', broker.port, options)
  open.push(connection)
  return connection
}

const topics = (...names: string[]) => ({ topics: names.map((name) => ({ name })) })
const described = (name: string) => ({
  throttleTimeMs: 0,
  brokers: [],
  clusterId: name,
  topics: [],
  errorCode: 0,
})

test('a dial tells who asks and learns what the broker serves', async () => {
  const broker = await start({ versions: { Produce: [0, 9], Fetch: null } })
  const connection = await dial(broker, { clientId: 'me' })
  expect(broker.requests[0]).toMatchObject({ name: 'ApiVersions', version: 3, clientId: 'me' })
  expect(broker.requests[0]!.body).toMatchObject({
    clientSoftwareName: 'varve',
    clientSoftwareVersion: expect.stringMatching(/^\d/),
  })
  expect(connection.versions.get(0)).toEqual({ min: 0, max: 9 })
  expect(connection.versionOf(produce)).toBe(9)
  expect(connection.versionOf(produce, 7)).toBe(7)
})

test.each([
  ['names its versions', [{ apiKey: 18, minVersion: 0, maxVersion: 2 }], 2],
  ['says nothing', [], 0],
])('a broker that refuses version 3 of ApiVersions and %s', async (_, apiKeys, expected) => {
  const broker = await start()
  broker.on('ApiVersions', (request) => {
    if (request.version <= 2) return broker.apiVersions()
    const refusal = Buffer.alloc(4 + 2 + 4 + apiKeys.length * 6)
    refusal.writeInt32BE(request.correlationId, 0)
    refusal.writeInt16BE(35, 4)
    refusal.writeInt32BE(apiKeys.length, 6)
    apiKeys.forEach(({ apiKey, minVersion, maxVersion }, index) => {
      refusal.writeInt16BE(apiKey, 10 + index * 6)
      refusal.writeInt16BE(minVersion, 12 + index * 6)
      refusal.writeInt16BE(maxVersion, 14 + index * 6)
    })
    const length = Buffer.alloc(4)
    length.writeInt32BE(refusal.length)
    request.socket.write(Buffer.concat([length, refusal]))
    return undefined
  })
  const connection = await dial(broker)
  expect(broker.requests.map(({ version }) => version)).toEqual([3, expected])
  expect(connection.versions.size).toBeGreaterThan(3)
})

test('requests are pipelined and each gets its own response', async () => {
  const broker = await start()
  const connection = await dial(broker, { maxInFlight: 10 })
  const responses = ['a', 'b', 'c'].map((name) => connection.request(metadata, topics(name)))
  const last = await broker.received('Metadata', 2)
  expect(connection.pending).toBe(3)
  const asked = broker.requests.filter(({ name }) => name === 'Metadata')
  last.socket.write(
    Buffer.concat(asked.map((request) => request.frame(described(request.body.topics[0].name)))),
  )
  expect((await Promise.all(responses)).map(({ clusterId }) => clusterId)).toEqual(['a', 'b', 'c'])
  expect(connection.pending).toBe(0)
})

test('no more than maxInFlight requests are under way', async () => {
  const broker = await start()
  const connection = await dial(broker, { maxInFlight: 2 })
  const responses = ['a', 'b', 'c'].map((name) => connection.request(metadata, topics(name)))
  ;(await broker.received('Metadata', 1)).socket.resume()
  expect(broker.count('Metadata')).toBe(2)
  ;(await broker.received('Metadata', 0)).answer(described('a'))
  await responses[0]
  const third = await broker.received('Metadata', 2)
  expect(third.body.topics[0].name).toBe('c')
  ;(await broker.received('Metadata', 1)).answer(described('b'))
  third.answer(described('c'))
  await Promise.all(responses)
})

test('a response that comes byte by byte is put together', async () => {
  const broker = await start()
  broker.on('Metadata', (request) => {
    const frame = request.frame(described('slow'))
    let at = 0
    const next = (): void => {
      if (at < frame.length) request.socket.write(frame.subarray(at, ++at), next)
    }
    next()
    return undefined
  })
  const connection = await dial(broker)
  expect((await connection.request(metadata, topics('t'))).clusterId).toBe('slow')
})

test('a response out of order ends the connection and answers nobody', async () => {
  const broker = await start()
  const connection = await dial(broker)
  const responses = [connection.request(metadata, topics('a')), connection.request(metadata, topics('b'))]
  const second = await broker.received('Metadata', 1)
  second.answer(described('b'))
  expect(await Promise.all(responses.map(outcomeOf))).toEqual([
    'VARVE_CONNECTION_CLOSED',
    'VARVE_CONNECTION_CLOSED',
  ])
  await expect(responses[1]).rejects.toMatchObject({ cause: { code: 'VARVE_CORRELATION_MISMATCH' } })
  expect(connection.closed).toBe(true)
})

test('a response that nobody asked for ends the connection', async () => {
  const broker = await start()
  const connection = await dial(broker)
  const closed = new Promise<void>((resolve) => connection.onClose(resolve))
  const asked = connection.request(metadata, topics('a'))
  const request = await broker.received('Metadata')
  request.socket.write(Buffer.concat([request.frame(described('a')), request.frame(described('a'), 99)]))
  expect((await asked).clusterId).toBe('a')
  await closed
  expect(await outcomeOf(connection.request(metadata, topics('b')))).toBe('VARVE_CONNECTION_CLOSED')
})

test('half a frame and then the end rejects what was waiting', async () => {
  const broker = await start()
  broker.on('Metadata', (request) => {
    const frame = request.frame(described('t'))
    request.socket.end(frame.subarray(0, frame.length - 3))
    return undefined
  })
  const connection = await dial(broker)
  const error: any = await connection.request(metadata, topics('t')).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'VARVE_CONNECTION_CLOSED', retriable: true })
  expect(error.message).toContain(broker.address)
})

test('a response that cannot be decoded is an error of its request', async () => {
  const broker = await start()
  broker.on('Metadata', (request) => {
    const frame = request.frame(described('t'))
    // The compact length of the array of brokers.
    frame.writeUInt8(0x7f, 13)
    request.socket.write(frame)
    return undefined
  })
  const connection = await dial(broker)
  expect(await outcomeOf(connection.request(metadata, topics('t')))).toMatch(/^VARVE_PROTOCOL_/)
  expect(connection.closed).toBe(true)
})

test('a length of 2 GB is not waited for', async () => {
  const broker = await start()
  broker.on('Metadata', (request) => void request.socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff])))
  const connection = await dial(broker)
  const error: any = await connection.request(metadata, topics('t')).catch((caught: unknown) => caught)
  expect(error).toMatchObject({
    code: 'VARVE_CONNECTION_CLOSED',
    cause: { code: 'VARVE_PROTOCOL_FRAME_TOO_LARGE' },
  })
})

test('a request without a response times out, and takes the connection with it', async () => {
  const clock = new ManualClock()
  const broker = await start()
  const connection = await dial(broker, { clock, requestTimeoutMs: 1000 })
  const first = outcomeOf(connection.request(metadata, topics('a')))
  clock.advance(400)
  const second = outcomeOf(connection.request(metadata, topics('b')))
  await broker.received('Metadata', 1)
  clock.advance(600)
  expect(await first).toBe('VARVE_REQUEST_TIMEOUT')
  expect(await second).toBe('VARVE_CONNECTION_CLOSED')
  expect(clock.pending).toBe(0)
})

test('a request that could not even be sent in time leaves the connection alone', async () => {
  const clock = new ManualClock()
  const broker = await start()
  const connection = await dial(broker, { clock, maxInFlight: 1 })
  const first = connection.request(metadata, topics('a'))
  const second = outcomeOf(connection.request(metadata, topics('b'), { timeoutMs: 500 }))
  await broker.received('Metadata')
  clock.advance(500)
  expect(await second).toBe('VARVE_REQUEST_TIMEOUT')
  ;(await broker.received('Metadata')).answer(described('a'))
  expect((await first).clusterId).toBe('a')
  expect(broker.count('Metadata')).toBe(1)
  expect(clock.pending).toBe(0)
})

test('an aborted request is rejected at once and its late response disturbs nobody', async () => {
  const broker = await start()
  const connection = await dial(broker)
  const controller = new AbortController()
  const first = connection.request(metadata, topics('a'), { signal: controller.signal })
  const second = connection.request(metadata, topics('b'))
  await broker.received('Metadata', 1)
  controller.abort(new Error('enough'))
  await expect(first).rejects.toThrow('enough')
  for (const request of broker.requests.filter(({ name }) => name === 'Metadata')) {
    request.answer(described(request.body.topics[0].name))
  }
  expect((await second).clusterId).toBe('b')
  await expect(connection.request(metadata, topics('c'), { signal: controller.signal })).rejects.toThrow(
    'enough',
  )
})

test('the memory of a response is used again once it has been released, and not before', async () => {
  const broker = await start({ versions: { Fetch: [17, 17] } })
  let answers = 0
  broker.on('Fetch', () => ({
    throttleTimeMs: 0,
    errorCode: 0,
    sessionId: 0,
    responses: [
      {
        topicId: ZERO_UUID,
        partitions: [
          { partitionIndex: 0, errorCode: 0, highWatermark: 0, records: Buffer.alloc(300_000, ++answers) },
        ],
      },
    ],
  }))
  const frames = new FramePool()
  const connection = await dial(broker, { frames })
  const ask = () => connection.requestFrame(fetch, { maxWaitMs: 0, minBytes: 0, topics: [] })
  const recordsOf = ({ body }: Awaited<ReturnType<typeof ask>>) =>
    body.responses[0]!.partitions[0]!.records as Buffer
  const kept = await ask()
  const used = new Set<ArrayBufferLike>()
  for (let n = 2; n < 8; n++) {
    const response = await ask()
    const records = recordsOf(response)
    expect([records[0], records[299_999]]).toEqual([n, n])
    used.add(records.buffer)
    response.release()
    response.release()
  }
  expect(used.size).toBeLessThan(6)
  expect(used).not.toContain(recordsOf(kept).buffer)
  expect(recordsOf(kept).equals(Buffer.alloc(300_000, 1))).toBe(true)
  connection.close()
  kept.release()
})

test('close rejects what is under way and what comes after', async () => {
  const broker = await start()
  const connection = await dial(broker)
  const asked = outcomeOf(connection.request(metadata, topics('a')))
  await broker.received('Metadata')
  connection.close()
  expect(await asked).toBe('VARVE_CONNECTION_CLOSED')
  expect(await outcomeOf(connection.request(metadata, topics('b')))).toBe('VARVE_CONNECTION_CLOSED')
})

test('no broker, no common version, no API', async () => {
  const broker = await start({ versions: { Fetch: null, Metadata: [20, 25] } })
  const connection = await dial(broker)
  expect(await outcomeOf(connection.request(metadata, topics('a')))).toBe('VARVE_UNSUPPORTED_VERSION')
  expect(() => connection.versionOf({ ...produce, key: 1, name: 'Fetch' })).toThrow('does not serve Fetch')
  const port = broker.port
  await broker.stop()
  expect(await outcomeOf(Connection.dial('127.0.0.1', port))).toBe('VARVE_CONNECTION_FAILED')
})

test('a dial can be aborted, and gives up by itself', async () => {
  const broker = await start()
  broker.on('ApiVersions', () => undefined)
  const controller = new AbortController()
  const aborted = Connection.dial('127.0.0.1', broker.port, { signal: controller.signal })
  await broker.received('ApiVersions')
  controller.abort(new Error('not now'))
  await expect(aborted).rejects.toThrow('not now')

  const clock = new ManualClock()
  const slow = outcomeOf(Connection.dial('127.0.0.1', broker.port, { clock, connectTimeoutMs: 300 }))
  await broker.received('ApiVersions', 1)
  clock.advance(300)
  expect(await slow).toBe('VARVE_REQUEST_TIMEOUT')
  expect(clock.pending).toBe(0)
})
