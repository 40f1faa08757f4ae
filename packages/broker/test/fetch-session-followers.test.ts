// A follower has two requests under way, and asks for a partition again after the first answer that tells of it. What another answer
// says that was on its way by then it does not take; if the session counted that as told, the follower would never hear of it.
import { expect, test } from 'vitest'
import { FetchSession } from '../src/fetch-session.js'
import { type FetchReader, type FetchTarget, fetchTarget, type TargetRead } from '../src/fetch-targets.js'
import { noRecords } from '../src/fetched-records.js'
import type { Topics } from '../src/topics.js'

const topicId = 'tykf02iQTD6QDiEOj1g_9Q'
const reader: FetchReader = {
  apiVersion: 18,
  isolation: 'readUncommitted',
  replica: { id: 2, epoch: 1 },
  rack: null,
  quota: null,
}
const topics = { getById: () => undefined, get: () => undefined } as unknown as Topics

const asking = (highWatermark: number, logStartOffset = 0): FetchTarget['asked'] => ({
  partition: 0,
  currentLeaderEpoch: 1,
  fetchOffset: 10,
  lastFetchedEpoch: 1,
  logStartOffset,
  partitionMaxBytes: 1 << 20,
  replicaDirectoryId: '',
  highWatermark,
})

const read = (highWatermark: number, logStartOffset = 0): TargetRead => ({
  error: null,
  divergingEpoch: null,
  records: noRecords,
  preferredReadReplica: -1,
  abortedTransactions: null,
  highWatermark,
  lastStableOffset: highWatermark,
  logStartOffset,
})

function sessionOf(asked: FetchTarget['asked'], told: TargetRead) {
  const session = new FetchSession(7, 18, 0, [fetchTarget('orders', topicId, asked, reader, topics)], [told])
  return {
    /** Names the partition in a request, or does not; whether the answer tells of it. */
    tells(answer: TargetRead, again: FetchTarget['asked'] | null): boolean {
      const named = again === null ? [] : [{ topic: '', topicId, partitions: [again] }]
      session.update({ topics: named, forgottenTopicsData: [] } as never)
      return session.begin(reader, topics).conclude([answer]).isSent(0)
    },
  }
}

test('a follower that does not know the high watermark that it was told is told again', () => {
  const session = sessionOf(asking(8), read(9))
  expect(session.tells(read(10), null)).toBe(true)
  expect(session.tells(read(10), asking(9))).toBe(true)
  expect(session.tells(read(10), asking(10))).toBe(false)
})

test('so is one that does not know where the log starts', () => {
  const session = sessionOf(asking(10, 0), read(10, 0))
  expect(session.tells(read(10, 5), null)).toBe(true)
  expect(session.tells(read(10, 5), asking(10, 0))).toBe(true)
  expect(session.tells(read(10, 5), asking(10, 5))).toBe(false)
})

test('a consumer, who says neither, is told once', () => {
  const session = sessionOf(asking(Number.MAX_SAFE_INTEGER, -1), read(10, 5))
  expect(session.tells(read(10, 5), asking(Number.MAX_SAFE_INTEGER, -1))).toBe(false)
})
