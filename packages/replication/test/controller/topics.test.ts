// A topic is there as a whole or not at all, whoever is the controller when it ends, and what was left half done is removed.

import { expect, test } from 'vitest'
import {
  ClusterImage,
  Controller,
  controllerKey,
  encodeControllerRegistration,
  topicKey,
  type CreateTopicRequest,
} from '@varve/replication'
import { settledHarness } from './harness.js'

const ok = { error: null, partitions: [] }

function creation(given: Partial<CreateTopicRequest> = {}): CreateTopicRequest {
  return {
    kind: 'create topic',
    name: 'events',
    topicId: 'new',
    partitions: { count: 3, replicationFactor: 3 },
    ...given,
  }
}

test('a topic is created with its partitions led and in sync', () => {
  const harness = settledHarness()
  expect(harness.ask(creation({ configs: { 'min.insync.replicas': '3' } }))).toEqual(ok)
  expect(harness.image.topics.get('events')).toMatchObject({ topicId: 'new', partitions: 3 })
  for (const partition of [0, 1, 2]) {
    const state = harness.state(partition, 'new')
    expect(state).toMatchObject({ leader: state.replicas[0], leaderEpoch: 0, minInsyncReplicas: 3 })
    expect(state.isr).toEqual(state.replicas)
    expect(state.replicas).toHaveLength(3)
  }
  expect(harness.controller.isIdle).toBe(true)
})

test('no transaction has more than 128 operations, and the topic comes last', () => {
  const harness = settledHarness()
  harness.ask(creation({ partitions: { count: 400, replicationFactor: 3 } }))
  const put = harness.store.events.filter(({ key }) => key.includes('new') || key === topicKey('events'))
  expect(put).toHaveLength(401)
  expect(put.at(-1)!.key).toBe(topicKey('events'))
  expect(new Set(put.map(({ revision }) => revision)).size).toBe(5)
})

test.each<[string, Partial<CreateTopicRequest>, string]>([
  ['a name that there is', { name: 'orders' }, 'TOPIC_ALREADY_EXISTS'],
  [
    'more replicas than brokers',
    { partitions: { count: 1, replicationFactor: 5 } },
    'INVALID_REPLICATION_FACTOR',
  ],
  ['no replicas', { partitions: { count: 1, replicationFactor: 0 } }, 'INVALID_REPLICATION_FACTOR'],
  ['no partitions', { partitions: { count: 0, replicationFactor: 1 } }, 'INVALID_PARTITIONS'],
  ['a broker twice', { partitions: { assignments: [[1, 1]] } }, 'INVALID_REPLICA_ASSIGNMENT'],
  ['a broker that there is not', { partitions: { assignments: [[1, 7]] } }, 'INVALID_REPLICA_ASSIGNMENT'],
  [
    'as many replicas here as not there',
    { partitions: { assignments: [[1, 2], [1]] } },
    'INVALID_REPLICA_ASSIGNMENT',
  ],
  ['a minimum that is none', { configs: { 'min.insync.replicas': '0' } }, 'INVALID_CONFIG'],
])('%s is refused', (_, given, error) => {
  const harness = settledHarness()
  expect(harness.ask(creation(given))).toEqual({ error, partitions: [] })
  expect(harness.image.partitionsOfTopic('new').size).toBe(0)
})

test('replicas are placed on no broker that is fenced or about to stop', () => {
  const harness = settledHarness()
  harness.store.revoke('lease 2')
  harness.register(3, { fenced: false, shuttingDown: true })
  harness.run()
  harness.ask(creation({ partitions: { count: 2, replicationFactor: 2 } }))
  for (const partition of [0, 1]) {
    expect([...harness.state(partition, 'new').replicas].sort()).toEqual([1, 4])
  }
})

