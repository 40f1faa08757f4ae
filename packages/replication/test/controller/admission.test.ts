// A broker that comes back stands in the store for what it had before. Until nothing there does, it is fenced: it might lead in an epoch of its
// former life, or be elected for records that it has lost.

import { expect, test } from 'vitest'
import { brokerKey, noBroker } from '@varve/replication'
import { Harness, settledHarness } from './harness.js'

test('a new broker is unfenced at once, and keeps its lease and epoch', () => {
  const harness = settledHarness()
  const brokerEpoch = harness.register(5)
  harness.run()
  expect(harness.image.brokers.get(5)).toMatchObject({ fenced: false, brokerEpoch, lease: 'lease 5' })
})

test('one that led gets a new leader epoch first', () => {
  const harness = settledHarness({ replicas: [1], isr: [1], minInsyncReplicas: 1 })
  harness.register(1)
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 1, leaderEpoch: 7, isr: [1] })
  const order = harness.store.events.filter(({ key }) => key !== '/controller').slice(-4)
  expect(order.map(({ key }) => key)).toEqual([
    brokerKey(1),
    '/partitions/id/0',
    brokerKey(1),
    '/partitions/id/0',
  ])
  expect(harness.isFenced(1)).toBe(false)
})

test('one that may have lost records is neither in sync nor eligible before it is unfenced', () => {
  const harness = settledHarness({ isr: [1], eligibleLeaderReplicas: [2, 3] })
  harness.register(1, { mayHaveLostRecords: true })
  harness.register(2, { mayHaveLostRecords: true })
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 3, isr: [3], eligibleLeaderReplicas: [] })
  expect(harness.isFenced(1) || harness.isFenced(2)).toBe(false)
})

test('one that has lost nothing stays eligible', () => {
  const harness = settledHarness({ isr: [1], eligibleLeaderReplicas: [2, 3] })
  harness.register(2)
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 1, isr: [1], eligibleLeaderReplicas: [2, 3] })
})

test('it is not unfenced before the last of its partitions is put, and seen', () => {
  const harness = settledHarness({ isr: [1], eligibleLeaderReplicas: [2] })
  harness.isHolding = true
  harness.register(2, { mayHaveLostRecords: true })
  harness.run()
  const [removal, ...others] = harness.waiting.splice(0)
  expect(others).toEqual([])
  expect(removal!.transaction.puts!.map(({ key }) => key)).toEqual(['/partitions/id/0'])
  harness.settle(removal!, { kind: 'unknown' })
  harness.run()
  expect(harness.waiting).toEqual([])
  harness.commit(removal!.transaction)
  harness.run()
  const [unfencing] = harness.waiting.splice(0)
  expect(unfencing!.transaction.puts!.map(({ key }) => key)).toEqual([brokerKey(2)])
})

test('a broker that returns while it is being removed is looked at again', () => {
  const harness = settledHarness({ isr: [1, 2], minInsyncReplicas: 2 })
  harness.isHolding = true
  harness.store.revoke('lease 2')
  harness.run()
  const [removal] = harness.waiting.splice(0)
  harness.isHolding = false
  harness.register(2, { mayHaveLostRecords: true })
  harness.run()
  expect(harness.isFenced(2)).toBe(true)
  harness.settle(removal!, harness.commit(removal!.transaction))
  harness.run()
  expect(harness.state()).toMatchObject({ isr: [1], eligibleLeaderReplicas: [] })
  expect(harness.isFenced(2)).toBe(false)
})

test('a registration that has been replaced is not unfenced by what was decided for it', () => {
  const harness = settledHarness()
  harness.isHolding = true
  harness.register(5)
  harness.run()
  const [unfencing] = harness.waiting.splice(0)
  harness.register(5)
  expect(harness.commit(unfencing!.transaction).kind).toBe('failed')
})

test('a broker about to stop hands over and leaves the ISR', () => {
  const harness = settledHarness()
  harness.register(1, { fenced: false, shuttingDown: true })
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 2, leaderEpoch: 6, isr: [2, 3] })
})

test('one about to stop goes on leading what nobody else can', () => {
  const harness = settledHarness({ isr: [1], eligibleLeaderReplicas: [] })
  harness.register(1, { fenced: false, shuttingDown: true })
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 1, leaderEpoch: 5, isr: [1] })
  harness.store.revoke('lease 1')
  harness.run()
  expect(harness.state()).toMatchObject({ leader: noBroker, eligibleLeaderReplicas: [1] })
})

test('a broker about to stop is given no leadership', () => {
  const harness = settledHarness()
  harness.register(2, { fenced: false, shuttingDown: true })
  harness.store.revoke('lease 1')
  harness.run()
  expect(harness.state().leader).toBe(3)
})

test('a reset connection revokes the lease of that broker, never of this one', () => {
  const harness = settledHarness()
  harness.register(9)
  harness.run()
  harness.controller.connectionReset(2)
  harness.controller.connectionReset(9)
  harness.controller.connectionReset(77)
  harness.run()
  expect(harness.revoked).toEqual(['lease 2'])
})

test('what happened while nobody was the controller is made up for by the next', () => {
  const harness = new Harness()
  harness.register(1, { mayHaveLostRecords: true })
  harness.register(2, { fenced: false })
  harness.putTopic()
  harness.putState({ replicas: [1, 2, 3], isr: [1, 2, 3] })
  harness.begin()
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 2, isr: [2], eligibleLeaderReplicas: [3] })
  expect(harness.isFenced(1)).toBe(false)
})

test('who is eligible under the minimum in force is elected, though the minimum is lowered while the leader is lost', () => {
  const harness = settledHarness({ leader: 3, isr: [3], eligibleLeaderReplicas: [1], minInsyncReplicas: 2 })
  harness.putTopic(1, { 'min.insync.replicas': '1' })
  harness.register(3, { mayHaveLostRecords: true })
  harness.run()
  expect(harness.state()).toMatchObject({ leader: 1, isr: [1], minInsyncReplicas: 1 })
})
