import { expect, test } from 'vitest'
import type { FetchedRecords, PartitionFollower } from '@varve/replication'
import { BatchLog } from './batch-log.js'
import { catchUp, followerOf, leaderOf } from './partition.js'

const empty: FetchedRecords = {
  error: null,
  leaderEpoch: 5,
  highWatermark: 0,
  logStartOffset: 0,
  diverging: null,
  records: null,
}

function sent(follower: PartitionFollower): number {
  return follower.fetch()!.fetchId
}

test('fetches from its end, in its epochs, and says what it has', () => {
  const log = new BatchLog('fsync')
  log.append(10, 3)
  log.flush()
  log.append(5, 4)
  const { follower } = followerOf({ log, highWatermark: 7 })
  expect(follower.fetch()).toMatchObject({
    replicaId: 2,
    replicaEpoch: 12,
    currentLeaderEpoch: 5,
    fetchOffset: 15,
    lastFetchedEpoch: 4,
    logStartOffset: 0,
    durableOffset: 10,
    highWatermark: 7,
  })
})

test('sends another Fetch only for what the one under way does not say, and never a third', () => {
  const log = new BatchLog('fsync')
  let brokerEpoch = -1
  const { follower } = followerOf({ log, brokerEpoch: () => brokerEpoch })
  expect(follower.fetch()).toBeNull()
  brokerEpoch = 12
  const first = sent(follower)
  expect(follower.fetch()).toBeNull()
  brokerEpoch = 13
  const second = sent(follower)
  expect(second).not.toBe(first)
  follower.lost(first)
  expect(follower.fetch()).toBeNull()
  follower.lost(99)
  expect(follower.fetch()).toBeNull()
  expect(follower.answered(second, { ...empty, records: { baseOffset: 0, endOffset: 4 } })).toEqual({
    kind: 'append',
  })
  log.append(4, 5)
  follower.appended()
  expect(follower.fetch()).toMatchObject({ fetchOffset: 4, durableOffset: 0 })
  log.flush()
  expect(follower.fetch()).toMatchObject({ fetchOffset: 4, durableOffset: 4 })
  log.append(1)
  log.flush()
  expect(follower.fetch()).toBeNull()
})

test('does nothing else while a step is under way', () => {
  const log = new BatchLog('fsync')
  const { follower } = followerOf({ log })
  log.append(2, 5)
  const first = sent(follower)
  log.flush()
  const second = sent(follower)
  const records = { baseOffset: 2, endOffset: 4 }
  expect(follower.answered(first, { ...empty, records }).kind).toBe('append')
  expect(follower.isBusy).toBe(true)
  expect(follower.fetch()).toBeNull()
  // Both bring the same records; those of the second must not be appended as well.
  expect(follower.answered(second, { ...empty, records }).kind).toBe('nothing')
  expect(() => follower.truncated()).toThrow(expect.objectContaining({ code: 'VARVE_NO_SUCH_STEP' }))
  follower.stepFailed()
  expect(follower.isBusy).toBe(false)
  expect(follower.fetch()).toMatchObject({ fetchOffset: 2 })
  expect(() => follower.appended()).toThrow(expect.objectContaining({ code: 'VARVE_NO_SUCH_STEP' }))
})

test('drops answers to Fetches from elsewhere, of another epoch, doubled, lost and of records that it has', () => {
  const { log, follower } = followerOf()
  const records = { baseOffset: 0, endOffset: 4 }
  const first = sent(follower)
  log.append(4, 5)
  expect(follower.answered(first, { ...empty, records }).kind).toBe('nothing')
  const second = sent(follower)
  expect(follower.answered(second, { ...empty, records }).kind).toBe('retry')
  expect(follower.answered(second, { ...empty, records: { baseOffset: 4, endOffset: 5 } }).kind).toBe(
    'nothing',
  )
  const third = sent(follower)
  expect(follower.answered(third, { ...empty, leaderEpoch: 6, highWatermark: 4 }).kind).toBe('retry')
  const fourth = sent(follower)
  follower.lost(fourth)
  expect(follower.answered(fourth, { ...empty, highWatermark: 4 }).kind).toBe('nothing')
  expect(follower.highWatermark).toBe(0)
})

