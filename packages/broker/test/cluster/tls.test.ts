// Brokers that speak plaintext to each other where TLS was asked for, or that go on with a certificate which has been replaced:
// the one is read by others, the other ends replication on the day when the old one expires.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import { expect, test } from 'vitest'
import { Authority, type Credentials } from '../../../../test/support/certificates.js'
import type { Broker } from '../../src/broker.js'
import { temporaryDirectory } from '../support/test-broker.js'
import { TestCluster } from './support/test-cluster.js'

const timeout = 120_000
const host = '127.0.0.1'

function startSecure(
  cluster: TestCluster,
  id: number,
  { cert, key, ca }: Credentials & { ca: string },
): Promise<Broker> {
  return cluster.startBroker(id, {
    listeners: `SSL://${host}:0`,
    ssl: { cert, key, ca, clientAuth: 'required' },
  })
}

async function inSyncReplicas(admin: Admin, topic: string): Promise<number[]> {
  const [described] = await admin.describeTopics([topic])
  return described!.partitions.map(({ isr }) => isr.length)
}

test(
  'brokers replicate by TLS, each with a certificate of its own that the others ask for',
  { timeout },
  async () => {
    const authority = await Authority.create()
    const { ca } = authority
    await using cluster = await TestCluster.start(0)
    for (const id of [1, 2, 3])
      await startSecure(cluster, id, { ...(await authority.issue(`broker-${id}`, [host])), ca })
    const tls = { ca, ...(await authority.issue('client')) }
    const brokers = cluster.addresses
    await using admin = new Admin({ brokers, tls })
    await admin.createTopics([{ name: 'orders', partitions: 3, replicationFactor: 3 }])
    await using producer = new Producer({ brokers, tls })
    const configs = { 'min.insync.replicas': '3' }
    await admin.createTopics([{ name: 'payments', partitions: 3, replicationFactor: 3, configs }])
    await Promise.all(Array.from({ length: 60 }, (_, n) => producer.send('payments', { value: `v${n}` })))
    expect(await inSyncReplicas(admin, 'payments')).toEqual([3, 3, 3])
    expect(cluster.lines.filter((line) => line.includes('no TLS connection'))).toEqual([])
  },
)

test('a broker whose certificate the others do not trust is not in sync', { timeout }, async () => {
  const [authority, other] = [await Authority.create(), await Authority.create()]
  const { ca } = authority
  await using cluster = await TestCluster.start(0, { replicaLagTimeMaxMs: 500 })
  await startSecure(cluster, 1, { ...(await authority.issue('one', [host])), ca })
  await startSecure(cluster, 2, { ...(await other.issue('two', [host])), ca: [ca, other.ca].join('\n') })
  const tls = { ca, ...(await authority.issue('client')) }
  await using admin = new Admin({ brokers: [cluster.brokers.get(1)!.address], tls })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  await cluster.until(async () => (await inSyncReplicas(admin, 'orders'))[0] === 1)
  expect(cluster.lines.filter((line) => line.startsWith('1 warn no TLS connection'))).not.toEqual([])
})

test('a renewed certificate is shown to other brokers too', { timeout }, async () => {
  const [before, after] = [await Authority.create('before'), await Authority.create('after')]
  const directory = await temporaryDirectory()
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const put = async (credentials: Credentials): Promise<void> => {
    await writeFile(cert, credentials.cert)
    await writeFile(key, credentials.key)
  }
  await put(await before.issue('one', [host]))
  const both = [before.ca, after.ca].join('\n')
  await using cluster = await TestCluster.start(0)
  const one = await startSecure(cluster, 1, { cert, key, ca: both })
  await put(await after.issue('one', [host]))
  await one.reloadCertificates()
  // It trusts nobody of before any more.
  await startSecure(cluster, 2, { ...(await before.issue('two', [host])), ca: after.ca })
  const tls = { ca: both, ...(await after.issue('client')) }
  const brokers = cluster.addresses
  await using admin = new Admin({ brokers, tls })
  const configs = { 'min.insync.replicas': '2' }
  await admin.createTopics([
    { name: 'from-one', replicas: [[1, 2]], configs },
    { name: 'from-two', replicas: [[2, 1]], configs },
  ])
  await using producer = new Producer({ brokers, tls })
  await Promise.all(['from-one', 'from-two'].map((topic) => producer.send(topic, { value: 'v' })))
  expect([
    ...(await inSyncReplicas(admin, 'from-one')),
    ...(await inSyncReplicas(admin, 'from-two')),
  ]).toEqual([2, 2])
})
