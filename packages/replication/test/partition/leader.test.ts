import { expect, test } from 'vitest'
import { brokerKey, decodePartitionState, partitionKey } from '@varve/replication'
import { BatchLog } from './batch-log.js'
import { lagMs, leaderOf, registrationOf, stateOf, topicId } from './partition.js'

const key = partitionKey(topicId, 0)

test('the high watermark is what all in-sync replicas have, and nothing before all have fetched', () => {
  const { leader, append, fetch } = leaderOf()
  append(10)
  fetch(2, 10)
  expect(leader.highWatermark).toBe(0)
  fetch(3, 7)
  expect(leader.highWatermark).toBe(7)
  append(5)
  fetch(2, 15)
  fetch(3, 15)
  expect(leader.highWatermark).toBe(15)
})

test('a late or repeated Fetch takes nothing back', () => {
  const { leader, append, fetch } = leaderOf()
  append(10)
  fetch(2, 10)
  fetch(3, 8)
  fetch(2, 5)
  fetch(3, 3)
  append(10)
  fetch(2, 20)
  fetch(3, 15)
  fetch(3, 0)
  expect(leader.highWatermark).toBe(15)
  expect(leader.follower(3)).toMatchObject({ fetchOffset: 15, durableOffset: 15 })
})

test("under 'fsync' durable offsets count, the leader's own as well", () => {
  const { log, leader, append, fetch } = leaderOf({ log: new BatchLog('fsync') })
  append(10)
  fetch(2, 10, { durableOffset: 8 })
  fetch(3, 10, { durableOffset: 99 })
  expect(leader.highWatermark).toBe(0)
  log.flush()
  leader.logChanged()
  expect(leader.highWatermark).toBe(8)
  expect(leader.follower(3)?.durableOffset).toBe(10)
})

test('the high watermark stands still while the committed in-sync set is below the minimum', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1], eligibleLeaderReplicas: [2] } })
  append(10)
  expect(leader.highWatermark).toBe(0)
  fetch(2, 10)
  const change = leader.change(0)!
  expect(change.state.isr).toEqual([1, 2])
  expect(leader.highWatermark).toBe(0)
  leader.changeSettled(change, { kind: 'succeeded', revision: 101 }, 0)
  expect(leader.highWatermark).toBe(10)
})

test('what was committed as far as it knew, and it does not have for good, is not committed yet where it leads', () => {
  const log = new BatchLog('fsync')
  log.append(6, 1)
  log.flush()
  log.append(4, 1)
  // Elected uncleanly, as one that was not in sync.
  const { leader } = leaderOf({ log, highWatermark: 10, state: { isr: [1], minInsyncReplicas: 1 } })
  expect([leader.highWatermark, leader.acknowledges(10, -1)]).toEqual([6, 'waiting'])
  log.flush()
  leader.logChanged()
  expect([leader.highWatermark, leader.acknowledges(10, -1)]).toEqual([10, 'acknowledged'])
})

test('a Fetch in another leader epoch is refused and tells nothing', () => {
  const { leader, append, fetch } = leaderOf()
  append(10)
  expect(fetch(2, 10, { currentLeaderEpoch: 4 })).toEqual({ kind: 'error', error: 'FENCED_LEADER_EPOCH' })
  expect(fetch(2, 10, { currentLeaderEpoch: 6 })).toEqual({ kind: 'error', error: 'UNKNOWN_LEADER_EPOCH' })
  expect(leader.follower(2)?.fetchOffset).toBe(-1)
})

test('a broker that is no replica is refused', () => {
  const { fetch } = leaderOf()
  expect(fetch(4, 0)).toEqual({ kind: 'error', error: 'UNKNOWN_LEADER_EPOCH' })
})

test('an older life of a broker is not listened to, a newer one starts from nothing', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1, 2], replicas: [1, 2] } })
  append(10)
  fetch(2, 4)
  expect(leader.highWatermark).toBe(4)
  fetch(2, 4, { logStartOffset: 3, highWatermark: 4 })
  fetch(2, 0, { replicaEpoch: 50 })
  expect(leader.follower(2)).toMatchObject({
    fetchOffset: 0,
    durableOffset: 0,
    logStartOffset: 0,
    highWatermark: 0,
  })
  expect(fetch(2, 10)).toEqual({ kind: 'error', error: 'NOT_LEADER_OR_FOLLOWER' })
  expect(leader.highWatermark).toBe(4)
  fetch(2, 6, { replicaEpoch: 50 })
  expect(leader.highWatermark).toBe(6)
})