test('after it was stopped it fetches and takes no more', () => {
  const { follower } = followerOf()
  const fetchId = sent(follower)
  follower.stop()
  expect(follower.answered(fetchId, { ...empty, records: { baseOffset: 0, endOffset: 4 } }).kind).toBe(
    'nothing',
  )
  expect(follower.fetch()).toBeNull()
})

test.each(['FENCED_LEADER_EPOCH', 'UNKNOWN_LEADER_EPOCH', 'NOT_LEADER_OR_FOLLOWER'] as const)(
  'tries again later after %s',
  (error) => {
    const { follower } = followerOf()
    expect(follower.answered(sent(follower), { ...empty, error }).kind).toBe('retry')
    expect(follower.fetch()).not.toBeNull()
  },
)

test("takes the leader's high watermark as far as it has the records, and never back", () => {
  const { log, follower } = followerOf()
  expect(
    follower.answered(sent(follower), {
      ...empty,
      highWatermark: 9,
      records: { baseOffset: 0, endOffset: 4 },
    }).kind,
  ).toBe('append')
  expect(follower.highWatermark).toBe(0)
  log.append(4, 5)
  follower.appended()
  expect(follower.highWatermark).toBe(4)
  follower.answered(sent(follower), { ...empty, highWatermark: 2 })
  expect(follower.highWatermark).toBe(4)
})

test('lets go of what the leader has deleted, but of nothing above its high watermark', () => {
  const { log, follower } = followerOf()
  log.append(10, 5)
  expect(follower.logStartOffset).toBe(-1)
  follower.answered(sent(follower), { ...empty, highWatermark: 4, logStartOffset: 6 })
  expect(follower.logStartOffset).toBe(4)
  follower.answered(sent(follower), { ...empty, highWatermark: 8, logStartOffset: 6 })
  expect(follower.logStartOffset).toBe(6)
  follower.answered(sent(follower), { ...empty, highWatermark: 8, logStartOffset: 5 })
  expect(follower.logStartOffset).toBe(6)
})

test('cuts at the smaller of both ends of the epoch that both have, not at its high watermark', () => {
  const log = new BatchLog()
  log.append(10, 1)
  log.append(10, 2)
  const { follower } = followerOf({ log, highWatermark: 3 })
  const at = (epoch: number, endOffset: number) =>
    follower.answered(sent(follower), { ...empty, highWatermark: 3, diverging: { epoch, endOffset } })
  expect(at(1, 30)).toEqual({ kind: 'truncate', to: 10 })
  expect(follower.fetch()).toBeNull()
  follower.stepFailed()
  expect(at(2, 15)).toEqual({ kind: 'truncate', to: 15 })
  follower.stepFailed()
  expect(at(1, 5)).toEqual({ kind: 'truncate', to: 5 })
  log.truncate(5)
  follower.truncated()
  expect([follower.highWatermark, follower.fetch()?.fetchOffset]).toEqual([3, 5])
})

test('names the epoch of its last record, not one in which it led and wrote nothing', () => {
  const log = new BatchLog()
  log.append(10, 2)
  log.setLeaderEpoch(4)
  const { follower } = followerOf({ log })
  const first = follower.fetch()!
  expect([first.fetchOffset, first.lastFetchedEpoch]).toEqual([10, 2])
  const records = { baseOffset: 10, endOffset: 15 }
  expect(follower.answered(first.fetchId, { ...empty, records }).kind).toBe('append')
  log.append(5, 3)
  follower.appended()
  expect([log.leaderEpoch, follower.fetch()!.lastFetchedEpoch]).toEqual([4, 3])
  log.append(5, 5)
  expect(follower.fetch()!.lastFetchedEpoch).toBe(5)
})

test('an unclean leader takes the high watermark back with the records', () => {
  const log = new BatchLog()
  log.append(10, 1)
  const { follower } = followerOf({ log, highWatermark: 10 })
  const step = follower.answered(sent(follower), { ...empty, diverging: { epoch: 1, endOffset: 4 } })
  expect(step).toEqual({ kind: 'truncate', to: 4 })
  log.truncate(4)
  follower.truncated()
  expect(follower.highWatermark).toBe(4)
})

