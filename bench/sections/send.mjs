/** Sending batches from a log to a socket, as a broker answers a Fetch. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, promises as fs, readSync, readdirSync, statSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { nanoseconds, timed } from '../harness/clock.mjs'
import { fill } from '../harness/filling.mjs'
import { comparison } from '../report/table.mjs'
import * as show from '../report/figures.mjs'
import { load } from '../subjects/index.mjs'

export const name = 'send'
export const title = 'Sending'

const data = { bytes: 1024, count: 256 << 10, group: 60 }
const CHECKED_BYTES = 8 << 20

export function cells({ full }) {
  const cell = (bytes, connections, subjects) => ({
    id: `${show.bytes(bytes)} a call, ${connections} ${connections === 1 ? 'connection' : 'connections'}`,
    subjects,
    parameters: { bytes, connections, data },
  })
  return [
    cell(64 << 10, 1, ['varve', 'fs-async', 'ceiling']),
    cell(1 << 20, 1, ['varve', 'fs-async', 'ceiling']),
    cell(1 << 20, 8, ['varve', 'fs-async']),
    ...(full
      ? [cell(64 << 10, 8, ['varve', 'fs-async']), cell(8 << 20, 1, ['varve', 'fs-async', 'ceiling'])]
      : []),
  ]
}

/** All send the bytes of the same segment file. */
export const prepare = (_, { data }, { dir }) => fill('varve', data, dir)

export async function measure(subject, { bytes, connections }, { dir, milliseconds }) {
  const segment = join(
    dir,
    readdirSync(dir).find((file) => file.endsWith('.log')),
  )
  const source = await ways[subject](dir, segment, bytes)
  if (source.sendFirst !== undefined) await assertSame(source, segment)
  const round = (limit) => sendFor(source, connections, limit)
  await round(milliseconds / 3)
  const figures = await round(milliseconds)
  await source.close()
  return figures
}

/**
 * How a subject gets bytes of the segment into a socket: `sendFor` sends until the time is used up and resolves with how
 * many bytes it was, `sendFirst` sends the first ones. The loop of system calls has no `sendFirst`: it would wait for a
 * receiver in its own process.
 */
const ways = {
  async varve(dir, _, bytes) {
    const { openLog } = await import('@varve/log')
    const log = await openLog(dir, { durability: 'os' })
    const sendSome = async (socket, from) => {
      const { nextOffset, bytes: sent } = await log.sendTo(socket, { from, maxBytes: bytes })
      return { next: nextOffset === log.durableOffset ? 0 : nextOffset, sent }
    }
    return oneAfterTheOther(sendSome, () => log.close())
  },

  async 'fs-async'(_, segment, bytes) {
    const file = await fs.open(segment)
    const { size } = await file.stat()
    const buffers = new WeakMap()
    const sendSome = async (socket, at) => {
      // One for each connection, used again once it has been written.
      if (!buffers.has(socket)) buffers.set(socket, Buffer.allocUnsafeSlow(bytes))
      const { bytesRead, buffer } = await file.read(buffers.get(socket), 0, bytes, at)
      await new Promise((resolve, reject) => {
        socket.write(buffer.subarray(0, bytesRead), (error) => (error ? reject(error) : resolve()))
      })
      return { next: at + bytesRead === size ? 0 : at + bytesRead, sent: bytesRead }
    }
    return oneAfterTheOther(sendSome, () => file.close())
  },

  async ceiling(_, path, bytes) {
    const { send } = await load('ceiling')
    // Undocumented; the sockets of Linux have it.
    const sendUntil = (socket, milliseconds) =>
      send({ path, socket: socket._handle.fd, size: bytes, nanoseconds: milliseconds * 1e6 }).bytes
    return { sendFor: sendUntil, close: () => {} }
  },
}

function oneAfterTheOther(sendSome, close) {
  const sendWhile = async (socket, goesOn) => {
    let total = 0
    for (let at = 0; goesOn(total);) {
      const { next, sent } = await sendSome(socket, at)
      total += sent
      at = next
    }
    return total
  }
  return {
    sendFor(socket, milliseconds) {
      const until = nanoseconds() + milliseconds * 1e6
      return sendWhile(socket, () => nanoseconds() < until)
    },
    sendFirst: (socket) => sendWhile(socket, (total) => total < CHECKED_BYTES),
    close,
  }
}

async function sendFor(source, connections, milliseconds) {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peers = []
  for (let n = 0; n < connections; n++) {
    const receiver = fork(join(import.meta.dirname, '..', 'harness', 'receiver-main.mjs'), [
      String(server.address().port),
    ])
    const received = once(receiver, 'message')
    const [socket] = await once(server, 'connection')
    peers.push({ socket, received, ended: once(receiver, 'exit') })
  }
  const { result, seconds, cpuSeconds } = await timed(() =>
    Promise.all(peers.map(({ socket }) => source.sendFor(socket, milliseconds))),
  )
  let received = 0
  for (const peer of peers) {
    peer.socket.end()
    const [bytes] = await peer.received
    received += bytes
    await peer.ended
  }
  server.close()
  const sent = result.reduce((sum, bytes) => sum + bytes, 0)
  if (received !== sent) throw new Error(`${sent} bytes were sent and ${received} arrived`)
  return { megabytesPerSecond: sent / seconds / 1e6, cpuSecondsPerGigabyte: (cpuSeconds * 1e9) / sent }
}

/** What arrives first is compared with the file, byte by byte. */
async function assertSame(source, segment) {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const chunks = []
  const client = connect(server.address().port, '127.0.0.1').on('data', (chunk) => chunks.push(chunk))
  const [socket] = await once(server, 'connection')
  const sent = await source.sendFirst(socket)
  socket.end()
  await once(client, 'close')
  server.close()
  const arrived = Buffer.concat(chunks)
  const expected = Buffer.alloc(Math.min(arrived.length, statSync(segment).size))
  const file = openSync(segment)
  readSync(file, expected, 0, expected.length, 0)
  closeSync(file)
  if (arrived.length !== sent || !arrived.subarray(0, expected.length).equals(expected)) {
    throw new Error(
      `${sent} bytes were sent, and the ${arrived.length} that arrived are not those of the file`,
    )
  }
}

export function tables(measured) {
  const TEXT =
    'Over the loopback, from a file in the page cache, one call after the other on each connection; the receivers are processes of their own, in C++. varve: `log.sendTo`; fs: `read` into a buffer that is used again, and `socket.write`; ceiling: a loop of `sendfile`.'
  return [
    comparison({
      name: 'send',
      title: 'From a log to a socket',
      text: TEXT,
      cells: measured,
      figure: ({ megabytesPerSecond }) => megabytesPerSecond,
      show: show.megabytes,
    }),
    comparison({
      name: 'send-cpu',
      title: 'From a log to a socket: CPU time',
      text: 'Seconds of the sending process, all its threads, for each GB.',
      cells: measured,
      figure: ({ cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte,
      show: (value) => `${value.toFixed(2)} s/GB`,
      lessIsBetter: true,
    }),
  ]
}
