// The rules of groups are tested by themselves; here it is what clients see of them, in every version of every request: a
// field that a version lacks, an error in the wrong place, or a frame that is read again after it was given back, and a
// client of ten years ago cannot join.
import {
  deleteGroups,
  describeGroups,
  errors,
  heartbeat,
  joinGroup,
  leaveGroup,
  listGroups,
  offsetCommit,
  offsetDelete,
  offsetFetch,
} from '@varve/protocol'
import { describe, expect, test } from 'vitest'
import { commit, join, sync } from '../support/group-requests.js'
import { protocol } from '../support/group-shard-harness.js'
import { settle, startTestBroker, until } from '../support/test-broker.js'

const from = (min: number, max: number): number[] => Array.from({ length: max - min + 1 }, (_, n) => min + n)

describe('a member in every version', () => {
  test.each(from(0, 9))('JoinGroup %i', async (version) => {
    const { connect } = await startTestBroker()
    const client = await connect()
    const joined = await join(client, version)
    const { memberId } = joined
    expect(memberId).toMatch(/^raw-[0-9a-f-]{36}$/)
    expect(joined).toMatchObject({
      errorCode: 0,
      generationId: 1,
      protocolType: version >= 7 ? 'consumer' : null,
      protocolName: 'range',
      leader: memberId,
      skipAssignment: false,
      members: [{ memberId, groupInstanceId: null, metadata: protocol('range').metadata }],
    })
    const refused = await client.request(joinGroup, version, {
      groupId: '',
      sessionTimeoutMs: 10_000,
      memberId: 'x',
      protocolType: 'consumer',
      protocols: [],
    })
    expect(refused).toMatchObject({
      errorCode: errors.INVALID_GROUP_ID.code,
      memberId: 'x',
      protocolName: version >= 7 ? null : '',
    })
  })

  test.each(from(0, 5))('SyncGroup %i', async (version) => {
    const { connect } = await startTestBroker()
    const client = await connect()
    const joined = await join(client, 5)
    expect(await sync(client, version, joined)).toMatchObject({
      errorCode: 0,
      protocolType: version >= 5 ? 'consumer' : null,
      protocolName: version >= 5 ? 'range' : null,
      assignment: Buffer.from('mine'),
    })
    const refused = await sync(client, version, { ...joined, generationId: 7 })
    expect(refused).toMatchObject({ errorCode: errors.ILLEGAL_GENERATION.code, assignment: Buffer.alloc(0) })
  })

  test.each(from(0, 4))('Heartbeat %i', async (version) => {
    const { connect } = await startTestBroker()
    const client = await connect()
    const { memberId, generationId } = await join(client, 5)
    const beat = async (id: string) =>
      (await client.request(heartbeat, version, { groupId: 'g', generationId, memberId: id })).errorCode
    expect(await beat(memberId)).toBe(0)
    expect(await beat('x')).toBe(errors.UNKNOWN_MEMBER_ID.code)
  })

  test.each(from(0, 5))('LeaveGroup %i', async (version) => {
    const { connect } = await startTestBroker()
    const client = await connect()
    const { memberId } = await join(client, 5)
    const members = [{ memberId }, { memberId: 'x' }]
    if (version < 3) {
      expect(await client.request(leaveGroup, version, { groupId: 'g', memberId: 'x' })).toMatchObject({
        errorCode: errors.UNKNOWN_MEMBER_ID.code,
      })
      expect(await client.request(leaveGroup, version, { groupId: 'g', memberId })).toMatchObject({
        errorCode: 0,
      })
    } else {
      expect(await client.request(leaveGroup, version, { groupId: 'g', members })).toMatchObject({
        errorCode: 0,
        members: [
          { memberId, groupInstanceId: null, errorCode: 0 },
          { memberId: 'x', groupInstanceId: null, errorCode: errors.UNKNOWN_MEMBER_ID.code },
        ],
      })
    }
  })
})