test("starts over where the leader's log starts behind its end", () => {
  const leaderLog = new BatchLog()
  for (const epoch of [1, 1, 2]) {
    leaderLog.append(10, epoch)
  }
  const { leader } = leaderOf({ log: leaderLog, highWatermark: 30 })
  leaderLog.deleteBefore(20)
  const log = new BatchLog()
  log.append(10, 1)
  const { follower } = followerOf({ log })
  expect(catchUp(follower, log, leader, leaderLog).slice(0, 2)).toEqual(['start over', 'append'])
  expect([log.startOffset, log.endOffset, follower.highWatermark]).toEqual([20, 30, 30])
})

test('starts over where an unclean leader ends before its start, with records or without', () => {
  for (const isEmpty of [true, false]) {
    const leaderLog = new BatchLog()
    leaderLog.append(10, 1)
    const { leader } = leaderOf({ log: leaderLog })
    const log = new BatchLog()
    log.append(20, 1)
    log.append(5, 1)
    log.deleteBefore(isEmpty ? 25 : 20)
    const { follower } = followerOf({ log, highWatermark: 25 })
    expect(catchUp(follower, log, leader, leaderLog).slice(0, 2)).toEqual(['start over', 'append'])
    expect([log.startOffset, log.endOffset, follower.highWatermark]).toEqual([0, 10, 0])
  }
})

test('does not start over for a leader of another epoch', () => {
  const { log, follower } = followerOf()
  log.append(10, 4)
  const answer = { ...empty, error: 'OFFSET_OUT_OF_RANGE' as const, logStartOffset: 20 }
  expect(follower.answered(sent(follower), { ...answer, leaderEpoch: 4 }).kind).toBe('retry')
  expect(follower.answered(sent(follower), answer)).toEqual({ kind: 'start over', at: 20 })
})

test('keeps what it has when told to be out of range within its log', () => {
  const { log, follower } = followerOf()
  log.append(10, 5)
  for (const logStartOffset of [-1, 0, 10]) {
    const answer = { ...empty, error: 'OFFSET_OUT_OF_RANGE' as const, logStartOffset }
    expect(follower.answered(sent(follower), answer).kind).toBe('retry')
  }
})

test('a log without records names no epoch, whatever it was in', () => {
  const { log, follower } = followerOf()
  log.append(10, 5)
  log.deleteBefore(10)
  expect(follower.fetch()).toMatchObject({ fetchOffset: 10, lastFetchedEpoch: -1 })
})

test('does not serve consumers what the leader has deleted, which may never have been committed', () => {
  const { log, follower } = followerOf({ highWatermark: 0 })
  log.append(10, 5)
  follower.answered(sent(follower), { ...empty, highWatermark: 6, logStartOffset: 4 })
  expect(follower.consumerFetchError(3)).toBe('OFFSET_OUT_OF_RANGE')
  expect(follower.consumerFetchError(4)).toBe(null)
})

test('an empty log that begins inside a batch of the leader starts over where that batch does', () => {
  const { log, follower } = followerOf()
  log.startOver(7)
  const records = { baseOffset: 5, endOffset: 9 }
  expect(follower.answered(sent(follower), { ...empty, records })).toEqual({ kind: 'start over', at: 5 })
  log.startOver(5)
  follower.truncated()
  expect(follower.answered(sent(follower), { ...empty, records }).kind).toBe('append')
})

test('serves consumers up to the high watermark', () => {
  const { log, follower } = followerOf({ highWatermark: 0 })
  log.append(10, 5)
  log.deleteBefore(2)
  follower.answered(sent(follower), { ...empty, highWatermark: 6 })
  expect([1, 2, 6, 7, 10, 11].map((offset) => follower.consumerFetchError(offset))).toEqual([
    'OFFSET_OUT_OF_RANGE',
    null,
    null,
    'OFFSET_NOT_AVAILABLE',
    'OFFSET_NOT_AVAILABLE',
    'OFFSET_OUT_OF_RANGE',
  ])
})

