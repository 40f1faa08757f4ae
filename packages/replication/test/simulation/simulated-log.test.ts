// The log of the simulator against one that is too simple to be wrong, and what crashes may leave of it, and may not.

import type { EpochEnd } from '@varve/replication'
import { expect, test } from 'vitest'
import { SimulatedNode } from './node.js'
import { Random } from './random.js'
import { nextOffset, type ProducedBatch, type SimulatedBatch } from './simulated-batch.js'
import { healthyDisk, SimulatedLog } from './simulated-log.js'
import { VirtualTime } from './virtual-time.js'

function openLog(durability: 'os' | 'fsync' = 'fsync', seed = 1) {
  const time = new VirtualTime()
  const node = new SimulatedNode(time, 1)
  const disk = healthyDisk()
  const log = new SimulatedLog({ time, random: new Random(seed), node, disk, durability })
  const first = log.open()
  const restart = (how: 'processCrash' | 'powerLoss' | 'close') => {
    log[how]()
    node.crash()
    node.start()
    return log.open()
  }
  const settle = (): void => time.runUntil(time.now + 100_000)
  return { time, node, disk, log, first, restart, settle }
}

const plain = (...values: number[]): ProducedBatch => ({
  producerId: -1,
  producerEpoch: -1,
  baseSequence: -1,
  values,
})
const idempotent = (
  baseSequence: number,
  values: number[],
  producerEpoch = 0,
  producerId = 7,
): ProducedBatch => ({
  producerId,
  producerEpoch,
  baseSequence,
  values,
})
const valuesOf = (batches: readonly SimulatedBatch[]): number[] => batches.flatMap(({ values }) => values)

type Written = Pick<SimulatedBatch, 'leaderEpoch' | 'baseOffset'>

/** Where an epoch ends, by reading everything that was written, what is deleted too. */
function epochEnd(log: SimulatedLog, written: readonly Written[], epoch: number): EpochEnd | null {
  const starts = new Map<number, number>()
  for (const { leaderEpoch, baseOffset } of written) {
    if (baseOffset <= log.startOffset) starts.clear()
    if (!starts.has(leaderEpoch)) starts.set(leaderEpoch, Math.max(baseOffset, log.startOffset))
  }
  if (![...starts.keys()].some((known) => known >= log.leaderEpoch)) {
    for (const [known, start] of starts) if (start === log.endOffset) starts.delete(known)
    starts.set(log.leaderEpoch, log.endOffset)
  }
  const epochs = [...starts.keys()].sort((one, other) => one - other)
  if (epoch < 0 || epoch > epochs.at(-1)!) return null
  const next = epochs.find((known) => known > epoch)
  const found = epochs.findLast((known) => known <= epoch) ?? epoch
  return { epoch: found, endOffset: next === undefined ? log.endOffset : starts.get(next)! }
}

test('a leader assigns offsets and its epoch, and what it wrote is durable when a flush has covered it', () => {
  const { time, log, first } = openLog()
  expect(first).toEqual({ cleanShutdown: true, cutWholeBatch: false })
  const told: number[] = []
  log.onChange = ({ durableOffset }) => told.push(durableOffset)
  log.setLeaderEpoch(3)
  expect(log.append(plain(1, 2))).toEqual({ kind: 'appended', baseOffset: 0, endOffset: 2 })
  expect(log.append(plain(3))).toEqual({ kind: 'appended', baseOffset: 2, endOffset: 3 })
  expect([log.endOffset, log.durableOffset, log.lastStableOffset]).toEqual([3, 0, 3])
  // The flush that was under way covers the first one, the next everything that came meanwhile.
  log.append(plain(4))
  time.runUntil(1000)
  expect(told).toEqual([2, 4])
  expect(log.batches.map(({ leaderEpoch, baseOffset, count }) => [leaderEpoch, baseOffset, count])).toEqual([
    [3, 0, 2],
    [3, 2, 1],
    [3, 3, 1],
  ])
  expect(log.read(1, 4).map(({ baseOffset }) => baseOffset)).toEqual([0, 2, 3])
  expect(log.read(2, 3).map(({ baseOffset }) => baseOffset)).toEqual([2])
  expect(log.read(0, 4, 1).map(({ baseOffset }) => baseOffset)).toEqual([0])
  expect([log.batchAt(1)?.baseOffset, log.batchAt(4)]).toEqual([0, undefined])
})

