// The metadata log is the only thing that knows which topics there are. A transaction that is half replayed, or a
// damaged log that is replayed up to the damage, would make the broker put aside directories full of records.
import { join } from 'node:path'
import { openDataDirectory } from '@varve/log'
import { expect, onTestFinished, test, vi } from 'vitest'
import { LocalMetadataStore } from '../../src/metadata/local-metadata-store.js'
import { metadataLogName } from '../../src/metadata/metadata-log.js'
import { MemoryDisk } from '../memory-log.js'
import { ManualClock } from '../support/manual-clock.js'
import { temporaryDirectory } from '../support/test-broker.js'
import { Followed } from './followed.js'
import { testMetadataStore } from './metadata-store-suite.js'

async function opened(disk = new MemoryDisk(), dir?: string) {
  const data = dir ?? (await temporaryDirectory())
  const directory = await disk.openDataDirectory(data)
  const clock = new ManualClock()
  const lines: string[] = []
  const log = (level: string, message: string) => void lines.push(`${level} ${message}`)
  const store = await LocalMetadataStore.open(directory, { durability: 'fsync', clock, log })
  /** Opens again what a crash, or else a clean end, has left. */
  const reopen = async (crash = false) => {
    if (crash) disk.crash()
    else await directory.close()
    return await opened(disk, data)
  }
  return { disk, data, clock, lines, store, reopen }
}

const keys = async (store: LocalMetadataStore, prefix = ''): Promise<string[]> =>
  (await store.list(prefix)).entries.map(({ key, value, revision }) => `${key}=${value}@${revision}`)

testMetadataStore(async () => {
  const { store, clock } = await opened()
  onTestFinished(() => store.close())
  return { store, other: store, now: () => clock.now(), pass: (ms) => clock.advance(ms) }
})

test('puts and deletes are there at once and after a restart', async () => {
  const { store, reopen } = await opened()
  await store.txn({
    puts: [
      { key: '/b', value: '1' },
      { key: '/a', value: '2' },
    ],
  })
  await store.txn({ puts: [{ key: '/c', value: '3' }], deletes: ['/b'] })
  await store.txn({ puts: [{ key: '/a', value: 'ä' }] })
  const expected = ['/a=ä@5', '/c=3@3']
  expect(await keys(store)).toEqual(expected)
  const again = await reopen()
  expect(await keys(again.store)).toEqual(expected)
  expect(await keys(again.store, '/c')).toEqual(['/c=3@3'])
  const { revision } = await again.store.txn({ puts: [{ key: '/d', value: '4' }] })
  expect(revision).toBe(6)
})

test('a transaction whose comparison does not hold changes nothing', async () => {
  const { store } = await opened()
  const put = { key: '/a', value: '1' }
  expect(await store.txn({ compares: [{ key: '/a', revision: 0 }], puts: [put] })).toEqual({
    succeeded: true,
    revision: 1,
  })
  const again = { compares: [{ key: '/a', revision: 0 }], puts: [{ key: '/a', value: '2' }], deletes: ['/z'] }
  expect(await store.txn(again)).toEqual({ succeeded: false, revision: 1 })
  expect(await store.txn({ compares: [{ key: '/a', revision: 1 }], deletes: ['/a'] })).toEqual({
    succeeded: true,
    revision: 2,
  })
  expect(await keys(store)).toEqual([])
})

test('of two transactions with the same comparison one wins', async () => {
  const { store } = await opened()
  const attempt = (value: string) =>
    store.txn({ compares: [{ key: '/a', revision: 0 }], puts: [{ key: '/a', value }] })
  const results = await Promise.all([attempt('1'), attempt('2'), attempt('3')])
  expect(results.map(({ succeeded }) => succeeded)).toEqual([true, false, false])
  expect(await keys(store)).toEqual(['/a=1@1'])
})

test('a crash before the flush leaves nothing of a transaction, and nobody was told otherwise', async () => {
  const { store, disk, reopen } = await opened()
  await store.txn({ puts: [{ key: '/a', value: '1' }] })
  disk.log(metadataLogName).holdDurability()
  let answered = false
  const lost = store.txn({ puts: [{ key: '/b', value: '2' }], deletes: ['/a'] })
  lost.then(
    () => (answered = true),
    () => {},
  )
  await new Promise((resolve) => setImmediate(resolve))
  expect([answered, await keys(store)]).toEqual([false, ['/a=1@1']])
  expect(await keys((await reopen(true)).store)).toEqual(['/a=1@1'])
})

test('a failed log rejects transactions and changes nothing', async () => {
  const { store, disk } = await opened()
  await store.txn({ puts: [{ key: '/a', value: '1' }] })
  disk.log(metadataLogName).fail()
  await expect(store.txn({ puts: [{ key: '/a', value: '2' }] })).rejects.toMatchObject({
    code: 'VARVE_LOG_FAILED',
  })
  expect(await keys(store)).toEqual(['/a=1@1'])
})

