// A follower's side of replication, over a leader that says what a test wants it to.
import { errors, type FetchRequestInput } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'
import { ReplicaFetchers } from '../../src/cluster/replica-fetchers.js'
import type { Partition } from '../../src/partition.js'
import type { ReplicationQuota } from '../../src/replication-quota.js'
import type { MemoryLog } from '../memory-log.js'
import { ManualClock } from '../support/manual-clock.js'
import { batchOf, settle, until } from '../support/test-broker.js'
import { replicaOn, stateOf, TestMembership, unlimited } from './support/replica.js'
import { askedIn, forgottenIn, ledBatch, ScriptedLeader } from './support/scripted-leader.js'

interface Replica {
  readonly partition: Partition
  readonly log: MemoryLog
}

interface Following {
  readonly membership: TestMembership
  readonly leader: ScriptedLeader
  readonly clock: ManualClock
  readonly lines: string[]
  readonly fetchers: ReplicaFetchers
  follow(count?: number): Promise<Replica[]>
}

/** Broker 2 follows broker 1. */
function following(quota = unlimited('follower')): Following {
  const membership = new TestMembership(2)
  const leader = new ScriptedLeader()
  const clock = new ManualClock()
  const lines: string[] = []
  const fetchers = new ReplicaFetchers({
    brokerId: 2,
    limits: { waitMaxMs: 500, responseMaxBytes: 1 << 20, partitionMaxBytes: 1 << 16 },
    quota,
    dial: leader.dial,
    clock,
    log: (level, line) => lines.push(`${level} ${line}`),
  })
  onTestFinished(() => {
    fetchers.close()
    expect(clock.pending).toBe(0)
  })
  const follow = async (count = 1): Promise<Replica[]> => {
    const states = Array.from({ length: count }, (_, partition) => stateOf({ partition }))
    const replicas = await Promise.all(states.map((state) => replicaOn(membership, state)))
    for (const { partition, log } of replicas) fetchers.follow(partition, log)
    return replicas
  }
  return { membership, leader, clock, lines, fetchers, follow }
}

test('what the leader has is appended, and its high watermark is known', async () => {
  const { leader, follow } = following()
  const [{ partition, log }] = (await follow()) as [Replica]
  expect(askedIn(await leader.answer([{ records: ledBatch(0, 5, 'a', 'b') }]))).toEqual([[0, 0]])
  expect(askedIn(await leader.next())).toEqual([[0, 2]])
  expect([log.endOffset, log.leaderEpoch, partition.highWatermark]).toEqual([2, 5, 0])
  await leader.answer([{ highWatermark: 2 }])
  await until(() => partition.highWatermark === 2, 'the high watermark is known')
})

test('the memory of an answer is used again when its records are appended, and not before', async () => {
  const { leader, follow } = following()
  const [{ log }] = (await follow()) as [Replica]
  log.holdDurability()
  await leader.answer([{ records: ledBatch(0, 5, 'a') }])
  await until(() => log.endOffset === 1, 'it is appended')
  await settle()
  expect(leader.released).toBe(0)
  await log.flush()
  await until(() => leader.released === 1, 'it is released')
})

test('one that is not registered yet fetches as soon as it is', async () => {
  const { membership, leader, fetchers, follow } = following()
  membership.epoch = -1
  await follow()
  await until(() => leader.dials === 1, 'the leader is dialled')
  await settle()
  expect(leader.requests).toBe(0)
  membership.epoch = 12
  fetchers.brokerEpochChanged()
  expect((await leader.next()).replicaState!.replicaEpoch).toBe(12)
})

test('one that is registered anew says so at once', async () => {
  const { membership, leader, fetchers, follow } = following()
  await follow()
  await leader.answer([{}])
  await leader.next()
  membership.epoch = 30
  fetchers.brokerEpochChanged()
  await until(() => leader.waiting.length === 2, 'it fetches again')
  expect(leader.waiting[1]!.replicaState!.replicaEpoch).toBe(30)
})

test('a partition that the leader cannot answer is left out of the session until it is asked for again', async () => {
  const { leader, clock, follow } = following()
  await follow(2)
  await leader.answer([{ partitionIndex: 0 }, { partitionIndex: 1 }])
  const refused = { partitionIndex: 1, errorCode: errors.NOT_LEADER_OR_FOLLOWER.code }
  expect(askedIn(await leader.answer([refused]))).toEqual([
    [0, 0],
    [1, 0],
  ])
  const next = await leader.next()
  expect([askedIn(next), forgottenIn(next)]).toEqual([[], [1]])
  await settle()
  expect(leader.waiting.length).toBe(1)
  await clock.advance(100)
  await until(() => leader.waiting.length === 2, 'it is asked for again')
  expect(askedIn(leader.waiting[1]!)).toEqual([[1, 0]])
})