test('what a broker had before its newest registration does not count', () => {
  const { log, leader, brokers, append, fetch } = leaderOf({ state: { isr: [1, 2, 3] } })
  append(10)
  fetch(2, 10)
  brokers.set(2, registrationOf(2, { brokerEpoch: 50 }))
  fetch(3, 10)
  expect(leader.highWatermark).toBe(0)
  expect(fetch(2, 10)).toEqual({ kind: 'error', error: 'NOT_LEADER_OR_FOLLOWER' })
  fetch(2, 6, { replicaEpoch: 50 })
  expect(leader.highWatermark).toBe(6)
  expect(log.endOffset).toBe(10)
})

test('a diverging follower is told where, and what it says does not count', () => {
  const log = new BatchLog()
  log.append(10, 1)
  log.append(5, 3)
  const { leader, append, fetch } = leaderOf({ log })
  append(5)
  const at = { highWatermark: 0, logStartOffset: 0 }
  expect(fetch(2, 20, { lastFetchedEpoch: 3 })).toEqual({
    kind: 'diverging',
    epoch: 3,
    endOffset: 15,
    ...at,
  })
  expect(fetch(2, 14, { lastFetchedEpoch: 2 })).toEqual({
    kind: 'diverging',
    epoch: 1,
    endOffset: 10,
    ...at,
  })
  expect(fetch(2, 12, { lastFetchedEpoch: 1 })).toEqual({
    kind: 'diverging',
    epoch: 1,
    endOffset: 10,
    ...at,
  })
  expect(fetch(2, 25, { lastFetchedEpoch: 5 })).toEqual({
    kind: 'diverging',
    epoch: 5,
    endOffset: 20,
    ...at,
  })
  expect(leader.follower(2)?.fetchOffset).toBe(-1)
  expect(fetch(2, 15, { lastFetchedEpoch: 3 })).toMatchObject({ kind: 'records', from: 15, upTo: 20 })
})

test('an epoch that the leader has never heard of diverges at its own latest', () => {
  const log = new BatchLog()
  log.append(10, 1)
  const { fetch } = leaderOf({ log })
  log.setLeaderEpoch(-1)
  expect(fetch(2, 10, { lastFetchedEpoch: 4 })).toMatchObject({ kind: 'diverging', epoch: 1, endOffset: 10 })
})

test('outside of the log there is nothing to fetch', () => {
  const log = new BatchLog()
  log.append(10, 1)
  log.append(10, 2)
  const { leader, fetch } = leaderOf({ log })
  log.deleteBefore(10)
  const outOfRange = { kind: 'error', error: 'OFFSET_OUT_OF_RANGE', logStartOffset: 10 }
  expect(fetch(2, 5, { lastFetchedEpoch: 1 })).toEqual(outOfRange)
  expect(fetch(2, 5, { lastFetchedEpoch: 3 })).toEqual(outOfRange)
  expect(fetch(2, 25, { lastFetchedEpoch: -1 })).toEqual(outOfRange)
  expect(leader.follower(2)?.fetchOffset).toBe(-1)
  expect(fetch(2, 10, { lastFetchedEpoch: 3 })).toMatchObject({ kind: 'diverging', epoch: 2, endOffset: 20 })
  expect(fetch(2, 10, { lastFetchedEpoch: -1 })).toEqual({
    kind: 'records',
    from: 10,
    upTo: 20,
    highWatermark: 0,
    logStartOffset: 10,
  })
})

test('a waiting Fetch has news when the log, the high watermark or the log start have moved', () => {
  const { log, leader, append, fetch } = leaderOf({ state: { replicas: [1, 2], isr: [1, 2] } })
  expect(fetch(2, 0)).toMatchObject({ from: 0, upTo: 0 })
  expect(leader.hasNewsFor(2)).toBe(false)
  append(10)
  expect(leader.hasNewsFor(2)).toBe(true)
  // This Fetch itself commits what it says.
  expect(fetch(2, 10)).toMatchObject({ from: 10, upTo: 10, highWatermark: 10 })
  expect(leader.hasNewsFor(2)).toBe(true)
  fetch(2, 10, { highWatermark: 10 })
  expect(leader.hasNewsFor(2)).toBe(false)
  log.deleteBefore(5)
  expect(leader.hasNewsFor(2)).toBe(true)
  fetch(2, 10, { highWatermark: 10 })
  expect(leader.hasNewsFor(2)).toBe(false)
  expect(leader.hasNewsFor(4)).toBe(false)
})

