// A topic is there as a whole or not at all, whoever is the controller when it ends, and what was left half done is removed.

import { expect, test } from 'vitest'
import { topicKey, type CreateTopicRequest } from '@varve/replication'
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
