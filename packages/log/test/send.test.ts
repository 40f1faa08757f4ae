/**
 * A response's length is told before its bytes are sent. One byte lost, doubled or out of place between the header that
 * Node writes and the file that the kernel sends, and the peer takes the rest of the connection for something else; one
 * send that never ends holds a file, a descriptor and a client for ever.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, truncateSync, unlinkSync } from 'node:fs'
import { connect, createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openLog, send, sendsFiles, unsentBytes, VarveError, type Log, type Slice } from '../src/index.js'
import { batchOf } from './sample-batch.js'
import { sendingWays } from './sending-ways.js'
import { hashOf, received, socketPair } from './socket-pair.js'
import { temporaryDirectory } from './temporary-directory.js'

const MiB = 1 << 20

/** A log of about so many bytes that no two batches of are the same, and what its one file holds. */
async function logOf(
  bytes: number,
  segmentBytes = 1 << 30,
): Promise<{ log: Log; file: string; content: Buffer }> {
  const log = await openLog(temporaryDirectory(), { durability: 'os', segmentBytes })
  onTestFinished(() => log.close())
  const appended: Array<Promise<unknown>> = []
  for (let left = bytes; left > 0; left -= 49_000) {
    appended.push(...log.appendBatches([batchOf(randomBytes(24_900).toString('hex'))]))
  }
  await Promise.all(appended)
  const file = join(log.dir, '00000000000000000000.log')
  return { log, file, content: readFileSync(file) }
}

const everything = (log: Log): Slice => log.slice({ from: 0, maxBytes: Infinity }) as Slice

/** A pseudorandom sequence of numbers below 1. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return state / 2 ** 32
  }
}

const failed = (code: string) =>
  expect.objectContaining({ code: 'VARVE_SEND_FAILED', cause: expect.objectContaining({ code }) })

/** Waits until the peer, who does not read, has been sent something of so many bytes, and takes nothing more. */
async function untilFull(near: Socket, bytes: number): Promise<void> {
  for (let left = 0; left === 0 || left === bytes || left !== unsentBytes(near); await sleep(50))
    left = unsentBytes(near)
}

