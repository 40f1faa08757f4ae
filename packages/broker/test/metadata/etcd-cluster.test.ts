// The members of an etcd fail one by one, hang, or are cut off, and so does whoever leads them. As long as most of them agree,
// brokers go on: they leave the member that does not answer, and miss nothing on the way.
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { EtcdCluster, etcdMissing, type EtcdProcess } from '../../../../test/support/etcd.js'
import { wasNotApplied } from '../../src/metadata/metadata-store.js'
import type { EtcdMetadataStoreOptions } from '../../src/metadata/etcd-metadata-store.js'
import { openStore, persistently } from './etcd-stores.js'
import { Followed } from './followed.js'

if (etcdMissing !== null) test('a cluster of etcd', (context) => context.skip(etcdMissing!))

let prefixes = 0

/** For members that hang, and for requests that wait for one that leads no more: time alone tells. */
const impatient = { connectTimeoutMs: 1000, requestTimeoutMs: 1000, quietMs: 500 }
const put = (key: string, value = '') => ({ puts: [{ key, value }] })

describe.skipIf(etcdMissing !== null)('an etcd of three members', () => {
  let etcd: EtcdCluster
  let leader: EtcdProcess
  beforeAll(async () => {
    etcd = await EtcdCluster.start()
  })
  afterAll(() => etcd.close())
  beforeEach(async () => {
    leader = await etcd.leader()
  })

  /** A store that asks a member first, and the others when that does not answer. */
  const storeAt = (first: EtcdProcess, prefix: string, options: Partial<EtcdMetadataStoreOptions> = {}) => {
    const others = etcd.members.filter((member) => member !== first)
    const addresses = [first, ...others].map(({ address }) => address)
    return openStore(`etcd://${addresses.join()}${prefix}`, options)
  }
  const nextPrefix = (): string => `/cluster-${++prefixes}`

  /** Writes from a member that stays, through whatever `happens`, and compares what a follower at another one is told. */
  async function followThrough(
    at: EtcdProcess,
    happens: () => Promise<void> | void,
    repair: () => Promise<void> | void,
    options: Partial<EtcdMetadataStoreOptions> = {},
  ) {
    const prefix = nextPrefix()
    const { store, lines } = storeAt(at, prefix, options)
    const stays = etcd.members.find((member) => member !== at && member !== leader)!
    const { store: writer } = storeAt(stays, prefix, options)
    const followed = Followed.on(store)
    await followed.until((await persistently(() => writer.txn(put('/first')))).revision)
    const lease = await persistently(() => store.grantLease(60))
    const written = new Map<string, number>()
    const write = async (i: number): Promise<void> => {
      const { revision } = await persistently(() =>
        writer.txn({
          puts: [
            { key: `/${i % 5}`, value: String(i) },
            { key: '/last', value: String(i) },
          ],
        }),
      )
      written.set(String(i), revision)
    }
    for (let i = 0; i < 5; i++) await write(i)
    try {
      await happens()
      for (let i = 5; i < 20; i++) await write(i)
      await followed.until(written.get('19')!)
      expect(await persistently(() => store.keepAlive(lease))).toBe(true)
    } finally {
      await repair()
    }
    // What was sent to a member that hung may be done when it goes on.
    await expect
      .poll(async () => {
        const { entries, revision } = await persistently(() => store.list('/'))
        await followed.until(revision)
        const known = [...followed.entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
        return isDeepStrictEqual(known, entries) || [known, entries]
      })
      .toBe(true)
    // Each of its puts came with the revision at which it was done, at the latest: some may have been done twice.
    const told = followed.events.filter(({ key }) => key === '/last')
    for (const [value, at] of written) {
      expect(
        told.some((event) => event.kind === 'put' && event.value === value && event.revision <= at),
      ).toBe(true)
    }
    expect(followed.calls.filter((call) => call === 'reset')).toHaveLength(1)
    return lines.filter((line) => !line.startsWith('debug'))
  }

  const follower = (): EtcdProcess => etcd.members.find((member) => member !== leader)!

  test('goes on when the member that is asked is killed', async () => {
    const member = follower()
    const lines = await followThrough(
      member,
      () => member.kill(),
      () => member.run(),
    )
    expect(lines.at(-1)).toMatch(/^info follows \/ in etcd again/)
  })

  test('goes on when the member that is asked leads, and is killed', async () => {
    const member = leader
    await followThrough(
      member,
      () => member.kill(),
      () => member.run(),
      impatient,
    )
  })

  test('goes on when the member that is asked leads, and hangs with its connections open', async () => {
    const member = leader
    await followThrough(
      member,
      () => member.pause(),
      () => member.resume(),
      impatient,
    )
  })

  test('goes on when another member leads, and hangs', async () => {
    await followThrough(
      follower(),
      () => leader.pause(),
      () => leader.resume(),
      impatient,
    )
  })

  test('goes on elsewhere when the member that is asked is cut off from the others', async () => {
    const member = follower()
    const lines = await followThrough(
      member,
      () => etcd.cutOff(member),
      () => etcd.heal(),
    )
    expect(lines[0]).toMatch(/^warn cannot follow .*etcdserver: no leader/)
  })

  test('is unavailable while most members hang, and then goes on', async () => {
    const { store } = storeAt(leader, nextPrefix(), impatient)
    const followed = Followed.on(store)
    await persistently(() => store.txn(put('/a', '1')))
    const hung = etcd.members.filter((member) => member !== leader)
    for (const member of hung) {
      member.pause()
      onTestFinished(() => member.resume())
    }
    const error: unknown = await store.txn(put('/b', '1')).catch((caught: unknown) => caught)
    expect([error, wasNotApplied(error)]).toEqual([
      expect.objectContaining({ code: 'VARVE_METADATA_OUTCOME_UNKNOWN' }),
      false,
    ])
    await expect(store.list('/')).rejects.toMatchObject({ code: 'VARVE_METADATA_UNAVAILABLE' })
    await expect.poll(() => followed.failures.length).toBeGreaterThan(0)
    for (const member of hung) member.resume()
    const { revision } = await persistently(() => store.txn(put('/b', '2')))
    await followed.until(revision)
    expect(followed.values).toEqual({ '/a': '1', '/b': '2' })
  })
})
