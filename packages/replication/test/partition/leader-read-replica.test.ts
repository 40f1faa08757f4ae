import { expect, test } from 'vitest'
import { leaderOf, registrationOf, stateOf } from './partition.js'

test('names a follower of the rack that is in sync, live, and has the offset', () => {
  const { leader, brokers, append, fetch } = leaderOf({ racks: { 1: 'a', 2: 'b', 3: 'b' } })
  append(10)
  fetch(2, 8)
  fetch(3, 10)
  expect(leader.readReplica({ rack: 'b', fetchOffset: 5 })).toBe(3)
  expect(leader.readReplica({ rack: 'a', fetchOffset: 5 })).toBeNull()
  expect(leader.readReplica({ rack: 'c', fetchOffset: 5 })).toBeNull()
  expect(leader.readReplica({ rack: null, fetchOffset: 5 })).toBeNull()
  fetch(2, 10)
  expect(leader.readReplica({ rack: 'b', fetchOffset: 5 })).toBe(2)
  expect(leader.readReplica({ rack: 'b', fetchOffset: 11 })).toBeNull()
  brokers.set(2, registrationOf(2, { rack: 'b', fenced: true }))
  expect(leader.readReplica({ rack: 'b', fetchOffset: 5 })).toBe(3)
  leader.stateChanged(stateOf({ isr: [1, 2], partitionEpoch: 101 }), 0)
  expect(leader.readReplica({ rack: 'b', fetchOffset: 5 })).toBeNull()
})

test('names no other where the leader is of the rack, nor one that has deleted the offset', () => {
  const { leader, append, fetch } = leaderOf({ racks: { 1: 'a', 2: 'a', 3: 'b' } })
  append(10)
  fetch(2, 10)
  fetch(3, 10, { logStartOffset: 8 })
  expect(leader.readReplica({ rack: 'a', fetchOffset: 8 })).toBeNull()
  expect([7, 8, 10].map((fetchOffset) => leader.readReplica({ rack: 'b', fetchOffset }))).toEqual([
    null,
    3,
    3,
  ])
})
