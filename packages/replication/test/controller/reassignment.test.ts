// Replicas move while records are written. Those that go stay until those that come have everything that is committed.

import { expect, test } from 'vitest'
import { isReassigning, type ControllerErrorName, type PartitionState } from '@varve/replication'
import { settledHarness, type Harness } from './harness.js'

function reassign(harness: Harness, replicas: readonly number[] | null): ControllerErrorName | null {
  const partitions = [{ topic: 'orders', partition: 0, replicas }]
  return harness.ask({ kind: 'reassign', partitions })!.partitions[0]!.error
}

/** The leader takes replicas into the ISR, or out of it. */
function changeIsr(harness: Harness, given: Partial<PartitionState>): void {
  harness.putState({ ...harness.state(), ...given })
  harness.run()
}

test('replicas are added, and the others dropped when these are in sync', () => {
  const harness = settledHarness()
  expect(reassign(harness, [2, 3, 4])).toBeNull()
  expect(harness.state()).toMatchObject({
    replicas: [2, 3, 4, 1],
    addingReplicas: [4],
    removingReplicas: [1],
    leader: 1,
    leaderEpoch: 5,
  })
  changeIsr(harness, { isr: [2, 3, 4, 1] })
  expect(harness.state()).toMatchObject({
    replicas: [2, 3, 4],
    addingReplicas: [],
    removingReplicas: [],
    leader: 2,
    leaderEpoch: 6,
    isr: [2, 3, 4],
  })
})

test('the leader epoch is raised where a replica leaves and the leader stays', () => {
  const harness = settledHarness()
  reassign(harness, [1, 2])
  expect(harness.state()).toMatchObject({ replicas: [1, 2], leader: 1, leaderEpoch: 6, isr: [1, 2] })
})

test('it waits for as many in-sync replicas of the target as the minimum', () => {
  const harness = settledHarness({ isr: [1, 3] })
  reassign(harness, [1, 2])
  expect(isReassigning(harness.state())).toBe(true)
  changeIsr(harness, { isr: [1, 2, 3] })
  expect(harness.state()).toMatchObject({ replicas: [1, 2], removingReplicas: [] })
})

test('the minimum in force is that of the replicas before, and then that of the replicas after', () => {
  const harness = settledHarness({ replicas: [1], isr: [1], minInsyncReplicas: 1 })
  reassign(harness, [1, 2, 3])
  expect(harness.state().minInsyncReplicas).toBe(1)
  changeIsr(harness, { isr: [1, 2, 3] })
  expect(harness.state()).toMatchObject({ minInsyncReplicas: 2, addingReplicas: [] })
})

test('cancelled, it goes back to the replicas that there were, in the order that they have by then', () => {
  const harness = settledHarness()
  expect(reassign(harness, null)).toBe('NO_REASSIGNMENT_IN_PROGRESS')
  reassign(harness, [4, 2, 3])
  expect(reassign(harness, null)).toBeNull()
  expect(harness.state()).toMatchObject({
    replicas: [2, 3, 1],
    addingReplicas: [],
    removingReplicas: [],
    leader: 1,
    isr: [2, 3, 1],
  })
})

test('cancelled, one that has what is committed stays until the others suffice', () => {
  const harness = settledHarness({ isr: [1] })
  reassign(harness, [3, 4])
  changeIsr(harness, { isr: [1, 4] })
  expect(reassign(harness, null)).toBeNull()
  expect(harness.state()).toMatchObject({ isr: [1, 4], addingReplicas: [4], removingReplicas: [4] })
  changeIsr(harness, { isr: [1, 3, 4] })
  expect(harness.state()).toMatchObject({ isr: [3, 1], addingReplicas: [], removingReplicas: [] })
})

test('another target takes the place of the first', () => {
  const harness = settledHarness()
  reassign(harness, [1, 2, 4])
  expect(reassign(harness, [1, 2, 3])).toBeNull()
  expect(harness.state()).toMatchObject({ replicas: [1, 2, 3], addingReplicas: [], removingReplicas: [] })
})

