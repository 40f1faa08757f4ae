import {
  createPartitions,
  deleteRecords,
  deleteTopics,
  fetch,
  listOffsets,
  offsetForLeaderEpoch,
} from '@varve/protocol'
import { createTopic, type Fetching, fetchFrom, write } from '../requests.js'
import { call, int64Max, noTopicId, type Step, subject, topicId, zeroId } from '../sequence.js'

const three = (topic: string): Step[] => [
  createTopic(topic),
  write(topic, ['a', 'b']),
  write(topic, ['c'], { timestamp: 5000 }),
  write(topic, ['d'], { timestamp: 3000 }),
]

const list = (topic: string, timestamps: readonly (number | bigint)[], options: Listing = {}): Step[] =>
  timestamps.map((timestamp) =>
    call(listOffsets, options.version ?? 11, {
      replicaId: options.replicaId ?? -1,
      isolationLevel: options.isolationLevel ?? 0,
      topics: [
        {
          name: topic,
          partitions: [
            {
              partitionIndex: options.partition ?? 0,
              timestamp,
              ...(options.epoch !== undefined && { currentLeaderEpoch: options.epoch }),
            },
          ],
        },
      ],
    }),
  )
interface Listing {
  version?: number
  partition?: number
  epoch?: number
  replicaId?: number
  isolationLevel?: number
}

const epochs = (
  topic: string,
  leaderEpoch: number,
  currentLeaderEpoch = -1,
  partition = 0,
  version = 4,
): Step =>
  call(offsetForLeaderEpoch, version, {
    replicaId: -1,
    topics: [{ topic, partitions: [{ partition, currentLeaderEpoch, leaderEpoch }] }],
  })

const deletion = (topic: string, offset: number | bigint, partitionIndex = 0, version = 2): Step =>
  call(deleteRecords, version, {
    topics: [{ name: topic, partitions: [{ partitionIndex, offset }] }],
    timeoutMs: 5000,
  })

