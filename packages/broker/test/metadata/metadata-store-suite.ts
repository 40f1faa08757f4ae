// What every metadata store has to do, whatever it is made of: the rules of replication are proven over a simulated one that
// does this, and hold for no store that does less.
import { expect, test } from 'vitest'
import { type MetadataStore, wasNotApplied } from '../../src/metadata/metadata-store.js'
import { Followed } from './followed.js'

/** A store under test. */
export interface StoreUnderTest {
  /** Empty, and closed at the end of the test. */
  readonly store: MetadataStore
  /** Another user's way to the same store; the same object where users share one. */
  readonly other: MetadataStore
  /** The time by which leases expire, in milliseconds. */
  now(): number
  /** Lets time pass, as far as leases are concerned. */
  pass(ms: number): Promise<void>
}

const put = (key: string, value = '', lease?: string) =>
  lease === undefined ? { key, value } : { key, value, lease }

/** Comparisons that say: absent. */
const absent = (key: string) => ({ key, revision: 0 })

/** Declares the tests, over stores that `open` opens. */
export function testMetadataStore(open: () => Promise<StoreUnderTest>): void {
  test('puts, values of any length and letters, and deletes are listed in the order of keys', async () => {
    const { store, other } = await open()
    const long = 'x'.repeat(100_000)
    const first = await store.txn({ puts: [put('/b', long), put('/a/ä', '"ö\n'), put('/a')] })
    const second = await store.txn({ puts: [put('/c', '3')], deletes: ['/a', '/never-there'] })
    expect([first.succeeded, second.succeeded]).toEqual([true, true])
    expect(second.revision).toBeGreaterThan(first.revision)
    expect(await other.list('/')).toEqual({
      entries: [
        { key: '/a/ä', value: '"ö\n', revision: first.revision },
        { key: '/b', value: long, revision: first.revision },
        { key: '/c', value: '3', revision: second.revision },
      ],
      revision: second.revision,
    })
    expect((await store.list('/a/')).entries.map(({ key }) => key)).toEqual(['/a/ä'])
    expect((await store.list('')).entries).toHaveLength(3)
    expect(await store.list('/d')).toEqual({ entries: [], revision: second.revision })
  })

  test('a transaction whose comparisons do not all hold changes nothing, and says so', async () => {
    const { store } = await open()
    const { revision } = await store.txn({ compares: [absent('/a')], puts: [put('/a', '1')] })
    const again = { puts: [put('/a', '2'), put('/b')], deletes: ['/c'] }
    for (const compares of [
      [absent('/a')],
      [{ key: '/a', revision: revision + 1 }],
      [
        { key: '/a', revision },
        { key: '/b', revision },
      ],
    ]) {
      expect(await store.txn({ ...again, compares })).toEqual({ succeeded: false, revision })
    }
    expect((await store.list('/')).entries).toEqual([{ key: '/a', value: '1', revision }])
    const compares = [{ key: '/a', revision }, absent('/b')]
    const applied = await store.txn({ ...again, compares })
    expect([applied.succeeded, applied.revision > revision]).toEqual([true, true])
    expect(await store.txn({ compares: [{ key: '/a', revision: applied.revision }] })).toEqual(applied)
  })

  test('of transactions that compare the same one is applied, whoever sends them', async () => {
    const { store, other } = await open()
    const attempts = Array.from({ length: 20 }, (_, i) =>
      (i % 2 === 0 ? store : other).txn({
        compares: [absent('/a')],
        puts: [put('/a', String(i)), put(`/by/${i}`)],
      }),
    )
    const winners = (await Promise.all(attempts)).flatMap(({ succeeded }, i) => (succeeded ? [i] : []))
    expect(winners).toHaveLength(1)
    const { entries } = await store.list('/')
    expect(entries.map(({ key, value }) => [key, value])).toEqual([
      ['/a', String(winners[0])],
      [`/by/${winners[0]}`, ''],
    ])
  })

  test('a transaction has up to 128 comparisons and as many changes, none of one key twice, nor without a slash', async () => {
    const { store } = await open()
    const keys = Array.from({ length: 129 }, (_, i) => `/${String(i).padStart(3, '0')}`)
    const refused = async (transaction: Parameters<MetadataStore['txn']>[0], code: string) => {
      const error: unknown = await store.txn(transaction).catch((caught: unknown) => caught)
      expect([error, wasNotApplied(error)]).toEqual([expect.objectContaining({ code }), true])
    }
    await refused({ puts: keys.map((key) => put(key)) }, 'VARVE_METADATA_TXN_TOO_LARGE')
    await refused({ puts: [put('/a')], deletes: keys.slice(1) }, 'VARVE_METADATA_TXN_TOO_LARGE')
    await refused({ compares: keys.map(absent) }, 'VARVE_METADATA_TXN_TOO_LARGE')
    await refused({ puts: [put('/a')], deletes: ['/a'] }, 'VARVE_METADATA_REFUSED')
    await refused({ puts: [put('/a'), put('/a')] }, 'VARVE_METADATA_REFUSED')
    await refused({ puts: [put('a')] }, 'VARVE_METADATA_REFUSED')
    expect((await store.list('/')).entries).toEqual([])
    const most = keys.slice(1)
    const { revision } = await store.txn({ compares: most.map(absent), puts: most.map((key) => put(key)) })
    const { entries } = await store.list('/')
    expect(entries.map((entry) => [entry.key, entry.revision])).toEqual(most.map((key) => [key, revision]))
  })

  test('a long list is of one revision, however much is written meanwhile', async () => {
    const { store, other } = await open()
    const keys = Array.from({ length: 1280 }, (_, i) => `/${String(i).padStart(4, '0')}`)
    const groups = Array.from({ length: 10 }, (_, i) => keys.slice(i * 128, (i + 1) * 128))
    await Promise.all(groups.map((group) => store.txn({ puts: group.map((key) => put(key, '0')) })))
    const writer = { goesOn: true }
    // Whatever is listed, each group is of one of its transactions.
    const writing = (async () => {
      for (let i = 1; writer.goesOn; i++) {
        await other.txn({ puts: groups[i % 10]!.map((key) => put(key, String(i))) })
      }
    })()
    try {
      for (let i = 0; i < 5; i++) {
        const { entries, revision } = await store.list('/')
        expect(entries.map(({ key }) => key)).toEqual(keys)
        expect(Math.max(...entries.map((entry) => entry.revision))).toBeLessThanOrEqual(revision)
        for (let group = 0; group < 10; group++) {
          const own = entries.slice(group * 128, (group + 1) * 128)
          expect(new Set(own.map((entry) => `${entry.value}@${entry.revision}`)).size).toBe(1)
        }
      }
    } finally {
      writer.goesOn = false
      await writing
    }
  })

  test('a follower is told everything that is there, and then what happens', async () => {
    const { store, other } = await open()
    await store.txn({ puts: [put('/a', '1'), put('/b', '1')] })
    const followed = Followed.on(store)
    expect(followed.calls).toEqual([])
    await expect.poll(() => followed.calls).toEqual(['reset'])
    expect(followed.values).toEqual({ '/a': '1', '/b': '1' })
    const lease = await store.grantLease(60)
    const first = await other.txn({ puts: [put('/a', '2', lease), put('/c', '1')], deletes: ['/b'] })
    const second = await store.txn({ deletes: ['/c', '/not-there'] })
    await followed.until(second.revision)
    expect(followed.events).toHaveLength(4)
    expect(followed.events.slice(0, 3)).toEqual(
      expect.arrayContaining([
        { kind: 'put', key: '/a', value: '2', revision: first.revision, lease },
        { kind: 'put', key: '/c', value: '1', revision: first.revision },
        { kind: 'delete', key: '/b', revision: first.revision },
      ]),
    )
    expect(followed.events[3]).toEqual({ kind: 'delete', key: '/c', revision: second.revision })
    expect([...followed.entries.values()]).toEqual((await store.list('/')).entries)
  })

  test('a follower is told what happens under its prefix, and of nothing else', async () => {
    const { store } = await open()
    await store.txn({ puts: [put('/topics/a'), put('/a')] })
    const followed = Followed.on(store, '/topics/')
    await expect.poll(() => followed.calls).toEqual(['reset'])
    expect([...followed.entries.keys()]).toEqual(['/topics/a'])
    await store.txn({ puts: [put('/topics'), put('/topics0'), put('/brokers/1')] })
    const { revision } = await store.txn({ puts: [put('/topics/'), put('/topicz'), put('/a')] })
    await followed.until(revision)
    await store.txn({ puts: [put('/a')], deletes: ['/topics'] })
    const last = await store.txn({ puts: [put('/topics/orders')] })
    await followed.until(last.revision)
    expect(followed.events.map(({ key }) => key)).toEqual(['/topics/', '/topics/orders'])
  })

  test('followers are told revision by revision, each as a whole, while many write', async () => {
    const { store, other } = await open()
    const early = Followed.on(store)
    const late: Followed[] = []
    const written = new Set<number>()
    const write = async (through: MetadataStore, writer: number): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        const value = `${writer}-${i}`
        const { revision } = await through.txn({
          puts: [put(`/${writer}/0`, value), put(`/${writer}/${i % 3}x`, value), put(`/${writer}/9`, value)],
          ...(i % 5 === 4 && { deletes: [`/${writer}/${(i + 1) % 3}x`] }),
        })
        written.add(revision)
        if (i === 20) late.push(Followed.on(writer % 2 === 0 ? store : other))
      }
    }
    await Promise.all([0, 1, 2, 3, 4].map((writer) => write(writer % 2 === 0 ? store : other, writer)))
    const { entries, revision } = await store.list('/')
    for (const followed of [early, ...late]) {
      await followed.until(revision)
      expect([...followed.entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1))).toEqual(entries)
      for (const call of followed.calls) {
        if (call === 'reset') continue
        for (const event of call) {
          const own = call.filter((one) => one.revision === event.revision && one.kind === 'put')
          // Each transaction puts three keys; several may share a revision.
          expect(own.length % 3).toBe(0)
        }
      }
    }
    const told = new Set(early.events.map((event) => event.revision))
    for (const one of told) expect(written).toContain(one)
    expect(early.calls.filter((call) => call === 'reset')).toHaveLength(1)
  })

  test('a following that is closed tells nothing more, and others go on', async () => {
    const { store } = await open()
    const ended = Followed.on(store)
    const never = Followed.on(store)
    never.close()
    const other = Followed.on(store)
    await expect.poll(() => [ended.calls.length, other.calls.length]).toEqual([1, 1])
    ended.close()
    const { revision } = await store.txn({ puts: [put('/a')] })
    await other.until(revision)
    expect([ended.calls, never.calls]).toEqual([['reset'], []])
  })

  test('a lease that is not kept alive takes its keys along, late but not early, at one revision', async () => {
    const { store, other, now, pass } = await open()
    const followed = Followed.on(other)
    const lease = await store.grantLease(5)
    const kept = await store.grantLease(60)
    await store.txn({ puts: [put('/a', '1', lease), put('/b', '1', lease), put('/c', '1', kept)] })
    await store.txn({ puts: [put('/d', '1', lease)] })
    await pass(2000)
    const renewed = now()
    expect(await other.keepAlive(lease)).toBe(true)
    await pass(3500)
    const early = (await store.list('/')).entries.map((entry) => [entry.key, entry.lease])
    // A machine that is very busy is not early.
    if (now() - renewed < 5000) {
      expect(early).toEqual([
        ['/a', lease],
        ['/b', lease],
        ['/c', kept],
        ['/d', lease],
      ])
    }
    await pass(1500)
    await expect.poll(() => followed.values).toEqual({ '/c': '1' })
    const gone = followed.events.filter(({ kind }) => kind === 'delete')
    expect(gone.map(({ key }) => key).sort()).toEqual(['/a', '/b', '/d'])
    expect(new Set(gone.map(({ revision }) => revision)).size).toBe(1)
    expect(await store.keepAlive(lease)).toBe(false)
    expect(await store.keepAlive(kept)).toBe(true)
  })

  test('a revoked lease takes its keys along, at one revision', async () => {
    const { store, other } = await open()
    const followed = Followed.on(store)
    const lease = await store.grantLease(60)
    const next = await other.grantLease(60)
    await store.txn({ puts: [put('/a', '', lease), put('/b', '', lease), put('/c', '', lease), put('/d')] })
    // A key belongs to the lease with which it was put last.
    await store.txn({ puts: [put('/b', '', next), put('/c')] })
    await other.revokeLease(lease)
    expect((await store.list('/')).entries.map(({ key }) => key)).toEqual(['/b', '/c', '/d'])
    await store.revokeLease(next)
    const { entries, revision } = await store.list('/')
    expect(entries.map(({ key }) => key)).toEqual(['/c', '/d'])
    await followed.until(revision)
    expect(followed.events.flatMap((event) => (event.kind === 'delete' ? [event.key] : []))).toEqual([
      '/a',
      '/b',
    ])
    await store.revokeLease(lease)
    expect([await store.keepAlive(lease), await other.keepAlive(next)]).toEqual([false, false])
  })

  test('a put with a lease that is gone is not applied, and is no failed comparison', async () => {
    const { store } = await open()
    const lease = await store.grantLease(60)
    await store.txn({ puts: [put('/a', '1', lease)] })
    await store.revokeLease(lease)
    for (const gone of [lease, '1234567890123456789']) {
      const late = store.txn({ puts: [put('/b'), put('/c', '', gone)] })
      const error: unknown = await late.catch((caught: unknown) => caught)
      expect([error, wasNotApplied(error)]).toEqual([
        expect.objectContaining({ code: 'VARVE_LEASE_GONE', message: expect.stringContaining(gone) }),
        true,
      ])
    }
    expect((await store.list('/')).entries).toEqual([])
    const { revision } = await store.txn({ puts: [put('/d')] })
    const compares = [{ key: '/d', revision: revision + 1 }]
    expect(await store.txn({ compares, puts: [put('/c', '', lease)] })).toEqual({
      succeeded: false,
      revision,
    })
  })

  test('a put can keep the lease of its key', async () => {
    const { store } = await open()
    const lease = await store.grantLease(60)
    await store.txn({ puts: [put('/a', '1', lease), put('/b', '1')] })
    const { revision } = await store.txn({ puts: [put('/a', '2', 'kept'), put('/b', '2', 'kept')] })
    expect((await store.list('/')).entries).toEqual([
      { key: '/a', value: '2', revision, lease },
      { key: '/b', value: '2', revision },
    ])
    const nothing: unknown = await store
      .txn({ puts: [put('/b', '3'), put('/c', '', 'kept')] })
      .catch((caught: unknown) => caught)
    expect([nothing, wasNotApplied(nothing)]).toEqual([
      expect.objectContaining({ code: 'VARVE_METADATA_REFUSED' }),
      true,
    ])
    const compares = [absent('/a')]
    expect(await store.txn({ compares, puts: [put('/c', '', 'kept')] })).toEqual({
      succeeded: false,
      revision,
    })
    await store.revokeLease(lease)
    expect((await store.list('/')).entries.map(({ key }) => key)).toEqual(['/b'])
  })

  test.each([0, -1, 1.5, Infinity, 86_401])('there is no lease of %s seconds', async (ttlSeconds) => {
    const { store } = await open()
    await expect(store.grantLease(ttlSeconds)).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  })

  test('a closed store refuses everything and tells nobody anything', async () => {
    const { store } = await open()
    const lease = await store.grantLease(60)
    const followed = Followed.on(store)
    const ended = store.close()
    const refused = { code: 'VARVE_METADATA_CLOSED' }
    await expect(store.list('/')).rejects.toMatchObject(refused)
    await expect(store.txn({ puts: [put('/a')] })).rejects.toMatchObject(refused)
    await expect(store.grantLease(5)).rejects.toMatchObject(refused)
    await expect(store.keepAlive(lease)).rejects.toMatchObject(refused)
    await expect(store.revokeLease(lease)).rejects.toMatchObject(refused)
    expect(() => store.follow('/', { reset: () => {}, events: () => {} })).toThrow(
      expect.objectContaining(refused),
    )
    await ended
    await store.close()
    expect([followed.calls, followed.failures]).toEqual([[], []])
  })
}
