/**
 * A checkpoint is the moment at which a store can lose everything: the log is shortened because a file is said to hold
 * what was in it. So the store is killed while it writes and checkpoints, and the steps of a checkpoint are taken apart.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { Store } from '../../examples/write-ahead-log/store.mjs'
import { startChild } from '../support/children.js'
import { root, temporaryDirectory } from '../support/tree.js'

const script = pathToFileURL(join(root, 'examples', 'write-ahead-log', 'store.mjs')).href
const SMALL = { checkpointEvery: 50, segmentBytes: 4096 }

const writeForEver = `
  import { Store } from ${JSON.stringify(script)}
  const store = await Store.open(process.argv[1], ${JSON.stringify(SMALL)})
  async function write(lane) {
    for (let n = store.get(lane) ?? 0; ; n++) {
      await store.write([[lane, n], [lane + '/' + n, n]])
      process.stdout.write(lane + ' ' + n + '.\\n')
    }
  }
  for (const lane of ['a', 'b', 'c', 'd']) write(lane)
  for (;;) {
    const { size } = store
    await store.checkpoint()
    if (size > 0) process.stdout.write('checkpoint\\n')
  }
`

/** Kills it behind so many changes and a checkpoint. Returns the last number that each lane saw acknowledged. */
async function killedAfter(count: number, dir: string): Promise<Map<string, number>> {
  const child = startChild(process.execPath, ['--input-type=module', '-e', writeForEver, dir])
  const ended = new Promise((resolve) => child.once('close', resolve))
  const acknowledged = new Map<string, number>()
  let [seen, checkpoints] = [0, 0]
  for await (const line of createInterface(child.stdout!)) {
    const [, lane, n] = /^(\w) (\d+)\.$/.exec(line) ?? []
    if (lane !== undefined) acknowledged.set(lane, Number(n))
    if (line === 'checkpoint') checkpoints++
    if (++seen >= count && checkpoints > 0) child.kill('SIGKILL')
  }
  await ended
  return acknowledged
}

test(
  'kill -9 while it writes and checkpoints loses nothing, and nothing comes apart',
  { timeout: 120_000 },
  async () => {
    const dir = temporaryDirectory()
    for (let round = 0; round < 3; round++) {
      const acknowledged = await killedAfter(150, dir)
      const store = await Store.open<number>(dir, SMALL)
      expect([...acknowledged.keys()].sort()).toEqual(['a', 'b', 'c', 'd'])
      for (const [lane, n] of acknowledged) {
        // What was on its way may have arrived; both changes of it, or neither.
        const last = store.get(lane)!
        expect(last).toBeGreaterThanOrEqual(n)
        expect(last).toBeLessThanOrEqual(n + 1)
        expect(store.get(`${lane}/${last}`)).toBe(last)
        expect(store.get(`${lane}/${last + 1}`)).toBeUndefined()
      }
      // Each write was two changes, and the checkpoints have taken some of them out of the log.
      expect(store.recovered).toBeLessThan(2 * (store.size - acknowledged.size))
      await store.close()
    }
  },
)

test('a crash between the checkpoint and the shortening of the log changes nothing', async () => {
  const dir = temporaryDirectory()
  const store = await Store.open<number>(dir, { segmentBytes: 256 })
  for (let n = 0; n < 20; n++) await store.set(`k${n % 3}`, n)
  await store.close()
  cpSync(join(dir, 'log'), join(dir, 'before'), { recursive: true })
  const again = await Store.open<number>(dir, { segmentBytes: 256 })
  expect(again.recovered).toBe(20)
  await again.checkpoint()
  await again.close()
  cpSync(join(dir, 'log'), join(dir, 'after'), { recursive: true })

  for (const log of ['before', 'after']) {
    rmSync(join(dir, 'log'), { recursive: true })
    cpSync(join(dir, log), join(dir, 'log'), { recursive: true })
    const found = await Store.open<number>(dir)
    expect([found.recovered, found.get('k0'), found.get('k1'), found.get('k2')], log).toEqual([0, 18, 19, 17])
    await found.close()
  }
})

test('deleting is a change like any other, and a checkpoint that is gone is not taken for an empty store', async () => {
  const dir = temporaryDirectory()
  const store = await Store.open<number>(dir)
  await store.write([
    ['a', 1],
    ['b', 2],
  ])
  await store.delete('a')
  await store.checkpoint()
  await store.set('c', 3)
  await store.close()
  const again = await Store.open<number>(dir)
  expect([again.get('a'), again.get('b'), again.get('c'), again.size]).toEqual([undefined, 2, 3, 2])
  await again.close()
  rmSync(join(dir, 'checkpoint.json'))
  await expect(Store.open(dir)).rejects.toThrow('checkpoint.json is missing')
})
