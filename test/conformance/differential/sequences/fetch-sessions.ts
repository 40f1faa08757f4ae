import { deleteTopics, fetch } from '@varve/protocol'
import { createTopic, write } from '../requests.js'
import { call, noTopicId, sessionId, type Step, subject, topicId } from '../sequence.js'

interface Session {
  id?: number
  epoch: number
  /** Topics, or ids of topics, and the offsets to fetch their partitions from. */
  fetches?: Readonly<Record<string, readonly (number | null)[]>>
  forgets?: Readonly<Record<string, readonly number[]>>
  version?: number
}

const session = ({ id = 0, epoch, fetches = {}, forgets = {}, version = 12 }: Session): Step => {
  const name = (topic: string) => (version >= 13 ? { topicId: topic } : { topic })
  return call(fetch, version, {
    maxWaitMs: 0,
    minBytes: 0,
    sessionId: id,
    sessionEpoch: epoch,
    topics: Object.entries(fetches).map(([topic, offsets]) => ({
      ...name(topic),
      partitions: offsets.flatMap((fetchOffset, partition) =>
        fetchOffset === null ? [] : [{ partition, fetchOffset, partitionMaxBytes: 10_000 }],
      ),
    })),
    forgottenTopicsData: Object.entries(forgets).map(([topic, partitions]) => ({
      ...name(topic),
      partitions,
    })),
  })
}
const id = sessionId()

export default subject('fetch-sessions', (sequence) => {
  for (const version of [7, 11, 12]) {
    sequence(`v${version}`, `a session in version ${version}`, ({ topic }) => [
      createTopic(topic, { partitions: 2 }),
      write(topic, ['a']),
      session({ epoch: 0, fetches: { [topic]: [0, 0] }, version }),
      session({ id, epoch: 1, version }),
      session({ id, epoch: 2, fetches: { [topic]: [1] }, version }),
      session({ id, epoch: 3, version }),
      write(topic, ['b']),
      session({ id, epoch: 4, version }),
    ])
  }
  sequence('v18', 'a session by ids', ({ topic }) => [
    createTopic(topic, { partitions: 2 }),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topicId(topic)]: [0, 0] }, version: 18 }),
    session({ id, epoch: 1, fetches: { [topicId(topic)]: [1] }, version: 18 }),
    session({ id, epoch: 2, version: 18 }),
    session({ id, epoch: 3, fetches: { [noTopicId]: [0] }, version: 18 }),
    session({ id, epoch: 4, version: 18 }),
  ])
  sequence('epoch-wrong', 'epochs that are not the next', ({ topic }) => [
    createTopic(topic),
    session({ epoch: 0, fetches: { [topic]: [0] } }),
    session({ id, epoch: 2 }),
    session({ id, epoch: 7 }),
    session({ id, epoch: 1 }),
    session({ id, epoch: 1 }),
    session({ id, epoch: 2 }),
    session({ id, epoch: -2 }),
  ])
  sequence('id-unknown', 'sessions that there are not', ({ topic }) => [
    createTopic(topic),
    session({ id: 123_456, epoch: 1 }),
    session({ id: 123_456, epoch: 1, fetches: { [topic]: [0] } }),
    session({ id: -5, epoch: 1 }),
    session({ id: 0, epoch: 1 }),
    session({ id: 0, epoch: 7, fetches: { [topic]: [0] } }),
    session({ id: 0, epoch: -2, fetches: { [topic]: [0] } }),
    session({ id: 123_456, epoch: -1, fetches: { [topic]: [0] } }),
  ])
  sequence('id-unknown-v7', 'a session that there is not, in version 7', () => [
    session({ id: 123_456, epoch: 1, version: 7 }),
    session({ id: 123_456, epoch: 1, version: 18 }),
  ])
  sequence('closed', 'a session that is closed and asked again', ({ topic }) => [
    createTopic(topic),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topic]: [0] } }),
    session({ id, epoch: -1 }),
    session({ id, epoch: 1 }),
  ])
  sequence('closed-with-partitions', 'a session closed by a full fetch', ({ topic }) => [
    createTopic(topic),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topic]: [0] } }),
    session({ id, epoch: -1, fetches: { [topic]: [0] } }),
    session({ id, epoch: 1 }),
  ])
  sequence('replaced', 'a new session in place of the old one', ({ topic }) => [
    createTopic(topic),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topic]: [0] } }),
    session({ id, epoch: 0, fetches: { [topic]: [0] } }),
    session({ id, epoch: 1 }),
    session({ id: sessionId(2), epoch: 1 }),
  ])
  sequence('forgotten', 'partitions that are forgotten, known and unknown', ({ topic }) => [
    createTopic(topic, { partitions: 2 }),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topic]: [0, 0] } }),
    session({ id, epoch: 1, forgets: { [topic]: [0] } }),
    session({ id, epoch: 2 }),
    session({ id, epoch: 3, forgets: { [topic]: [0, 7], [`${topic}-not`]: [0] } }),
    session({ id, epoch: 4, forgets: { [topic]: [1] } }),
    session({ id, epoch: 5, fetches: { [topic]: [0] } }),
  ])
  sequence('unknown-topic', 'a topic that does not exist', ({ topic }) => [
    session({ epoch: 0, fetches: { [topic]: [0] } }),
    session({ id, epoch: 1 }),
    createTopic(topic),
    session({ id, epoch: 2 }),
  ])
  sequence('empty', 'a full fetch of nothing', () => [
    session({ epoch: 0 }),
    session({ epoch: 0, version: 18 }),
  ])
  sequence('out-of-range', 'an offset out of range, again and again', ({ topic }) => [
    createTopic(topic),
    session({ epoch: 0, fetches: { [topic]: [9] } }),
    session({ id, epoch: 1 }),
    session({ id, epoch: 2, fetches: { [topic]: [0] } }),
    session({ id, epoch: 3 }),
  ])
  sequence('names-then-ids', 'a session begun by names and gone on with by ids', ({ topic }) => [
    createTopic(topic),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topic]: [0] } }),
    session({ id, epoch: 1, version: 18 }),
    session({ id, epoch: 1 }),
  ])
  sequence('topic-deleted', 'a topic deleted under a session, by name', ({ topic }) => [
    createTopic(topic),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topic]: [1] } }),
    call(deleteTopics, 5, { topicNames: [topic], timeoutMs: 10_000, topics: [] }),
    session({ id, epoch: 1 }),
    session({ id, epoch: 2 }),
  ])
  sequence('topic-deleted-by-id', 'a topic deleted and created again under a session, by id', ({ topic }) => [
    createTopic(topic),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topicId(topic)]: [1] }, version: 18 }),
    call(deleteTopics, 5, { topicNames: [topic], timeoutMs: 10_000, topics: [] }),
    session({ id, epoch: 1, version: 18 }),
    session({ id, epoch: 2, version: 18 }),
  ])
  sequence('two', 'two sessions side by side', ({ topic }) => [
    createTopic(topic),
    write(topic, ['a']),
    session({ epoch: 0, fetches: { [topic]: [0] } }),
    session({ epoch: 0, fetches: { [topic]: [1] } }),
    session({ id, epoch: 1, fetches: { [topic]: [1] } }),
    session({ id: sessionId(2), epoch: 1 }),
    write(topic, ['b']),
    session({ id, epoch: 2 }),
    session({ id: sessionId(2), epoch: 2 }),
  ])
})
