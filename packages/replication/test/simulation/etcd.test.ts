// The store has to be as strict, and as loose, as etcd is: an election that works only with a nicer one would be proven for nothing.

import type { MetadataTransaction } from '@varve/replication'
import { expect, test } from 'vitest'
import { Etcd, type CommittedTransaction, type Listing } from './etcd.js'
import { Random } from './random.js'
import { VirtualTime } from './virtual-time.js'

function open(lateExpiry?: { chance: number; maxMs: number }) {
  const time = new VirtualTime()
  const etcd = new Etcd({ time, random: new Random(1), lateExpiry })
  const put = (key: string, value: string, lease?: string) =>
    etcd.transaction({ puts: [{ key, value, lease }] })
  const keys = (): string[] => (etcd.list('') as Listing).entries.map(({ key }) => key)
  return { time, etcd, put, keys }
}

test('a transaction is applied as a whole where all its comparisons hold, and not at all elsewhere', () => {
  const { etcd, put } = open()
  expect(put('/a', '1')).toEqual({ kind: 'succeeded', revision: 2 })
  const change: MetadataTransaction = {
    compares: [
      { key: '/a', revision: 2 },
      { key: '/b', revision: 0 },
    ],
    puts: [
      { key: '/a', value: '2' },
      { key: '/b', value: '1' },
    ],
  }
  expect(etcd.transaction(change)).toEqual({ kind: 'succeeded', revision: 3 })
  expect(etcd.transaction(change)).toEqual({ kind: 'failed' })
  expect(etcd.transaction({ ...change, compares: [{ key: '/a', revision: 0 }] })).toEqual({ kind: 'failed' })
  const entries = [
    { key: '/a', value: '2', revision: 3 },
    { key: '/b', value: '1', revision: 3 },
  ]
  expect(etcd.list('/')).toEqual({ entries, revision: 3 })
  expect(etcd.transaction({ deletes: ['/none'] })).toEqual({ kind: 'succeeded', revision: 3 })
  expect(etcd.transaction({ deletes: ['/a', '/none'] })).toEqual({ kind: 'succeeded', revision: 4 })
  expect([etcd.get('/a'), etcd.get('/b')?.revision]).toEqual([undefined, 3])
})

test('a transaction of more than 128 operations, or one that changes a key twice, is a mistake', () => {
  const { etcd } = open()
  const puts = Array.from({ length: 129 }, (_, i) => ({ key: `/${i}`, value: '' }))
  const compares = puts.map(({ key }) => ({ key, revision: 0 }))
  expect(() => etcd.transaction({ puts })).toThrow('too many')
  expect(() => etcd.transaction({ compares })).toThrow('too many')
  expect(() => etcd.transaction({ puts: puts.slice(0, 128), deletes: ['/a'] })).toThrow('too many')
  expect(etcd.transaction({ puts: puts.slice(0, 128), compares: compares.slice(0, 128) }).kind).toBe(
    'succeeded',
  )
  expect(() => etcd.transaction({ puts: [puts[0]!], deletes: ['/0'] })).toThrow('twice')
})

test('keys go with the lease that they were last put with, all at one revision', () => {
  const { etcd, put, keys } = open()
  const [lease, other] = [etcd.grant(5), etcd.grant(5)]
  for (const key of ['/a', '/b', '/c', '/d']) put(key, '1', lease)
  put('/b', '2', 'kept')
  put('/c', '2')
  put('/d', '2', other)
  expect(put('/e', '1', 'kept')).toEqual({ kind: 'failed' })
  expect(put('/e', '1', 'none')).toEqual({ kind: 'failed' })
  const commits: CommittedTransaction[] = []
  etcd.onCommit = (transaction) => commits.push(transaction)
  const { revision } = etcd
  expect([etcd.revoke(lease), etcd.revoke(lease)]).toEqual([true, false])
  expect(commits.map(({ events }) => events)).toEqual([
    ['/a', '/b'].map((key) => ({ kind: 'delete', key, revision: revision + 1 })),
  ])
  expect(keys()).toEqual(['/c', '/d'])
  expect(put('/a', '1', lease)).toEqual({ kind: 'failed' })
  // Without a key it leaves no trace.
  put('/d', '3')
  etcd.revoke(other)
  expect([keys(), etcd.revision]).toEqual([['/c', '/d'], revision + 2])
})

