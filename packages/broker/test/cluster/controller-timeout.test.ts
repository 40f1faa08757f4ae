// While the metadata store is away nothing can be changed: whoever asks for it is told when the time is up that it has given, at the
// controller and at any other broker.
import {
  alterPartitionReassignments,
  createPartitions,
  createTopics,
  deleteTopics,
  errors,
} from '@varve/protocol'
import { Admin } from '@varve/client/admin'
import { expect, onTestFinished, test, vi } from 'vitest'
import { RawClient } from '../support/raw-client.js'
import { TestCluster } from './support/test-cluster.js'

const timedOut = { errorCode: errors.REQUEST_TIMED_OUT.code }

test('requests for the controller are answered in time while the metadata store is away', async () => {
  const cluster = await TestCluster.start(2)
  onTestFinished(() => cluster[Symbol.asyncDispose]())
  await using admin = new Admin({ brokers: cluster.addresses })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  let back = (): void => {}
  const away = new Promise<void>((resolve) => (back = resolve))
  onTestFinished(back)
  const txn = cluster.store.txn.bind(cluster.store)
  vi.spyOn(cluster.store, 'txn').mockImplementation((transaction) => away.then(() => txn(transaction)))
  const timeoutMs = 50
  await Promise.all(
    [1, 2].map(async (id) => {
      const client = await RawClient.connect(cluster.brokers.get(id)!.port)
      onTestFinished(() => client.close())
      const created = await client.request(createTopics, 7, {
        topics: [
          { name: `new-${id}`, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
          { name: `newer-${id}`, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
        ],
        timeoutMs,
      })
      expect(created.topics).toMatchObject([
        { name: `new-${id}`, ...timedOut },
        { name: `newer-${id}`, ...timedOut },
      ])
      const extended = await client.request(createPartitions, 3, {
        topics: [{ name: 'orders', count: 3, assignments: null }],
        timeoutMs,
        validateOnly: false,
      })
      expect(extended.results).toMatchObject([{ name: 'orders', ...timedOut }])
      const moved = await client.request(alterPartitionReassignments, 0, {
        topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, replicas: [2, 1] }] }],
        timeoutMs,
      })
      expect(moved).toMatchObject(timedOut)
      const deleted = await client.request(deleteTopics, 5, { topicNames: ['orders'], timeoutMs })
      expect(deleted.responses).toMatchObject([{ name: 'orders', ...timedOut }])
    }),
  )
  back()
  // What has been asked for is done all the same.
  await cluster.until(async () => (await admin.listTopics()).some(({ name }) => name === 'newer-1'))
})
