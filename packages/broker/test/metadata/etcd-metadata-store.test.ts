// Brokers that take an answer for what it is not, or miss what the others have agreed on, lose records. A real etcd is asked
// here, which restarts, compacts, forgets tokens and asks for certificates in its own way.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EtcdProcess, etcdMissing } from '../../../../test/support/etcd.js'
import { wasNotApplied } from '../../src/metadata/metadata-store.js'
import { openStore } from './etcd-stores.js'
import { Followed } from './followed.js'
import { testMetadataStore } from './metadata-store-suite.js'

if (etcdMissing !== null) test('a metadata store in etcd', (context) => context.skip(etcdMissing!))

let prefixes = 0
const ownPrefix = (): string => `/test-${++prefixes}`

const put = (key: string, value = '') => ({ puts: [{ key, value }] })

describe.skipIf(etcdMissing !== null)('one etcd', () => {
  let etcd: EtcdProcess
  beforeAll(async () => {
    etcd = await EtcdProcess.start()
  })
  afterAll(() => etcd.close())

  testMetadataStore(async () => {
    const url = etcd.url + ownPrefix()
    return {
      store: openStore(url).store,
      other: openStore(url).store,
      now: () => Date.now(),
      pass: (ms) => sleep(ms),
    }
  })

  test("keys of another prefix are another cluster's", async () => {
    const prefix = ownPrefix()
    const { store } = openStore(etcd.url + prefix)
    const { store: other } = openStore(`${etcd.url}${prefix}0`)
    const { store: all } = openStore(etcd.url)
    const followed = Followed.on(store, '')
    await other.txn(put('/a', 'other'))
    const { revision } = await store.txn(put('/a', 'own'))
    expect((await store.list('')).entries).toEqual([{ key: '/a', value: 'own', revision }])
    expect((await other.list('/')).entries).toMatchObject([{ key: '/a', value: 'other' }])
    expect((await all.list(prefix)).entries.map(({ key }) => key)).toEqual([`${prefix}/a`, `${prefix}0/a`])
    await followed.until(revision)
    expect(followed.values).toEqual({ '/a': 'own' })
  })

  test('a transaction that is larger than etcd takes is not applied', async () => {
    const { store } = openStore(etcd.url + ownPrefix())
    const value = 'x'.repeat(1_000_000)
    for (const times of [2, 3]) {
      const puts = Array.from({ length: times }, (_, i) => ({ key: `/${i}`, value }))
      const error: unknown = await store.txn({ puts }).catch((caught: unknown) => caught)
      expect([error, wasNotApplied(error)]).toEqual([
        expect.objectContaining({ code: 'VARVE_METADATA_TXN_TOO_LARGE' }),
        true,
      ])
    }
    expect((await store.list('/')).entries).toEqual([])
  })

  test('large lists and large transactions come as they are', async () => {
    const { store } = openStore(etcd.url + ownPrefix())
    const followed = Followed.on(store)
    const value = 'x'.repeat(3000)
    const writing = Array.from({ length: 10 }, (_, t) =>
      store.txn({ puts: Array.from({ length: 100 }, (_unused, i) => ({ key: `/${t}/${i}`, value })) }),
    )
    const revisions = (await Promise.all(writing)).map(({ revision }) => revision)
    await followed.until(Math.max(...revisions))
    const late = Followed.on(store)
    await late.until(Math.max(...revisions))
    expect([followed.entries.size, late.entries.size]).toEqual([1000, 1000])
    expect(late.values).toEqual(followed.values)
  })

  test('a watch that hears nothing is taken up again, and misses nothing', async () => {
    const { store, lines } = openStore(etcd.url + ownPrefix(), { quietMs: 20 })
    const followed = Followed.on(store)
    await expect.poll(() => followed.calls).toEqual(['reset'])
    let last = 0
    for (let i = 0; i < 40; i++) {
      last = (await store.txn(put(`/${i % 7}`, String(i)))).revision
      await sleep(i)
    }
    await followed.until(last)
    expect(followed.events).toHaveLength(40)
    expect([followed.calls[0], followed.calls.lastIndexOf('reset'), followed.failures]).toEqual([
      'reset',
      0,
      [],
    ])
    expect(lines.filter((line) => !line.startsWith('debug'))).toEqual([])
  })
})