test('what a member said and was assigned does not change when its frames are used again', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const joined = await join(client, 9)
  await sync(client, 5, joined, 'mine')
  // As large as what was copied, with other bytes.
  for (let n = 0; n < 5; n++)
    await client.request(heartbeat, 4, { groupId: '#'.repeat(80), generationId: 0, memberId: '#'.repeat(80) })
  const { groups } = await client.request(describeGroups, 5, {
    groups: ['g'],
    includeAuthorizedOperations: false,
  })
  expect(groups[0]!.members[0]).toMatchObject({
    memberMetadata: protocol('range').metadata,
    memberAssignment: Buffer.from('mine'),
  })
})

test('a member waits on its connection until the others have joined', async () => {
  const { connect } = await startTestBroker()
  const [a, b] = [await connect(), await connect()]
  const first = await join(a, 9)
  await sync(a, 5, first)
  const joining = join(b, 9)
  await settle()
  const again = await join(a, 9, { memberId: first.memberId })
  const second = await joining
  expect([again.generationId, second.generationId]).toEqual([2, 2])
  expect(again.members).toHaveLength(2)
  expect(second.members).toEqual([])
})

test.each([
  [5_999, errors.INVALID_SESSION_TIMEOUT],
  [1_800_001, errors.INVALID_SESSION_TIMEOUT],
  [6_000, errors.NONE],
  [1_800_000, errors.NONE],
])('a session of %i ms', async (sessionTimeoutMs, error) => {
  const { connect } = await startTestBroker()
  expect((await join(await connect(), 9, { sessionTimeoutMs })).errorCode).toBe(error.code)
})

describe('offsets in every version', () => {
  test.each(from(2, 9))('OffsetCommit %i', async (version) => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('t')
    const client = await connect()
    const partition = (partitionIndex: number) => ({
      partitionIndex,
      committedOffset: 3,
      committedMetadata: null,
    })
    const { topics } = await client.request(offsetCommit, version, {
      groupId: 'g',
      topics: [
        { name: 't', partitions: [partition(0), partition(9)] },
        { name: 'unknown', partitions: [partition(0)] },
      ],
    })
    const unknown = errors.UNKNOWN_TOPIC_OR_PARTITION.code
    expect(topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).toEqual([
      [0, unknown],
      [unknown],
    ])
    const stale = await commit(client, version, 4, {
      groupId: 'new',
      generationIdOrMemberEpoch: 3,
      memberId: 'x',
    })
    const { code } = version >= 9 ? errors.GROUP_ID_NOT_FOUND : errors.ILLEGAL_GENERATION
    expect(stale.topics[0]!.partitions[0]!.errorCode).toBe(code)
  })

  test('OffsetCommit and OffsetFetch 10 name topics by id', async () => {
    const { connect, createTopic } = await startTestBroker()
    const topicId = await createTopic('t')
    const client = await connect()
    const other = topicId.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))
    const at = { partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: '' }] }
    const { topics } = await client.request(offsetCommit, 10, {
      groupId: 'g',
      topics: [
        { topicId, ...at },
        { topicId: other, ...at },
      ],
    })
    expect(topics).toMatchObject([
      { topicId, partitions: [{ errorCode: 0 }] },
      { topicId: other, partitions: [{ errorCode: errors.UNKNOWN_TOPIC_ID.code }] },
    ])
    const ask = async (asked: object[] | null) =>
      (await client.request(offsetFetch, 10, { groups: [{ groupId: 'g', topics: asked as never }] }))
        .groups[0]!
    const [known, unknown] = [
      { topicId, partitionIndexes: [0] },
      { topicId: other, partitionIndexes: [0] },
    ]
    expect((await ask([known, unknown])).topics).toMatchObject([
      { topicId, partitions: [{ committedOffset: 3, errorCode: 0 }] },
      { topicId: other, partitions: [{ committedOffset: -1, errorCode: errors.UNKNOWN_TOPIC_ID.code }] },
    ])
    expect((await ask(null)).topics).toMatchObject([{ topicId, partitions: [{ committedOffset: 3 }] }])
  })

  test.each(from(1, 7))('OffsetFetch %i', async (version) => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('t', 2)
    const client = await connect()
    const nothing = { committedOffset: -1, metadata: '', errorCode: 0 }
    const ask = (topics: { name: string; partitionIndexes: number[] }[] | null) =>
      client.request(offsetFetch, version, { groupId: 'g', topics })
    expect((await ask([{ name: 't', partitionIndexes: [0] }])).topics).toMatchObject([
      { name: 't', partitions: [{ partitionIndex: 0, ...nothing }] },
    ])
    await commit(client, 8, 3, {})
    expect(await ask([{ name: 't', partitionIndexes: [0, 1] }])).toMatchObject({
      errorCode: 0,
      topics: [
        {
          name: 't',
          partitions: [
            { committedOffset: 3, metadata: 'at 3' },
            { partitionIndex: 1, ...nothing },
          ],
        },
      ],
    })
    if (version >= 2) {
      expect((await ask(null)).topics).toMatchObject([{ name: 't', partitions: [{ committedOffset: 3 }] }])
    }
  })

  test.each([8, 9])('OffsetFetch %i asks for several groups', async (version) => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('t')
    const client = await connect()
    await commit(client, 8, 3)
    await commit(client, 8, 5, { groupId: 'h' })
    const { groups } = await client.request(offsetFetch, version, {
      groups: [
        { groupId: 'g', topics: [{ name: 't', partitionIndexes: [0] }] },
        { groupId: 'h', topics: null },
        { groupId: 'none', topics: null },
      ],
      requireStable: true,
    })
    expect(groups).toMatchObject([
      { groupId: 'g', errorCode: 0, topics: [{ partitions: [{ committedOffset: 3 }] }] },
      { groupId: 'h', errorCode: 0, topics: [{ name: 't', partitions: [{ committedOffset: 5 }] }] },
      { groupId: 'none', errorCode: 0, topics: [] },
    ])
  })
})