test('a deleted topic goes first, its partitions after it', () => {
  const harness = settledHarness()
  harness.ask(creation({ partitions: { count: 200, replicationFactor: 2 } }))
  expect(harness.ask({ kind: 'delete topic', name: 'events' })).toEqual(ok)
  const deleted = harness.store.events.filter(({ kind }) => kind === 'delete').map(({ key }) => key)
  expect(deleted[0]).toBe(topicKey('events'))
  expect(deleted).toHaveLength(201)
  expect(harness.image.partitionsOfTopic('new').size).toBe(0)
  expect(harness.ask({ kind: 'delete topic', name: 'events' })!.error).toBe('UNKNOWN_TOPIC_OR_PARTITION')
})

test('partitions are never there without their number: what came in their place would begin in the same leader epoch', () => {
  const harness = settledHarness()
  harness.isHolding = true
  const { partitions } = harness.image.topics.get('orders')!
  harness.controller.request({ kind: 'create partitions', name: 'orders', count: partitions + 200 }, 0)
  harness.run()
  const [first] = harness.waiting.splice(0)
  harness.settle(first!, harness.commit(first!.transaction))
  harness.run()
  const added = harness.image.topics.get('orders')!.partitions
  expect(added).toBe(partitions + 126)
  expect(harness.image.partitionsOfTopic('id').size).toBe(added - partitions + 1)
  harness.isHolding = false
  harness.begin(8)
  harness.run()
  expect(harness.store.events.filter(({ kind }) => kind === 'delete')).toEqual([])
})

test('partitions are added, and the topic says so', () => {
  const harness = settledHarness()
  const add = (count: number): unknown => harness.ask({ kind: 'create partitions', name: 'orders', count })
  expect(add(4)).toEqual(ok)
  expect(harness.image.topics.get('orders')!.partitions).toBe(4)
  expect(harness.state(3).replicas).toHaveLength(3)
  expect(harness.store.events.at(-1)!.key).toBe(topicKey('orders'))
  expect(add(4)).toEqual({ error: 'INVALID_PARTITIONS', partitions: [] })
})

test('a minimum that changes is in force in the states, with the eligible leaders of the new one', () => {
  const harness = settledHarness({ isr: [1], eligibleLeaderReplicas: [2] })
  const alter = (value: string): unknown =>
    harness.ask({ kind: 'alter topic configs', name: 'orders', configs: { 'min.insync.replicas': value } })
  expect(alter('3')).toEqual(ok)
  expect(harness.state()).toMatchObject({ minInsyncReplicas: 3, eligibleLeaderReplicas: [2], leaderEpoch: 5 })
  expect(alter('1')).toEqual(ok)
  expect(harness.state()).toMatchObject({ minInsyncReplicas: 1, eligibleLeaderReplicas: [] })
  expect(alter('9')).toEqual(ok)
  expect(harness.state()).toMatchObject({ minInsyncReplicas: 3, eligibleLeaderReplicas: [] })
  expect(alter('many')).toEqual({ error: 'INVALID_CONFIG', partitions: [] })
})

test('what an earlier controller left half made or half deleted is removed by the next', () => {
  const harness = settledHarness()
  harness.isHolding = true
  harness.controller.request(creation({ partitions: { count: 200, replicationFactor: 2 } }), harness.now)
  harness.run()
  const [first] = harness.waiting.splice(0)
  harness.settle(first!, harness.commit(first!.transaction))
  harness.isHolding = false
  harness.putState({ partition: 1 })
  expect(harness.store.entries.filter(({ key }) => key.startsWith('/partitions/new/'))).toHaveLength(126)
  harness.begin(8)
  harness.run()
  expect([...harness.image.partitions()].map(({ topicId, partition }) => [topicId, partition])).toEqual([
    ['id', 0],
  ])
})

