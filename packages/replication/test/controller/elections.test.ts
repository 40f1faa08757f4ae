// Who leads. A leader that lacks a committed record loses it for everybody, so it comes from the in-sync or the eligible replicas, and is
// compared with the registration by which it was chosen.

import { expect, test } from 'vitest'
import { brokerKey, noBroker } from '@varve/replication'
import { settledHarness } from './harness.js'

test('the first live in-sync replica in the order of the assignment leads when the leader is gone', () => {
  const harness = settledHarness({ replicas: [1, 3, 2], isr: [1, 2, 3] })
  harness.store.revoke('lease 1')
  harness.run()
  expect(harness.state()).toMatchObject({
    leader: 3,
    leaderEpoch: 6,
    isr: [3, 2],
    eligibleLeaderReplicas: [],
  })
})

test('a leader that stays keeps its epoch when a follower is gone', () => {
  const harness = settledHarness()
  harness.store.revoke('lease 2')
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 1, leaderEpoch: 5, isr: [1, 3] })
})

test('with an empty ISR an eligible leader is elected, and is the ISR alone', () => {
  const harness = settledHarness({ isr: [1], eligibleLeaderReplicas: [2] })
  harness.store.revoke('lease 1')
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 2, leaderEpoch: 6, isr: [2], eligibleLeaderReplicas: [1] })
})

test('without any of them there is no leader, and the last one is remembered, until one comes back', () => {
  const harness = settledHarness({ isr: [1], minInsyncReplicas: 2 })
  harness.store.revoke('lease 1')
  harness.run()
  const offline = {
    leader: noBroker,
    leaderEpoch: 6,
    isr: [],
    eligibleLeaderReplicas: [1],
    lastKnownLeader: 1,
  }
  expect(harness.state()).toMatchObject(offline)
  harness.register(1)
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 1, leaderEpoch: 7, isr: [1], lastKnownLeader: noBroker })
})

test('an unclean election prefers the last known leader, and leaves nobody eligible', () => {
  const harness = settledHarness({
    isr: [],
    leader: noBroker,
    lastKnownLeader: 3,
    eligibleLeaderReplicas: [],
  })
  expect(harness.state().leader).toBe(noBroker)
  const elect = {
    kind: 'elect leaders',
    election: 'unclean',
    partitions: [{ topic: 'orders', partition: 0 }],
  } as const
  expect(harness.ask(elect)!.partitions[0]!.error).toBeNull()
  expect(harness.state()).toMatchObject({ leader: 3, isr: [3], eligibleLeaderReplicas: [] })
  expect(harness.ask(elect)!.partitions[0]!.error).toBe('ELECTION_NOT_NEEDED')
})

test('the only replica is elected again whatever it may have lost, for nobody has more', () => {
  const harness = settledHarness({ replicas: [2], isr: [2], leader: 2, minInsyncReplicas: 1 })
  harness.store.revoke('lease 2')
  harness.run()
  expect(harness.state()).toMatchObject({ leader: noBroker, isr: [], eligibleLeaderReplicas: [2] })
  harness.register(2, { mayHaveLostRecords: true })
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 2, isr: [2], eligibleLeaderReplicas: [] })
})

test('the configuration of the topic elects uncleanly by itself', () => {
  const harness = settledHarness({ isr: [], leader: noBroker })
  expect(harness.state().leader).toBe(noBroker)
  harness.ask({
    kind: 'alter topic configs',
    name: 'orders',
    configs: { 'unclean.leader.election.enable': 'true' },
  })
  expect(harness.state()).toMatchObject({ leader: 1, isr: [1] })
})

test('what is configured for all topics counts as soon as it is altered, but for topics of their own mind', () => {
  const harness = settledHarness({ isr: [], leader: noBroker })
  harness.putTopic(1, { 'min.insync.replicas': '1', 'unclean.leader.election.enable': 'false' }, 'own', 'own')
  harness.putState({ topicId: 'own', isr: [], leader: noBroker, minInsyncReplicas: 1 })
  harness.run()
  harness.controller.configure({ defaultMinInsyncReplicas: 3, uncleanLeaderElection: true }, harness.now)
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 1, minInsyncReplicas: 3 })
  expect(harness.image.partition('own', 0)).toMatchObject({ leader: noBroker, minInsyncReplicas: 1 })
})