describe('what administrators see', () => {
  test.each(from(0, 6))('DescribeGroups %i', async (version) => {
    const { connect } = await startTestBroker()
    const client = await connect()
    const asked = { groups: ['g', 'none'], includeAuthorizedOperations: version >= 3 }
    const joined = await join(client, 5, { groupInstanceId: 'i' })
    const [before] = (await client.request(describeGroups, version, asked)).groups
    expect(before).toMatchObject({
      groupState: 'CompletingRebalance',
      protocolData: '',
      members: [{ memberMetadata: Buffer.alloc(0), memberAssignment: Buffer.alloc(0) }],
    })
    await sync(client, 5, joined)
    const { groups } = await client.request(describeGroups, version, asked)
    const operations = version >= 3 ? 0b1101_0100_1000 : -(2 ** 31)
    expect(groups).toMatchObject([
      {
        errorCode: 0,
        groupId: 'g',
        groupState: 'Stable',
        protocolType: 'consumer',
        protocolData: 'range',
        authorizedOperations: operations,
        members: [
          {
            memberId: joined.memberId,
            groupInstanceId: version >= 4 ? 'i' : null,
            clientId: 'raw',
            clientHost: '/127.0.0.1',
            memberMetadata: protocol('range').metadata,
            memberAssignment: Buffer.from('mine'),
          },
        ],
      },
      {
        errorCode: version >= 6 ? errors.GROUP_ID_NOT_FOUND.code : 0,
        groupId: 'none',
        groupState: 'Dead',
        members: [],
      },
    ])
  })

  test.each(from(0, 5))('ListGroups %i', async (version) => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('t')
    const client = await connect()
    const list = async (filters: object = {}) =>
      (await client.request(listGroups, version, { statesFilter: [], typesFilter: [], ...filters })).groups
    expect(await list()).toEqual([])
    await commit(client, 8, 3, { groupId: 'simple' })
    await sync(client, 5, await join(client, 5))
    const [state, type] = [version >= 4, version >= 5]
    expect(await list()).toEqual([
      {
        groupId: 'simple',
        protocolType: '',
        groupState: state ? 'Empty' : '',
        groupType: type ? 'classic' : '',
      },
      {
        groupId: 'g',
        protocolType: 'consumer',
        groupState: state ? 'Stable' : '',
        groupType: type ? 'classic' : '',
      },
    ])
    if (state) expect(await list({ statesFilter: ['stable', 'Dead'] })).toMatchObject([{ groupId: 'g' }])
    if (type) expect(await list({ typesFilter: ['Classic'] })).toHaveLength(2)
    if (type) expect(await list({ typesFilter: ['consumer'] })).toEqual([])
  })

  test.each(from(0, 3))('DeleteGroups %i', async (version) => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('t')
    const client = await connect()
    const ask = async () =>
      (await client.request(deleteGroups, version, { groupsNames: ['g', 'empty', 'none'] })).results
    expect((await ask()).map(({ errorCode }) => errorCode)).toEqual(
      Array(3).fill(errors.GROUP_ID_NOT_FOUND.code),
    )
    await join(client, 5)
    await commit(client, 8, 3, { groupId: 'empty' })
    const results = await ask()
    expect(results.map(({ groupId, errorCode }) => [groupId, errorCode])).toEqual([
      ['g', errors.NON_EMPTY_GROUP.code],
      ['empty', 0],
      ['none', errors.GROUP_ID_NOT_FOUND.code],
    ])
    expect(results[0]!.errorMessage).toBe(version >= 3 ? errors.NON_EMPTY_GROUP.message : null)
  })

  test('OffsetDelete', async () => {
    const { connect, createTopic } = await startTestBroker()
    for (const topic of ['t', 'read']) await createTopic(topic)
    const client = await connect()
    const topics = ['t', 'read', 'unknown'].map((name) => ({ name, partitions: [{ partitionIndex: 0 }] }))
    const ask = (groupId: string) => client.request(offsetDelete, 0, { groupId, topics })
    expect(await ask('g')).toMatchObject({ errorCode: errors.GROUP_ID_NOT_FOUND.code, topics: [] })
    await commit(client, 8, 3)
    await sync(client, 5, await join(client, 5, { topics: ['read'] }))
    expect(await ask('g')).toMatchObject({
      errorCode: 0,
      topics: [
        { name: 't', partitions: [{ errorCode: 0 }] },
        { name: 'read', partitions: [{ errorCode: errors.GROUP_SUBSCRIBED_TO_TOPIC.code }] },
        { name: 'unknown', partitions: [{ errorCode: errors.UNKNOWN_TOPIC_OR_PARTITION.code }] },
      ],
    })
    const left = await client.request(offsetFetch, 7, { groupId: 'g', topics: null })
    expect(left.topics).toEqual([])
  })
})