test("under 'os' everything counts as durable at once, and is written back now and then", () => {
  const { log, settle } = openLog('os')
  log.append(plain(1))
  expect([log.durableOffset, log.flushedOffset]).toEqual([1, 0])
  settle()
  expect(log.flushedOffset).toBe(1)
})

test('a producer has five batches that it may send again, and leaves no gap', () => {
  const { log } = openLog()
  for (let i = 0; i < 6; i++) log.append(idempotent(2 * i, [i, i]))
  expect(log.append(idempotent(2, [1, 1]))).toEqual({ kind: 'duplicate', baseOffset: 2, endOffset: 4 })
  expect(log.append(idempotent(10, [5, 5]))).toEqual({ kind: 'duplicate', baseOffset: 10, endOffset: 12 })
  const outOfOrder = { kind: 'refused', error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }
  expect(log.append(idempotent(0, [0, 0]))).toEqual(outOfOrder)
  expect(log.append(idempotent(14, [9]))).toEqual(outOfOrder)
  expect(log.append(idempotent(10, [5]))).toEqual(outOfOrder)
  expect(log.append(idempotent(3, [9], 1))).toEqual(outOfOrder)
  expect(log.append(idempotent(0, [9], 1))).toEqual({ kind: 'appended', baseOffset: 12, endOffset: 13 })
  expect(log.append(idempotent(12, [9]))).toEqual({ kind: 'refused', error: 'INVALID_PRODUCER_EPOCH' })
  // One that nobody knows may start anywhere.
  expect(log.append(idempotent(40, [9], 0, 8)).kind).toBe('appended')
  expect(log.endOffset).toBe(14)
})

