// A broker leads thousands of partitions, and few of them change between two Fetches of a follower: the others cost next to nothing.
import { fetch } from '@varve/protocol'
import { expect, test, vi } from 'vitest'
import { FetchSessions } from '../../src/fetch-sessions.js'
import { readTargets } from '../../src/fetch-targets.js'
import type { Topics } from '../../src/topics.js'
import { ManualClock } from '../support/manual-clock.js'
import { batchOf, fetchBody } from '../support/test-broker.js'
import { replicaOn, stateOf, TestMembership } from './support/replica.js'

test('what has not changed since a follower had everything is not looked at, until it changes', async () => {
  const { partition } = await replicaOn(new TestMembership(1), stateOf())
  const topic = { name: 'orders', partitions: [partition], settings: { log: {} } }
  const topics = { get: () => topic, getById: () => topic } as unknown as Topics
  const sessions = new FetchSessions({ maxSessions: 1, clock: new ManualClock() })
  const looks = vi.spyOn(partition, 'fetchedBy')
  const replica = { id: 2, epoch: 10 }
  let session = { sessionId: 0, sessionEpoch: 0 }
  /** Says what it asks for, if it is not what it asked for last; resolves with how often the leader looked, and the bytes sent. */
  const round = async (fetchOffset?: number): Promise<[looks: number, bytes: number]> => {
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
    const reader = { apiVersion: 18, isolation: 'readUncommitted', replica, rack: null } as const
    const begun = sessions.begin(fetch.request.decode(bytes, 0, 18), reader, topics)
    if ('code' in begun) throw new Error(begun.message)
    looks.mockClear()
    const [read] = await readTargets(begun.targets, 1000, null)
    const { sessionId } = begun.conclude([read!])
    session = { sessionId, sessionEpoch: session.sessionEpoch + 1 }
    const sent = read!.records.byteLength
    read!.records.close()
    return [looks.mock.calls.length, sent]
  }
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
