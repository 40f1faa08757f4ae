// An etcd that is down, or is started again, is seen by every broker at once. None may miss what happened meanwhile, or take for
// done what nobody knows.
import { expect, onTestFinished, test } from 'vitest'
import { EtcdProcess, etcdMissing } from '../../../../test/support/etcd.js'
import { wasNotApplied } from '../../src/metadata/metadata-store.js'
import { openStore } from './etcd-stores.js'
import { Followed } from './followed.js'

const withEtcd = test.skipIf(etcdMissing !== null)
if (etcdMissing !== null) test('an etcd that is started again', (context) => context.skip(etcdMissing!))

async function startEtcd(): Promise<EtcdProcess> {
  const etcd = await EtcdProcess.start()
  onTestFinished(() => etcd.close())
  return etcd
}

const put = (key: string, value = '') => ({ puts: [{ key, value }] })

withEtcd('a follower goes on where it was when etcd has been started again', async () => {
  const etcd = await startEtcd()
  const { store, lines } = openStore(etcd.url)
  const followed = Followed.on(store)
  const before = await store.txn(put('/a', '1'))
  await followed.until(before.revision)
  await etcd.kill()
  await expect.poll(() => followed.failures[0]).toBe('VARVE_METADATA_UNAVAILABLE')
  // A connection from before may be found dead only by who uses it, and of that one nobody knows what was applied.
  await expect(store.list('/')).rejects.toMatchObject({ code: 'VARVE_METADATA_UNAVAILABLE' })
  const error: unknown = await store.txn(put('/b', '1')).catch((caught: unknown) => caught)
  expect([error, wasNotApplied(error)]).toEqual([
    expect.objectContaining({
      code: 'VARVE_METADATA_UNAVAILABLE',
      message: expect.stringContaining(`${etcd.address}: refuses connections`),
      retriable: true,
    }),
    true,
  ])
  await expect(store.keepAlive('1')).rejects.toMatchObject({ code: 'VARVE_METADATA_UNAVAILABLE' })
  await etcd.run()
  const { revision } = await store.txn(put('/b', '2'))
  await followed.until(revision)
  expect(followed.calls.filter((call) => call === 'reset')).toHaveLength(1)
  expect(followed.values).toEqual({ '/a': '1', '/b': '2' })
  expect(lines.filter((line) => !line.startsWith('debug'))).toEqual([
    expect.stringMatching(/^warn cannot follow \/ in etcd, and tries again: etcd cannot be reached: 127\./),
    `info follows / in etcd again, at ${etcd.address}`,
  ])
})

withEtcd('a watch behind a compaction is begun anew by a reset at a later revision', async () => {
  const etcd = await startEtcd()
  // What goes on elsewhere in etcd is not told, so the watch stands where it began.
  const { store, lines } = openStore(`${etcd.url}/own`, { quietMs: 200 })
  const { store: elsewhere } = openStore(`${etcd.url}/elsewhere`)
  const { revision: first } = await store.txn(put('/a', '1'))
  const followed = Followed.on(store)
  await followed.until(first)
  for (let i = 0; i < 5; i++) await elsewhere.txn(put('/x', String(i)))
  await etcd.compact()
  await expect.poll(() => followed.calls).toEqual(['reset', 'reset'])
  expect(followed.revision).toBe(first + 5)
  const { revision } = await store.txn(put('/a', '2'))
  await followed.until(revision)
  expect(followed.values).toEqual({ '/a': '2' })
  expect(lines.filter((line) => line.startsWith('info'))).toEqual([
    `info etcd has compacted what has happened under / since revision ${first}; everything is read again`,
  ])
  expect(followed.failures).toEqual([])
})

withEtcd(
  'leases outlive a restart of etcd, and those that are kept alive through it their keys',
  async () => {
    const etcd = await startEtcd()
    const { store } = openStore(etcd.url)
    const lease = await store.grantLease(10)
    const lost = await store.grantLease(2)
    await store.txn({
      puts: [
        { key: '/a', value: '', lease },
        { key: '/b', value: '', lease: lost },
      ],
    })
    await etcd.kill()
    await etcd.run()
    expect(await store.keepAlive(lease)).toBe(true)
    await expect.poll(async () => (await store.list('/')).entries.map(({ key }) => key)).toEqual(['/a'])
    expect(await store.keepAlive(lost)).toBe(false)
    await expect(store.txn({ puts: [{ key: '/c', value: '', lease: lost }] })).rejects.toMatchObject({
      code: 'VARVE_LEASE_GONE',
    })
  },
)

withEtcd('an endpoint that is dead from the beginning is passed over', async () => {
  const etcd = await startEtcd()
  const dead = await startEtcd()
  await dead.kill()
  const { store, lines } = openStore(`etcd://${dead.address},${etcd.address}`)
  const followed = Followed.on(store)
  const { revision } = await store.txn(put('/a', '1'))
  await followed.until(revision)
  expect(await store.keepAlive(await store.grantLease(5))).toBe(true)
  expect(lines.filter((line) => !/^(debug|info)/.test(line))).toEqual([])
})

withEtcd('an endpoint of another etcd is none', async () => {
  const etcd = await startEtcd()
  const stranger = await startEtcd()
  const { store } = openStore(`etcd://${etcd.address},${stranger.address}`)
  const followed = Followed.on(store)
  await openStore(stranger.url).store.txn(put('/strange'))
  const { revision } = await store.txn(put('/a', '1'))
  await followed.until(revision)
  await etcd.kill()
  const error: unknown = await store.list('/').catch((caught: unknown) => caught)
  expect(error).toMatchObject({
    code: 'VARVE_METADATA_UNAVAILABLE',
    message: expect.stringMatching(/ is of the etcd cluster \d+, .* name endpoints of one cluster/),
  })
  await expect.poll(() => followed.failures.length).toBeGreaterThan(2)
  expect(followed.values).toEqual({ '/a': '1' })
})

withEtcd('a closed store leaves no connection, whatever was under way', async () => {
  const etcd = await startEtcd()
  const { store } = openStore(etcd.url)
  const followed = Followed.on(store)
  await expect.poll(() => followed.calls).toEqual(['reset'])
  etcd.pause()
  const asked = [store.list('/'), store.txn(put('/a')), store.grantLease(5), store.keepAlive('5')]
  const settled = Promise.allSettled(asked)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await store.close()
  expect(
    (await settled).map((one) => (one.status === 'rejected' ? (one.reason as { code: string }).code : null)),
  ).toEqual([
    'VARVE_METADATA_CLOSED',
    'VARVE_METADATA_OUTCOME_UNKNOWN',
    'VARVE_METADATA_OUTCOME_UNKNOWN',
    'VARVE_METADATA_CLOSED',
  ])
  await expect.poll(openSockets).toBe(0)
  expect(followed.failures).toEqual([])
})

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
}