test('a lease ends with a scan behind its time, twice a second, unless it was kept alive before', () => {
  const { time, etcd, put, keys } = open()
  time.runUntil(200)
  const [lease, kept] = [etcd.grant(2), etcd.grant(2)]
  put('/a', '', lease)
  put('/b', '', kept)
  time.runUntil(2100)
  expect(etcd.keepAlive(kept)).toBe(2)
  time.runUntil(2300)
  // Its time is over, and nobody has seen it: it is there, and nothing keeps it alive.
  expect([etcd.keepAlive(lease), keys()]).toEqual([0, ['/a', '/b']])
  time.runUntil(2500)
  expect(keys()).toEqual(['/b'])
  time.runUntil(4499)
  expect(keys()).toEqual(['/b'])
  time.runUntil(4500)
  expect([keys(), etcd.keepAlive(kept), time.nextTime()]).toEqual([[], 0, Infinity])
})

test('a new leader of the store gives every lease its whole time again', () => {
  const { time, etcd, put, keys } = open()
  put('/a', '', etcd.grant(2))
  time.runUntil(1900)
  etcd.leaderLost()
  time.runUntil(10_000)
  expect(keys()).toEqual(['/a'])
  etcd.leaderElected()
  time.runUntil(11_999)
  expect(keys()).toEqual(['/a'])
  time.runUntil(12_000)
  expect(keys()).toEqual([])
})

test('a lease may end late, but not if a new leader has extended it meanwhile', () => {
  const late = open({ chance: 1, maxMs: 4000 })
  late.put('/a', '', late.etcd.grant(1))
  late.time.runUntil(1001)
  expect(late.keys()).toEqual(['/a'])
  late.etcd.leaderLost()
  late.etcd.leaderElected()
  late.time.runUntil(2000)
  expect(late.keys()).toEqual(['/a'])
  late.time.runUntil(6500)
  expect(late.keys()).toEqual([])
})

test('the past is listed and watched as it was, as far as it is not compacted', () => {
  const random = new Random(9)
  const { time, etcd } = open()
  const pasts = new Map<number, string>()
  const seen: CommittedTransaction[] = []
  const all = (revision?: number): string => JSON.stringify(etcd.list('/k', revision))
  etcd.onCommit = (transaction) => {
    pasts.set(transaction.revision, all())
    seen.push(transaction)
  }
  const onlyThePast = (): void => expect.unreachable()
  const key = (): string => `${random.pick(['/k', '/other'])}${random.int(0, 9)}`
  const leases = Array.from({ length: 5 }, () => etcd.grant(random.int(1, 9)))
  for (let i = 0; i < 300; i++) {
    const [one, other] = [key(), key()]
    const lease = random.chance(0.3) ? random.pick(leases) : undefined
    const value = String(random.int(0, 99))
    if (random.chance(0.2)) etcd.transaction({ deletes: [one] })
    else etcd.transaction({ puts: [{ key: one, value, lease }], deletes: other === one ? [] : [other] })
    time.runUntil(time.now + 40)
    if (i % 100 === 99) etcd.compact(etcd.revision - 50)
    const revision = random.int(2, etcd.revision)
    const listed = all(revision)
    const watched = etcd.watch(revision, onlyThePast)
    etcd.unwatch(onlyThePast)
    if (revision < etcd.compactedRevision) {
      expect([listed, watched]).toEqual(['"compacted"', 'compacted'])
    } else {
      expect(listed).toBe(pasts.get(revision))
      expect(watched).toEqual(seen.filter((transaction) => transaction.revision >= revision))
    }
  }
  expect([etcd.revision, etcd.compactedRevision]).toEqual([seen.at(-1)!.revision, expect.any(Number)])
  expect(seen.map(({ revision }) => revision)).toEqual(seen.map((_, i) => i + 2))
  const deletions = seen.filter(({ events }) => events.every(({ kind }) => kind === 'delete'))
  expect(deletions.length).toBeGreaterThan(20)
})
