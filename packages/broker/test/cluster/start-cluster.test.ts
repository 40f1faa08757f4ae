// A cluster in a test stands for one of machines: a broker that is called stopped and has handed nothing over, or a crash that is
// polite, lets a test pass that the real thing would fail.
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Admin } from '@varve/client/admin'
import { Producer } from '@varve/client/producer'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Authority } from '../../../../test/support/certificates.js'
import { startBroker } from '../../src/start-broker.js'
import { startCluster } from '../../src/start-cluster.js'
import { temporaryDirectory } from '../support/test-broker.js'

const timeout = 120_000

/** Lets temporary directories be made where nobody else makes any, and returns where that is. */
async function ownTemporaryDirectories(): Promise<string> {
  const directory = await temporaryDirectory()
  vi.stubEnv('TMPDIR', directory)
  onTestFinished(() => void vi.unstubAllEnvs())
  return directory
}

test(
  'all brokers know each other when it has started, with racks and topics on three of them',
  { timeout },
  async () => {
    await using cluster = await startCluster({
      brokers: 4,
      racks: ['a', 'b'],
      topics: {
        orders: 4,
        users: {
          records: [
            { key: 'k', value: 'one' },
            { key: 'k', value: 'two' },
          ],
        },
      },
    })
    expect(cluster.addresses).toEqual([...cluster.brokers.values()].map(({ address }) => address))
    expect([...cluster.brokers.keys()]).toEqual([1, 2, 3, 4])
    for (const [id, broker] of cluster.brokers) {
      expect(broker).toMatchObject({
        nodeId: id,
        rack: id % 2 === 1 ? 'a' : 'b',
        clusterId: cluster.clusterId,
      })
      expect(broker.cluster).toMatchObject({ brokerIds: [1, 2, 3, 4], store: null })
    }
    await using admin = new Admin({ brokers: [cluster.addresses[3]!] })
    const [orders, users] = await admin.describeTopics(['orders', 'users'])
    expect(orders!.partitions.map(({ replicas }) => replicas.length)).toEqual([3, 3, 3, 3])
    const { leader } = users!.partitions[0]!
    const records = await cluster.brokers.get(leader)!.waitForRecords('users', 2)
    expect(records.map(({ value }) => value!.toString())).toEqual(['one', 'two'])
  },
)

test('a broker that stops has handed over, and finds its port and its data again', { timeout }, async () => {
  await using cluster = await startCluster({ topics: { orders: 6 } })
  await using admin = new Admin({ brokers: cluster.addresses })
  await using producer = new Producer({ brokers: cluster.addresses })
  await Promise.all(
    Array.from({ length: 60 }, (_, n) => producer.send('orders', { key: `k${n}`, value: 'v' })),
  )
  const { address } = cluster.brokers.get(2)!
  await cluster.stop(2)
  expect(cluster.addresses).not.toContain(address)
  const [orders] = await admin.describeTopics(['orders'])
  expect(orders!.partitions.filter(({ leader }) => leader === 2 || leader < 0)).toEqual([])
  await expect(cluster.stop(2)).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  const again = await cluster.start(2)
  expect(again.address).toBe(address)
  await again.waitForRecords('orders', 60)
  await expect(cluster.start(2)).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
})

test('a broker that crashes tells nobody, and the others go on without it', { timeout }, async () => {
  const lines: string[] = []
  await using cluster = await startCluster({
    topics: { orders: { partitions: 3, configs: { 'min.insync.replicas': 2 } } },
    log: (id, level, message) => void lines.push(`${id} ${level} ${message}`),
  })
  await using admin = new Admin({ brokers: cluster.addresses })
  await using producer = new Producer({ brokers: cluster.addresses })
  const send = (from: number, to: number) =>
    Promise.all(
      Array.from({ length: to - from }, (_, n) =>
        producer.send('orders', { key: `k${from + n}`, value: 'v' }),
      ),
    )
  await send(0, 30)
  const crashed = cluster.brokers.get(1)!.cluster!.controllerId!
  await cluster.crash(crashed)
  await send(30, 60)
  const [orders] = await admin.describeTopics(['orders'])
  expect(orders!.partitions.map(({ leader }) => leader)).not.toContain(crashed)
  const again = await cluster.start(crashed)
  await again.waitForRecords('orders', 60)
  expect(lines.filter((line) => line.startsWith(`${crashed} error`))).toEqual([])
})

