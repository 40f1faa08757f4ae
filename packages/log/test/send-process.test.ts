/**
 * The sender is one thread for the whole process, with descriptors and files of its own: what it forgets is forgotten for
 * every connection there ever was, and what it still holds when a worker is gone is memory that is not there any more.
 * These run in a process of their own, on the package as it was built.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runScript, startScript, type Ended } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

const isLinux = process.platform === 'linux'
const ways = [
  { way: 'sendfile', env: {}, connections: 400 },
  { way: 'read and write', env: { VARVE_NO_SENDFILE: '1' }, connections: 200 },
]

const prelude = `
  import { once } from 'node:events'
  import { readdirSync } from 'node:fs'
  import { connect, createServer } from 'node:net'
  import { openDataDirectory, openLog, send } from '@varve/log'
  const dir = process.argv[1]
  // The sender's threads may be about to close some, which they are waited for until there are no more than there were.
  const descriptors = async (most = 0) => {
    let fewest = Infinity
    for (const began = Date.now(); fewest > most && Date.now() - began < (most === 0 ? 100 : 10_000); ) {
      fewest = Math.min(fewest, readdirSync('/proc/self/fd').length)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return fewest
  }
  const fill = async (log, bytes) => {
    const record = { value: Buffer.alloc(60_000, 'v') }
    for (let left = bytes; left > 0; left -= 600_000) await log.append(Array(10).fill(record))
  }
  const pair = async (server) => {
    const far = connect(server.address().port, '127.0.0.1')
    far.on('error', () => {})
    const [near] = await once(server, 'connection')
    return { near, far }
  }
  const listen = async () => {
    const server = createServer().listen(0)
    await once(server, 'listening')
    return server
  }
  const everything = (log) => log.slice({ from: 0, maxBytes: Infinity })
`

function mustEnd({ code, signal, stderr, stdout }: Ended): unknown {
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
  return JSON.parse(stdout)
}

test.runIf(isLinux).each(ways)(
  'descriptors stay as many after $connections connections, however they end ($way)',
  { timeout: 120_000 },
  async ({ env, connections }) => {
    const code = `
    const log = await openLog(dir, { durability: 'os' })
    await fill(log, 6 << 20)
    const server = await listen()
    let failures = 0
    const one = async (how) => {
      const { near, far } = await pair(server)
      const sent = send(near, [Buffer.from('header'), await everything(log)]).catch(() => failures++)
      if (how === 0) far.resume()
      else await once(far, 'data')
      if (how === 1) far.resetAndDestroy()
      if (how === 2) far.destroy()
      if (how === 3) near.destroy()
      await sent
      near.end()
      if (how === 0) await once(far, 'end')
      if (!near.destroyed) await once(near, 'close')
      if (!far.closed) far.destroy(), await once(far, 'close')
    }
    for (let n = 0; n < 8; n++) await one(n % 4)
    const before = await descriptors()
    for (let n = 0; n < ${connections}; n++) await one(n % 4)
    const after = await descriptors(before)
    server.close()
    await log.close()
    console.log(JSON.stringify({ before, after, failures }))
  `
    const ended = await runScript(prelude + code, [temporaryDirectory()], { env })
    const { before, after, failures } = mustEnd(ended) as { before: number; after: number; failures: number }
    expect(after).toBeLessThanOrEqual(before)
    // Each that is not read to its end fails; a few end before anybody notices.
    expect(failures).toBeGreaterThan(connections / 2)
  },
)

test.each(ways)('a connection remembers none of the sends that it has had ($way)', async ({ env }) => {
  const code = `
    const server = await listen()
    const { near, far } = await pair(server)
    far.resume()
    const some = async () => {
      for (let n = 0; n < 10_000; n++) await send(near, [Buffer.from('some bytes')])
      gc()
      return process.memoryUsage().heapUsed
    }
    await some()
    const before = await some()
    const after = await some()
    near.destroy()
    far.destroy()
    server.close()
    console.log(after - before)
  `
  const flags = ['--expose-gc']
  const grown = mustEnd(await runScript(prelude + code, [temporaryDirectory()], { env, flags }))
  // A hundred bytes a send would be a million.
  expect(grown).toBeLessThan(500_000)
})

/** A worker that sends its log to whoever connects, over and over. */
const sendingWorker = `
  import { once } from 'node:events'
  import { createServer } from 'node:net'
  import { parentPort, workerData } from 'node:worker_threads'
  import { openLog, send } from '@varve/log'
  const log = await openLog(workerData, { durability: 'os' })
  const record = { value: Buffer.alloc(60_000, 'v') }
  while (log.endOffset < 200) await log.append(Array(10).fill(record))
  const server = createServer(async (near) => {
    near.on('error', () => {})
    for (;;) {
      const slice = await log.slice({ from: 0, maxBytes: Infinity })
      await send(near, [Buffer.alloc(100_000, 'h'), slice])
    }
  })
  server.listen(0, () => parentPort.postMessage(server.address().port))
`