test('nobody is elected uncleanly while nobody is live', () => {
  const harness = settledHarness({ replicas: [7, 8], isr: [], leader: noBroker })
  const result = harness.ask({
    kind: 'elect leaders',
    election: 'unclean',
    partitions: [{ topic: 'orders', partition: 0 }],
  })
  expect(result!.partitions[0]!.error).toBe('ELIGIBLE_LEADERS_NOT_AVAILABLE')
})

test('a replica whose log has failed neither leads nor is in sync', () => {
  const harness = settledHarness()
  harness.register(1, { fenced: false, offlineReplicas: ['id:0'] })
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 2, isr: [2, 3] })
})

test('a broker that was restarted between the decision and the put is not elected by it', () => {
  const harness = settledHarness()
  harness.isHolding = true
  harness.store.revoke('lease 1')
  harness.run()
  const [election] = harness.waiting.splice(0)
  expect(election!.transaction.compares!.map(({ key }) => key)).toContain(brokerKey(2))
  harness.register(2)
  harness.isHolding = false
  harness.settle(election!, harness.commit(election!.transaction))
  harness.run()
  expect(harness.state().leader).toBe(3)
  expect(harness.state().isr).toEqual([3])
})

test('an election whose outcome is unknown, and which is applied late, does not undo what came after', () => {
  const harness = settledHarness()
  harness.isHolding = true
  harness.store.revoke('lease 1')
  harness.run()
  const [election] = harness.waiting.splice(0)
  harness.settle(election!, { kind: 'unknown' })
  harness.isHolding = false
  harness.pass(100)
  const state = harness.state()
  expect(state.leader).toBe(2)
  expect(harness.commit(election!.transaction).kind).toBe('failed')
  expect(harness.run().state()).toEqual(state)
})

test('the leader changes the ISR at the same time: the controller decides again by what is there', () => {
  const harness = settledHarness()
  harness.isHolding = true
  harness.store.revoke('lease 3')
  harness.run()
  const [removal] = harness.waiting.splice(0)
  harness.isHolding = false
  harness.putState({ isr: [1, 3] })
  harness.settle(removal!, harness.commit(removal!.transaction))
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 1, isr: [1], eligibleLeaderReplicas: [3] })
})

test('preferred leaders come back when they are asked for', () => {
  const harness = settledHarness({ leader: 2 })
  const ask = (): unknown =>
    harness.ask({
      kind: 'elect leaders',
      election: 'preferred',
      partitions: [{ topic: 'orders', partition: 0 }],
    })!.partitions[0]!.error
  expect(ask()).toBeNull()
  expect(harness.state()).toMatchObject({ leader: 1, leaderEpoch: 6 })
  expect(ask()).toBe('ELECTION_NOT_NEEDED')
  harness.putState({ leader: 2, leaderEpoch: 7, isr: [2, 3] })
  harness.run()
  expect(ask()).toBe('PREFERRED_LEADER_NOT_AVAILABLE')
})

test('preferred leaders come back when the imbalance is looked at, but not before', () => {
  const harness = settledHarness({ leader: 2 }, { leaderImbalanceCheckIntervalMs: 1000 })
  harness.pass(999)
  expect(harness.state().leader).toBe(2)
  harness.pass(1)
  expect(harness.state().leader).toBe(1)
})

test('an election of a topic that is not there is answered so', () => {
  const harness = settledHarness()
  const partitions = [
    { topic: 'no', partition: 0 },
    { topic: 'orders', partition: 7 },
  ]
  const result = harness.ask({ kind: 'elect leaders', election: 'preferred', partitions })
  expect(result!.partitions.map(({ error }) => error)).toEqual([
    'UNKNOWN_TOPIC_OR_PARTITION',
    'UNKNOWN_TOPIC_OR_PARTITION',
  ])
})