test('what acks=all has acknowledged outlives every broker but one', { timeout }, async () => {
  await using cluster = await startCluster({ topics: { orders: 1 } })
  await using producer = new Producer({ brokers: cluster.addresses })
  const answered: string[] = []
  for (const id of [1, 2]) {
    for (let n = 0; n < 20; n++) {
      await producer.send('orders', { value: `${id}-${n}` })
      answered.push(`${id}-${n}`)
    }
    await cluster.crash(id)
  }
  await producer.send('orders', { value: 'last' })
  const records = await cluster.brokers.get(3)!.waitForRecords('orders', 41)
  expect(records.map(({ value }) => value!.toString())).toEqual([...answered, 'last'])
})

test('a broker that joins later is one of them', { timeout }, async () => {
  await using cluster = await startCluster({ brokers: 1, topics: { orders: 1 } })
  await cluster.start(2)
  await using admin = new Admin({ brokers: cluster.addresses })
  await admin.createTopics([{ name: 'both', replicas: [[2, 1]] }])
  const [both, orders] = await admin.describeTopics(['both', 'orders'])
  expect(both!.partitions).toMatchObject([{ leader: 2, replicas: [2, 1] }])
  expect(orders!.partitions).toMatchObject([{ leader: 1, replicas: [1] }])
})

test('a directory of its own is found again, a temporary one is removed', { timeout }, async () => {
  const data = await temporaryDirectory()
  const temporary = await ownTemporaryDirectories()
  {
    await using cluster = await startCluster({ data, topics: { orders: 3 } })
    await using producer = new Producer({ brokers: cluster.addresses })
    await Promise.all(
      Array.from({ length: 9 }, (_, n) => producer.send('orders', { key: `k${n}`, value: 'v' })),
    )
  }
  {
    await using cluster = await startCluster({ data, topics: { orders: { records: [{ value: 'again' }] } } })
    await cluster.brokers.get(1)!.waitForRecords('orders', 9)
    expect(await cluster.brokers.get(1)!.records('orders')).toHaveLength(9)
  }
  expect(existsSync(join(data, 'broker-3', 'orders-0'))).toBe(true)
  await (await startCluster({ brokers: 2 })).close()
  expect(await readdir(temporary)).toEqual([])
})

test('a broker that comes back with an empty disk fetches everything again', { timeout }, async () => {
  const data = await temporaryDirectory()
  const configs = { 'min.insync.replicas': 2 }
  await using cluster = await startCluster({
    data,
    durability: 'os',
    topics: { orders: { partitions: 3, configs } },
  })
  await using producer = new Producer({ brokers: cluster.addresses })
  await Promise.all(
    Array.from({ length: 30 }, (_, n) => producer.send('orders', { key: `k${n}`, value: 'v' })),
  )
  await cluster.crash(2)
  await rm(join(data, 'broker-2'), { recursive: true })
  const again = await cluster.start(2)
  expect(await again.waitForRecords('orders', 30)).toHaveLength(30)
})

test('brokers that speak TLS are given the ports of their own listeners again', { timeout }, async () => {
  const authority = await Authority.create()
  const ssl = {
    ...(await authority.issue('broker', ['127.0.0.1'])),
    ca: authority.ca,
    clientAuth: 'required',
  } as const
  await using cluster = await startCluster({
    brokers: 2,
    listeners: 'INSIDE://127.0.0.1:0,PLAINTEXT://127.0.0.1:0',
    listenerSecurityProtocolMap: 'INSIDE:SSL,PLAINTEXT:PLAINTEXT',
    ssl,
    topics: { orders: { configs: { 'min.insync.replicas': 2 }, records: [{ value: 'v' }] } },
  })
  const { listeners } = cluster.brokers.get(2)!
  await cluster.stop(2)
  expect((await cluster.start(2)).listeners).toEqual(listeners)
})

test('what cannot be is refused, and leaves nothing', { timeout }, async () => {
  const temporary = await ownTemporaryDirectories()
  await expect(startCluster({ brokers: 0 })).rejects.toThrow('brokers must be an integer from 1 to 100')
  await expect(startCluster({ topics: { orders: 0 } })).rejects.toThrow('topics.orders: partitions must be')
  await expect(startCluster({ listeners: 'SSL://127.0.0.1:0' })).rejects.toThrow('needs a certificate')
  await using cluster = await startCluster({ brokers: 1 })
  await expect(startCluster({ port: cluster.brokers.get(1)!.port })).rejects.toMatchObject({
    code: 'VARVE_PORT_IN_USE',
  })
  await cluster.close()
  expect(await readdir(temporary)).toEqual([])
  await expect(startBroker({ cluster: 'etcd://127.0.0.1', topics: { orders: 1 } })).rejects.toThrow(
    'startCluster',
  )
})
