// Tokens that expire, and certificates that do not fit, must neither end a broker that is in order nor let it go on unprotected.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Authority } from '../../../../test/support/certificates.js'
import { EtcdProcess, etcdMissing } from '../../../../test/support/etcd.js'
import { temporaryDirectory } from '../support/test-broker.js'
import { resolveStore } from '../../src/cluster-options.js'
import { silentLog } from '../../src/broker-log.js'
import { systemClock } from '../../src/clock.js'
import { wasNotApplied } from '../../src/metadata/metadata-store.js'
import { openStore, persistently } from './etcd-stores.js'
import { Followed } from './followed.js'

if (etcdMissing !== null) test('an etcd with users, or with TLS', (context) => context.skip(etcdMissing!))

let prefixes = 0
const ownPrefix = (): string => `test-${++prefixes}`

async function startEtcd(): Promise<EtcdProcess> {
  const etcd = await EtcdProcess.start()
  onTestFinished(() => etcd.close())
  return etcd
}

const put = (key: string, value = '') => ({ puts: [{ key, value }] })

describe.skipIf(etcdMissing !== null)('an etcd with users', () => {
  const user = { name: 'varve', password: 'p@ss:w/rd%' }
  let etcd: EtcdProcess
  beforeAll(async () => {
    // In seconds, from when a token was used last.
    etcd = await EtcdProcess.start({ flags: ['--auth-token-ttl', '3'] })
    await etcd.enableAuthentication({ ...user, keyPrefix: '/own/' })
  })
  afterAll(() => etcd.close())

  const urlFor = (password: string): string =>
    `etcd://${user.name}:${encodeURIComponent(password)}@${etcd.address}/own/${ownPrefix()}`

  test('a user does what he may, and goes on when etcd has forgotten his token', async () => {
    const { store, lines } = openStore(urlFor(user.password), { quietMs: 500 })
    const followed = Followed.on(store)
    const lease = await store.grantLease(60)
    await store.txn({ puts: [{ key: '/a', value: '1', lease }] })
    await expect.poll(() => followed.values).toEqual({ '/a': '1' })
    await sleep(4500)
    const { revision } = await store.txn(put('/b', '2'))
    await followed.until(revision)
    expect((await store.list('/')).entries).toHaveLength(2)
    expect(await store.keepAlive(lease)).toBe(true)
    await store.revokeLease(lease)
    expect((await store.list('/')).entries.map(({ key }) => key)).toEqual(['/b'])
    expect([followed.failures, lines.filter((line) => !line.startsWith('debug'))]).toEqual([[], []])
  })

  test.each([
    ['a wrong password', () => urlFor('wrong'), /invalid user ID or password/],
    ['nobody', () => `etcd://${etcd.address}/own/x`, /user name is empty/],
    [
      'a user elsewhere',
      () => `etcd://varve:${encodeURIComponent(user.password)}@${etcd.address}/other`,
      /permission denied/,
    ],
  ])('%s is refused, in an error that says so', async (_who, url, reason) => {
    const { store, lines } = openStore(url())
    const refused = { code: 'VARVE_METADATA_AUTH', message: expect.stringMatching(reason) }
    await expect(store.list('/')).rejects.toMatchObject(refused)
    const error: unknown = await store.txn(put('/a')).catch((caught: unknown) => caught)
    expect([error, wasNotApplied(error)]).toEqual([expect.objectContaining(refused), true])
    const followed = Followed.on(store)
    await expect.poll(() => followed.failures[0]).toBe('VARVE_METADATA_AUTH')
    expect(followed.calls).toEqual([])
    expect(JSON.stringify([lines, String(error)])).not.toContain(user.password)
  })

  test('a follower begins when its user is given what it needs', async () => {
    const { store } = openStore(`etcd://late:late@${etcd.address}/own/`)
    const followed = Followed.on(store)
    await expect.poll(() => followed.failures.length).toBeGreaterThan(0)
    await etcd.asRoot('/v3/auth/user/add', { name: 'late', password: 'late' })
    await etcd.asRoot('/v3/auth/user/grant', { user: 'late', role: user.name })
    await expect.poll(() => followed.calls[0]).toBe('reset')
    const { revision } = await persistently(() => store.txn(put('/a')))
    await followed.until(revision)
  })
})

