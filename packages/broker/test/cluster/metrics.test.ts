// Whoever adds up what the brokers of a cluster measure must not find three controllers, nor everything in sync while a broker is
// away: alerts are made of these figures.
import { Admin } from '@varve/client/admin'
import { Consumer, Producer } from '@varve/client'
import { expect, test } from 'vitest'
import { TestCluster } from './support/test-cluster.js'

/** What each broker says of a metric, in the order of their ids; NaN where it says nothing. */
async function valuesOf(cluster: TestCluster, name: string): Promise<number[]> {
  const values: number[] = []
  for (const [, broker] of [...cluster.brokers].sort(([a], [b]) => a - b)) {
    const text = await (await fetch(`http://127.0.0.1:${broker.admin!.port}/metrics`)).text()
    values.push(Number(new RegExp(`^kafka_${name} (.*)$`, 'm').exec(text)?.[1]))
  }
  return values
}

test('of a cluster each broker tells what it leads, and what is not in sync', async () => {
  await using cluster = await TestCluster.start(3, {}, () => ({ admin: { port: 0 } }))
  await using admin = new Admin({ brokers: cluster.addresses })
  const settled = async (name: string, values: number[]): Promise<void> => {
    await expect.poll(() => valuesOf(cluster, name)).toEqual(values)
  }

  const configs = { 'min.insync.replicas': '3' }
  await admin.createTopics([
    { name: 'orders', replicas: [[1, 2, 3]], configs },
    { name: 'alone', replicas: [[3], [2]] },
  ])
  await settled('server_replicamanager_leadercount', [1, 1, 1])
  await settled('server_replicamanager_partitioncount', [1, 2, 2])
  await settled('server_replicamanager_underreplicatedpartitions', [0, 0, 0])
  await settled('controller_kafkacontroller_activecontrollercount', [1, 0, 0])
  await settled('controller_kafkacontroller_globalpartitioncount', [3, 3, 3])

  await cluster.stopBroker(3)
  await settled('server_replicamanager_underreplicatedpartitions', [1, 0])
  await settled('server_replicamanager_underminisrpartitioncount', [1, 0])
  await settled('server_replicamanager_offlinereplicacount', [0, 0])
  await settled('controller_kafkacontroller_offlinepartitionscount', [1, 1])
})

test('what followers append and fetch counts as replication, and what was produced and consumed once in the cluster', async () => {
  await using cluster = await TestCluster.start(3, {}, () => ({ admin: { port: 0 } }))
  await using admin = new Admin({ brokers: cluster.addresses })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2, 3]] }])
  const values = (name: string): Promise<number[]> => valuesOf(cluster, `server_brokertopicmetrics_${name}`)
  await using producer = new Producer({ brokers: cluster.addresses, lingerMs: 0 })
  await producer.send('orders', { value: 'a' })
  await producer.send('orders', { value: 'b' })
  const [bytes] = await values('bytesin_total{topic="orders"}')
  expect(bytes).toBeGreaterThan(0)
  for (const label of ['', '{topic="orders"}']) {
    expect(await values(`messagesin_total${label}`)).toEqual([2, 0, 0])
    expect(await values(`bytesin_total${label}`)).toEqual([bytes, 0, 0])
  }
  await expect.poll(() => values('replicationbytesin_total')).toEqual([0, bytes, bytes])
  expect(await values('replicationbytesout_total')).toEqual([2 * bytes!, 0, 0])
  expect(await values('bytesout_total')).toEqual([0, 0, 0])

  await using consumer = new Consumer({ brokers: cluster.addresses })
  consumer.assign([{ topic: 'orders', partition: 0, offset: 0 }])
  let records = 0
  for await (const _ of consumer) if (++records === 2) break
  expect(await values('bytesout_total')).toEqual([bytes, 0, 0])
  expect(await values('bytesout_total{topic="orders"}')).toEqual([bytes, NaN, NaN])
  expect(await values('replicationbytesout_total')).toEqual([2 * bytes!, 0, 0])
})