test('what is being appended is not fetched again meanwhile', async () => {
  const { leader, follow } = following()
  const [{ log }] = (await follow(2)) as [Replica]
  await leader.answer([{ partitionIndex: 0 }, { partitionIndex: 1 }])
  log.holdDurability()
  await leader.answer([{ partitionIndex: 0, records: ledBatch(0, 5, 'a') }])
  const meanwhile = await leader.next()
  expect([askedIn(meanwhile), forgottenIn(meanwhile)]).toEqual([[], [0]])
  await log.flush()
  await until(() => leader.waiting.length === 2, 'it is fetched on')
  expect(askedIn(leader.waiting[1]!)).toEqual([[0, 1]])
})

test('an answer whose records are appended at once needs one further request', async () => {
  const { leader, follow } = following()
  await follow()
  await leader.answer([{}])
  await leader.answer([{ records: ledBatch(0, 5, 'a') }])
  expect(askedIn(await leader.next())).toEqual([[0, 1]])
  await settle()
  expect([leader.waiting.length, leader.requests]).toEqual([1, 3])
})

test('a throttled partition is left out until it may go on, and asked for again at least every second', async () => {
  let waitMs = 0
  const recorded: number[] = []
  const quota = {
    waitMs: ({ index }: Partition) => (index === 1 ? waitMs : 0),
    record: (_: Partition, bytes: number) => void recorded.push(bytes),
  } as unknown as ReplicationQuota
  const { leader, clock, follow } = following(quota)
  await follow(2)
  await leader.answer([{ partitionIndex: 0 }, { partitionIndex: 1 }])
  await leader.next()
  waitMs = 400
  const records = ledBatch(0, 5, 'a')
  await leader.answer([{ partitionIndex: 1, records }])
  await until(() => leader.waiting.some((request) => forgottenIn(request).includes(1)), 'it is left out')
  expect(recorded).toEqual([records.length])
  const goesOn = (request: FetchRequestInput): boolean =>
    askedIn(request).some(([index, offset]) => index === 1 && offset === 1)
  await clock.advance(399)
  await settle()
  expect(leader.waiting.some(goesOn)).toBe(false)
  waitMs = Infinity
  const before = leader.requests
  await clock.advance(1)
  await settle()
  expect(leader.requests).toBe(before)
  waitMs = 0
  await clock.advance(1000)
  await until(() => leader.waiting.some(goesOn), 'it goes on')
})

test('one that led before flushes what it wrote then, before it says that it has it', async () => {
  const { membership, leader, fetchers } = following()
  const { partition, log } = await replicaOn(membership, stateOf({ leader: 2, leaderEpoch: 4 }))
  log.holdDurability()
  const refused = expect(partition.append(batchOf('a'), false)).rejects.toMatchObject({
    code: 'VARVE_NOT_LEADER',
  })
  partition.stateChanged(stateOf({ partitionEpoch: 21 }))
  fetchers.follow(partition, log)
  expect(askedIn(await leader.next())).toEqual([[0, 1]])
  await refused
  expect(log.durableOffset).toBe(1)
})

test('a log that takes nothing is tried less and less often, and says so once', async () => {
  const { leader, clock, lines, follow } = following()
  const [{ log }] = (await follow()) as [Replica]
  log.refusal = new VarveError('VARVE_LOW_DISK', 'the disk is full')
  for (const backoff of [100, 200, 400, 800]) {
    await leader.answer([{ records: ledBatch(0, 5, 'a') }])
    await settle()
    await clock.advance(backoff - 1)
    await settle()
    expect(leader.waiting).toEqual([])
    await clock.advance(1)
  }
  log.refusal = null
  await leader.answer([{ records: ledBatch(0, 5, 'a') }])
  await until(() => log.endOffset === 1, 'it is appended')
  await settle()
  expect(lines).toEqual([
    'error orders-0: could not follow: the disk is full; it is tried again',
    'info orders-0: follows again',
  ])
})

test('records that are none are asked for again, and nothing else suffers', async () => {
  const { leader, clock, lines, follow } = following()
  const [{ log }, other] = (await follow(2)) as [Replica, Replica]
  const garbage = Buffer.alloc(100, 0x55)
  await leader.answer([
    { partitionIndex: 0, records: garbage },
    { partitionIndex: 1, records: ledBatch(0, 5, 'b') },
  ])
  await until(() => other.log.endOffset === 1, 'the other one is appended')
  expect(lines.length).toBe(1)
  await clock.advance(100)
  await until(
    () => leader.waiting.some((body) => askedIn(body).some(([index]) => index === 0)),
    'it is asked',
  )
  expect(log.endOffset).toBe(0)
})