test('shows consumers nothing that its own power loss may take back, and with read_committed no open transaction', () => {
  const log = new BatchLog('fsync')
  log.append(6, 1)
  log.flush()
  log.append(4, 1)
  const { follower } = followerOf({ log, highWatermark: 8 })
  let stable = 9
  Object.defineProperty(log, 'lastStableOffset', { get: () => stable })
  const ends = () =>
    (['read_uncommitted', 'read_committed'] as const).map((each) => follower.readableEnd(each))
  expect([follower.lastStableOffset, ...ends()]).toEqual([8, 6, 6])
  stable = 5
  expect([follower.lastStableOffset, ...ends()]).toEqual([5, 6, 5])
})

test('goes by the epoch of its last record, not by its end alone', () => {
  const log = new BatchLog('fsync')
  log.append(5, 1)
  log.append(5, 2)
  const { follower } = followerOf({ log })
  const first = sent(follower)
  log.flush()
  const second = sent(follower)
  expect(follower.answered(first, { ...empty, diverging: { epoch: 1, endOffset: 5 } }).kind).toBe('truncate')
  log.truncate(5)
  follower.truncated()
  const records = (baseOffset: number) => ({ ...empty, records: { baseOffset, endOffset: baseOffset + 5 } })
  expect(follower.answered(sent(follower), records(5)).kind).toBe('append')
  log.append(5, 3)
  log.flush()
  follower.appended()
  // The second Fetch was sent from the same end, but of records that are gone.
  expect(follower.fetch()).toMatchObject({ fetchOffset: 10, lastFetchedEpoch: 3 })
  expect(follower.answered(second, records(10)).kind).toBe('nothing')
})

test('drops an answer that would leave a gap', () => {
  const { log, follower } = followerOf()
  log.append(4, 5)
  const fetchId = sent(follower)
  log.append(4, 5)
  expect(follower.answered(fetchId, { ...empty, records: { baseOffset: 8, endOffset: 9 } }).kind).toBe(
    'nothing',
  )
})

test('an empty log starts over only elsewhere than where it is, and where it is told', () => {
  const { follower } = followerOf()
  const outOfRange = (logStartOffset: number) =>
    follower.answered(sent(follower), { ...empty, error: 'OFFSET_OUT_OF_RANGE', logStartOffset })
  expect([outOfRange(0), outOfRange(-1)]).toEqual([{ kind: 'retry' }, { kind: 'retry' }])
  expect(outOfRange(7)).toEqual({ kind: 'start over', at: 7 })
})

test('cuts down to the start of its log, and by what it is told where it knows no better', () => {
  const log = new BatchLog()
  log.append(10, 1)
  log.append(10, 1)
  log.deleteBefore(10)
  const { follower } = followerOf({ log })
  const diverging = (epoch: number, endOffset: number) =>
    follower.answered(sent(follower), { ...empty, diverging: { epoch, endOffset } })
  expect(diverging(9, 15)).toEqual({ kind: 'truncate', to: 15 })
  follower.stepFailed()
  expect(diverging(1, 10)).toEqual({ kind: 'truncate', to: 10 })
  follower.stepFailed()
  expect([diverging(1, 20), diverging(1, 30)]).toEqual([{ kind: 'retry' }, { kind: 'retry' }])
})

test('what a step that failed has cut all the same is not below the high watermark any more', () => {
  const log = new BatchLog()
  log.append(10, 1)
  const { follower } = followerOf({ log, highWatermark: 10 })
  follower.answered(sent(follower), { ...empty, diverging: { epoch: 1, endOffset: 4 } })
  log.truncate(4)
  follower.stepFailed()
  expect(follower.highWatermark).toBe(4)
})

test('knows everything before the start of its log as committed', () => {
  const log = new BatchLog()
  log.append(10, 1)
  log.append(10, 1)
  log.deleteBefore(10)
  expect(followerOf({ log, highWatermark: 0 }).follower.highWatermark).toBe(10)
})