export default subject('fetch', (sequence) => {
  const odd: Record<string, [string, Fetching]> = {
    'at-end': ['at the end', { offset: 4 }],
    'beyond-end': ['beyond the end', { offset: 5 }],
    'offset-negative': ['a negative offset', { offset: -1 }],
    'offset-max': ['offset 2^63 − 1', { offset: int64Max }],
    'offset-in-batch': ['an offset within a batch', { offset: 1 }],
    'partition-unknown': ['a partition that the topic does not have', { partition: 7 }],
    'partition-negative': ['a negative partition', { partition: -1 }],
    'epoch-current': ['the current leader epoch', { currentLeaderEpoch: 0 }],
    'epoch-ahead': ['a leader epoch from the future', { currentLeaderEpoch: 9 }],
    'epoch-negative': ['a leader epoch of −2', { currentLeaderEpoch: -2 }],
    'fetched-epoch': ['the last fetched epoch', { lastFetchedEpoch: 0 }],
    'fetched-epoch-ahead': ['a last fetched epoch from the future', { lastFetchedEpoch: 9, offset: 4 }],
    'fetched-epoch-beyond-end': [
      'the last fetched epoch, beyond the end',
      { lastFetchedEpoch: 0, offset: 9 },
    ],
    'max-bytes-0': ['not a byte', { maxBytes: 0 }],
    'max-bytes-1': ['one byte, which brings one batch', { maxBytes: 1 }],
    'max-bytes-negative': ['negative bytes', { maxBytes: -1 }],
    'partition-max-bytes-0': ['not a byte of the partition', { partitionMaxBytes: 0 }],
    'partition-max-bytes-negative': ['negative bytes of the partition', { partitionMaxBytes: -1 }],
    'partition-max-bytes-100': ['a hundred bytes, one batch and a piece', { partitionMaxBytes: 100 }],
    'read-committed': ['committed records', { isolationLevel: 1 }],
    'isolation-unknown': ['an isolation level that there is not', { isolationLevel: 2 }],
  }
  for (const [name, [story, options]] of Object.entries(odd)) {
    sequence(name, story, ({ topic }) => [
      ...three(topic),
      fetchFrom(topic, options),
      fetchFrom(topicId(topic), { ...options, version: 18 }),
    ])
  }
  for (let version = 4; version <= 12; version++) {
    sequence(`v${version}`, `version ${version}, good and bad`, ({ topic }) => [
      ...three(topic),
      fetchFrom(topic, { version }),
      fetchFrom(topic, { version, offset: 99 }),
      fetchFrom(`${topic}-not`, { version }),
    ])
  }
  for (let version = 13; version <= 18; version++) {
    sequence(`v${version}`, `version ${version}, good and bad`, ({ topic }) => [
      ...three(topic),
      fetchFrom(topicId(topic), { version }),
      fetchFrom(topicId(topic), { version, offset: 99 }),
      fetchFrom(noTopicId, { version }),
      fetchFrom(zeroId, { version }),
    ])
  }
  sequence('topic-deleted', 'a topic that is deleted and created again', ({ topic }) => [
    ...three(topic),
    fetchFrom(topicId(topic), { version: 13 }),
    call(deleteTopics, 5, { topicNames: [topic], timeoutMs: 10_000, topics: [] }),
    fetchFrom(topicId(topic), { version: 13 }),
    fetchFrom(topic, { version: 12 }),
  ])
  sequence('invalid-name', 'names that no topic can have', () => [fetchFrom(''), fetchFrom('a/b')])
  sequence('partition-twice', 'the same partition twice', ({ topic }) => [
    ...three(topic),
    call(fetch, 12, {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [
        {
          topic,
          partitions: [
            { partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 },
            { partition: 0, fetchOffset: 3, partitionMaxBytes: 1000 },
          ],
        },
      ],
      forgottenTopicsData: [],
    }),
  ])
  sequence('nothing', 'no topics', () => [
    call(fetch, 12, { maxWaitMs: 0, minBytes: 0, topics: [], forgottenTopicsData: [] }),
  ])
  sequence('as-replica', 'a replica id from someone who is none', ({ topic }) => [
    ...three(topic),
    ...[0, 1, 9, -2].map((replicaId) =>
      call(fetch, 12, {
        replicaId,
        maxWaitMs: 0,
        minBytes: 0,
        topics: [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
        forgottenTopicsData: [],
      }),
    ),
  ])
  sequence('waits-for-bytes', 'a fetch that waits until a batch comes', ({ topic }) => [
    createTopic(topic),
    call(
      fetch,
      12,
      {
        maxWaitMs: 15_000,
        minBytes: 1,
        topics: [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
        forgottenTopicsData: [],
      },
      { as: 'waiting', answer: 'later' },
    ),
    write(topic, ['at last']),
    { kind: 'answer', as: 'waiting' },
  ])
  sequence('waits-for-deletion', 'a topic deleted under a fetch that waits', ({ topic }) => [
    createTopic(topic),
    call(
      fetch,
      12,
      {
        maxWaitMs: 3000,
        minBytes: 1,
        topics: [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
        forgottenTopicsData: [],
      },
      { as: 'waiting', answer: 'later' },
    ),
    call(deleteTopics, 5, { topicNames: [topic], timeoutMs: 10_000, topics: [] }),
    { kind: 'answer', as: 'waiting' },
  ])

  sequence('list-specials', 'every special timestamp', ({ topic }) => [
    ...three(topic),
    ...list(topic, [-1, -2, -3, -4, -5, -6, -7, -100, 0, int64Max]),
  ])
  sequence('list-specials-empty', 'every special timestamp of an empty log', ({ topic }) => [
    createTopic(topic),
    ...list(topic, [-1, -2, -3, -4, -5, -6, 0]),
  ])
  sequence('list-times', 'times before, at, between and after those of the records', ({ topic }) => [
    ...three(topic),
    ...list(topic, [999, 1000, 1001, 1002, 4000, 5000, 5001]),
  ])
  for (const version of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) {
    sequence(
      `list-v${version}`,
      `version ${version}, also for specials that it does not know`,
      ({ topic }) => [
        ...three(topic),
        ...list(topic, [-1, -2, -3, -4, -5, -6, 1001], { version }),
        ...list(`${topic}-not`, [-1], { version }),
      ],
    )
  }
  sequence('list-epochs', 'leader epochs, right and wrong', ({ topic }) => [
    ...three(topic),
    ...[0, 1, 9, -2].flatMap((epoch) => list(topic, [-1], { epoch })),
  ])
  sequence('list-unknown', 'partitions that there are not', ({ topic }) => [
    createTopic(topic),
    ...list(topic, [-1], { partition: 1 }),
    ...list(topic, [-1], { partition: -1 }),
    ...list('a/b', [-1]),
    ...list('', [-1]),
  ])
  sequence('list-replicas', 'replica ids and isolation levels', ({ topic }) => [
    ...three(topic),
    ...[0, 1, 7, -2, -3].flatMap((replicaId) => list(topic, [-1], { replicaId })),
    ...[1, 2].flatMap((isolationLevel) => list(topic, [-1, -3, 1001], { isolationLevel })),
  ])
  sequence('list-twice', 'the same partition twice', ({ topic }) => [
    ...three(topic),
    ...[5, 11].map((version) =>
      call(listOffsets, version, {
        replicaId: -1,
        isolationLevel: 0,
        topics: [
          {
            name: topic,
            partitions: [
              { partitionIndex: 0, timestamp: -1 },
              { partitionIndex: 0, timestamp: -2 },
            ],
          },
        ],
      }),
    ),
  ])

  sequence('epochs', 'the end of every epoch that may be asked for', ({ topic }) => [
    ...three(topic),
    ...[0, 1, 9, -1, -2].map((epoch) => epochs(topic, epoch)),
    ...[0, 1, -2].map((current) => epochs(topic, 0, current)),
    epochs(topic, 0, -1, 5),
    epochs(`${topic}-not`, 0),
    ...[2, 3].map((version) => epochs(topic, 0, -1, 0, version)),
  ])
  sequence('epochs-empty', 'epochs of an empty log', ({ topic }) => [
    createTopic(topic),
    ...[0, 1, -1].map((epoch) => epochs(topic, epoch)),
  ])

  for (const [name, offset] of [
    ['beyond-end', 5],
    ['max', int64Max],
    ['negative', -2],
    ['to-end', 4],
    ['high-watermark', -1],
    ['zero', 0],
    ['within-batch', 1],
  ] as const) {
    sequence(`delete-${name}`, `records deleted before ${offset}`, ({ topic }) => [
      ...three(topic),
      deletion(topic, offset),
      ...list(topic, [-2, -1, 1001, -3]),
      fetchFrom(topic),
      fetchFrom(topic, { offset: 2 }),
      epochs(topic, 0),
    ])
  }
  sequence('delete-twice', 'deleting less than before', ({ topic }) => [
    ...three(topic),
    deletion(topic, 3),
    deletion(topic, 1),
    deletion(topic, 3, 0, 0),
    deletion(topic, 3, 0, 1),
  ])
  sequence('delete-unknown', 'records of what does not exist', ({ topic }) => [
    createTopic(topic),
    deletion(topic, 0, 1),
    deletion(topic, 0, -1),
    deletion(`${topic}-not`, 0),
    deletion('a/b', 0),
    call(deleteRecords, 2, { topics: [], timeoutMs: 1000 }),
  ])
  sequence('delete-refused', 'records of topics that are not for deletion', ({ topic }) => [
    createTopic(topic, { configs: { 'cleanup.policy': 'compact' } }),
    write(topic, ['a'], { key: 'k' }),
    deletion(topic, 1),
    deletion('__consumer_offsets', 0),
  ])
  sequence('partitions-added', 'a partition that comes later', ({ topic }) => [
    createTopic(topic),
    fetchFrom(topic, { partition: 1 }),
    call(createPartitions, 3, {
      topics: [{ name: topic, count: 2, assignments: null }],
      timeoutMs: 5000,
      validateOnly: false,
    }),
    fetchFrom(topic, { partition: 1 }),
    ...list(topic, [-1], { partition: 1 }),
  ])
})
