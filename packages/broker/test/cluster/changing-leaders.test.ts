// Whoever waits at a leader hears at once that it is none any more, however long it would have waited.
import { Admin } from '@varve/client/admin'
import { errors, fetch, produce } from '@varve/protocol'
import { encodeBatch } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'
import { RawClient } from '../support/raw-client.js'
import { fetchBody, produceBody } from '../support/test-broker.js'
import { TestCluster } from './support/test-cluster.js'

test('a long poll ends when its partition gets another leader', async () => {
  const cluster = await TestCluster.start(2)
  const admin = new Admin({ brokers: cluster.addresses })
  const client = await RawClient.connect(cluster.brokers.get(1)!.port)
  onTestFinished(async () => {
    await Promise.all([client.close(), admin.close()])
    await cluster[Symbol.asyncDispose]()
  })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  const poll = (maxWaitMs: number) =>
    client.request(fetch, 12, fetchBody('orders', { maxWaitMs, currentLeaderEpoch: 0 }))
  await cluster.until(async () => (await poll(0)).responses[0]!.partitions[0]!.errorCode === 0)
  const answered = poll(600_000)
  await admin.alterPartitionReassignments([{ topic: 'orders', partition: 0, replicas: [2, 1] }])
  await admin.electLeaders('preferred', null)
  const { responses } = await answered
  expect(responses[0]!.partitions[0]!.errorCode).toBe(errors.FENCED_LEADER_EPOCH.code)
})

test('a batch does not overtake the first of its producer, which went to the leader before', async () => {
  const cluster = await TestCluster.start(2)
  const admin = new Admin({ brokers: cluster.addresses })
  const client = await RawClient.connect(cluster.brokers.get(2)!.port)
  onTestFinished(async () => {
    await Promise.all([client.close(), admin.close()])
    await cluster[Symbol.asyncDispose]()
  })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  await admin.alterPartitionReassignments([{ topic: 'orders', partition: 0, replicas: [2, 1] }])
  await admin.electLeaders('preferred', null)
  const send = async (baseSequence: number): Promise<[errorCode: number, baseOffset: number]> => {
    const batch = encodeBatch([{ value: 'x' }], {
      producer: { producerId: 7, producerEpoch: 0, baseSequence },
    })
    const { responses } = await client.request(produce, 9, produceBody('orders', batch))
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
    return [errorCode, baseOffset]
  }
  const notYet = errors.NOT_LEADER_OR_FOLLOWER.code
  const { code: outOfOrder } = errors.OUT_OF_ORDER_SEQUENCE_NUMBER
  await cluster.until(async () => (await send(1))[0] !== notYet)
  expect(await send(1)).toEqual([outOfOrder, -1])
  expect(await send(0)).toEqual([0, 0])
  expect(await send(1)).toEqual([0, 1])
})
