// The cache is what a thousand consumers share. A newcomer may take somebody's place only by Kafka's rules: one that
// is no longer used, or one that is smaller and had its time; otherwise two consumers throw each other out for ever.
import { fetch, type FetchRequest } from '@varve/protocol'
import { expect, test } from 'vitest'
import { FetchSessions } from '../src/fetch-sessions.js'
import { fetchReader, fetchTarget, type PartitionRequest } from '../src/fetch-targets.js'
import type { RequestContext } from '../src/request-context.js'
import type { Topics } from '../src/topics.js'
import { fetchBody } from './support/test-broker.js'
import { ManualClock } from './support/manual-clock.js'

/** No topic exists here: sessions do not ask. */
const topics = { get: () => undefined, getById: () => undefined } as unknown as Topics
const context = { apiVersion: 12, broker: { leaderQuota: null } } as unknown as RequestContext
const twoMinutes = 120_000

function cacheOf(maxSessions: number, maxPartitions?: number) {
  const clock = new ManualClock()
  const sessions = new FetchSessions({
    maxSessions,
    clock,
    ...(maxPartitions !== undefined && { maxPartitions }),
  })
  const request = (count: number, sessionId = 0, sessionEpoch = 0, first = 0): FetchRequest => {
    const [topic] = fetchBody('t').topics!
    const partitions = Array.from({ length: count }, (_, i) => ({
      ...topic!.partitions[0]!,
      partition: first + i,
    }))
    const bytes = fetch.request.encode(
      { ...fetchBody('t'), sessionId, sessionEpoch, topics: [{ ...topic!, partitions }] },
      12,
    )
    return fetch.request.decode(Buffer.concat(bytes as Buffer[]), 0, 12)
  }
  /** Begins a session of so many partitions and returns its id; 0 where there is no room. */
  const create = (count: number): number => {
    const round = sessions.begin(request(count), fetchReader(request(count), context), topics)
    if ('code' in round) throw new Error(round.message)
    const nothing = { error: null, divergingEpoch: null, records: { byteLength: 0 } }
    return round.conclude(round.targets.map(() => nothing) as never).sessionId
  }
  /** Sends a session's next request, with so many more partitions. */
  const use = (id: number, epoch: number, more = 0, first = 0): string | null => {
    const next = request(more, id, epoch, first)
    const round = sessions.begin(next, fetchReader(next, context), topics)
    return 'code' in round ? round.name : null
  }
  return { clock, sessions, create, use }
}

test('a newcomer finds no place among sessions that are new', () => {
  const { create, sessions } = cacheOf(2)
  expect([create(1), create(1)].every((id) => id > 0)).toBe(true)
  expect(create(100)).toBe(0)
  expect(sessions.size).toBe(2)
})

test('the session that was used least recently goes when that was long ago', () => {
  const { clock, create, use } = cacheOf(2)
  const [idle, used] = [create(9), create(9)]
  clock.advance(twoMinutes)
  expect(use(used!, 1)).toBeNull()
  expect(create(1)).toBe(0)
  clock.advance(1)
  expect(create(1)).toBeGreaterThan(0)
  expect(use(idle!, 1)).toBe('FETCH_SESSION_ID_NOT_FOUND')
  expect(use(used!, 2)).toBeNull()
})

test('a smaller one goes for a larger one when it has had its time', () => {
  const { clock, create, use } = cacheOf(2)
  const [small, large] = [create(2), create(5)]
  clock.advance(twoMinutes + 1)
  for (const id of [small, large]) expect(use(id!, 1)).toBeNull()
  expect(create(2), 'of one size').toBe(0)
  expect(create(3), 'larger').toBeGreaterThan(0)
  expect(use(small!, 2)).toBe('FETCH_SESSION_ID_NOT_FOUND')
  expect(use(large!, 2)).toBeNull()
  expect(create(9), 'the new one has not had its time, and the other is larger than it').toBeGreaterThan(0)
  expect(use(large!, 3)).toBe('FETCH_SESSION_ID_NOT_FOUND')
})

test('all sessions together keep a bounded number of partitions', () => {
  const { create, use, sessions, clock } = cacheOf(100, 20)
  const [one, other] = [create(10), create(10)]
  expect(sessions.partitions).toBe(20)
  expect(create(1)).toBe(0)
  expect(create(21)).toBe(0)
  expect(use(one!, 1, 1, 10)).toBe('FETCH_SESSION_ID_NOT_FOUND')
  expect(sessions.partitions).toBe(10)
  expect(create(10)).toBeGreaterThan(0)
  clock.advance(twoMinutes + 1)
  expect(create(20)).toBeGreaterThan(0)
  expect(use(other!, 1)).toBe('FETCH_SESSION_ID_NOT_FOUND')
  expect([sessions.size, sessions.partitions]).toEqual([1, 20])
})