test.skipIf(etcdMissing !== null)('a user is of no harm to an etcd without users', async () => {
  const etcd = await startEtcd()
  const { store } = openStore(`etcd://varve:secret@${etcd.address}`)
  const followed = Followed.on(store)
  const { revision } = await store.txn(put('/a'))
  await followed.until(revision)
  // Authentication is enabled while the store is in use.
  await etcd.enableAuthentication({ name: 'varve', password: 'secret', keyPrefix: '/' })
  const later = await store.txn(put('/b'))
  await followed.until(later.revision)
  expect(followed.failures).toEqual([])
})

describe.skipIf(etcdMissing !== null)('an etcd with TLS', () => {
  let authority: Authority
  let etcd: EtcdProcess
  beforeAll(async () => {
    authority = await Authority.create()
    const server = await authority.issue('etcd', ['etcd.example'])
    etcd = await EtcdProcess.start({ tls: { ...server, clientCa: authority.ca } })
  })
  afterAll(() => etcd.close())

  const serverName = 'etcd.example'

  test('is reached with its authority, and a certificate where it asks for one', async () => {
    const client = await authority.issue('a broker')
    const { store } = openStore(etcd.url, { urlOptions: { ca: authority.ca, ...client, serverName } })
    const followed = Followed.on(store)
    const { revision } = await store.txn(put('/a', '1'))
    await followed.until(revision)
    expect((await store.list('/')).entries).toEqual([{ key: '/a', value: '1', revision }])
    expect(await store.keepAlive(await store.grantLease(5))).toBe(true)
  })

  test.each([
    [
      'another authority',
      async () => ({ ca: (await Authority.create()).ca, serverName }),
      /certificate|signature/,
    ],
    ['another name', async () => ({ ca: authority.ca }), /altnames|IP/],
    ['no certificate', async () => ({ ca: authority.ca, serverName }), /certificate|broke the connection/],
  ])('does not answer who comes with %s', async (_with, options, reason) => {
    const { store } = openStore(etcd.url, { urlOptions: await options() })
    await expect(store.list('/')).rejects.toMatchObject({
      code: 'VARVE_METADATA_UNAVAILABLE',
      message: expect.stringMatching(reason),
    })
  })

  test('is asked with renewed certificates from when they are read again, and not with what is none', async () => {
    const folder = await temporaryDirectory()
    const files = { ca: join(folder, 'ca'), cert: join(folder, 'cert'), key: join(folder, 'key') }
    const put = async ({ cert, key }: { cert: string; key: string }): Promise<void> => {
      await Promise.all([writeFile(files.cert, cert), writeFile(files.key, key)])
    }
    await writeFile(files.ca, authority.ca)
    // One that this etcd does not know, as it takes an expired one.
    await put(await (await Authority.create()).issue('a broker'))
    const { openStore: open } = resolveStore({ url: etcd.url, etcd: { ...files, serverName } })
    const store = await open({ clock: systemClock, log: silentLog })
    onTestFinished(() => store.close())
    await expect(store.list('/none/')).rejects.toMatchObject({ code: 'VARVE_METADATA_UNAVAILABLE' })
    await put(await authority.issue('a broker'))
    await expect(store.list('/none/')).rejects.toMatchObject({ code: 'VARVE_METADATA_UNAVAILABLE' })
    await store.reloadCertificates!()
    expect((await store.list('/none/')).entries).toEqual([])
    await put({ cert: 'no PEM', key: 'no PEM' })
    await expect(store.reloadCertificates!()).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
    expect((await store.list('/none/')).entries).toEqual([])
  })

  test.each(['ca', 'cert', 'key'] as const)('is not asked with what is no PEM for its %s', async (part) => {
    const client = await authority.issue('a broker')
    const urlOptions = { ca: authority.ca, ...client, serverName, [part]: 'no PEM' }
    expect(() => openStore(etcd.url, { urlOptions })).toThrow(
      expect.objectContaining({
        code: 'VARVE_INVALID_OPTION',
        message: expect.stringContaining('give them as PEM'),
      }),
    )
  })

  test('does not answer who speaks without TLS, nor is one without TLS spoken to with it', async () => {
    const plain = openStore(etcd.url.replace('etcds:', 'etcd:')).store
    await expect(plain.list('/')).rejects.toMatchObject({ code: 'VARVE_METADATA_UNAVAILABLE' })
    const other = await startEtcd()
    const { store } = openStore(other.url.replace('etcd:', 'etcds:'))
    await expect(store.list('/')).rejects.toMatchObject({ code: 'VARVE_METADATA_UNAVAILABLE' })
  })
})
