// A group is known to its coordinator alone. Whoever asks another broker gets NOT_COORDINATOR, whoever asks while the
// coordinator moves gets errors that pass, and an answer in one of ten versions of OffsetFetch must not lose an offset.

import { expect, test } from 'vitest'
import { consumerAssignment, consumerSubscription, errors } from '@varve/protocol'
import { coordinate, startAdmin } from './scripted-admin.js'

const group = (groupId: string, more: object = {}): any => ({
  errorCode: 0,
  groupId,
  groupState: 'Stable',
  protocolType: 'consumer',
  protocolData: 'range',
  members: [],
  ...more,
})

const described = ({ body }: any): any => ({
  throttleTimeMs: 0,
  groups: body.groups.map((groupId: string) => group(groupId)),
})

test('each group is asked of its own coordinator, in the order of the call', async () => {
  const { cluster, admin } = await startAdmin(3)
  coordinate(cluster, (groupId) => (groupId === 'b' ? 2 : 1))
  for (const broker of cluster.brokers) broker.on('DescribeGroups', described)
  expect(await admin.describeGroups(['b', 'a', 'c'])).toMatchObject([
    { groupId: 'b', coordinator: 2 },
    { groupId: 'a', coordinator: 1 },
    { groupId: 'c', coordinator: 1 },
  ])
  expect(cluster.brokers.map((broker) => broker.count('DescribeGroups'))).toEqual([0, 1, 1])
})

test('a broker that finds one coordinator at a time is asked once for each group', async () => {
  const { cluster, admin } = await startAdmin(2, {}, { FindCoordinator: [0, 3] })
  coordinate(cluster, () => 1)
  cluster.brokers[1]!.on('DescribeGroups', described)
  expect(await admin.describeGroups(['a', 'b'])).toHaveLength(2)
  expect(cluster.brokers[0]!.count('FindCoordinator') + cluster.brokers[1]!.count('FindCoordinator')).toBe(2)
})

test('a coordinator that has moved is found again, and only its groups are asked again', async () => {
  const { cluster, admin } = await startAdmin(2)
  let moved = false
  coordinate(cluster, (groupId) => (moved && groupId === 'a' ? 1 : 0))
  cluster.brokers[0]!.on('DescribeGroups', ({ body }) => {
    moved = true
    return {
      throttleTimeMs: 0,
      groups: body.groups.map((groupId: string) =>
        group(groupId, groupId === 'a' ? { errorCode: errors.NOT_COORDINATOR.code, groupState: '' } : {}),
      ),
    }
  })
  cluster.brokers[1]!.on('DescribeGroups', described)
  expect(await admin.describeGroups(['a', 'b'])).toMatchObject([
    { groupId: 'a', coordinator: 1 },
    { groupId: 'b', coordinator: 0 },
  ])
  expect((await cluster.brokers[1]!.received('DescribeGroups')).body.groups).toEqual(['a'])
})

test('members of a group of consumers come with their topics and partitions', async () => {
  const { cluster, admin } = await startAdmin()
  coordinate(cluster, () => 0)
  const member = {
    memberId: 'm-1',
    groupInstanceId: 'one',
    clientId: 'c',
    clientHost: '/127.0.0.1',
    memberMetadata: consumerSubscription.encode({ topics: ['t', 'u'] }, 1),
    memberAssignment: consumerAssignment.encode(
      { assignedPartitions: [{ topic: 't', partitions: [0, 2] }] },
      1,
    ),
  }
  const joining = { ...member, memberId: 'm-2', groupInstanceId: null, memberAssignment: Buffer.alloc(0) }
  cluster.brokers[0]!.on('DescribeGroups', () => ({
    throttleTimeMs: 0,
    groups: [group('g', { members: [member, joining] })],
  }))
  const [found] = await admin.describeGroups(['g'])
  expect(found).toMatchObject({ state: 'Stable', type: 'classic', assignor: 'range' })
  expect(found!.members).toEqual([
    {
      memberId: 'm-1',
      groupInstanceId: 'one',
      clientId: 'c',
      clientHost: '/127.0.0.1',
      topics: ['t', 'u'],
      assignment: [
        { topic: 't', partition: 0 },
        { topic: 't', partition: 2 },
      ],
    },
    expect.objectContaining({ memberId: 'm-2', topics: ['t', 'u'], assignment: [] }),
  ])
})