test('a log that parts from the leader is cut, and one of which the leader has nothing starts over', async () => {
  const { membership, leader, fetchers } = following()
  const { partition, log } = await replicaOn(membership, stateOf({ leader: 2, leaderEpoch: 4 }))
  await partition.append(batchOf('a'), false)
  await partition.append(batchOf('b'), false)
  partition.stateChanged(stateOf({ partitionEpoch: 21 }))
  fetchers.follow(partition, log)
  await leader.answer([{ divergingEpoch: { epoch: 4, endOffset: 1 } }])
  expect(askedIn(await leader.next())).toEqual([[0, 1]])
  await leader.answer([{ errorCode: errors.OFFSET_OUT_OF_RANGE.code, logStartOffset: 40 }])
  expect(askedIn(await leader.next())).toEqual([[0, 40]])
  expect([log.startOffset, log.endOffset]).toEqual([40, 40])
})

test('what the leader has deleted goes here, too, and the leader is told', async () => {
  const { leader, follow } = following()
  const [{ log }] = (await follow()) as [Replica]
  await leader.answer([{ records: ledBatch(0, 5, 'a', 'b') }])
  await leader.answer([{ highWatermark: 2, logStartOffset: 1 }])
  await until(() => leader.waiting.at(-1)?.topics?.[0]?.partitions[0]?.logStartOffset === 1, 'it is told')
  expect(log.startOffset).toBe(1)
})

test('a lost session, and a lost connection, are made anew with everything that is followed', async () => {
  const { leader, clock, follow } = following()
  await follow(2)
  await leader.answer([{ partitionIndex: 0 }, { partitionIndex: 1 }])
  await leader.answer([], errors.FETCH_SESSION_ID_NOT_FOUND.code)
  await settle()
  await clock.advance(50)
  const anew = await leader.next()
  expect([anew.sessionId, askedIn(anew).length]).toEqual([0, 2])
  leader.reset(new Error('gone'))
  await settle()
  await clock.advance(100)
  await until(() => leader.dials === 2, 'it is dialled anew')
  expect([(await leader.next()).sessionId, askedIn(await leader.next()).length]).toEqual([0, 2])
})

test('a leader that is gone is told of once, and not by a broker that goes itself', async () => {
  const { leader, clock, fetchers, lines, follow } = following()
  await follow()
  await leader.next()
  leader.reset(new Error('gone'))
  await settle()
  expect(lines).toEqual(['warn leader 1 of 1 partitions: cannot follow it: gone; it is tried again'])
  await clock.advance(100)
  await leader.answer([])
  await leader.next()
  expect(lines.splice(0)[1]).toBe('info leader 1 of 1 partitions: follows it again')
  fetchers.leave()
  leader.reset(new Error('gone with it'))
  await settle()
  expect(lines).toEqual([])
  await clock.advance(100)
  await leader.answer([])
})

test('who becomes the leader, or follows another one, is not fetched from the old one any more', async () => {
  const { leader, fetchers, follow } = following()
  const [{ partition, log }] = (await follow(2)) as [Replica]
  await leader.answer([{ partitionIndex: 0 }, { partitionIndex: 1 }])
  await leader.next()
  partition.stateChanged(stateOf({ leader: 2, leaderEpoch: 6, partitionEpoch: 30 }))
  fetchers.follow(partition, log)
  await leader.answer([{ partitionIndex: 0, records: ledBatch(0, 5, 'late') }])
  expect(forgottenIn(await leader.next())).toEqual([0])
  expect(log.endOffset).toBe(0)
})

test('nothing is fetched for a broker that has been closed', async () => {
  const { leader, fetchers, follow } = following()
  fetchers.close()
  await follow()
  await settle()
  expect(leader.dials).toBe(0)
})

test('a follower serves consumers from where its leader starts up to the high watermark that it knows', async () => {
  const { leader, follow } = following()
  const [{ partition, log }] = (await follow()) as [Replica]
  await leader.answer([{ records: ledBatch(0, 5, 'a', 'b', 'c', 'd') }])
  await leader.answer([{ highWatermark: 2, logStartOffset: 3 }])
  await until(() => partition.highWatermark === 2, 'it is told')
  await settle()
  expect(log.startOffset).toBe(2)
  expect([0, 2, 3, 4, 5].map((offset) => partition.consumerFetchError(offset)?.name ?? null)).toEqual([
    'OFFSET_OUT_OF_RANGE',
    'OFFSET_OUT_OF_RANGE',
    'OFFSET_NOT_AVAILABLE',
    'OFFSET_NOT_AVAILABLE',
    'OFFSET_OUT_OF_RANGE',
  ])
})