test.runIf(isLinux)(
  'workers that are terminated in the middle of sends hurt nobody',
  { timeout: 120_000 },
  async () => {
    const code = `
    import { Worker } from 'node:worker_threads'
    const start = async (name) => {
      const worker = new Worker(${JSON.stringify(sendingWorker)}, { eval: true, workerData: dir + '/' + name })
      const [port] = await once(worker, 'message')
      const peers = []
      for (let n = 0; n < 6; n++) {
        const peer = connect(port, '127.0.0.1')
        peer.on('error', () => {})
        await once(peer, 'data')
        // Half of them take what comes, the others leave the sender waiting for them.
        if (n % 2 === 0) peer.resume()
        else peer.pause()
        peers.push(peer)
      }
      return { worker, peers }
    }
    const stop = async ({ worker, peers }) => {
      const closed = peers.map((peer) => once(peer, 'close'))
      await worker.terminate()
      for (const peer of peers) peer.resume()
      await Promise.all(closed)
    }
    await stop(await start('first'))
    const before = await descriptors()
    const staying = await start('staying')
    for (let n = 0; n < 2; n++) await stop(await start('other' + n))
    let taken = 0
    staying.peers[0].on('data', (chunk) => (taken += chunk.length))
    while (taken < 30e6) await once(staying.peers[0], 'data')
    await stop(staying)
    console.log(JSON.stringify({ before, after: await descriptors(before) }))
  `
    const ended = await runScript(prelude + code, [temporaryDirectory()])
    const { before, after } = mustEnd(ended) as { before: number; after: number }
    expect(after).toBeLessThanOrEqual(before)
  },
)

test.runIf(isLinux)('a range that the disk must be waited for holds up nobody else', async () => {
  const code = `
    const directory = await openDataDirectory(dir)
    const [cold, warm] = [await directory.openLog('cold-0'), await directory.openLog('warm-0')]
    for (const log of [cold, warm]) await fill(log, 6 << 20)
    const server = await listen()
    const [waiting, served] = [await pair(server), await pair(server)]
    let bytes = 0
    waiting.far.on('data', (chunk) => (bytes += chunk.length))
    served.far.resume()
    const slice = await everything(cold)
    const whole = slice.byteLength
    console.log('ready')
    await once(process.stdin, 'data')
    const sent = send(waiting.near, [Buffer.from('header'), slice])
    for (let n = 0; n < 20; n++) await send(served.near, [await everything(warm)])
    console.log(bytes)
    await sent
    while (bytes < whole + 6) await once(waiting.far, 'data')
    for (const { near, far } of [waiting, served]) near.destroy(), far.destroy()
    server.close()
    await directory.close()
    console.log(bytes - whole)
    process.stdin.destroy()
  `
  const gate = join(temporaryDirectory(), 'gate')
  const env = { VARVE_TEST_FAULT: `read_at@cold-0/00000000000000000000.log:while=${gate}` }
  const script = startScript(prelude + code, [temporaryDirectory()], { env })
  const line = async (): Promise<string> => (await script.lines.next()).value as string
  expect(await line()).toBe('ready')
  writeFileSync(gate, '')
  script.process.stdin!.write('go')
  // The header may have gone; nothing of the file has.
  expect(Number(await line())).toBeLessThanOrEqual(6)
  rmSync(gate)
  expect(await line()).toBe('6')
  expect(existsSync(gate)).toBe(false)
  const { code: exit, stderr } = await script.ended
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' })
})

test.each(ways)('a send keeps its process alive, and no longer than that ($way)', async ({ env }) => {
  const code = `
    const log = await openLog(dir, { durability: 'os' })
    await fill(log, 12 << 20)
    const server = await listen()
    const { near, far } = await pair(server)
    server.close()
    near.unref()
    far.unref()
    far.pause()
    setTimeout(() => far.resume(), 300).unref()
    let bytes = 0
    far.on('data', (chunk) => (bytes += chunk.length))
    far.pause()
    const slice = await everything(log)
    const { byteLength } = slice
    await send(near, [slice])
    console.log(byteLength > 12e6)
  `
  expect(mustEnd(await runScript(prelude + code, [temporaryDirectory()], { env }))).toBe(true)
})