test('what a member wrote and nobody can read does not hide the others', async () => {
  const { cluster, admin } = await startAdmin()
  coordinate(cluster, () => 0)
  const member = (memberId: string, memberMetadata: Buffer, memberAssignment: Buffer) => ({
    memberId,
    groupInstanceId: null,
    clientId: 'c',
    clientHost: '/h',
    memberMetadata,
    memberAssignment,
  })
  const subscription = consumerSubscription.encode({ topics: ['t'] }, 1)
  const odd = member('odd', Buffer.from('not a subscription'), Buffer.from([0, 1, 0x7f, 0xff, 0xff, 0xff]))
  cluster.brokers[0]!.on('DescribeGroups', () => ({
    throttleTimeMs: 0,
    groups: [
      group('odd', { members: [odd, member('even', subscription, Buffer.alloc(0))] }),
      group('even', { members: [member('m', subscription, Buffer.alloc(0))] }),
    ],
  }))
  const found = await admin.describeGroups(['odd', 'even'])
  expect(found.map(({ members }) => members.map(({ topics }) => topics))).toEqual([[[], ['t']], [['t']]])
  expect(found[0]!.members[0]!.assignment).toEqual([])
})

test.each([5, 6])('a group that is not there is an error in version %i', async (version) => {
  const { cluster, admin } = await startAdmin(
    1,
    {},
    { DescribeGroups: [0, version], ConsumerGroupDescribe: null },
  )
  coordinate(cluster, () => 0)
  const answer =
    version === 6 ? { errorCode: errors.GROUP_ID_NOT_FOUND.code, groupState: '' } : { groupState: 'Dead' }
  cluster.brokers[0]!.on('DescribeGroups', () => ({ throttleTimeMs: 0, groups: [group('g', answer)] }))
  await expect(admin.describeGroups(['g'])).rejects.toMatchObject({ kafkaName: 'GROUP_ID_NOT_FOUND' })
})

test('a group of the consumer protocol is described by the request that knows it', async () => {
  const { cluster, admin } = await startAdmin()
  coordinate(cluster, () => 0)
  cluster.brokers[0]!.on('DescribeGroups', ({ body }) => ({
    throttleTimeMs: 0,
    groups: body.groups.map((groupId: string) =>
      groupId === 'new' ? group(groupId, { errorCode: errors.GROUP_ID_NOT_FOUND.code }) : group(groupId),
    ),
  }))
  const topicPartitions = [{ topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', topicName: 't', partitions: [1] }]
  cluster.brokers[0]!.on('ConsumerGroupDescribe', ({ body }) => ({
    throttleTimeMs: 0,
    groups: body.groupIds.map((groupId: string) => ({
      errorCode: 0,
      groupId,
      groupState: 'Stable',
      groupEpoch: 3,
      assignmentEpoch: 3,
      assignorName: 'uniform',
      members: [
        {
          memberId: 'm',
          memberEpoch: 3,
          clientId: 'c',
          clientHost: '/h',
          subscribedTopicNames: ['t'],
          assignment: { topicPartitions },
          targetAssignment: { topicPartitions },
        },
      ],
    })),
  }))
  expect(await admin.describeGroups(['old', 'new'])).toMatchObject([
    { groupId: 'old', type: 'classic' },
    {
      groupId: 'new',
      type: 'consumer',
      assignor: 'uniform',
      members: [{ topics: ['t'], assignment: [{ topic: 't', partition: 1 }] }],
    },
  ])
  expect((await cluster.brokers[0]!.received('ConsumerGroupDescribe')).body.groupIds).toEqual(['new'])
})

test('groups are listed at every broker, by name', async () => {
  const { cluster, admin } = await startAdmin(2)
  cluster.brokers.forEach((broker, node) =>
    broker.on('ListGroups', () => ({
      throttleTimeMs: 0,
      errorCode: 0,
      groups: [
        {
          groupId: node === 0 ? 'z' : 'a',
          protocolType: 'consumer',
          groupState: 'Empty',
          groupType: 'classic',
        },
      ],
    })),
  )
  expect(await admin.listGroups({ states: ['Empty'] })).toEqual([
    { groupId: 'a', protocolType: 'consumer', state: 'Empty', type: 'classic' },
    { groupId: 'z', protocolType: 'consumer', state: 'Empty', type: 'classic' },
  ])
  expect((await cluster.brokers[0]!.received('ListGroups')).body).toMatchObject({ statesFilter: ['Empty'] })
})

test('a broker that would ignore the filter is not asked', async () => {
  const { admin } = await startAdmin(1, {}, { ListGroups: [0, 3] })
  await expect(admin.listGroups({ states: ['Empty'] })).rejects.toMatchObject({
    code: 'VARVE_UNSUPPORTED_VERSION',
  })
})

test('every group that could not be deleted is named', async () => {
  const { cluster, admin } = await startAdmin()
  coordinate(cluster, () => 0)
  cluster.brokers[0]!.on('DeleteGroups', ({ body }) => ({
    throttleTimeMs: 0,
    results: body.groupsNames.map((groupId: string) => ({
      groupId,
      errorCode: groupId === 'idle' ? 0 : errors.NON_EMPTY_GROUP.code,
    })),
  }))
  await admin.deleteGroups(['idle'])
  const error: any = await admin.deleteGroups(['busy', 'idle', 'busier']).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ kafkaName: 'NON_EMPTY_GROUP', message: expect.stringContaining("'busy'") })
  expect(error.cause.errors).toHaveLength(2)
})

