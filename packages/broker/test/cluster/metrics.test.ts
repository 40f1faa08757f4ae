// Whoever adds up what the brokers of a cluster measure must not find three controllers, nor everything in sync while a broker is
// away: alerts are made of these figures.
import { Admin } from '@varve/client/admin'
import { expect, test } from 'vitest'
import { TestCluster } from './support/test-cluster.js'

test('of a cluster each broker tells what it leads, and what is not in sync', async () => {
  await using cluster = await TestCluster.start(3, {}, () => ({ admin: { port: 0 } }))
  await using admin = new Admin({ brokers: cluster.addresses })
  const valuesOf = async (name: string): Promise<number[]> => {
    const values: number[] = []
    for (const [, broker] of [...cluster.brokers].sort(([a], [b]) => a - b)) {
      const text = await (await fetch(`http://127.0.0.1:${broker.admin!.port}/metrics`)).text()
      values.push(Number(new RegExp(`^kafka_${name} (.*)$`, 'm').exec(text)![1]))
    }
    return values
  }
  const settled = async (name: string, values: number[]): Promise<void> => {
    await expect.poll(() => valuesOf(name), { timeout: 10_000 }).toEqual(values)
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
