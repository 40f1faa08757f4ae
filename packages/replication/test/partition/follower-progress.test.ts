// What a leader knows of a follower, and from when on it counts as lagging.

import { expect, test } from 'vitest'
import { lagMs, leaderOf } from './partition.js'

const two = { replicas: [1, 2], isr: [1, 2] }

test('a follower of which nothing is known holds the high watermark, registered or not', () => {
  const { leader, brokers, append } = leaderOf({ state: two })
  brokers.delete(2)
  append(10)
  expect(leader.highWatermark).toBe(0)
})

test('an older life is not listened to, even while the broker has no registration', () => {
  const { brokers, append, fetch } = leaderOf({ state: two })
  append(10)
  fetch(2, 4, { replicaEpoch: 50 })
  brokers.delete(2)
  expect(fetch(2, 10)).toEqual({ kind: 'error', error: 'NOT_LEADER_OR_FOLLOWER' })
})

test('who was at the end has from then on as long as may be', () => {
  const { leader, append, fetch } = leaderOf({ state: two })
  append(10)
  fetch(2, 10, {}, 5 * lagMs)
  append(1)
  expect(leader.change(6 * lagMs)).toBeNull()
  expect(leader.change(6 * lagMs + 1)?.state.isr).toEqual([1])
})

test('who reaches late what the leader had long ago is judged by that time', () => {
  const { leader, append, fetch } = leaderOf({ state: two })
  append(10)
  fetch(2, 0, {}, 100)
  append(10)
  fetch(2, 10, {}, 5 * lagMs)
  expect(leader.follower(2)?.lastCaughtUpTime).toBe(100)
  expect(leader.change(5 * lagMs)?.state.isr).toEqual([1])
})

test('a new life is measured from its own first Fetch', () => {
  const { leader, append, fetch } = leaderOf({ state: two })
  append(10)
  fetch(2, 0, {}, 100)
  append(10)
  fetch(2, 5, { replicaEpoch: 50 }, 5_000)
  append(10)
  fetch(2, 20, { replicaEpoch: 50 }, 5_100)
  expect(leader.follower(2)?.lastCaughtUpTime).toBe(5_000)
})

test('a late Fetch takes back neither the high watermark that was told nor the log start', () => {
  const { leader, append, fetch } = leaderOf({ state: two })
  append(10)
  fetch(2, 10, { highWatermark: 10, logStartOffset: 4 })
  fetch(2, 0, { highWatermark: 0, logStartOffset: 0 })
  expect(leader.follower(2)).toMatchObject({ highWatermark: 10, logStartOffset: 4 })
  expect(leader.hasNewsFor(2)).toBe(false)
})

test('a follower diverges in leader epoch 0 as in any other', () => {
  const { log, append, fetch } = leaderOf()
  log.append(10, 0)
  append(5)
  expect(fetch(2, 12, { lastFetchedEpoch: 0 })).toMatchObject({ kind: 'diverging', epoch: 0, endOffset: 10 })
})

const attendanceOf = (replicaEpoch = 12) => ({ replicaId: 2, replicaEpoch, time: -Infinity })

test('who had everything has it whenever it attends', () => {
  const { leader, append, fetch } = leaderOf({ state: two })
  const attendance = attendanceOf()
  append(10)
  fetch(2, 10, {}, 100)
  expect(leader.attend(attendance)).toBe(true)
  expect(leader.follower(2)?.lastCaughtUpTime).toBe(100)
  attendance.time = 5 * lagMs
  leader.leave(attendance)
  append(1)
  attendance.time = 9 * lagMs
  expect(leader.change(6 * lagMs)).toBeNull()
  expect(leader.change(6 * lagMs + 1)?.state.isr).toEqual([1])
})

test('who takes later what came after its attendance is judged by that time', () => {
  const { leader, append, fetch } = leaderOf({ state: two })
  const attendance = attendanceOf()
  append(10)
  fetch(2, 10, {}, 100)
  leader.attend(attendance)
  attendance.time = 200
  leader.leave(attendance)
  append(10)
  fetch(2, 10, {}, 300)
  append(10)
  fetch(2, 20, {}, 400)
  expect(leader.follower(2)?.lastCaughtUpTime).toBe(300)
})

test('a Fetch that is looked at ends an attendance, and an older one ends no later one', () => {
  const { leader, append, fetch } = leaderOf({ state: two })
  const [earlier, later] = [attendanceOf(), attendanceOf()]
  append(10)
  fetch(2, 10, {}, 100)
  leader.attend(earlier)
  fetch(2, 10, {}, 200)
  earlier.time = 300
  expect(leader.follower(2)?.lastCaughtUpTime).toBe(200)
  leader.attend(later)
  leader.leave(earlier)
  later.time = 400
  expect(leader.follower(2)?.lastCaughtUpTime).toBe(400)
})

test('who lacks something, is not in sync, or lives anew is looked at whenever it fetches', () => {
  const { leader, append, fetch } = leaderOf({ state: two })
  const attends = (replicaEpoch = 12): boolean => leader.attend(attendanceOf(replicaEpoch))
  append(10)
  expect(attends()).toBe(false)
  fetch(2, 4, {}, 100)
  expect(attends()).toBe(false)
  fetch(2, 10, {}, 100)
  expect([attends(), attends(50)]).toEqual([true, false])
  leader.stateChanged({ ...leader.state, isr: [1], partitionEpoch: leader.state.partitionEpoch + 1 }, 200)
  expect(attends()).toBe(false)
})