test('a broker that closes does not wait for those who wait for a rebalance', async () => {
  const { broker, connect, lines } = await startTestBroker({ groups: { initialRebalanceDelayMs: 60_000 } })
  const client = await connect()
  const joining = join(client, 9)
  await until(() => lines.some((line) => line.includes('prepares to rebalance')), 'it waits')
  const closed = broker.close()
  expect((await joining).errorCode).toBe(errors.NOT_COORDINATOR.code)
  await closed
})

test.each([
  [{ maxSize: 0 }, 'groups.maxSize must be an integer from 1 to 2147483647, not 0'],
  // A topic with smaller ones could never be altered.
  [
    { offsetsTopicSegmentBytes: 1_000_000 },
    'groups.offsetsTopicSegmentBytes must be an integer from 1048576 to 2147483647, not 1000000',
  ],
  [
    { minSessionTimeoutMs: 9, maxSessionTimeoutMs: 8 },
    'groups.minSessionTimeoutMs, 9, is above maxSessionTimeoutMs, 8',
  ],
  [
    { offsetsTopicPartitions: 1.5 },
    'groups.offsetsTopicPartitions must be an integer from 1 to 10000, not 1.5',
  ],
])('options are checked: %j', async (groups, message) => {
  await expect(startTestBroker({ groups })).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION', message })
})
