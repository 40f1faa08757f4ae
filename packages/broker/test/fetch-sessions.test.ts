// A session is what broker and client believe of each other. Where the two disagree a consumer waits for ever for a
// partition that the broker thinks it was told about, so every disagreement must end in an error that starts them anew.
import { deleteTopics, errors, fetch, type FetchRequestInput, ZERO_UUID } from '@varve/protocol'
import { expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import type { RawClient } from './support/raw-client.js'
import {
  batchOf,
  produceTo,
  settle,
  startTestBroker,
  type TestBrokerOptions,
  until,
} from './support/test-broker.js'

interface Asked {
  readonly topic?: string
  readonly topicId?: string
  readonly partition?: number
  readonly offset?: number
}

interface Wants {
  readonly id?: number
  readonly epoch?: number
  readonly forget?: readonly Asked[]
  readonly maxWaitMs?: number
  readonly maxBytes?: number
  readonly version?: number
}

function body(asked: readonly Asked[], wants: Wants): FetchRequestInput {
  const { id = 0, epoch = 0, forget = [], maxWaitMs = 0, maxBytes = 1 << 25, version = 12 } = wants
  const named = ({ topic, topicId }: Asked) => (version < 13 ? { topic: topic! } : { topicId: topicId! })
  return {
    maxWaitMs,
    minBytes: 1,
    maxBytes,
    sessionId: id,
    sessionEpoch: epoch,
    topics: asked.map((each) => ({
      ...named(each),
      partitions: [
        { partition: each.partition ?? 0, fetchOffset: each.offset ?? 0, partitionMaxBytes: 1 << 20 },
      ],
    })),
    forgottenTopicsData: forget.map((each) => ({ ...named(each), partitions: [each.partition ?? 0] })),
  }
}

const poll = (client: RawClient, asked: readonly Asked[], wants: Wants = {}) =>
  client.request(fetch, wants.version ?? 12, body(asked, wants))

type Response = Awaited<ReturnType<typeof poll>>

/** `topic-partition` of everything in a response, in its order. */
const named = ({ responses }: Response): string[] =>
  responses.flatMap(({ topic, partitions }) =>
    partitions.map(({ partitionIndex }) => `${topic}-${partitionIndex}`),
  )

const valuesOf = ({ responses }: Response): string[] =>
  responses.flatMap(({ partitions }) =>
    partitions.flatMap(({ records }) => recordsIn(records).map(({ value }) => String(value))),
  )

async function withTopics(options: TestBrokerOptions = {}) {
  const test = await startTestBroker(options)
  const ids = { a: await test.createTopic('a'), b: await test.createTopic('b') }
  return { ...test, ids, client: await test.connect() }
}

const both = [{ topic: 'a' }, { topic: 'b' }]

test('a full request begins a session, and only what changed is told of in it', async () => {
  const { client } = await withTopics()
  const first = await poll(client, both)
  expect(first.sessionId).toBeGreaterThan(0)
  expect(named(first)).toEqual(['a-0', 'b-0'])
  const id = first.sessionId
  const nothing = await poll(client, [], { id, epoch: 1 })
  expect([nothing.errorCode, nothing.sessionId, nothing.responses]).toEqual([0, id, []])
  await produceTo(client, 'b', 'x')
  const changed = await poll(client, [], { id, epoch: 2 })
  expect([named(changed), valuesOf(changed)]).toEqual([['b-0'], ['x']])
  const again = await poll(client, [{ topic: 'b', offset: 1 }], { id, epoch: 3 })
  expect([again.errorCode, named(again)]).toEqual([0, []])
})

test('a high watermark that moves is told of, also where there is nothing to read', async () => {
  const { client, connect } = await withTopics()
  await produceTo(client, 'a', 'x', 'y')
  const { sessionId: id } = await poll(client, [{ topic: 'a', offset: 2 }])
  await produceTo(await connect(), 'a', 'z')
  const moved = await poll(client, [{ topic: 'a', offset: 3 }], { id, epoch: 1 })
  expect(moved.responses[0]!.partitions[0]).toMatchObject({ highWatermark: 3, records: Buffer.alloc(0) })
  expect(named(await poll(client, [], { id, epoch: 2 }))).toEqual([])
})

test('requests add partitions to a session and take them away', async () => {
  const { client, createTopic } = await withTopics()
  await createTopic('c')
  const { sessionId: id } = await poll(client, [{ topic: 'a' }])
  expect(named(await poll(client, [{ topic: 'c' }], { id, epoch: 1 }))).toEqual(['c-0'])
  for (const topic of ['a', 'c']) await produceTo(client, topic, 'x')
  const without = await poll(client, [], { id, epoch: 2, forget: [{ topic: 'a' }, { topic: 'nowhere' }] })
  expect(named(without)).toEqual(['c-0'])
})

test('a session whose last partition is forgotten is over', async () => {
  const { client } = await withTopics()
  const { sessionId: id } = await poll(client, [{ topic: 'a' }])
  const last = await poll(client, [], { id, epoch: 1, forget: [{ topic: 'a' }] })
  expect([last.errorCode, last.sessionId, last.responses]).toEqual([0, 0, []])
  expect((await poll(client, [], { id, epoch: 2 })).errorCode).toBe(errors.FETCH_SESSION_ID_NOT_FOUND.code)
})

test('an error is told of each time, and its end as well', async () => {
  const { client, createTopic } = await withTopics()
  const unknown = errors.UNKNOWN_TOPIC_OR_PARTITION.code
  const codes = ({ responses }: Response) =>
    responses.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))
  const first = await poll(client, [{ topic: 'later' }])
  expect(codes(first)).toEqual([unknown])
  const id = first.sessionId
  expect(codes(await poll(client, [], { id, epoch: 1 }))).toEqual([unknown])
  await createTopic('later')
  expect(codes(await poll(client, [], { id, epoch: 2 }))).toEqual([0])
  expect(codes(await poll(client, [], { id, epoch: 3 }))).toEqual([])
})