test('a transaction has at most 128 operations, and one of that size is one batch', async () => {
  const { store, disk } = await opened()
  const puts = Array.from({ length: 128 }, (_, i) => ({ key: `/${i}`, value: 'x' }))
  await expect(store.txn({ puts, deletes: ['/a'] })).rejects.toMatchObject({
    code: 'VARVE_METADATA_TXN_TOO_LARGE',
  })
  expect(disk.log(metadataLogName).endOffset).toBe(0)
  expect(await store.txn({ puts })).toEqual({ succeeded: true, revision: 1 })
  expect(disk.log(metadataLogName).groups).toEqual([1])
})

test('however many keys are deleted at once, no batch becomes larger than a log takes', async () => {
  const directory = await openDataDirectory(await temporaryDirectory())
  onTestFinished(() => directory.close())
  const store = await LocalMetadataStore.open(directory, { durability: 'os' })
  const long = 'k'.repeat(240)
  const some = Array.from({ length: 50 }, (_, each) =>
    Array.from({ length: 128 }, (_unused, index) => `/${each}/${index}/${long}`),
  )
  await Promise.all(some.map((keys) => store.txn({ puts: keys.map((key) => ({ key, value: '' })) })))
  const deletions = some.map((deletes) => store.txn({ deletes }))
  const results = await Promise.all(deletions)
  expect(results.every(({ succeeded }) => succeeded)).toBe(true)
  expect(await keys(store)).toEqual([])
})

test('a damaged metadata log is not opened, in one line that names it', async () => {
  const { store, disk, data, reopen } = await opened()
  await store.txn({ puts: [{ key: '/a', value: '1' }] })
  disk.flipByte(metadataLogName, 70)
  const error = await reopen().catch((caught: unknown) => caught as Error & { code: string })
  expect(error).toMatchObject({ code: 'VARVE_METADATA_CORRUPT' })
  expect((error as Error).message).toContain(join(data, metadataLogName))
  expect((error as Error).message).not.toContain('\n')
})

test('leases end with the process, and so do the keys that were put with them', async () => {
  const { store, reopen } = await opened()
  const lease = await store.grantLease(60)
  await store.txn({ puts: [{ key: '/a', value: '1' }] })
  await store.txn({
    puts: [
      { key: '/b', value: '1', lease },
      { key: '/c', value: '1', lease },
    ],
  })
  await store.txn({
    puts: [
      { key: '/a', value: '2', lease },
      { key: '/b', value: '2', lease: 'kept' },
      { key: '/c', value: '2' },
    ],
  })
  const again = await reopen(true)
  expect(await keys(again.store)).toEqual(['/c=2@4'])
  expect(await again.store.keepAlive(lease)).toBe(false)
  const third = await again.reopen(true)
  expect(await keys(third.store)).toEqual(['/c=2@4'])
  // What was deleted has had a revision of its own.
  expect((await third.store.txn({ puts: [{ key: '/d', value: '' }] })).revision).toBe(9)
})

test('without a lease there is no timer, and a closed store leaves none', async () => {
  const { store, clock } = await opened()
  await store.txn({ puts: [{ key: '/a', value: '1' }] })
  expect(clock.pending).toBe(0)
  const lease = await store.grantLease(1)
  await store.grantLease(1)
  await store.keepAlive(lease)
  expect(clock.pending).toBe(2)
  await store.revokeLease(lease)
  expect(clock.pending).toBe(1)
  await store.close()
  expect(clock.pending).toBe(0)
})

test('a put that is being written when its lease expires does not outlive it', async () => {
  const { store, clock, disk } = await opened()
  const lease = await store.grantLease(1)
  const log = disk.log(metadataLogName)
  log.holdDurability()
  const put = store.txn({ puts: [{ key: '/a', value: '1', lease }] })
  await new Promise((resolve) => setImmediate(resolve))
  await clock.advance(1000)
  const late = store.txn({ puts: [{ key: '/b', value: '1', lease }] })
  log.releaseDurability()
  expect(await put).toMatchObject({ succeeded: true })
  await expect(late).rejects.toMatchObject({ code: 'VARVE_LEASE_GONE' })
  expect(await keys(store)).toEqual([])
})

test('keys whose lease expires while the log takes nothing are deleted by the next one that opens it', async () => {
  const { store, clock, disk, lines, reopen } = await opened()
  const lease = await store.grantLease(1)
  await store.txn({ puts: [{ key: '/a', value: '1', lease }] })
  disk.log(metadataLogName).fail()
  await clock.advance(1000)
  await new Promise((resolve) => setImmediate(resolve))
  expect(lines).toEqual([expect.stringMatching(/^error what was put .* with the lease 1, .* is still there/)])
  expect(await keys((await reopen(true)).store)).toEqual([])
})

test('a follower that fails fails for the process, and for nobody else who follows', async () => {
  const { store } = await opened()
  const failure = new Error('of a follower')
  const thrown: unknown[] = []
  const microtask = vi.spyOn(globalThis, 'queueMicrotask')
  const fails = (): never => {
    microtask.mockImplementationOnce((run) => {
      try {
        run()
      } catch (error) {
        thrown.push(error)
      }
    })
    throw failure
  }
  store.follow('/', { reset: () => {}, events: fails })
  const followed = Followed.on(store)
  await expect.poll(() => followed.calls).toEqual(['reset'])
  const { revision } = await store.txn({ puts: [{ key: '/a', value: '1' }] })
  expect([followed.revision, thrown]).toEqual([revision, [failure]])
  microtask.mockRestore()
})