test('a follower that has not had everything for too long leaves, and stays eligible below the minimum', () => {
  const { leader, append, fetch } = leaderOf()
  append(10)
  fetch(2, 10, {}, lagMs)
  fetch(3, 9, {}, lagMs)
  expect(leader.change(lagMs)).toBeNull()
  const change = leader.change(lagMs + 1)!
  expect(change.state).toMatchObject({ isr: [1, 2], eligibleLeaderReplicas: [], partitionEpoch: 100 })
  expect(change.partitionEpoch).toBe(100)
  expect(change.transaction.compares).toEqual([{ key, revision: 100 }])
  const [put] = change.transaction.puts!
  expect(put!.key).toBe(key)
  expect(decodePartitionState({ key, value: put!.value, revision: 100 })).toEqual(change.state)
  // Who leaves counts until that is committed.
  append(10)
  fetch(2, 20, {}, lagMs + 1)
  expect(leader.highWatermark).toBe(9)
  leader.changeSettled(change, { kind: 'succeeded', revision: 107 }, lagMs + 1)
  expect(leader.highWatermark).toBe(20)
  expect(leader.state.partitionEpoch).toBe(107)
  append(1)
  const below = leader.change(3 * lagMs)!
  expect(below.state).toMatchObject({ isr: [1], eligibleLeaderReplicas: [2] })
})

test('a follower at the end stays, however long ago it fetched', () => {
  const { leader, append, fetch } = leaderOf()
  append(10)
  fetch(2, 10)
  fetch(3, 10)
  expect(leader.change(100 * lagMs)).toBeNull()
})

test('a follower that keeps pace is never at the end, and stays', () => {
  const { leader, append, fetch } = leaderOf({ state: { replicas: [1, 2], isr: [1, 2] } })
  let end = 0
  for (let now = 0; now < 10 * lagMs; now += 100) {
    append(10)
    // The fetch offset is one Fetch behind, what is durable four.
    fetch(2, end, { durableOffset: Math.max(0, end - 40) }, now)
    end += 10
    expect(leader.change(now)).toBeNull()
  }
  // What it fetches but does not make durable does not count.
  for (let now = 10 * lagMs; now < 13 * lagMs; now += 100) {
    append(10)
    fetch(2, end, { durableOffset: 900 }, now)
    end += 10
  }
  expect(leader.change(13 * lagMs)?.state.isr).toEqual([1])
})

test('a clock that jumps back keeps nobody out', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10, {}, -1e9)
  expect(leader.change(-1e9)?.state.isr).toEqual([1, 2, 3])
})

test('a follower enters at the high watermark and the start of the epoch, and counts at once', () => {
  const log = new BatchLog()
  log.append(10, 1)
  const { leader, append, fetch } = leaderOf({ log, highWatermark: 4, state: { isr: [1, 2] } })
  append(10)
  fetch(3, 9)
  expect(leader.change(0)).toBeNull()
  fetch(2, 15)
  expect(leader.highWatermark).toBe(15)
  fetch(3, 14)
  expect(leader.change(0)).toBeNull()
  // It has what is committed, but has never yet had all that the leader had.
  fetch(3, 16)
  expect(leader.change(0)).toBeNull()
  fetch(3, 20)
  append(5)
  const change = leader.change(0)!
  expect(change.state.isr).toEqual([1, 2, 3])
  expect(change.transaction.compares).toEqual([
    { key, revision: 100 },
    { key: brokerKey(3), revision: 23 },
  ])
  expect(leader.maximalInSyncReplicas).toEqual([1, 2, 3])
  fetch(2, 25)
  expect(leader.highWatermark).toBe(20)
})

test('who has records from before the start of the log does not enter: nobody can tell any more whether they were committed', () => {
  const log = new BatchLog()
  log.append(10, 1)
  log.deleteBefore(6)
  const { leader, fetch } = leaderOf({ log, highWatermark: 10, state: { isr: [1, 2] } })
  fetch(3, 10, { logStartOffset: 5 })
  expect(leader.change(0)).toBeNull()
  fetch(3, 10, { logStartOffset: 6 })
  expect(leader.change(0)?.state.isr).toEqual([1, 2, 3])
})