test('a session that is not there, and an epoch that is not its next, are errors without partitions', async () => {
  const { client } = await withTopics()
  const { sessionId: id } = await poll(client, both)
  const outcome = async (wants: Wants): Promise<unknown[]> => {
    const { errorCode, sessionId, responses } = await poll(client, [], wants)
    return [errorCode, sessionId, responses]
  }
  const lost = [errors.FETCH_SESSION_ID_NOT_FOUND.code, 0, []]
  const stale = [errors.INVALID_FETCH_SESSION_EPOCH.code, 0, []]
  expect(await outcome({ id: id === 1 ? 2 : 1, epoch: 1 })).toEqual(lost)
  expect(await outcome({ id: 0, epoch: 1 })).toEqual(lost)
  expect(await outcome({ id, epoch: 2 })).toEqual(stale)
  expect(await outcome({ id, epoch: 1 })).toEqual([0, id, []])
  expect(await outcome({ id, epoch: 1 })).toEqual(stale)
  expect(await outcome({ id, epoch: 2 })).toEqual([0, id, []])
})

test('a full request ends the session that it names, and epoch -1 begins no other', async () => {
  const { client } = await withTopics()
  const { sessionId: first } = await poll(client, both)
  const { sessionId: second } = await poll(client, both, { id: first, epoch: 0 })
  expect(second).not.toBe(first)
  expect((await poll(client, [], { id: first, epoch: 1 })).errorCode).toBe(
    errors.FETCH_SESSION_ID_NOT_FOUND.code,
  )
  const last = await poll(client, both, { id: second, epoch: -1 })
  expect([last.sessionId, named(last)]).toEqual([0, ['a-0', 'b-0']])
  expect((await poll(client, [], { id: second, epoch: 1 })).errorCode).toBe(
    errors.FETCH_SESSION_ID_NOT_FOUND.code,
  )
})

test('a session by names is none by ids, nor the reverse', async () => {
  const { client, ids } = await withTopics()
  const byName = await poll(client, both)
  const byId = await poll(client, [{ topicId: ids.a }], { version: 13 })
  expect(byId.sessionId).toBeGreaterThan(0)
  const mixed = errors.FETCH_SESSION_TOPIC_ID_ERROR.code
  expect((await poll(client, [], { id: byName.sessionId, epoch: 1, version: 13 })).errorCode).toBe(mixed)
  expect((await poll(client, [], { id: byId.sessionId, epoch: 1 })).errorCode).toBe(mixed)
  const forgotten = await poll(client, [{ topicId: ids.b }], {
    id: byId.sessionId,
    epoch: 1,
    version: 13,
    forget: [{ topicId: ids.a }],
  })
  expect(forgotten.responses.map(({ topicId }) => topicId)).toEqual([ids.b])
})

