import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  advancedHighWatermark,
  closestReplica,
  isUnderMinIsr,
  isUnderReplicated,
  LeaderEpochs,
  mayHaveLostRecords,
  ReplicationThrottle,
  withInSyncReplicas,
} from '@varve/replication'
import { stateOf } from './partition.js'

test('a leader epoch ends where the next one starts', () => {
  const epochs = new LeaderEpochs()
  expect([epochs.latest, epochs.endOf(0, 45), epochs.epochAt(3)]).toEqual([-1, null, -1])
  for (const [epoch, startOffset] of [
    [2, 10],
    [4, 20],
    [7, 30],
  ] as const) {
    expect(epochs.assign(epoch, startOffset)).toBe(true)
  }
  expect(epochs.assign(7, 40)).toBe(false)
  expect(epochs.endOf(7, 45)).toEqual({ epoch: 7, endOffset: 45 })
  expect(epochs.endOf(4, 45)).toEqual({ epoch: 4, endOffset: 30 })
  expect(epochs.endOf(5, 45)).toEqual({ epoch: 4, endOffset: 30 })
  expect(epochs.endOf(1, 45)).toEqual({ epoch: 1, endOffset: 10 })
  expect([epochs.endOf(8, 45), epochs.endOf(-1, 45)]).toEqual([null, null])
  expect([9, 10, 29, 99].map((offset) => epochs.epochAt(offset))).toEqual([-1, 2, 4, 7])
})

test('leader epochs agree with the epochs of single records, wherever they are cut', () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), epoch: fc.nat(3), count: fc.nat(3) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(10) }),
    fc.record({ kind: fc.constant('delete' as const), at: fc.nat(10) }),
  )
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
      const epochs = new LeaderEpochs()
      let records: number[] = []
      let start = 0
      const end = () => start + records.length
      for (const each of operations) {
        if (each.kind === 'append') {
          const epoch = Math.max(0, epochs.latest) + each.epoch
          if (each.count > 0) {
            epochs.assign(epoch, end())
            records.push(...Array.from({ length: each.count }, () => epoch))
          }
        } else if (each.kind === 'cut') {
          records = records.slice(0, Math.max(0, each.at - start))
          epochs.truncateFromEnd(end())
        } else {
          const at = Math.min(Math.max(start, each.at), end())
          records = records.slice(at - start)
          start = at
          epochs.truncateFromStart(start)
        }
        for (const [i, epoch] of records.entries()) {
          expect(epochs.epochAt(start + i)).toBe(epoch)
          const last = records.lastIndexOf(epoch)
          expect(epochs.endOf(epoch, end())).toEqual({ epoch, endOffset: start + last + 1 })
        }
      }
    }),
  )
})

test('a leader epoch that wrote nothing is forgotten', () => {
  const epochs = new LeaderEpochs()
  expect(epochs.truncateFromEnd(1)).toBe(false)
  epochs.assign(2, 10)
  epochs.assign(3, 10)
  epochs.assign(4, 20)
  expect(epochs.entries).toEqual([
    { epoch: 3, startOffset: 10 },
    { epoch: 4, startOffset: 20 },
  ])
  expect([epochs.truncateFromEnd(21), epochs.truncateFromEnd(20), epochs.latest]).toEqual([false, true, 3])
})

test('the leader epochs start where the log does, and say whether they did not', () => {
  const epochs = new LeaderEpochs()
  expect(epochs.truncateFromStart(0)).toBe(false)
  epochs.assign(2, 10)
  epochs.assign(3, 20)
  epochs.assign(4, 30)
  expect([epochs.truncateFromStart(9), epochs.truncateFromStart(10)]).toEqual([false, false])
  expect(epochs.truncateFromStart(15)).toBe(true)
  expect(epochs.entries[0]).toEqual({ epoch: 2, startOffset: 15 })
  expect(epochs.truncateFromStart(30)).toBe(true)
  expect(epochs.entries).toEqual([{ epoch: 4, startOffset: 30 }])
})