test('the start of the epoch has to be reached even where the high watermark is not yet known', () => {
  const log = new BatchLog()
  log.append(10, 1)
  const { leader, fetch } = leaderOf({ log, state: { isr: [1, 2] } })
  fetch(3, 10)
  expect(leader.highWatermark).toBe(0)
  expect(leader.change(0)?.state.isr).toEqual([1, 2, 3])
  const other = leaderOf({ log, state: { isr: [1, 2] } })
  other.fetch(3, 9)
  // It has never had all that the leader had, so it lags.
  expect(other.leader.change(0)).toBeNull()
})

test('a follower that had everything a moment ago does not enter below the high watermark', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10)
  append(10)
  fetch(2, 20)
  expect(leader.highWatermark).toBe(20)
  expect(leader.change(0)).toBeNull()
})

test('a follower that was taken out a moment ago does not enter below the start of the epoch', () => {
  const log = new BatchLog()
  log.append(10, 1)
  const { leader, fetch } = leaderOf({ log })
  leader.stateChanged(stateOf({ isr: [1, 2], partitionEpoch: 101 }), 0)
  fetch(3, 9)
  expect(leader.highWatermark).toBe(0)
  expect(leader.change(0)).toBeNull()
  fetch(3, 10)
  expect(leader.change(0)?.state.isr).toEqual([1, 2, 3])
})

test.each([
  ['fenced', { fenced: true }],
  ['about to stop', { shuttingDown: true }],
  ['restarted since it fetched', { brokerEpoch: 50 }],
  ['with a failed log', { offlineReplicas: [`${topicId}:0`] }],
])('a broker does not enter when it is %s', (_, changes) => {
  const { leader, brokers, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10)
  brokers.set(3, registrationOf(3, changes))
  expect(leader.change(0)).toBeNull()
  brokers.delete(3)
  expect(leader.change(0)).toBeNull()
  brokers.set(3, registrationOf(3))
  expect(leader.change(0)?.state.isr).toEqual([1, 2, 3])
})

test('a broker whose registration this one has yet to see does not enter on the old one', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10, { replicaEpoch: 50 })
  expect(leader.change(0)).toBeNull()
})

test('one change is in flight at a time', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10)
  expect(leader.change(0)).not.toBeNull()
  expect(leader.change(10 * lagMs)).toBeNull()
})

test('an expansion that failed no longer counts, and is not put again', () => {
  const { leader, brokers, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10)
  const change = leader.change(0)!
  append(10)
  fetch(2, 20)
  expect(leader.highWatermark).toBe(10)
  leader.changeSettled(change, { kind: 'failed' }, 0)
  expect(leader.highWatermark).toBe(20)
  fetch(3, 20)
  expect(leader.change(0)).toBeNull()
  brokers.set(3, registrationOf(3, { revision: 99 }))
  expect(leader.change(0)?.transaction.compares).toContainEqual({ key: brokerKey(3), revision: 99 })
})

test('an expansion of unknown outcome counts until a later state is known', () => {
  const { leader, brokers, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10)
  const first = leader.change(0)!
  leader.changeSettled(first, { kind: 'unknown' }, 0)
  append(10)
  fetch(2, 20)
  expect(leader.highWatermark).toBe(10)
  // Another one that fails says nothing about the first.
  brokers.set(3, registrationOf(3, { revision: 99 }))
  fetch(3, 11)
  const second = leader.change(0)!
  leader.changeSettled(second, { kind: 'failed' }, 0)
  leader.changeSettled(first, { kind: 'failed' }, 0)
  expect(leader.maximalInSyncReplicas).toEqual([1, 2, 3])
  expect(leader.highWatermark).toBe(11)
  leader.stateChanged(stateOf({ isr: [1, 2], partitionEpoch: 100 }), 0)
  expect(leader.maximalInSyncReplicas).toEqual([1, 2, 3])
  leader.stateChanged(stateOf({ isr: [1, 2], partitionEpoch: 101 }), 0)
  expect(leader.maximalInSyncReplicas).toEqual([1, 2])
  expect(leader.highWatermark).toBe(20)
})

