// While the metadata store is away nothing can be changed: whoever asks for it is told when the time is up that it has given, at the
// controller and at any other broker.
import {
  alterConfigs,
  alterPartitionReassignments,
  createPartitions,
  createTopics,
  deleteTopics,
  errors,
  incrementalAlterConfigs,
  initProducerId,
  unregisterBroker,
} from '@varve/protocol'
import { Admin } from '@varve/client/admin'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.js'
import { ManualClock } from '../support/manual-clock.js'
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

test("requests that give no time are answered within the broker's own while the metadata store is away", async () => {
  const connections = new ManualClock()
  const waits = vi.spyOn(connections, 'setTimeout')
  const clock: Clock = { ...systemClock, connections }
  const cluster = await TestCluster.start(2, {}, () => ({ clock }))
  onTestFinished(() => cluster[Symbol.asyncDispose]())
  await using admin = new Admin({ brokers: cluster.addresses })
  await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
  let back = (): void => {}
  const away = new Promise<void>((resolve) => (back = resolve))
  onTestFinished(back)
  const txn = cluster.store.txn.bind(cluster.store)
  vi.spyOn(cluster.store, 'txn').mockImplementation((transaction) => away.then(() => txn(transaction)))

  waits.mockClear()
  const resources = [
    { resourceType: 2, resourceName: 'orders' },
    { resourceType: 4, resourceName: '' },
  ]
  const asked = [1, 2].flatMap((id) => {
    const ask = async (send: (client: RawClient) => Promise<unknown>): Promise<unknown> => {
      const client = await RawClient.connect(cluster.brokers.get(id)!.port)
      onTestFinished(() => client.close())
      return await send(client)
    }
    const value = { name: 'max.connections', value: '1000' }
    return [
      ask((client) => client.request(unregisterBroker, 0, { brokerId: 2 })),
      ask((client) => client.request(initProducerId, 4, { transactionalId: null, transactionTimeoutMs: 0 })),
      ...resources.flatMap((resource) => {
        const named = resource.resourceType === 2 ? { name: 'retention.ms', value: '1000' } : value
        return [
          ask((client) =>
            client.request(alterConfigs, 2, {
              resources: [{ ...resource, configs: [named] }],
              validateOnly: false,
            }),
          ),
          ask((client) =>
            client.request(incrementalAlterConfigs, 1, {
              resources: [{ ...resource, configs: [{ ...named, configOperation: 0 }] }],
              validateOnly: false,
            }),
          ),
        ]
      }),
    ]
  })
  const isAnswered = vi.fn<() => void>()
  for (const answer of asked) void answer.then(isAnswered, isAnswered)
  const begun = (): number => waits.mock.calls.filter(([, ms]) => ms === 30_000).length
  // The controller times the first of what the other broker passes on to it as well.
  await cluster.until(async () => begun() > asked.length)
  await connections.advance(29_999)
  expect(isAnswered).not.toHaveBeenCalled()
  await connections.advance(1)
  const altered = resources.flatMap((resource) =>
    [1, 2].map(() => ({ responses: [{ ...resource, ...timedOut }] })),
  )
  const ofEach = [
    timedOut,
    { errorCode: errors.COORDINATOR_LOAD_IN_PROGRESS.code, producerId: -1 },
    ...altered,
  ]
  expect(await Promise.all(asked)).toMatchObject([...ofEach, ...ofEach])

  back()
  await cluster.until(async () => {
    const [found] = await admin.describeConfigs([{ type: 'topic', name: 'orders' }])
    return found!.entries.some(({ name, value }) => name === 'retention.ms' && value === '1000')
  })
})
