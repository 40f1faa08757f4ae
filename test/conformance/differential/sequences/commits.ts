import {
  deleteTopics,
  joinGroup,
  leaveGroup,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  syncGroup,
} from '@varve/protocol'
import { createTopic } from '../requests.js'
import { call, int64Max, memberId, noTopicId, type Step, subject, topicId, zeroId } from '../sequence.js'

interface Committing {
  version?: number
  generation?: number
  member?: string
  instance?: string
  partition?: number
  offset?: number | bigint
  metadata?: string | null
  epoch?: number
  retention?: number
}
const commit = (groupId: string, topic: string, options: Committing = {}): Step => {
  const {
    version = 9,
    generation,
    member,
    instance,
    partition = 0,
    offset = 5,
    metadata = 'm',
    epoch,
    retention,
  } = options
  return call(offsetCommit, version, {
    groupId,
    ...(generation !== undefined && { generationIdOrMemberEpoch: generation }),
    ...(member !== undefined && { memberId: member }),
    ...(instance !== undefined && { groupInstanceId: instance }),
    ...(retention !== undefined && { retentionTimeMs: retention }),
    topics: [
      {
        ...(version >= 10 ? { topicId: topic } : { name: topic }),
        partitions: [
          {
            partitionIndex: partition,
            committedOffset: offset,
            committedMetadata: metadata,
            ...(epoch !== undefined && { committedLeaderEpoch: epoch }),
          },
        ],
      },
    ],
  })
}
const committed = (groupId: string, topic: string | null, version = 9, partitionIndexes = [0]): Step => {
  const topics =
    topic === null ? null : [{ ...(version >= 10 ? { topicId: topic } : { name: topic }), partitionIndexes }]
  return call(
    offsetFetch,
    version,
    version >= 8
      ? { groups: [{ groupId, topics }] }
      : { groupId, topics: topics as { name: string; partitionIndexes: number[] }[] | null, groups: [] },
  )
}
const joined = (groupId: string): Step[] => [
  call(joinGroup, 3, {
    groupId,
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 30_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('m') }],
  }),
  call(syncGroup, 3, {
    groupId,
    generationId: 1,
    memberId: memberId('raw'),
    assignments: [{ memberId: memberId('raw'), assignment: Buffer.from('all') }],
  }),
]

