/**
 * A disk that takes what is written, and has lost what it held: the log knows nothing of it, the consumer comes back for the
 * same for ever, and the replicas that have it are not asked.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startCluster } from '@varve/broker'
import { Admin, Consumer, Producer } from '@varve/client'
import { expect, test, vi } from 'vitest'
import { temporaryDirectory } from '../support/tree.js'

// In this process a read of these segments fails with EIO, once, and nothing of them is in memory while the gate is there.
const gate = join(temporaryDirectory(), 'gate')
const segments = 'orders-0/00000000000000000000.log'
process.env['VARVE_TEST_FAULT'] = `read_at@${segments}:1,read_at@${segments}:while=${gate}`

const patient = { timeout: 20_000, interval: 50 }

test('a replica whose disk does not answer is led by another broker, where a consumer finds the records', async () => {
  await using cluster = await startCluster({ brokers: 2 })
  await using admin = new Admin({ brokers: cluster.addresses })
  await admin.createTopics([{ name: 'orders', replicas: [[2, 1]] }])
  await using producer = new Producer({ brokers: cluster.addresses })
  await producer.send('orders', { value: 'x' })
  const leaderAndIsr = async (): Promise<string> => {
    const [orders] = await admin.describeTopics(['orders'])
    const { leader, isr } = orders!.partitions[0]!
    return `${leader}: ${[...isr].sort().join()}`
  }
  await vi.waitFor(async () => expect(await leaderAndIsr()).toBe('2: 1,2'), patient)

  writeFileSync(gate, '')
  await using consumer = new Consumer({ brokers: cluster.addresses })
  consumer.assign([{ topic: 'orders', partition: 0, offset: 'earliest' }])
  const records = consumer[Symbol.asyncIterator]()
  const first = records.next()
  try {
    await vi.waitFor(async () => expect(await leaderAndIsr()).toBe('1: 1'), patient)
  } finally {
    rmSync(gate)
  }
  expect((await first).value).toMatchObject({ offset: 0 })
  expect(cluster.brokers.get(2)!.problems).toEqual([
    expect.stringMatching(
      /^orders-0: could not read .*orders-0.*\. To recover, check its disk, then restart the broker$/,
    ),
  ])

  // It is taken for what it is again when it is started anew.
  await cluster.stop(2)
  await cluster.start(2)
  await vi.waitFor(async () => expect(await leaderAndIsr()).toMatch(/: 1,2$/), patient)
})