test('a controller does nothing before it has seen all that its predecessors put', () => {
  const harness = settledHarness()
  harness.putState({ topicId: 'late', partition: 0 })
  const early = harness.store.entries
  const at = harness.store.revision
  harness.putTopic(1, {}, 'late', 'late')
  const revision = harness.put(controllerKey, encodeControllerRegistration({ brokerId: 8 }), 'lease 8')
  const image = new ClusterImage()
  image.reset(early, at)
  const controller = new Controller({ brokerId: 8, controllerRevision: revision, image, now: 0 })
  controller.tick(1000)
  expect(controller.take()).toEqual([])
  image.reset(harness.store.entries, harness.store.revision)
  controller.imageReset(1000)
  const transactions = controller.take().map((output) => JSON.stringify(output))
  expect(transactions.filter((each) => each.includes('"deletes":["'))).toEqual([])
})

test('a put of a topic that is applied late does not bring it back', () => {
  const harness = settledHarness()
  harness.isHolding = true
  const request = creation({ partitions: { count: 1, replicationFactor: 1 } })
  harness.controller.request(request, harness.now)
  harness.run()
  const [partitions] = harness.waiting.splice(0)
  harness.settle(partitions!, harness.commit(partitions!.transaction))
  harness.run()
  const [topic] = harness.waiting.splice(0)
  expect(topic!.transaction.puts!.map(({ key }) => key)).toEqual([topicKey('events')])
  harness.settle(topic!, { kind: 'unknown' })
  harness.isHolding = false
  harness.pass(100)
  expect(harness.ask({ kind: 'delete topic', name: 'events' })).toEqual(ok)
  expect(harness.commit(topic!.transaction).kind).toBe('failed')
  expect(harness.commit(partitions!.transaction).kind).toBe('succeeded')
  harness.run()
  expect(harness.image.partitionsOfTopic('new').size).toBe(0)
})

test('a controller that was replaced answers NOT_CONTROLLER, and can put nothing', () => {
  const harness = settledHarness()
  harness.isHolding = true
  const requestId = harness.controller.request(creation(), harness.now)
  harness.run()
  const [old] = harness.waiting.splice(0)
  harness.put(controllerKey, encodeControllerRegistration({ brokerId: 8 }), 'lease 8')
  harness.run()
  expect(harness.replies.get(requestId)!.error).toBe('NOT_CONTROLLER')
  expect(harness.ask({ kind: 'delete topic', name: 'orders' })!.error).toBe('NOT_CONTROLLER')
  expect(harness.commit(old!.transaction).kind).toBe('failed')
  expect(harness.waiting).toEqual([])
  expect(harness.controller.isActive).toBe(false)
})

test('a registration is taken away when it is asked for', () => {
  const harness = settledHarness()
  expect(harness.ask({ kind: 'unregister', brokerId: 2 })).toEqual(ok)
  expect(harness.image.brokers.has(2)).toBe(false)
  expect(harness.state().isr).toEqual([1, 3])
  expect(harness.ask({ kind: 'unregister', brokerId: 2 })!.error).toBe('BROKER_ID_NOT_REGISTERED')
})

test('topics that are created at once do not all get the same brokers, whatever becomes of the transactions', () => {
  const harness = settledHarness()
  harness.isHolding = true
  for (let number = 0; number < 8; number += 1) {
    const name = `at-once-${number}`
    const partitions = { count: 1, replicationFactor: 1 }
    harness.controller.request(creation({ name, topicId: name, partitions }), harness.now)
    if (number === 1) {
      harness.register(7)
      harness.run()
    }
  }
  harness.run()
  harness.isHolding = false
  for (const transaction of harness.waiting.splice(0)) {
    harness.settle(transaction, { kind: 'unknown' })
  }
  harness.pass(200)
  const leaders = new Map<number, number>()
  for (let number = 0; number < 8; number += 1) {
    const { leader } = harness.state(0, `at-once-${number}`)
    leaders.set(leader, (leaders.get(leader) ?? 0) + 1)
  }
  // Broker 4 has none of the partition that there is, so the first goes there.
  expect(Math.max(...leaders.values()) - Math.min(...leaders.values())).toBeLessThanOrEqual(1)
  expect(leaders.size).toBe(4)
})