export default subject('commits', (sequence) => {
  for (let version = 2; version <= 9; version++) {
    sequence(
      `v${version}`,
      `a commit of no member in version ${version}, read back in every version`,
      ({ topic, group }) => [
        createTopic(topic),
        commit(group, topic, { version }),
        ...[1, 2, 5, 6, 7, 8, 9].map((reading) => committed(group, topic, reading)),
        committed(group, null, 7),
        committed(group, null, 8),
        committed(`${group}-not`, topic, Math.min(version, 9)),
      ],
    )
  }
  sequence('v10', 'by ids', ({ topic, group }) => [
    createTopic(topic),
    commit(group, topicId(topic), { version: 10 }),
    committed(group, topicId(topic), 10),
    committed(group, null, 10),
    commit(group, noTopicId, { version: 10 }),
    commit(group, zeroId, { version: 10 }),
    committed(group, noTopicId, 10),
    committed(group, zeroId, 10),
    committed(group, topic, 9),
  ])
  sequence('unknown-topic', 'topics and partitions that do not exist', ({ topic, group }) => [
    createTopic(topic),
    commit(group, `${topic}-not`),
    commit(group, topic, { partition: 1 }),
    commit(group, topic, { partition: -1 }),
    commit(group, 'a/b'),
    committed(group, null),
    committed(group, topic, 9, [0, 1, -1]),
    committed(group, `${topic}-not`),
  ])
  sequence('offsets', 'offsets of every size', ({ topic, group }) => [
    createTopic(topic),
    ...[0, -1, -2, int64Max].flatMap((offset) => [commit(group, topic, { offset }), committed(group, topic)]),
  ])
  sequence('metadata', 'metadata of every size', ({ topic, group }) => [
    createTopic(topic),
    ...[null, '', 'x'.repeat(4096), 'x'.repeat(4097)].flatMap((metadata) => [
      commit(group, topic, { metadata }),
      committed(group, topic),
    ]),
  ])
  sequence('leader-epochs', 'leader epochs of every kind', ({ topic, group }) => [
    createTopic(topic),
    ...[0, 7, -1, -2].flatMap((epoch) => [commit(group, topic, { epoch }), committed(group, topic)]),
  ])
  sequence('retention', 'a retention time of one’s own', ({ topic, group }) => [
    createTopic(topic),
    ...[0, -1, 60_000].map((retention) => commit(group, topic, { version: 4, retention })),
    committed(group, topic),
  ])
  for (const version of [2, 6, 7, 9]) {
    sequence(
      `member-v${version}`,
      `members, known and unknown, in version ${version}`,
      ({ topic, group }) => [
        createTopic(topic),
        commit(group, topic, { version, generation: 1, member: 'made-up' }),
        commit(group, topic, { version, generation: -1, member: 'made-up' }),
        commit(group, topic, { version, generation: 3, member: '' }),
        ...joined(group),
        commit(group, topic, { version, generation: 1, member: memberId('raw') }),
        commit(group, topic, { version, generation: 0, member: memberId('raw') }),
        commit(group, topic, { version, generation: 2, member: memberId('raw') }),
        commit(group, topic, { version, generation: -1, member: memberId('raw') }),
        commit(group, topic, { version, generation: 1, member: 'made-up' }),
        commit(group, topic, { version, generation: -1, member: '' }),
        commit(group, topic, { version, generation: 1, member: '' }),
        ...(version >= 7
          ? [commit(group, topic, { version, generation: 1, member: memberId('raw'), instance: 'one' })]
          : []),
        call(leaveGroup, 3, { groupId: group, members: [{ memberId: memberId('raw') }] }),
        commit(group, topic, { version, generation: 1, member: memberId('raw') }),
        commit(group, topic, { version, generation: -1, member: '' }),
      ],
    )
  }
  sequence('fetch-as-member', 'offsets read as a member', ({ topic, group }) => [
    createTopic(topic),
    ...joined(group),
    ...[
      [memberId('raw'), 1],
      [memberId('raw'), 9],
      ['made-up', 1],
      [null, 1],
    ].map(([member, memberEpoch]) =>
      call(offsetFetch, 9, {
        groups: [
          {
            groupId: group,
            memberId: member as string | null,
            memberEpoch: memberEpoch as number,
            topics: [{ name: topic, partitionIndexes: [0] }],
          },
        ],
      }),
    ),
  ])
  sequence('empty-group', 'a group without a name', ({ topic }) => [
    createTopic(topic),
    commit('', topic),
    commit('', topic, { version: 2 }),
    committed('', topic),
    committed('', topic, 1),
  ])
  sequence('nothing', 'no topics', ({ group }) => [
    call(offsetCommit, 9, { groupId: group, topics: [] }),
    call(offsetFetch, 9, { groups: [] }),
    call(offsetFetch, 9, { groups: [{ groupId: group, topics: [] }] }),
    call(offsetFetch, 7, { groupId: group, topics: [], groups: [] }),
    call(offsetFetch, 1, { groupId: group, topics: [], groups: [] }),
  ])
  sequence('group-twice', 'one group twice', ({ topic, group }) => [
    createTopic(topic),
    commit(group, topic),
    call(offsetFetch, 9, {
      groups: [
        { groupId: group, topics: null },
        { groupId: group, topics: [{ name: topic, partitionIndexes: [0, 0] }] },
      ],
      requireStable: true,
    }),
  ])
  sequence('topic-deleted', 'offsets of a topic that is deleted', ({ topic, group }) => [
    createTopic(topic),
    commit(group, topic),
    call(deleteTopics, 5, { topicNames: [topic], timeoutMs: 10_000, topics: [] }),
    commit(group, topic),
    commit(group, topicId(topic), { version: 10 }),
  ])
  const removed = (groupId: string, name: string, ...indexes: number[]): Step =>
    call(offsetDelete, 0, {
      groupId,
      topics: [{ name, partitions: indexes.map((partitionIndex) => ({ partitionIndex })) }],
    })
  sequence('delete', 'offsets deleted, known and unknown', ({ topic, group }) => [
    createTopic(topic),
    removed(group, topic, 0),
    removed('', topic, 0),
    commit(group, topic),
    removed(group, topic, 0, 1),
    removed(group, `${topic}-not`, 0),
    call(offsetDelete, 0, { groupId: group, topics: [] }),
    committed(group, null),
  ])
  sequence('delete-in-use', 'offsets deleted of a group with members', ({ topic, group }) => [
    createTopic(topic),
    ...joined(group),
    commit(group, topic, { generation: 1, member: memberId('raw') }),
    removed(group, topic, 0),
    committed(group, topic),
  ])
})