test('a broker has one session, however often it begins anew, and who is a replica of nothing has none of its own', () => {
  const { sessions, create } = cacheOf(1)
  const state = { replicas: [1, 2], leader: 1 }
  const found = { name: 't', partitions: [{ state }], settings: { log: {} } }
  const hosting = { get: () => found, getById: () => found } as unknown as Topics
  const begin = (replica: number): number => {
    const reader = {
      apiVersion: 12,
      isolation: 'readUncommitted',
      replica: { id: replica, epoch: 1 },
      rack: null,
      quota: null,
    } as const
    const body = fetch.request.encode({ ...fetchBody('t'), sessionId: 0, sessionEpoch: 0 }, 12)
    const request = fetch.request.decode(Buffer.concat(body as Buffer[]), 0, 12)
    const round = sessions.begin(request, reader, hosting)
    if ('code' in round) throw new Error(round.message)
    return round.conclude([{ error: null, divergingEpoch: null, records: { byteLength: 0 } }] as never)
      .sessionId
  }
  expect(create(3)).toBeGreaterThan(0)
  expect([begin(2), begin(2), begin(2)].every((id) => id > 0)).toBe(true)
  expect([sessions.size, sessions.partitions]).toEqual([2, 4])
  expect(begin(7)).toBe(0)
})

test('a follower that has not taken in what it was told is told again', () => {
  const { sessions } = cacheOf(1)
  const state = { replicas: [1, 2], leader: 1 }
  const found = { name: 't', partitions: [{ state }], settings: { log: {} } }
  const hosting = { get: () => found, getById: () => found } as unknown as Topics
  const reader = {
    apiVersion: 18,
    isolation: 'readUncommitted',
    replica: { id: 2, epoch: 1 },
    rack: null,
    quota: null,
  } as const
  let sessionId = 0
  let sessionEpoch = 0
  const isTold = (highWatermark: number | null): boolean => {
    const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ'
    const partitions = [{ partition: 0, fetchOffset: 9, partitionMaxBytes: 1, highWatermark: highWatermark! }]
    const topics = highWatermark === null ? [] : [{ topicId, partitions }]
    const body = { ...fetchBody('t'), sessionId, sessionEpoch: sessionEpoch++, topics }
    const bytes = Buffer.concat(fetch.request.encode(body, 18) as Buffer[])
    const round = sessions.begin(fetch.request.decode(bytes, 0, 18), reader, hosting)
    if ('code' in round) throw new Error(round.message)
    const read = {
      error: null,
      divergingEpoch: null,
      records: { byteLength: 0 },
      highWatermark: 9,
      logStartOffset: 0,
    }
    const conclusion = round.conclude([read] as never)
    sessionId = conclusion.sessionId
    return conclusion.isSent(0)
  }
  expect(isTold(5)).toBe(true)
  expect(isTold(5), 'what it was told got lost').toBe(true)
  expect(isTold(9)).toBe(false)
  expect(isTold(null)).toBe(false)
})

test('no session means no session', () => {
  expect(cacheOf(0).create(1)).toBe(0)
})

test('the epoch behind the largest is 1, not 0 and not a negative one', async () => {
  const { nextEpoch } = await import('../src/fetch-session.js')
  expect([nextEpoch(1), nextEpoch(2 ** 31 - 1)]).toEqual([2, 1])
})

test('a topic that took the name of one in a session is not taken for it', () => {
  const reader = {
    apiVersion: 13,
    isolation: 'readUncommitted',
    replica: null,
    rack: null,
    quota: null,
  } as const
  const asked = fetchBody('t').topics![0]!.partitions[0]! as PartitionRequest
  const refusal = (name: string, topics: object): string | undefined =>
    fetchTarget(name, 'old-id', asked, reader, topics as Topics).refusal?.name
  const gone = { getById: () => undefined, get: () => undefined }
  const replaced = { getById: () => undefined, get: () => ({ name: 't', partitions: [{}] }) }
  expect(refusal('', gone)).toBe('UNKNOWN_TOPIC_ID')
  expect(refusal('t', gone)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
  expect(refusal('t', replaced)).toBe('INCONSISTENT_TOPIC_ID')
})