test('an expansion that was not applied counts no more, and is asked for again', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10)
  const first = leader.change(0)!
  append(10)
  fetch(2, 20)
  expect(leader.highWatermark).toBe(10)
  leader.changeSettled(first, { kind: 'not applied' }, 0)
  expect([leader.highWatermark, leader.maximalInSyncReplicas]).toEqual([20, [1, 2]])
  fetch(3, 20)
  const again = leader.change(0)!
  expect(again.transaction).toEqual(first.transaction)
  // Of one that nobody knows of, a later one says nothing.
  leader.changeSettled(again, { kind: 'unknown' }, 0)
  leader.changeSettled(leader.change(0)!, { kind: 'not applied' }, 0)
  expect(leader.maximalInSyncReplicas).toEqual([1, 2, 3])
})

test('a change of unknown outcome may be put again, and the watch may be faster than the answer', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10)
  const first = leader.change(0)!
  leader.changeSettled(first, { kind: 'unknown' }, 0)
  const again = leader.change(0)!
  expect(again.transaction).toEqual(first.transaction)
  leader.stateChanged({ ...again.state, partitionEpoch: 105 }, 0)
  expect(leader.isInSync(3)).toBe(true)
  leader.changeSettled(again, { kind: 'succeeded', revision: 105 }, 0)
  leader.stateChanged(stateOf({ partitionEpoch: 103, isr: [1, 2] }), 0)
  expect(leader.state).toEqual({ ...again.state, partitionEpoch: 105 })
})

test('who is in sync already when it is first heard of has as long as any other to fetch', () => {
  const { leader, append } = leaderOf({ state: { replicas: [1, 2], isr: [1, 2] } })
  append(10)
  leader.stateChanged(stateOf({ partitionEpoch: 101 }), 5 * lagMs)
  expect(leader.change(5 * lagMs)?.state.isr).toEqual([1, 3])
})

test('who is a replica no more is forgotten', () => {
  const { leader, append, fetch } = leaderOf({ state: { isr: [1, 2] } })
  append(10)
  fetch(3, 10)
  leader.stateChanged(stateOf({ replicas: [1, 2], isr: [1, 2], partitionEpoch: 101 }), 0)
  expect(fetch(3, 10)).toMatchObject({ error: 'UNKNOWN_LEADER_EPOCH' })
  leader.stateChanged(stateOf({ isr: [1, 2], partitionEpoch: 102 }), 0)
  expect(leader.change(0)).toBeNull()
})

test('a leader that was taken out of the in-sync set counts all the same, and does not take itself in', () => {
  const { log, leader, append, fetch } = leaderOf({ log: new BatchLog('fsync') })
  append(10)
  leader.stateChanged(stateOf({ isr: [2, 3], partitionEpoch: 101 }), 0)
  fetch(2, 10)
  fetch(3, 10)
  expect(leader.highWatermark).toBe(0)
  log.flush()
  leader.logChanged()
  expect(leader.highWatermark).toBe(10)
  expect(leader.change(0)).toBeNull()
})

test('a state that another leads in, or in another epoch, is no state to lead by', () => {
  const { leader } = leaderOf()
  for (const other of [{ leader: 2 }, { leaderEpoch: 6 }]) {
    expect(() => leader.stateChanged(stateOf({ ...other, partitionEpoch: 101 }), 0)).toThrow(
      expect.objectContaining({ code: 'VARVE_NOT_THE_LEADER' }),
    )
  }
  expect(() => leaderOf({ state: { leader: 2 } })).toThrow(
    expect.objectContaining({ code: 'VARVE_NOT_THE_LEADER' }),
  )
})

test('records of another leader epoch than the one that is led in are an error of who appends', () => {
  const { log, leader } = leaderOf()
  log.setLeaderEpoch(4)
  expect(() => leader.logChanged()).not.toThrow()
  log.append(1)
  expect(() => leader.logChanged()).toThrow(expect.objectContaining({ code: 'VARVE_WRONG_LEADER_EPOCH' }))
})