test('who leaves an in-sync set that is below the minimum stays eligible until it is back (KIP-966)', () => {
  const state = stateOf({ replicas: [3, 1, 2, 4], isr: [1, 2, 3], minInsyncReplicas: 2 })
  expect(withInSyncReplicas(state, [2, 1])).toEqual({ ...state, isr: [1, 2] })
  const below = withInSyncReplicas(state, [1])
  expect(below).toEqual({ ...state, isr: [1], eligibleLeaderReplicas: [3, 2] })
  const none = withInSyncReplicas(below, [])
  expect(none).toMatchObject({ isr: [], eligibleLeaderReplicas: [3, 1, 2] })
  expect(withInSyncReplicas(none, [4])).toMatchObject({ isr: [4], eligibleLeaderReplicas: [3, 1, 2] })
  expect(withInSyncReplicas(none, [3, 4])).toMatchObject({ isr: [3, 4], eligibleLeaderReplicas: [] })
  expect(withInSyncReplicas(none, [3])).toMatchObject({ isr: [3], eligibleLeaderReplicas: [1, 2] })
  expect(withInSyncReplicas(below, [1], { lost: [3] })).toMatchObject({ eligibleLeaderReplicas: [2] })
  expect(withInSyncReplicas({ ...below, replicas: [1, 2] }, [1, 9])).toMatchObject({
    isr: [1],
    eligibleLeaderReplicas: [2],
  })
})

test('the high watermark is the smallest end of the maximal set, and goes on only with the minimum in sync', () => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { minLength: 1 })
  const ends = fc.array(fc.integer({ min: -1, max: 20 }), { minLength: 6, maxLength: 6 })
  fc.assert(
    fc.property(
      ids,
      ids,
      ends,
      fc.nat(20),
      fc.integer({ min: 1, max: 3 }),
      (isr, more, ends, current, min) => {
        const maximal = [...new Set([...isr, ...more])]
        const next = advancedHighWatermark(
          current,
          { isr, minInsyncReplicas: min },
          maximal,
          (id) => ends[id]!,
        )
        const smallest = Math.min(...maximal.map((id) => ends[id]!))
        expect(next).toBe(isr.length < min ? current : Math.max(current, smallest))
      },
    ),
  )
})

test('a consumer reads from the replica of its rack that has most', () => {
  const candidates = [
    { brokerId: 3, rack: 'b', endOffset: 10 },
    { brokerId: 2, rack: 'b', endOffset: 10 },
    { brokerId: 4, rack: 'b', endOffset: 9 },
    { brokerId: 5, rack: null, endOffset: 99 },
    { brokerId: 1, rack: 'b', endOffset: 8 },
  ]
  expect(closestReplica('b', 'a', candidates)).toBe(2)
  expect(closestReplica('b', 'b', candidates)).toBeNull()
  expect(closestReplica('c', 'a', candidates)).toBeNull()
  expect(closestReplica(null, 'a', candidates)).toBeNull()
})

test("records may be lost only under 'os', after no clean stop, with a boot or more cut than a torn tail", () => {
  const all = [true, false].flatMap((cleanShutdown) =>
    [true, false].flatMap((rebooted) =>
      [true, false].map((cutWholeBatch) => ({ cleanShutdown, rebooted, cutWholeBatch })),
    ),
  )
  expect(all.filter((found) => mayHaveLostRecords({ ...found, durability: 'fsync' }))).toEqual([])
  expect(all.filter((found) => mayHaveLostRecords({ ...found, durability: 'os' }))).toEqual([
    { cleanShutdown: false, rebooted: true, cutWholeBatch: true },
    { cleanShutdown: false, rebooted: true, cutWholeBatch: false },
    { cleanShutdown: false, rebooted: false, cutWholeBatch: true },
  ])
})

test('a throttle holds its rate over time, however large the Fetches (KIP-73)', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ after: fc.nat(400), bytes: fc.nat(5_000) }), { minLength: 1, maxLength: 60 }),
      (fetches) => {
        const throttle = new ReplicationThrottle({ bytesPerSecond: 1_000, now: 0 })
        let now = 0
        let sent = 0
        for (const { after, bytes } of fetches) {
          now += after
          if (!throttle.exceeded(now)) {
            // What is allowed, and what was saved up, before the one that may overdraw it.
            expect(sent).toBeLessThan(1_000 + now)
            throttle.record(bytes, now)
            sent += bytes
          }
        }
        expect(throttle.exceeded(now + 1_000_000)).toBe(false)
      },
    ),
  )
})

