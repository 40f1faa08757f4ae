// Answers to a change of the in-sync replicas come late, twice or after the watch has told what became of it.

import { expect, test } from 'vitest'
import { leaderOf, registrationOf, stateOf } from './partition.js'

function withCaughtUp() {
  const setup = leaderOf({ state: { isr: [1, 2] } })
  setup.append(10)
  setup.fetch(3, 10)
  return setup
}

test('a later state ends the change that is in flight', () => {
  const { leader } = withCaughtUp()
  const change = leader.change(0)!
  leader.stateChanged(stateOf({ isr: [1, 2], partitionEpoch: 101 }), 0)
  expect(leader.maximalInSyncReplicas).toEqual([1, 2])
  const next = leader.change(0)!
  expect(next.partitionEpoch).toBe(101)
  // What comes of the first says nothing of the second.
  leader.changeSettled(change, { kind: 'failed' }, 0)
  expect(leader.maximalInSyncReplicas).toEqual([1, 2, 3])
  expect(leader.change(0)).toBeNull()
})

test('an answer that the watch has overtaken does not take the state back', () => {
  const { leader } = withCaughtUp()
  const change = leader.change(0)!
  const later = stateOf({ isr: [1, 2], partitionEpoch: 105 })
  leader.stateChanged(later, 0)
  leader.changeSettled(change, { kind: 'succeeded', revision: 101 }, 0)
  expect(leader.state).toEqual(later)
})

test('that one broker cannot enter keeps no other one out, of the same revision even', () => {
  const { leader, brokers, append, fetch } = leaderOf({ state: { replicas: [1, 2, 3, 4], isr: [1, 2] } })
  brokers.set(3, registrationOf(3, { revision: 50 }))
  brokers.set(4, registrationOf(4, { revision: 50 }))
  append(10)
  fetch(3, 10)
  leader.changeSettled(leader.change(0)!, { kind: 'failed' }, 0)
  brokers.set(3, registrationOf(3, { fenced: true }))
  fetch(4, 10)
  expect(leader.change(0)?.state.isr).toEqual([1, 2, 4])
})