test.each([1, 2, 5, 7, 8, 10])('offsets of a group, OffsetFetch up to version %i', async (version) => {
  const { cluster, admin } = await startAdmin(1, {}, { OffsetFetch: [1, version] })
  coordinate(cluster, () => 0)
  cluster.brokers[0]!.on('OffsetFetch', (request) => {
    const asked = request.version >= 8 ? request.body.groups[0].topics : request.body.topics
    const topics = asked.map(({ name, partitionIndexes }: any) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex: number) => ({
        partitionIndex,
        committedOffset: partitionIndex === 1 ? -1 : 40 + partitionIndex,
        ...(request.version >= 5 ? { committedLeaderEpoch: 7 } : {}),
        metadata: 'm',
        errorCode: 0,
      })),
    }))
    return request.version >= 8
      ? { throttleTimeMs: 0, groups: [{ groupId: 'g', topics }] }
      : { throttleTimeMs: 0, topics }
  })
  const partitions = [2, 1, 0].map((partition) => ({ topic: 't', partition }))
  const leaderEpoch = version >= 5 ? 7 : -1
  expect(await admin.listGroupOffsets('g', { partitions })).toEqual([
    { topic: 't', partition: 0, offset: 40, leaderEpoch, metadata: 'm' },
    { topic: 't', partition: 2, offset: 42, leaderEpoch, metadata: 'm' },
  ])
  expect((await cluster.brokers[0]!.received('OffsetFetch')).version).toBe(Math.min(version, 9))
})

test('offsets that are still being loaded are asked for again', async () => {
  const { cluster, admin } = await startAdmin()
  coordinate(cluster, () => 0)
  let asked = 0
  cluster.brokers[0]!.on('OffsetFetch', () => ({
    throttleTimeMs: 0,
    groups: [
      { groupId: 'g', topics: [], errorCode: asked++ === 0 ? errors.COORDINATOR_LOAD_IN_PROGRESS.code : 0 },
    ],
  }))
  expect(await admin.listGroupOffsets('g')).toEqual([])
  expect(asked).toBe(2)
  expect((await cluster.brokers[0]!.received('OffsetFetch')).body.groups[0].topics).toBe(null)
})

test.each([2, 4, 6, 9])('offsets are committed as by nobody in particular, version %i', async (version) => {
  const { cluster, admin } = await startAdmin(1, {}, { OffsetCommit: [2, version] })
  coordinate(cluster, () => 0)
  cluster.brokers[0]!.on('OffsetCommit', ({ body }) => ({
    throttleTimeMs: 0,
    topics: body.topics.map(({ name, partitions }: any) => ({
      name,
      partitions: partitions.map(({ partitionIndex }: any) => ({
        partitionIndex,
        errorCode: partitionIndex === 9 ? errors.UNKNOWN_MEMBER_ID.code : 0,
      })),
    })),
  }))
  await admin.alterGroupOffsets('g', [{ topic: 't', partition: 0, offset: 5, metadata: 'why' }])
  expect((await cluster.brokers[0]!.received('OffsetCommit')).body).toMatchObject({
    groupId: 'g',
    generationIdOrMemberEpoch: -1,
    memberId: '',
    topics: [
      { name: 't', partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: 'why' }] },
    ],
  })
  await expect(admin.alterGroupOffsets('g', [{ topic: 't', partition: 9, offset: 5 }])).rejects.toMatchObject(
    {
      kafkaName: 'UNKNOWN_MEMBER_ID',
      message: expect.stringContaining('t-9'),
    },
  )
})

test('an offset that the group still reads from is not deleted in silence', async () => {
  const { cluster, admin } = await startAdmin()
  coordinate(cluster, () => 0)
  cluster.brokers[0]!.on('OffsetDelete', ({ body }) => ({
    errorCode: 0,
    throttleTimeMs: 0,
    topics: body.topics.map(({ name, partitions }: any) => ({
      name,
      partitions: partitions.map(({ partitionIndex }: any) => ({
        partitionIndex,
        errorCode: name === 'read' ? errors.GROUP_SUBSCRIBED_TO_TOPIC.code : 0,
      })),
    })),
  }))
  await admin.deleteGroupOffsets('g', [{ topic: 'old', partition: 0 }])
  await expect(
    admin.deleteGroupOffsets('g', [
      { topic: 'old', partition: 0 },
      { topic: 'read', partition: 1 },
    ]),
  ).rejects.toMatchObject({
    kafkaName: 'GROUP_SUBSCRIBED_TO_TOPIC',
    message: expect.stringContaining('read-1'),
  })
})