test('a throttle earns nothing from a clock that goes back, and may be lifted', () => {
  const throttle = new ReplicationThrottle({ bytesPerSecond: 1_000, now: 0 })
  throttle.record(1_500, 0)
  expect([throttle.exceeded(0), throttle.exceeded(-9_000), throttle.exceeded(-8_600)]).toEqual([
    true,
    true,
    true,
  ])
  expect(throttle.exceeded(-8_400)).toBe(false)
  throttle.record(1e9, -8_400)
  throttle.setRate(Infinity, -8_400)
  expect(throttle.exceeded(-8_399)).toBe(false)
  throttle.record(1e12, -8_399)
  expect(throttle.exceeded(-8_399)).toBe(false)
  throttle.setRate(1_000_000, -8_399)
  throttle.record(101_000_000, -8_399)
  expect([throttle.exceeded(-8_399), throttle.exceeded(91_601), throttle.exceeded(91_602)]).toEqual([
    true,
    true,
    false,
  ])
})

test('a partition is under-replicated without one of its replicas, those being added excepted, and under the minimum with fewer', () => {
  const counts = (changes: Parameters<typeof stateOf>[0]) => {
    const state = stateOf(changes)
    return [isUnderReplicated(state), isUnderMinIsr(state)]
  }
  expect(counts({})).toEqual([false, false])
  expect(counts({ isr: [1, 2] })).toEqual([true, false])
  expect(counts({ isr: [1] })).toEqual([true, true])
  expect(counts({ replicas: [1, 2, 3, 4], addingReplicas: [4] })).toEqual([false, false])
})

test('a throttle saves up a second of its rate, or the window that it is given, and no more', () => {
  for (const [options, most] of [
    [{}, 1_000],
    [{ windowMs: 2_000 }, 2_000],
  ] as const) {
    const throttle = new ReplicationThrottle({ bytesPerSecond: 1_000, now: 0, ...options })
    throttle.record(most - 1, 0)
    expect(throttle.exceeded(0)).toBe(false)
    throttle.record(1, 0)
    expect(throttle.exceeded(0)).toBe(true)
    // What is replicated later does not use up what is earned later still.
    throttle.record(most, 100_000)
    expect(throttle.exceeded(100_000)).toBe(true)
  }
})

test('whoever has to wait for a throttle is told for how long', () => {
  const throttle = new ReplicationThrottle({ bytesPerSecond: 1_000, now: 0 })
  expect(throttle.waitMs(0)).toBe(0)
  for (const [bytes, waitMs] of [
    [1_000, 1],
    [250, 251],
  ] as const) {
    throttle.record(bytes, 0)
    expect(throttle.waitMs(0)).toBe(waitMs)
  }
  expect([throttle.exceeded(250), throttle.exceeded(251)]).toEqual([true, false])
  throttle.setRate(0, 251)
  expect(throttle.waitMs(10_000)).toBe(Infinity)
  throttle.record(1, 10_000)
  throttle.setRate(Infinity, 10_000)
  expect([throttle.waitMs(10_000), throttle.waitMs(10_001)]).toEqual([1, 0])
})

test('another rate holds from then on, for what is saved up as well', () => {
  const throttle = new ReplicationThrottle({ bytesPerSecond: 1_000, now: 0 })
  throttle.record(1_000, 0)
  throttle.setRate(10_000, 500)
  throttle.record(500, 500)
  expect(throttle.exceeded(500)).toBe(true)
  throttle.setRate(100, 10_000)
  throttle.record(100, 10_000)
  expect(throttle.exceeded(10_000)).toBe(true)
  throttle.record(1, 10_000)
  throttle.setRate(1_000, 10_000)
  expect(throttle.exceeded(10_000)).toBe(true)
})
