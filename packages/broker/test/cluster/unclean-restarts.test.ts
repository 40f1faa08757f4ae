// What a broker that starts may have lost it has to tell, be it after a start that was killed at the worst moment: a directory is
// copied while a broker uses it, which is how a kill would leave it.
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import { type Durability, openDataDirectory, writePartitionMetadata } from '@varve/log'
import { randomUuid } from '@varve/protocol'
import { decodeBrokerRegistration } from '@varve/replication'
import { expect, onTestFinished, test } from 'vitest'
import { openBroker } from '../../src/broker.js'
import { resolveOptions } from '../../src/broker-options.js'
import { borrowedMetadataStore } from '../../src/metadata/borrowed-metadata-store.js'
import { temporaryDirectory } from '../support/test-broker.js'
import { TestCluster } from './support/test-cluster.js'

interface Restarts {
  /** A directory of broker 2 as a kill has left it, with three batches in its only log. */
  readonly killed: string
  /**
   * Starts broker 2 in a directory, and stops it.
   *
   * @param durability default 'os'
   * @param others further data directories
   * @returns whether it told that it may have lost records, and its directory as a kill would have left it when it had opened its
   * log, and not done anything else since
   */
  start(
    data: string,
    durability?: Durability,
    others?: readonly string[],
  ): Promise<{ told: boolean; killed: string }>
}

async function restarts(): Promise<Restarts> {
  const cluster = await TestCluster.start(1)
  onTestFinished(() => cluster[Symbol.asyncDispose]())
  const told: boolean[] = []
  const following = cluster.store.follow('/brokers/2', {
    reset: () => {},
    events: (events) => {
      for (const event of events)
        if (event.kind === 'put') told.push(decodeBrokerRegistration(event).mayHaveLostRecords)
    },
    failed: () => {},
  })
  onTestFinished(() => following.close())
  const run = async (
    data: readonly string[],
    durability: Durability,
    opened: () => Promise<void> = async () => {},
  ) =>
    await openBroker(
      resolveOptions({
        data,
        nodeId: 2,
        durability,
        cluster: { openStore: async () => borrowedMetadataStore(cluster.store) },
      }),
      {
        openDataDirectory: async (path, options) => {
          const directory = await openDataDirectory(path, options)
          const openLog = directory.openLog.bind(directory)
          return Object.assign(directory, {
            openLog: async (...args: Parameters<typeof openLog>) => {
              const log = await openLog(...args)
              await opened()
              return log
            },
          })
        },
      },
    )
  const copyOf = async (data: string): Promise<string> => {
    const copy = await temporaryDirectory()
    // What is about to take the place of another file may have done so before it is copied.
    await cp(data, copy, { recursive: true, filter: (source) => !source.endsWith('.tmp') })
    return copy
  }
  const data = await temporaryDirectory()
  const first = await run([data], 'os')
  await using admin = new Admin({ brokers: cluster.addresses })
  await admin.createTopics([{ name: 'orders', replicas: [[2, 1]] }])
  await using producer = new Producer({ brokers: cluster.addresses })
  for (const value of ['a', 'b', 'c']) await producer.send('orders', { value })
  const killed = await copyOf(data)
  await first.close()
  return {
    killed,
    start: async (from, durability = 'os', others = []) => {
      told.length = 0
      let copy = from
      const broker = await run([from, ...others], durability, async () => void (copy = await copyOf(from)))
      await broker.close()
      return { told: told.includes(true), killed: copy }
    },
  }
}

/** Damages the second of three batches, so that a recovery cuts off a third one that is whole. */
async function damage(data: string): Promise<void> {
  const path = join(data, 'orders-0', '00000000000000000000.log')
  const bytes = await readFile(path)
  const second = 12 + bytes.readInt32BE(8)
  bytes[second + 60]! ^= 1
  await writeFile(path, bytes)
}

test('whole batches that a recovery has cut off are told of by the start after it, if that was killed', async () => {
  const { killed, start } = await restarts()
  await damage(killed)
  const interrupted = await start(killed)
  expect(interrupted.told).toBe(true)
  const again = await start(interrupted.killed)
  expect(again.told).toBe(true)
  // Now a controller knows.
  expect((await start(again.killed)).told).toBe(true)
  expect((await start(interrupted.killed)).told).toBe(false)
})

test('a start that was killed and has cut off nothing leaves nothing to tell', async () => {
  const { killed, start } = await restarts()
  const interrupted = await start(killed)
  expect(interrupted.told).toBe(false)
  expect((await start(interrupted.killed)).told).toBe(false)
})

test('a log that a killed start has found missing and has made anew is told of by the next one', async () => {
  const { killed, start } = await restarts()
  await rm(join(killed, 'orders-0'), { recursive: true })
  const interrupted = await start(killed)
  expect(interrupted.told).toBe(true)
  expect((await start(interrupted.killed)).told).toBe(true)
})

test("a log that is missing is told of where another topic's directory has its name", async () => {
  const { killed, start } = await restarts()
  const dir = join(killed, 'orders-0')
  await rm(join(dir, 'partition.metadata'))
  await writePartitionMetadata(dir, randomUuid(), false)
  const interrupted = await start(killed)
  expect(interrupted.told).toBe(true)
  expect((await start(interrupted.killed)).told).toBe(true)
})

test('what a recovery has cut off is told of where a directory of that name elsewhere has been cut before', async () => {
  const { killed, start } = await restarts()
  await damage(killed)
  const [first, other] = [await temporaryDirectory(), await temporaryDirectory()]
  await cp(killed, first, { recursive: true })
  await start(first)
  const stale = join(other, 'orders-0')
  await cp(join(first, 'orders-0'), stale, { recursive: true })
  expect((await readdir(stale)).some((file) => file.endsWith('.cut'))).toBe(true)
  await rm(join(stale, 'partition.metadata'))
  await writePartitionMetadata(stale, randomUuid(), false)
  expect((await start(killed, 'os', [other])).told).toBe(true)
})

test('what was written under another policy is looked at by that', async () => {
  const { killed, start } = await restarts()
  const path = join(killed, '.varve-last-run')
  const { bootId, durability } = JSON.parse(await readFile(path, 'utf8')) as Record<string, string>
  expect([bootId !== '', durability]).toEqual([true, 'os'])
  await writeFile(path, JSON.stringify({ bootId: 'another', durability }))
  const interrupted = await start(killed, 'fsync')
  expect(interrupted.told).toBe(true)
  expect((await start(interrupted.killed, 'fsync')).told).toBe(true)
})

test('nothing that was flushed is taken for lost because the machine was booted', async () => {
  const { killed, start } = await restarts()
  await writeFile(join(killed, '.varve-last-run'), JSON.stringify({ bootId: 'another', durability: 'fsync' }))
  expect((await start(killed)).told).toBe(false)
})