test('what is known of producers goes with what is truncated, and stays for what is deleted', () => {
  const { log, settle } = openLog()
  for (let i = 0; i < 6; i++) log.append(idempotent(i, [i]))
  settle()
  log.truncateTo(4, () => {})
  settle()
  expect(log.append(idempotent(5, [5]))).toMatchObject({ error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' })
  expect(log.append(idempotent(3, [3]))).toEqual({ kind: 'duplicate', baseOffset: 3, endOffset: 4 })
  log.deleteBefore(4, (ok) => expect(ok).toBe(true))
  settle()
  expect([log.startOffset, log.batches.length]).toEqual([4, 0])
  expect(log.append(idempotent(3, [3]))).toEqual({ kind: 'duplicate', baseOffset: 3, endOffset: 4 })
  expect(log.append(idempotent(4, [4]))).toEqual({ kind: 'appended', baseOffset: 4, endOffset: 5 })
  log.truncateTo(4, () => {})
  settle()
  expect(log.append(idempotent(5, [5]))).toMatchObject({ error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' })
  log.truncateFullyAndStartAt(9, () => {})
  settle()
  expect(log.append(idempotent(5, [5]))).toEqual({ kind: 'appended', baseOffset: 9, endOffset: 10 })
})

test('a replica keeps the very batches of its leader, and refuses what does not fit', () => {
  const [leader, { log }] = [openLog().log, openLog()]
  leader.setLeaderEpoch(2)
  for (let i = 0; i < 3; i++) leader.append(plain(i, i))
  const [one, two, three] = leader.batches as [SimulatedBatch, SimulatedBatch, SimulatedBatch]
  expect(log.appendReplicated([one])).toBe(null)
  expect(log.appendReplicated([one])).toBe('refused')
  expect(log.appendReplicated([three])).toBe(null)
  expect(log.appendReplicated([two])).toBe('refused')
  expect(log.appendReplicated([{ ...three, baseOffset: 6, leaderEpoch: 1 }])).toBe('refused')
  expect(log.batches).toEqual([one, three])
  expect([log.batches[1] === three, log.endOffset, log.leaderEpoch]).toEqual([true, 6, 2])
  // There is nothing in the hole.
  expect(log.batchAt(3)).toBe(three)
  expect(() => log.setLeaderEpoch(1)).toThrow('epoch 1')
})

test('a log that led without writing knows its epoch, until it is opened again', () => {
  const { log, settle, restart } = openLog()
  log.setLeaderEpoch(1)
  log.append(plain(1, 2))
  settle()
  log.setLeaderEpoch(5)
  expect([0, 1, 3, 5, 6].map((epoch) => log.endOffsetForEpoch(epoch))).toEqual([
    { epoch: 0, endOffset: 0 },
    { epoch: 1, endOffset: 2 },
    { epoch: 1, endOffset: 2 },
    { epoch: 5, endOffset: 2 },
    null,
  ])
  log.truncateTo(2, () => {})
  settle()
  expect(log.leaderEpoch).toBe(5)
  restart('processCrash')
  expect([log.leaderEpoch, log.endOffsetForEpoch(5)]).toEqual([1, null])
})

test('it agrees with a simpler one in everything that it is told', () => {
  for (let seed = 0; seed < 30; seed++) {
    const { log, settle } = openLog(seed % 2 === 0 ? 'os' : 'fsync', seed)
    const random = new Random(seed, 'model')
    let model: { offset: number; value: number; end: number }[] = []
    let written: Written[] = []
    let [start, end, value, epoch] = [0, 0, 0, 0]
    for (let step = 0; step < 120; step++) {
      const what = random.int(0, 9)
      if (what <= 5) {
        const count = random.int(1, 4)
        const values = Array.from({ length: count }, () => value++)
        const baseOffset = end + (what === 5 ? random.int(0, 3) : 0)
        const batch = { ...plain(...values), baseOffset, count, leaderEpoch: log.leaderEpoch }
        if (what === 5) log.appendReplicated([batch])
        else log.append(batch)
        end = baseOffset + count
        written.push(batch)
        for (let i = 0; i < count; i++) model.push({ offset: baseOffset + i, value: values[i]!, end })
      } else if (what === 6) {
        log.setLeaderEpoch((epoch += random.int(1, 3)))
      } else if (what === 7 && random.chance(0.5)) {
        settle()
        const at = random.int(start, end)
        let ok = false
        log.truncateTo(at, (is) => (ok = is))
        const cut = model.findIndex((record) => record.end > at)
        if (cut >= 0) model = model.slice(0, cut)
        end = model.at(-1)?.end ?? start
        written = end === start ? [] : written.filter(({ baseOffset }) => baseOffset < end)
        expect([log.endOffset, log.isTruncating, log.append(plain(1)).kind]).toEqual([end, true, 'refused'])
        settle()
        expect([ok, log.durableOffset]).toEqual([true, end])
      } else if (what === 8) {
        settle()
        const at = random.int(start, end)
        log.deleteBefore(at, (ok) => expect(ok).toBe(true))
        expect(log.startOffset).toBe(start)
        settle()
        start = at
        model = model.filter((record) => record.end > at)
      } else if (random.chance(0.1)) {
        start = end = end + random.int(0, 5)
        model = []
        written = []
        log.truncateFullyAndStartAt(start, (ok) => expect(ok).toBe(true))
        settle()
      }
      expect([log.startOffset, log.endOffset]).toEqual([start, end])
      expect(valuesOf(log.batches)).toEqual(model.map(({ value }) => value))
      for (let asked = -1; asked <= epoch + 1; asked++) {
        expect([asked, log.endOffsetForEpoch(asked)]).toEqual([asked, epochEnd(log, written, asked)])
      }
      const [from, upTo] = [random.int(start, end), random.int(start, end)]
      const wanted = log.batches.filter((batch) => nextOffset(batch) > from && nextOffset(batch) <= upTo)
      expect(log.read(from, upTo)).toEqual(wanted)
    }
  }
})

test('a process that crashes loses nothing; a machine without power what was not flushed, from the end on', () => {
  const left = new Set<number>()
  const seen = new Set<boolean>()
  for (let seed = 0; seed < 60; seed++) {
    const { log, settle, restart } = openLog('os', seed)
    log.append(plain(0, 1))
    settle()
    for (const i of [2, 3, 4, 5]) log.append(plain(i))
    expect(restart('processCrash')).toEqual({ cleanShutdown: false, cutWholeBatch: false })
    expect([log.endOffset, log.flushedOffset]).toEqual([6, 6])
    for (const i of [6, 7, 8]) log.append(plain(i))
    const report = restart('powerLoss')
    expect(report.cleanShutdown).toBe(false)
    left.add(log.endOffset)
    if (log.endOffset === 9) expect(report.cutWholeBatch).toBe(false)
    else seen.add(report.cutWholeBatch)
    expect(valuesOf(log.batches)).toEqual(Array.from({ length: log.endOffset }, (_, i) => i))
    expect(log.flushedOffset).toBe(log.endOffset)
    log.append(plain(99))
    const end = log.endOffset
    expect(restart('close')).toEqual({ cleanShutdown: true, cutWholeBatch: false })
    expect(log.endOffset).toBe(end)
  }
  expect([...left].sort()).toEqual([6, 7, 8, 9])
  expect(seen.size).toBe(2)
})

test("under 'fsync' no power loss takes what was durable", () => {
  let lost = 0
  for (let seed = 0; seed < 40; seed++) {
    const { time, log, restart } = openLog('fsync', seed)
    for (let i = 0; i < 30; i++) {
      log.append(plain(i))
      time.runUntil(time.now + 1)
    }
    const { durableOffset, endOffset } = log
    log.processCrash()
    restart('powerLoss')
    expect(log.endOffset).toBeGreaterThanOrEqual(durableOffset)
    lost += endOffset - log.endOffset
  }
  expect(lost).toBeGreaterThan(10)
})

test('a crash on the way of a truncation leaves more than asked for, never less', () => {
  const ends = { processCrash: new Set<number>(), powerLoss: new Set<number>() }
  for (let seed = 0; seed < 100; seed++) {
    for (const how of ['processCrash', 'powerLoss'] as const) {
      const { log, settle, restart } = openLog('fsync', seed)
      for (const i of [0, 1, 2, 3, 4]) log.append(plain(i))
      settle()
      log.truncateTo(2, () => expect.unreachable())
      expect([log.endOffset, log.durableOffset]).toEqual([2, 2])
      restart(how)
      settle()
      ends[how].add(log.endOffset)
      expect(valuesOf(log.batches)).toEqual(Array.from({ length: log.endOffset }, (_, i) => i))
      log.truncateTo(1, () => {})
      settle()
      restart('powerLoss')
      expect(log.endOffset).toBe(1)
    }
  }
  expect([...ends.processCrash].sort()).toEqual([2, 3, 4, 5])
  expect([...ends.powerLoss].sort()).toEqual([2, 3, 4, 5])
  expect(() => openLog().log.truncateTo(-1, () => {})).toThrow('offset -1')
})

test('a crash on the way of starting over leaves a prefix of the old log, or the new one', () => {
  const found = new Set<string>()
  for (let seed = 0; seed < 100; seed++) {
    const { log, settle, restart } = openLog('fsync', seed)
    for (const i of [0, 1, 2]) log.append(plain(i))
    settle()
    log.deleteBefore(1, () => {})
    settle()
    log.truncateFullyAndStartAt(10, () => expect.unreachable())
    expect([log.startOffset, log.endOffset]).toEqual([10, 10])
    restart('powerLoss')
    found.add(`${log.startOffset}-${log.endOffset}`)
    expect(valuesOf(log.batches)).toEqual([1, 2].slice(0, log.endOffset - log.startOffset))
  }
  expect([...found].sort()).toEqual(['1-1', '1-2', '1-3', '10-10'])
})

test('a log start is moved or is not; a log that lost everything behind it starts there', () => {
  const starts = new Set<number>()
  const ends = new Set<number>()
  for (let seed = 0; seed < 50; seed++) {
    const { time, log, settle, restart } = openLog('os', seed)
    for (const i of [0, 1, 2, 3]) log.append(plain(i))
    log.deleteBefore(2, () => {})
    restart('processCrash')
    starts.add(log.startOffset)
    log.append(plain(4))
    log.deleteBefore(5, () => {})
    time.runUntil(time.now + 50)
    expect([log.startOffset, log.endOffset]).toEqual([5, 5])
    log.append(plain(5))
    restart('powerLoss')
    expect(log.startOffset).toBe(5)
    ends.add(log.endOffset)
    log.deleteBefore(log.endOffset + 1, (ok) => expect(ok).toBe(false))
    settle()
  }
  expect([[...starts].sort(), [...ends].sort()]).toEqual([
    [0, 2],
    [5, 6],
  ])
})

test('a flush that fails ends the writing life of a log, and what it covered may be gone after that', () => {
  const left = new Set<number>()
  for (let seed = 0; seed < 40; seed++) {
    const { disk, log, settle, restart } = openLog('fsync', seed)
    log.append(plain(0))
    settle()
    const told: string[] = []
    log.onChange = ({ state }) => told.push(state)
    disk.failFlush = true
    for (const i of [1, 2, 3]) log.append(plain(i))
    settle()
    disk.failFlush = false
    settle()
    expect([told, log.durableOffset, log.read(0, 1).length]).toEqual([['failed'], 1, 1])
    expect(log.append(plain(9))).toEqual({ kind: 'refused', error: 'KAFKA_STORAGE_ERROR' })
    expect(log.appendReplicated([])).toBe('KAFKA_STORAGE_ERROR')
    const answers: boolean[] = []
    log.truncateTo(0, (ok) => answers.push(ok))
    settle()
    expect([answers, log.endOffset]).toEqual([[false], 4])
    const report = restart(seed % 2 === 0 ? 'processCrash' : 'close')
    expect(report).toEqual({ cleanShutdown: false, cutWholeBatch: log.endOffset < 4 })
    left.add(log.endOffset)
    expect(log.append(plain(9)).kind).toBe('appended')
  }
  expect([...left].sort()).toEqual([1, 2, 3, 4])
})

test('a full disk takes nothing and loses nothing', () => {
  const { disk, log, settle } = openLog()
  log.append(plain(0))
  disk.full = true
  expect(log.append(plain(1))).toEqual({ kind: 'refused', error: 'KAFKA_STORAGE_ERROR' })
  expect(log.appendReplicated([])).toBe('KAFKA_STORAGE_ERROR')
  settle()
  disk.full = false
  expect([log.state, log.durableOffset, log.append(plain(1)).kind]).toEqual(['open', 1, 'appended'])
})

test('a life of its broker hears nothing of a former one, and a paused one what it missed', () => {
  const { time, node, log, settle, restart } = openLog()
  let told = 0
  log.onChange = () => told++
  log.append(plain(0))
  log.truncateTo(1, () => expect.unreachable())
  restart('processCrash')
  settle()
  expect([told, log.isTruncating]).toEqual([0, false])
  log.append(plain(1))
  node.pause()
  time.runUntil(time.now + 1000)
  expect([told, log.durableOffset]).toEqual([0, 2])
  node.resume()
  settle()
  expect(told).toBe(1)
})

test('the same seed leaves the same', () => {
  const run = (seed: number): unknown => {
    const { time, log, restart } = openLog('os', seed)
    for (let i = 0; i < 50; i++) {
      log.append(plain(i))
      time.runUntil(time.now + 200)
      if (i % 10 === 9) restart('powerLoss')
    }
    return valuesOf(log.batches)
  }
  expect(run(3)).toEqual(run(3))
  expect(run(3)).not.toEqual(run(4))
})