test('acknowledges as acks says, and refuses below the minimum', () => {
  const { log, leader, append, fetch } = leaderOf({
    log: new BatchLog('fsync'),
    state: { replicas: [1, 2], isr: [1, 2] },
  })
  append(10)
  const answers = () => ([0, 1, -1] as const).map((acks) => leader.acknowledges(10, acks))
  expect(([0, 1, -1] as const).map((acks) => leader.admits(acks))).toEqual([null, null, null])
  expect(answers()).toEqual(['acknowledged', 'waiting', 'waiting'])
  log.flush()
  leader.logChanged()
  expect(answers()).toEqual(['acknowledged', 'acknowledged', 'waiting'])
  fetch(2, 9)
  expect(answers()[2]).toBe('waiting')
  fetch(2, 10)
  expect(answers()[2]).toBe('acknowledged')
  leader.stateChanged(stateOf({ replicas: [1, 2], isr: [1], partitionEpoch: 101 }), 0)
  expect(answers()).toEqual(['acknowledged', 'acknowledged', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'])
  expect(([0, 1, -1] as const).map((acks) => leader.admits(acks))).toEqual([
    null,
    null,
    'NOT_ENOUGH_REPLICAS',
  ])
})

test('a new leader tells no latest offset before the high watermark has reached its epoch', () => {
  const log = new BatchLog()
  log.append(10, 1)
  const { leader, fetch } = leaderOf({ log, highWatermark: 4, state: { replicas: [1, 2], isr: [1, 2] } })
  expect(leader.highWatermark).toBe(4)
  expect(leader.latestOffset('read_uncommitted')).toBe('OFFSET_NOT_AVAILABLE')
  fetch(2, 10)
  expect(leader.latestOffset('read_uncommitted')).toBe(10)
})

test('the last stable offset ends before an open transaction, and at the high watermark', () => {
  const log = new BatchLog()
  Object.defineProperty(log, 'lastStableOffset', { get: () => 6 })
  const { leader, append, fetch } = leaderOf({ log, state: { replicas: [1, 2], isr: [1, 2] } })
  append(10)
  fetch(2, 5)
  expect(leader.lastStableOffset).toBe(5)
  fetch(2, 10)
  expect([leader.lastStableOffset, leader.latestOffset('read_committed')]).toEqual([6, 6])
  expect(leader.latestOffset('read_uncommitted')).toBe(10)
})

test('a high watermark that the log does not have is cut to it', () => {
  const log = new BatchLog()
  log.append(10, 1)
  expect(leaderOf({ log, highWatermark: 99 }).leader.highWatermark).toBe(10)
  log.deleteBefore(10)
  expect(leaderOf({ log, highWatermark: 0 }).leader.highWatermark).toBe(10)
})

test('the low watermark is the smallest log start of the live replicas', () => {
  const { log, leader, brokers, append, fetch } = leaderOf()
  append(10)
  log.deleteBefore(8)
  expect(leader.lowWatermark).toBe(-1)
  fetch(2, 10, { logStartOffset: 8 })
  fetch(3, 10, { logStartOffset: 3 })
  expect(leader.lowWatermark).toBe(3)
  leader.stateChanged(stateOf({ replicas: [1, 3, 2], partitionEpoch: 101 }), 0)
  expect(leader.lowWatermark).toBe(3)
  brokers.set(3, registrationOf(3, { fenced: true }))
  expect(leader.lowWatermark).toBe(8)
  brokers.set(3, registrationOf(3))
  fetch(3, 10, { logStartOffset: 8 })
  fetch(3, 10, { logStartOffset: 3 })
  expect(leader.lowWatermark).toBe(8)
})

test('consumers read up to the high watermark or the last stable offset, and OffsetForLeaderEpoch tells the log itself', () => {
  const log = new BatchLog()
  log.append(4, 2)
  const { append, fetch, leader } = leaderOf({ log })
  append(6)
  fetch(2, 8)
  fetch(3, 7)
  Object.defineProperty(log, 'lastStableOffset', { get: () => 5 })
  expect([leader.readableEnd('read_uncommitted'), leader.readableEnd('read_committed')]).toEqual([7, 5])
  log.deleteBefore(2)
  expect([1, 2, 7, 9, 10, 11].map((offset) => leader.consumerFetchError(offset))).toEqual([
    'OFFSET_OUT_OF_RANGE',
    null,
    null,
    null,
    null,
    'OFFSET_OUT_OF_RANGE',
  ])
  expect([2, 4, 5, 6].map((epoch) => leader.endOffsetForEpoch(epoch))).toEqual([
    { epoch: 2, endOffset: 4 },
    { epoch: 2, endOffset: 4 },
    { epoch: 5, endOffset: 10 },
    null,
  ])
})