describe.each(sendingWays)('by %s', (way, apply) => {
  apply()

  test('bytes and slices arrive in order, behind what was written before', async () => {
    const { log, content } = await logOf(6 * MiB)
    const { near, far } = await socketPair()
    const arrived = received(far)
    near.write('written before')
    const slices = [everything(log), everything(log)]
    expect(sendsFiles(near, slices)).toBe(way === 'sendfile')
    await send(near, [
      Buffer.from('header'),
      slices[0]!,
      Buffer.from('between'),
      slices[1]!,
      new Uint8Array(3),
    ])
    near.end('written after')
    const sent = ['written before', 'header', content, 'between', content, Buffer.alloc(3), 'written after']
    expect((await arrived).hash).toBe(hashOf(...sent.map((part) => Buffer.from(part as string))))
    for (const slice of slices)
      expect(() => slice.read()).toThrow(expect.objectContaining({ code: 'VARVE_LOG_CLOSED' }))
  })

  test('random writes and sends, waited for or not, arrive as one stream', { timeout: 60_000 }, async () => {
    const { log, content } = await logOf(8 * MiB)
    const { near, far } = await socketPair()
    const arrived = received(far)
    const next = random(42)
    const expected: Uint8Array[] = []
    const noise = randomBytes(3 * MiB)
    const bytes = (): Buffer => noise.subarray(0, Math.floor(next() ** 4 * noise.length))
    for (let round = 0; round < 60; round++) {
      for (let writes = Math.floor(next() * 3); writes > 0; writes--) {
        expected.push(bytes())
        near.write(expected.at(-1)!)
      }
      const sends: Array<Promise<void>> = []
      for (let count = Math.floor(next() * 3); count > 0; count--) {
        const parts: Array<Uint8Array | Slice> = []
        for (let size = Math.floor(next() * 4); size > 0; size--) {
          if (next() < 0.5) {
            parts.push(bytes())
            expected.push(parts.at(-1) as Buffer)
            continue
          }
          const from = Math.floor(next() * log.endOffset)
          const slice = (await log.slice({ from, maxBytes: Math.floor(next() ** 2 * 4 * MiB) })) as Slice
          parts.push(slice)
          expected.push((await slice.read()) as Buffer)
        }
        sends.push(send(near, parts))
      }
      await Promise.all(sends)
    }
    near.end()
    expect(await arrived).toEqual({
      bytes: expected.reduce((sum, { length }) => sum + length, 0),
      hash: hashOf(...expected),
    })
    expect(content.length).toBeGreaterThan(8 * MiB)
  })

  test('a slow reader gets everything', async () => {
    const { log, content } = await logOf(12 * MiB)
    const { near, far } = await socketPair()
    const sent = send(near, [everything(log)]).then(() => near.end())
    let taken = 0
    const chunks: Buffer[] = []
    far.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if ((taken += chunk.length) < MiB) return
      taken = 0
      far.pause()
      setTimeout(() => far.resume(), 5)
    })
    await once(far, 'end')
    await sent
    expect(hashOf(...chunks)).toBe(hashOf(content))
  })

  test('sendTo takes as many segments as it needs, and says where to go on', async () => {
    const { log } = await logOf(4 * MiB, 300_000)
    const { near, far } = await socketPair()
    const arrived = received(far)
    const whole: Buffer[] = []
    for (let from = 0; from < log.endOffset;) {
      const slice = (await log.slice({ from, maxBytes: Infinity })) as Slice
      whole.push((await slice.read()) as Buffer)
      from = slice.nextOffset
    }
    expect(whole.length).toBeGreaterThan(10)
    const bytes = whole.reduce((sum, { length }) => sum + length, 0)
    const first = await log.sendTo(near, { from: 0, maxBytes: 2 * MiB })
    expect(first.bytes).toBeLessThanOrEqual(2 * MiB)
    expect(first.bytes).toBeGreaterThan(1.9 * MiB)
    const second = await log.sendTo(near, { from: first.nextOffset, maxBytes: Infinity })
    expect(second).toEqual({ bytes: bytes - first.bytes, nextOffset: log.endOffset })
    expect(await log.sendTo(near, { from: log.endOffset })).toEqual({ bytes: 0, nextOffset: log.endOffset })
    const one = await log.sendTo(near, { from: 3, maxBytes: 1 })
    expect(one.nextOffset).toBe(4)
    expect(await log.sendTo(near, { from: 3, maxBytes: 1, minOneBatch: false })).toEqual({
      bytes: 0,
      nextOffset: 3,
    })
    expect(await log.sendTo(near, { from: 3, upTo: 5, maxBytes: Infinity })).toMatchObject({ nextOffset: 5 })
    await expect(log.sendTo(near, { from: log.endOffset + 1 })).rejects.toMatchObject({
      code: 'VARVE_OFFSET_OUT_OF_RANGE',
    })
    near.end()
    expect((await arrived).bytes).toBeGreaterThan(bytes + one.bytes)
  })

  test('a peer that has said its last word and still listens gets everything', async () => {
    const { log, content } = await logOf(6 * MiB)
    const { near, far } = await socketPair()
    near.resume()
    far.pause()
    const sent = [send(near, [everything(log)]), send(near, [everything(log)])]
    const closed = once(near, 'close')
    far.end('that is all')
    await once(near, 'end')
    far.resume()
    expect((await received(far)).hash).toBe(hashOf(content, content))
    await Promise.all(sent)
    // Without a send its end would have been answered by one at once.
    await closed
  })

  test.each(['reset', 'closed'])(
    'a connection that is %s in the middle is an error of its send alone',
    async (end) => {
      const { log, content } = await logOf(12 * MiB)
      const [{ near, far }, other] = [await socketPair(), await socketPair()]
      if (end === 'reset') near.resume()
      const slice = everything(log)
      const sent = send(near, [Buffer.from('header'), slice])
      const later = send(near, [everything(log)])
      const outcome = Promise.allSettled([sent, later])
      await once(far, 'data')
      far.pause()
      await untilFull(near, content.length)
      if (end === 'reset') far.resetAndDestroy()
      else near.destroy()
      const [first, second] = (await outcome) as PromiseRejectedResult[]
      for (const { status, reason } of [first!, second!]) {
        expect(status).toBe('rejected')
        expect(VarveError.is(reason)).toBe(true)
        expect(reason.code).toBe('VARVE_SEND_FAILED')
      }
      if (end === 'reset') expect(first!.reason.cause.code).toMatch(/^(ECONNRESET|EPIPE)$/)
      expect(near.destroyed).toBe(true)
      expect(() => slice.read()).toThrow()
      await expect(send(near, [everything(log)])).rejects.toMatchObject({ code: 'VARVE_SEND_FAILED' })
      const arrived = received(other.far)
      await send(other.near, [everything(log)])
      other.near.end()
      expect((await arrived).bytes).toBeGreaterThan(12 * MiB)
    },
  )

  test('a file that is removed while it is sent arrives whole', async () => {
    const { log, file, content } = await logOf(12 * MiB)
    const { near, far } = await socketPair()
    const sent = send(near, [everything(log)]).then(() => near.end())
    await untilFull(near, content.length)
    unlinkSync(file)
    expect((await received(far)).hash).toBe(hashOf(content))
    await sent
  })

  test('a file that is cut while it is sent ends the connection', async () => {
    const { log, file, content } = await logOf(12 * MiB)
    const { near, far } = await socketPair()
    const sent = send(near, [Buffer.from('12 MiB follow'), everything(log)])
    const refused = expect(sent).rejects.toMatchObject({
      code: 'VARVE_LOG_CORRUPT',
      message: expect.stringMatching(
        /00000\.log is corrupt at byte \d{7,}, offset \d+: the file has become shorter/,
      ),
    })
    await untilFull(near, content.length + 13)
    truncateSync(file, 10 * MiB)
    const { bytes } = await received(far)
    await refused
    expect(near.destroyed).toBe(true)
    expect(bytes).toBeLessThanOrEqual(10 * MiB + 13)
  })

  test('a log that is truncated ends the sends of what is gone, and no others', async () => {
    const { log, content } = await logOf(24 * MiB)
    const [gone, kept] = [await socketPair(), await socketPair()]
    const half = Math.floor(log.endOffset / 2)
    const sent = send(gone.near, [everything(log)])
    const refused = expect(sent).rejects.toMatchObject({ code: 'VARVE_TRUNCATED' })
    const before = (await log.slice({ from: 0, upTo: half, maxBytes: Infinity })) as Slice
    const { byteLength } = before
    const others = send(kept.near, [before]).then(() => kept.near.end())
    await Promise.all([untilFull(gone.near, content.length), untilFull(kept.near, byteLength)])
    await log.truncateTo(half)
    await log.append([{ value: 'in the place of what is gone' }])
    gone.far.resume()
    await refused
    expect(gone.near.destroyed).toBe(true)
    expect(await received(kept.far)).toEqual({
      bytes: byteLength,
      hash: hashOf(content.subarray(0, byteLength)),
    })
    await others
  })

  test('a peer that takes nothing is given up, one that takes little is not', async () => {
    const { log } = await logOf(24 * MiB)
    const [stuck, slow] = [await socketPair(), await socketPair()]
    // So long that neither end, which share this process, is without a processor for it.
    const options = { stallTimeoutMs: 2500 }
    const sent = send(slow.near, [everything(log)], options)
    const began = performance.now()
    const given = send(stuck.near, [everything(log)], options).then(
      () => null,
      (error: unknown) => ({ error, after: performance.now() - began }),
    )
    // What the kernel says of a peer that takes little is not to be seen from Node.
    const reading = setInterval(() => slow.far.read(), way === 'sendfile' ? 50 : 10)
    await given
    // It is looked four times within the timeout.
    await sleep(800)
    clearInterval(reading)
    slow.far.resume()
    await sent
    expect(await given).toEqual({ error: failed('ETIMEDOUT'), after: expect.any(Number) })
    expect((await given)!.after).toBeGreaterThan(2490)
    expect(stuck.near.destroyed).toBe(true)
  })

  test('a peer that takes nothing of what was written before is given up too', async () => {
    const { log } = await logOf(MiB)
    const { near } = await socketPair()
    near.write(Buffer.alloc(32 * MiB))
    await expect(send(near, [everything(log)], { stallTimeoutMs: 200 })).rejects.toEqual(failed('ETIMEDOUT'))
    expect(near.destroyed).toBe(true)
  })

  test('a signal ends it: with the socket as it was as long as nothing had been sent', async () => {
    const { log, content } = await logOf(12 * MiB)
    const reason = new Error('enough')
    const { near, far } = await socketPair()
    await expect(send(near, [everything(log)], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    near.write(Buffer.alloc(12 * MiB))
    const first = new AbortController()
    const behindWrite = send(near, [everything(log)], { signal: first.signal })
    await untilFull(near, 12 * MiB)
    first.abort(reason)
    await expect(behindWrite).rejects.toBe(reason)
    expect(near.destroyed).toBe(false)
    far.resume()
    while (unsentBytes(near) > 0) await once(far, 'data')
    far.pause()
    const [running, waiting] = [new AbortController(), new AbortController()]
    const sent = send(near, [everything(log)], { signal: running.signal })
    const behindSend = send(near, [everything(log)], { signal: waiting.signal })
    await untilFull(near, content.length)
    waiting.abort(reason)
    await expect(behindSend).rejects.toBe(reason)
    expect(near.destroyed).toBe(false)
    running.abort(reason)
    await expect(sent).rejects.toBe(reason)
    expect(near.destroyed).toBe(true)
  })

  test('a write in the middle of a send is noticed, and ends the connection', async () => {
    const { log, content } = await logOf(12 * MiB)
    const { near, far } = await socketPair()
    const sent = send(near, [everything(log)])
    await untilFull(near, content.length)
    near.write('me too')
    far.resume()
    await expect(sent).rejects.toMatchObject({
      code: 'VARVE_SEND_FAILED',
      message: expect.stringContaining('somebody else wrote to the socket'),
    })
    expect(near.destroyed).toBe(true)
  })

  test('what cannot be sent is refused with the socket as it was', async () => {
    const { log, content } = await logOf(MiB)
    const { near, far } = await socketPair()
    const arrived = received(far)
    const closed = everything(log)
    closed.close()
    const open = everything(log)
    await expect(send(near, [open, closed])).rejects.toMatchObject({ code: 'VARVE_LOG_CLOSED' })
    expect(() => open.read()).toThrow()
    const invalid = { code: 'VARVE_INVALID_OPTION' }
    for (const parts of [null, 'text', ['text'], [null], [{}]]) {
      await expect(send(near, parts as never)).rejects.toMatchObject(invalid)
    }
    for (const stallTimeoutMs of [0, -1, NaN]) {
      await expect(send(near, [], { stallTimeoutMs })).rejects.toMatchObject(invalid)
    }
    await send(near, [])
    await send(near, [everything(log)], { stallTimeoutMs: Infinity })
    near.end()
    expect((await arrived).hash).toBe(hashOf(content))
  })

  test('many connections at once get everything', async () => {
    const { log, content } = await logOf(MiB)
    const pairs = await Promise.all(Array.from({ length: 50 }, () => socketPair()))
    const arrived = pairs.map(({ far }) => received(far))
    await Promise.all(
      pairs.map(async ({ near }) => {
        for (let n = 0; n < 2; n++) await send(near, [Buffer.from(`${n}`), everything(log)])
        near.end()
      }),
    )
    const header = ['0', '1'].map((text) => Buffer.from(text))
    const whole = hashOf(...header.flatMap((number) => [number, content]))
    for (const { hash } of await Promise.all(arrived)) expect(hash).toBe(whole)
  })

  test('a socket that still connects, and one in the file system, are sent to', async () => {
    const { log, content } = await logOf(3 * MiB)
    const server = createTcpServer().listen(0)
    await once(server, 'listening')
    const near = connect((server.address() as { port: number }).port, '127.0.0.1')
    const [[far]] = await Promise.all([
      once(server, 'connection') as Promise<[Socket]>,
      send(near, [everything(log)]).then(() => near.end()),
    ])
    expect((await received(far)).hash).toBe(hashOf(content))
    server.close()
    const local = await socketPair({ path: join(temporaryDirectory(), 'socket') })
    const arrived = received(local.far)
    await send(local.near, [Buffer.from('header'), everything(log)])
    local.near.end()
    expect((await arrived).hash).toBe(hashOf(Buffer.from('header'), content))
  })
})

test('a TLS socket is written to', async () => {
  const { log, content } = await logOf(6 * MiB)
  const psk = Buffer.alloc(32, 7)
  const suite = { ciphers: 'PSK+AES128', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const
  const server = createTlsServer({ ...suite, pskCallback: () => psk })
  server.listen(0)
  await once(server, 'listening')
  const far = connectTls({
    ...suite,
    port: (server.address() as { port: number }).port,
    pskCallback: () => ({ psk, identity: 'test' }),
    checkServerIdentity: () => undefined,
  })
  const [near] = (await once(server, 'secureConnection')) as [Socket]
  const arrived = received(far)
  near.write('before')
  const slice = everything(log)
  expect(sendsFiles(near, [slice])).toBe(false)
  await send(near, [Buffer.from('header'), slice])
  near.end()
  expect((await arrived).hash).toBe(hashOf(Buffer.from('beforeheader'), content))
  server.close()
})