test('an id that is not known is told of each time', async () => {
  const { client, ids } = await withTopics()
  const stranger = 'bCB5U4x5S3m3Hn_4t1uZyw'
  const first = await poll(client, [{ topicId: stranger }, { topicId: ids.a }], { version: 13 })
  const next = await poll(client, [], { id: first.sessionId, epoch: 1, version: 13 })
  expect(next.responses.map(({ topicId, partitions }) => [topicId, partitions[0]!.errorCode])).toEqual([
    [stranger, errors.UNKNOWN_TOPIC_ID.code],
  ])
})

test('a partition that had records is read last the next time, so that none starves', async () => {
  const { client } = await withTopics()
  for (let i = 0; i < 3; i++) for (const topic of ['a', 'b']) await produceTo(client, topic, `${topic}${i}`)
  const maxBytes = batchOf('a0').length
  const first = await poll(client, both, { maxBytes })
  expect(valuesOf(first)).toEqual(['a0'])
  const id = first.sessionId
  const order: string[] = []
  const offsets = { a: 1, b: 0 }
  for (let epoch = 1; epoch <= 5; epoch++) {
    const asked = both.map(({ topic }) => ({ topic, offset: offsets[topic as 'a' | 'b'] }))
    const [value] = valuesOf(await poll(client, asked, { id, epoch, maxBytes }))
    order.push(value!)
    offsets[value![0] as 'a' | 'b']++
  }
  expect(order).toEqual(['a1', 'b0', 'a2', 'b1', 'b2'])
})

test('an append wakes a request of a session', async () => {
  const { client, connect } = await withTopics()
  const { sessionId: id } = await poll(client, both)
  const answer = poll(client, [], { id, epoch: 1, maxWaitMs: 500 })
  await settle()
  expect(client.hasUnread).toBe(false)
  await produceTo(await connect(), 'b', 'x')
  expect(valuesOf(await answer)).toEqual(['x'])
})

test('a partition that does not exist does not keep the others from waiting', async () => {
  const { client, connect, clock } = await withTopics()
  const before = clock.pending
  const answer = poll(client, [{ topic: 'nowhere' }, { topic: 'a' }], { maxWaitMs: 500 })
  await until(() => clock.pending > before, 'the fetch waits')
  await produceTo(await connect(), 'a', 'x')
  const response = await answer
  expect(valuesOf(response)).toEqual(['x'])
  expect(named(response)).toEqual(['nowhere-0', 'a-0'])
})

test('a request whose client has gone on without its answer is over', async () => {
  const { client, connect } = await withTopics()
  const other = await connect()
  const { sessionId: id } = await poll(client, both)
  const waiting = poll(client, [], { id, epoch: 1, maxWaitMs: 500 })
  await settle()
  expect((await poll(other, [], { id, epoch: 2 })).errorCode).toBe(0)
  const { errorCode, sessionId, responses } = await waiting
  expect([errorCode, sessionId, responses]).toEqual([errors.INVALID_FETCH_SESSION_EPOCH.code, id, []])
})

test('the oldest versions know no sessions', async () => {
  const { client } = await withTopics()
  const { responses } = await poll(client, both, { version: 4 })
  expect(responses).toHaveLength(2)
  expect((await poll(client, both, { version: 7 })).sessionId).toBeGreaterThan(0)
})

test('without room there is no session, and everything is answered all the same', async () => {
  const { client } = await withTopics({ maxFetchSessions: 1 })
  expect((await poll(client, both)).sessionId).toBeGreaterThan(0)
  const second = await poll(client, both)
  expect([second.sessionId, named(second)]).toEqual([0, ['a-0', 'b-0']])
})

test('a topic that is deleted, and another of its name, are told of in a session by ids', async () => {
  const { client, ids, connect, createTopic } = await withTopics()
  const { sessionId: id } = await poll(client, [{ topicId: ids.a }], { version: 13 })
  const code = async (epoch: number): Promise<number> => {
    const { responses } = await poll(client, [], { id, epoch, version: 13 })
    expect(responses[0]!.topicId).toBe(ids.a)
    return responses[0]!.partitions[0]!.errorCode
  }
  const admin = await connect()
  await admin.request(deleteTopics, 6, { topics: [{ name: 'a', topicId: ZERO_UUID }], timeoutMs: 1000 })
  expect(await code(1)).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
  await createTopic('a')
  expect(await code(2)).toBe(errors.INCONSISTENT_TOPIC_ID.code)
})
