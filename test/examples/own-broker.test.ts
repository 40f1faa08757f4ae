/**
 * A broker that answers before the message is on disk loses what it promised when it is killed; one that keeps positions
 * in memory starts its consumers over. And the example promises to be short: what grows beyond 150 lines is a project.
 */
import type { ChildProcess } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { Broker } from '../../examples/own-broker/broker.mjs'
import { startChild } from '../support/children.js'
import { root, temporaryDirectory } from '../support/tree.js'

const folder = join(root, 'examples', 'own-broker')
const open: Array<{ close(): Promise<void> }> = []
afterEach(() => Promise.all(open.splice(0).map((broker) => broker.close())))

async function start(dir = temporaryDirectory()): Promise<string> {
  const broker = await Broker.start(dir)
  open.push(broker)
  return broker.url
}

async function publish(url: string, topic: string, body: string, key = 'k'): Promise<number> {
  const response = await fetch(`${url}/topics/${topic}?key=${key}`, { method: 'POST', body })
  expect(response.status).toBe(201)
  return ((await response.json()) as { offset: number }).offset
}

async function read(
  url: string,
  topic: string,
  query = '',
): Promise<Array<{ offset: number; value: string }>> {
  const response = await fetch(`${url}/topics/${topic}?${query}`)
  expect(response.status).toBe(200)
  return (await response.json()) as Array<{ offset: number; value: string }>
}

async function serve(dir: string): Promise<{ child: ChildProcess; url: string }> {
  const child = startChild(process.execPath, [join(folder, 'main.mjs'), dir, '0'])
  for await (const line of createInterface(child.stdout!)) return { child, url: /http:\S+/.exec(line)![0] }
  throw new Error('the broker ended before it served')
}

test('it has at most 150 lines', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.mjs'))
  const lines = files.map((name) => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n').length)
  expect(lines.reduce((sum, count) => sum + count)).toBeLessThanOrEqual(150)
})

test('what is published is read by offset, and by position after a restart', async () => {
  const dir = temporaryDirectory()
  const url = await start(dir)
  for (const value of ['a', 'b', 'ü']) await publish(url, 'orders', value)
  expect(await read(url, 'orders', 'offset=1')).toEqual([
    { offset: 1, key: 'k', value: 'b' },
    { offset: 2, key: 'k', value: 'ü' },
  ])
  await fetch(`${url}/positions/orders/billing`, { method: 'PUT', body: '2' })
  await open.pop()!.close()
  const again = await start(dir)
  expect((await read(again, 'orders', 'group=billing')).map(({ offset }) => offset)).toEqual([2])
  expect((await read(again, 'orders', 'group=other')).map(({ offset }) => offset)).toEqual([0, 1, 2])
  expect(await read(again, 'orders', 'offset=3')).toEqual([])
})

test('a long poll is answered by the next message', async () => {
  const url = await start()
  await publish(url, 'orders', 'first')
  const waiting = read(url, 'orders', 'offset=1&wait=15000')
  await publish(url, 'orders', 'second')
  expect((await waiting).map(({ value }) => value)).toEqual(['second'])
})

test('server-sent events go on behind the last one seen, and end with the broker', async () => {
  const url = await start()
  for (const value of ['a', 'b', 'c']) await publish(url, 'orders', value)
  const headers = { accept: 'text/event-stream', 'last-event-id': '0' }
  const response = await fetch(`${url}/topics/orders`, { headers })
  const events: string[] = []
  const reading = (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of response.body!) {
      events.push(...(decoder.decode(chunk as Uint8Array).match(/^id: .*$/gm) ?? []))
      if (events.length === 2) await publish(url, 'orders', 'd')
      if (events.length === 3) await open.pop()!.close()
    }
  })()
  await expect(reading).rejects.toThrow('terminated')
  expect(events).toEqual(['id: 1', 'id: 2', 'id: 3'])
})

test('what cannot be is refused with a reason', async () => {
  const url = await start()
  await publish(url, 'orders', 'a')
  const status = async (path: string, options?: RequestInit): Promise<number> =>
    (await fetch(url + path, options)).status
  expect(await status('/topics/none')).toBe(404)
  expect(await status('/topics/orders?offset=2')).toBe(416)
  expect(await status('/topics/orders?offset=x')).toBe(416)
  expect(await status('/topics/__positions', { method: 'POST', body: 'x' })).toBe(400)
  expect(await status('/topics/..%2fx', { method: 'POST', body: 'x' })).toBe(400)
  expect(await status('/topics/orders', { method: 'POST', body: 'x'.repeat(1_000_001) })).toBe(413)
  expect(await status('/positions/orders/billing', { method: 'PUT', body: 'soon' })).toBe(400)
  expect(await status('/', { method: 'DELETE' })).toBe(404)
  expect((await read(url, 'orders')).map(({ value }) => value)).toEqual(['a'])
})

test('kill -9 loses nothing that was acknowledged', { timeout: 120_000 }, async () => {
  const dir = temporaryDirectory()
  const acknowledged = new Map<number, string>()
  const positions: number[] = []
  for (let round = 0; round < 3; round++) {
    const { child, url } = await serve(dir)
    const ended = new Promise((resolve) => child.once('exit', resolve))
    const before = acknowledged.size
    const publishOn = async (lane: number): Promise<void> => {
      for (let n = 0; ; n++) {
        const value = `${round}/${lane}/${n}`
        try {
          acknowledged.set(await publish(url, 'orders', value), value)
          if (lane === 0) {
            const response = await fetch(`${url}/positions/orders/g`, { method: 'PUT', body: String(n) })
            if (response.ok) positions.push(n)
          }
        } catch {
          return
        }
        if (acknowledged.size >= before + 150) child.kill('SIGKILL')
      }
    }
    await Promise.all(Array.from({ length: 10 }, (_, lane) => publishOn(lane)))
    await ended
  }
  const url = await start(dir)
  const found = new Map((await read(url, 'orders', 'offset=0')).map(({ offset, value }) => [offset, value]))
  expect([...acknowledged].filter(([offset, value]) => found.get(offset) !== value)).toEqual([])
  expect(new Set(found.values()).size).toBe(found.size)
  // The position is the last one acknowledged, or the one that was on its way.
  const [next] = await read(url, 'orders', 'group=g')
  expect([positions.at(-1)!, positions.at(-1)! + 1]).toContain(next!.offset)
})