test('where the brokers of the target die it waits, and goes on with them', () => {
  const harness = settledHarness()
  reassign(harness, [2, 3, 4])
  harness.store.revoke('lease 4')
  harness.run()
  expect(harness.state()).toMatchObject({ addingReplicas: [4], leader: 1, isr: [2, 3, 1] })
  harness.register(4)
  harness.run()
  changeIsr(harness, { isr: [2, 3, 4, 1] })
  expect(harness.state().replicas).toEqual([2, 3, 4])
})

test.each([[[]], [[1, 1]], [[1, 77]]])('replicas %j are refused', (replicas) => {
  expect(reassign(settledHarness(), replicas)).toBe('INVALID_REPLICA_ASSIGNMENT')
})

test('a topic that is deleted takes its reassignments along', () => {
  const harness = settledHarness()
  reassign(harness, [2, 3, 4])
  expect(harness.ask({ kind: 'delete topic', name: 'orders' })!.error).toBeNull()
  expect([...harness.image.partitions()]).toEqual([])
  expect(harness.controller.isIdle).toBe(true)
  expect(reassign(harness, [1])).toBe('UNKNOWN_TOPIC_OR_PARTITION')
})

test('a drained broker has its replicas moved, but the last live one in sync leads until another is', () => {
  const harness = settledHarness({ isr: [1] })
  const result = harness.ask({ kind: 'drain', brokerId: 1 })
  expect(result).toEqual({ error: null, partitions: [{ topic: 'orders', partition: 0, error: null }] })
  expect(harness.state()).toMatchObject({ addingReplicas: [4], removingReplicas: [1], leader: 1 })
  changeIsr(harness, { isr: [4, 1] })
  expect(harness.state()).toMatchObject({ leader: 1, removingReplicas: [1] })
  changeIsr(harness, { isr: [4, 2, 1] })
  expect(harness.state()).toMatchObject({ leader: 4, replicas: [4, 2, 3] })
})

test('a replica that no other broker is left for is said to stay', () => {
  const harness = settledHarness()
  harness.store.revoke('lease 4')
  harness.run()
  const result = harness.ask({ kind: 'drain', brokerId: 1 })
  expect(result!.partitions[0]!.error).toBe('INVALID_REPLICATION_FACTOR')
})

test('a reassignment that was put, but not answered, is found to have begun', () => {
  const harness = settledHarness()
  harness.isHolding = true
  const partitions = [{ topic: 'orders', partition: 0, replicas: [1, 2, 4] }]
  const requestId = harness.controller.request({ kind: 'reassign', partitions }, harness.now)
  harness.run()
  const [put] = harness.waiting.splice(0)
  harness.isHolding = false
  harness.commit(put!.transaction)
  harness.settle(put!, { kind: 'unknown' })
  harness.run()
  expect(harness.replies.get(requestId)!.partitions[0]!.error).toBeNull()
})

test('a request to partitions is answered when the image has what was asked for, not before', () => {
  const harness = settledHarness()
  harness.isHolding = true
  const replicas = [1, 2, 4]
  const partitions = [{ topic: 'orders', partition: 0, replicas }]
  const requestId = harness.controller.request({ kind: 'reassign', partitions }, harness.now)
  harness.run()
  const [transaction] = harness.waiting
  harness.settle(transaction!, harness.commit(transaction!.transaction))
  expect(harness.controller.take()).toEqual([])
  expect(harness.controller.isIdle).toBe(false)
  harness.run()
  expect(harness.replies.get(requestId)?.partitions).toEqual([{ topic: 'orders', partition: 0, error: null }])
  expect(harness.state().addingReplicas).toEqual([4])
})

test('requests are answered of which a later one takes back what an earlier one asked for', () => {
  const harness = settledHarness()
  harness.isHolding = true
  const [earlier, later] = [
    [2, 1, 3],
    [1, 2, 3],
  ].map((replicas) => {
    const partitions = [{ topic: 'orders', partition: 0, replicas }]
    const requestId = harness.controller.request({ kind: 'reassign', partitions }, harness.now)
    harness.run()
    return requestId
  })
  harness.isHolding = false
  harness.settle(harness.waiting[0]!, { kind: 'unknown' })
  harness.pass(100)
  const errorOf = (requestId: number) => harness.replies.get(requestId)?.partitions[0]!.error
  expect([errorOf(earlier!), errorOf(later!)]).toEqual([null, null])
  expect(harness.controller.isIdle).toBe(true)
})
