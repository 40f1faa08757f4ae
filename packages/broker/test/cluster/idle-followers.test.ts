// A broker leads thousands of partitions, and few of them change between two Fetches of a follower: the others cost next to nothing.
import { fetch } from '@varve/protocol'
import { expect, test, vi } from 'vitest'
import { type FetchRound, FetchSessions } from '../../src/fetch-sessions.js'
import { readTargets } from '../../src/fetch-targets.js'
import type { Topics } from '../../src/topics.js'
import { ManualClock } from '../support/manual-clock.js'
import { batchOf, fetchBody } from '../support/test-broker.js'
import { replicaOn, stateOf, TestMembership } from './support/replica.js'

async function followed() {
  const { partition } = await replicaOn(new TestMembership(1), stateOf())
  const topic = { name: 'orders', partitions: [partition], settings: { log: {} } }
  const topics = { get: () => topic, getById: () => topic } as unknown as Topics
  const sessions = new FetchSessions({ maxSessions: 1, clock: new ManualClock() })
  const looks = vi.spyOn(partition, 'fetchedBy')
  const replica = { id: 2, epoch: 10 }
  let session = { sessionId: 0, sessionEpoch: 0 }
  /** Says what it asks for, if it is not what it asked for last. */
  const begin = (fetchOffset?: number): FetchRound => {
    const asked = {
      partition: 0,
      fetchOffset: fetchOffset!,
      currentLeaderEpoch: 5,
      partitionMaxBytes: 1000,
      highWatermark: 0,
    }
    const named = fetchOffset === undefined ? [] : [{ topicId: partition.state.topicId, partitions: [asked] }]
    const bytes = Buffer.concat(
      fetch.request.encode({ ...fetchBody(''), ...session, topics: named }, 18) as Buffer[],
    )
    const reader = { apiVersion: 18, isolation: 'readUncommitted', replica, rack: null, quota: null } as const
    const begun = sessions.begin(fetch.request.decode(bytes, 0, 18), reader, topics)
    if ('code' in begun) throw new Error(begun.message)
    session = { ...session, sessionEpoch: session.sessionEpoch + 1 }
    return begun
  }
  /** Resolves with how often the leader looked, and the bytes sent. */
  const answer = async (round: FetchRound): Promise<[looks: number, bytes: number]> => {
    looks.mockClear()
    const reads = await readTargets(round.targets, 1000, null)
    session = { ...session, sessionId: round.conclude(reads).sessionId }
    const sent = reads.reduce((bytes, { records }) => bytes + records.byteLength, 0)
    for (const { records } of reads) records.close()
    return [looks.mock.calls.length, sent]
  }
  /** By a full request that names it, of somebody who has gone on since. */
  const endSession = (): void => {
    const { sessionId } = session
    session = { sessionId, sessionEpoch: -1 }
    begin(0)
  }
  const beginSession = (): void => {
    session = { sessionId: 0, sessionEpoch: 0 }
  }
  const round = (fetchOffset?: number) => answer(begin(fetchOffset))
  return { partition, replica, begin, answer, round, beginSession, endSession }
}

test('what has not changed since a follower had everything is not looked at, until it changes', async () => {
  const { partition, replica, round } = await followed()
  expect(await round(0)).toEqual([1, 0])
  expect(await round()).toEqual([1, 0])
  expect(await round()).toEqual([0, 0])
  const batch = batchOf('a')
  await partition.append(batch, false)
  expect(await round()).toEqual([1, batch.length])
  expect(await round()).toEqual([1, batch.length])
  expect(await round(1)).toEqual([1, 0])
  expect(await round()).toEqual([0, 0])
  replica.epoch = 12
  expect(await round()).toEqual([1, 0])
})

test('a Fetch that waits for what is not looked at hears of its change, and is answered with it', async () => {
  const { partition, begin, answer, round } = await followed()
  for (const offset of [0, undefined]) await round(offset)
  const waiting = begin()
  const changed = vi.fn()
  waiting.listen(changed)
  expect([waiting.targets.length, waiting.waitsForMore]).toEqual([0, true])
  const batch = batchOf('a')
  await partition.append(batch, false)
  expect(changed).toHaveBeenCalledWith(partition)
  waiting.takeChanged()
  expect(await answer(waiting)).toEqual([1, batch.length])
})

test('a session that is over listens to nothing, not even when its last Fetch is answered afterwards', async () => {
  const { partition, begin, answer, round, endSession } = await followed()
  const listening = new Set<unknown>()
  vi.spyOn(partition, 'listen').mockImplementation((listener) => listening.add(listener))
  vi.spyOn(partition, 'unlisten').mockImplementation((listener) => listening.delete(listener))
  for (const offset of [0, undefined]) await round(offset)
  expect(listening.size).toBe(1)
  const last = begin(0)
  expect(listening.size).toBe(0)
  endSession()
  await answer(last)
  expect(listening.size).toBe(0)
})

test.each(['the same session', 'another session'])(
  'a Fetch that waits while its follower goes on, in %s, looks at nothing when its wait ends',
  async (where) => {
    const { begin, answer, round, beginSession } = await followed()
    await round(0)
    const waiting = begin()
    if (where === 'another session') {
      beginSession()
      await round(0)
    }
    expect(await round()).toEqual([1, 0])
    expect(waiting.superseded!.cancelled).toBe(true)
    waiting.takeChanged()
    expect(await answer(waiting)).toEqual([0, 0])
  },
)
