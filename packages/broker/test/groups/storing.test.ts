// The response leaves when the records are committed: a leader that is told "stored" before it is, or a group whose state
// runs ahead of its log, comes back from a restart as another group than its members believe to be in.
import { groupMetadataKey, groupMetadataValue, offsetCommitKey, offsetCommitValue } from '@varve/protocol'
import { expect, test } from 'vitest'
import { decodeRecord } from '../../src/groups/group-records.js'
import { offsetsPartitionOf } from '../../src/groups/offsets-topic.js'
import { GroupShardHarness, settled, topicId } from '../support/group-shard-harness.js'

test('nobody is told its assignment before it is stored, and whoever asks meanwhile waits', async () => {
  const group = new GroupShardHarness()
  const a = await group.join('g')
  group.held = true
  let done = false
  const sync = group.sync('g', a, { [a.memberId]: 'all' }).then((response) => {
    done = true
    return response
  })
  const heartbeat = group.heartbeat('g', a)
  await settled()
  expect(done).toBe(false)
  expect(group.state('g')).toBe('CompletingRebalance')
  group.commit()
  expect(String((await sync).assignment)).toBe('all')
  expect((await heartbeat).name).toBe('NONE')
})

test('whoever waits too long for an assignment to be stored is told so, and gets it later', async () => {
  const group = new GroupShardHarness({ offsetsCommitTimeoutMs: 2_000 })
  const a = await group.join('g')
  group.held = true
  const sync = group.sync('g', a, { [a.memberId]: 'all' })
  await settled()
  group.clock.advance(1_000)
  const [again, heartbeat] = [group.sync('g', a, {}), group.heartbeat('g', a)]
  const [joining, leaving] = [group.joinOnce('g'), group.leave('g', { memberId: a.memberId })]
  const left = expect(leaving).rejects.toMatchObject({ error: { name: 'COORDINATOR_NOT_AVAILABLE' } })
  group.clock.advance(1_000)
  expect((await sync).error.name).toBe('COORDINATOR_NOT_AVAILABLE')
  group.clock.advance(1_000)
  expect((await again).error.name).toBe('COORDINATOR_NOT_AVAILABLE')
  expect((await heartbeat).name).toBe('COORDINATOR_NOT_AVAILABLE')
  expect((await joining).error.name).toBe('COORDINATOR_NOT_AVAILABLE')
  await left
  const last = group.sync('g', a, {})
  const deleting = group.shard.deleteGroup('g')
  group.clock.advance(1_999)
  group.held = false
  group.commit()
  // It was about to leave when it asked once more, and has left now: who has not been heard is not a member.
  expect((await last).error.name).toBe('UNKNOWN_MEMBER_ID')
  expect((await deleting).name).toBe('NONE')
  expect(group.state('g')).toBeUndefined()
  expect(group.clock.pending).toBe(0)
})

test('whoever waits too long for a group to be deleted, or to be taken over in, is told so', async () => {
  const group = new GroupShardHarness({ offsetsCommitTimeoutMs: 2_000 })
  await group.commitOffsets('old', { 0: 1 })
  const [b] = await group.stable('g', { groupInstanceId: 'b' })
  group.held = true
  const deleting = group.shard.deleteGroup('old')
  const back = group.joinOnce('g', { groupInstanceId: 'b' })
  await settled()
  group.clock.advance(2_000)
  expect((await deleting).name).toBe('COORDINATOR_NOT_AVAILABLE')
  expect((await back).error.name).toBe('COORDINATOR_NOT_AVAILABLE')
  group.held = false
  while (group.pendingAppends > 0) group.commit()
  await settled()
  expect(group.state('old')).toBeUndefined()
  expect((await group.heartbeat('g', b!, 'b')).name).toBe('FENCED_INSTANCE_ID')
  expect(await group.joinOnce('g', { groupInstanceId: 'b' })).toMatchObject({ generationId: 1 })
})

test('an assignment that cannot be stored is nobody’s, and the group rebalances', async () => {
  const group = new GroupShardHarness()
  const a = await group.join('g')
  group.failNext = new Error('the disk said no')
  expect((await group.sync('g', a, { [a.memberId]: 'all' })).error.name).toBe('COORDINATOR_NOT_AVAILABLE')
  expect(group.state('g')).toBe('PreparingRebalance')
  expect(group.lines.at(-1)).toContain('the assignment of generation 1 was not stored: the disk said no')
  const again = await group.join('g', { memberId: a.memberId })
  expect(again.generationId).toBe(2)
  expect((await group.sync('g', again, { [a.memberId]: 'all' })).error.name).toBe('NONE')
})

test('after a restart the members go on in their generation', async () => {
  const group = new GroupShardHarness()
  const [a, b] = await group.stable('g', {}, { groupInstanceId: 'b' })
  await group.commitOffsets('g', { 0: 9 }, a)
  const after = group.restart()
  expect(after.state('g')).toBe('Stable')
  expect((await after.heartbeat('g', a!)).name).toBe('NONE')
  expect((await after.heartbeat('g', b!, 'b')).name).toBe('NONE')
  expect(String((await after.sync('g', b!, {}, 'b')).assignment)).toBe('part 1')
  expect(await after.commitOffsets('g', { 0: 10 }, a)).toEqual(['NONE'])
  // The leader still leads: it joins again, and is told of both.
  const rejoins = [
    after.join('g', { memberId: a!.memberId }),
    after.join('g', { memberId: b!.memberId, groupInstanceId: 'b' }),
  ]
  const [a2] = await Promise.all(rejoins)
  expect(a2).toMatchObject({ generationId: a!.generationId + 1, leader: a!.memberId })
  expect(a2!.members).toHaveLength(2)
})

test('members that do not come back after a restart are removed when their sessions end', async () => {
  const group = new GroupShardHarness()
  await group.stable('g', {})
  const after = group.restart()
  after.clock.advance(9_999)
  await settled()
  expect(after.state('g')).toBe('Stable')
  after.clock.advance(1)
  await settled()
  expect(after.state('g')).toBe('Empty')
})

test('a group that has more members than is allowed now rebalances to get rid of some', async () => {
  const group = new GroupShardHarness()
  const [a, b] = await group.stable('g', {}, {})
  const after = group.restart({ maxSize: 1 })
  expect(after.state('g')).toBe('PreparingRebalance')
  const first = after.join('g', { memberId: a!.memberId })
  await settled()
  expect((await after.join('g', { memberId: b!.memberId })).error.name).toBe('GROUP_MAX_SIZE_REACHED')
  expect((await first).members).toHaveLength(1)
})

test('the records are Kafka’s, in the versions that Kafka 4.4 writes', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', { groupInstanceId: 'i', rebalanceTimeoutMs: 40_000 })
  await group.commitOffsets('g', { 3: 9 }, { ...a, metadata: 'm' })
  await group.commitOffsets('g', { 3: 9 }, { ...a, retentionMs: 50 })
  const now = group.clock.now()
  const [members, offset, expiring] = group.records.slice(-3)
  expect(groupMetadataKey.decode(members!.key as Buffer)).toEqual({ group: 'g' })
  const value = members!.value as Buffer
  expect(value.readInt16BE(0)).toBe(3)
  expect(groupMetadataValue.decode(value)).toEqual({
    protocolType: 'consumer',
    generation: 1,
    protocol: 'range',
    leader: a!.memberId,
    currentStateTimestamp: now,
    members: [
      {
        memberId: a!.memberId,
        groupInstanceId: 'i',
        clientId: 'client',
        clientHost: '127.0.0.1',
        rebalanceTimeout: 40_000,
        sessionTimeout: 10_000,
        subscription: a!.members[0]!.metadata,
        assignment: Buffer.from('part 0'),
      },
    ],
  })
  expect(offsetCommitKey.decode(offset!.key as Buffer)).toEqual({ group: 'g', topic: 't', partition: 3 })
  expect((offset!.value as Buffer).readInt16BE(0)).toBe(4)
  expect(offsetCommitValue.decode(offset!.value as Buffer)).toMatchObject({
    offset: 9,
    leaderEpoch: 0,
    metadata: 'm',
    commitTimestamp: now,
    topicId,
  })
  expect((expiring!.value as Buffer).readInt16BE(0)).toBe(1)
  expect(offsetCommitValue.decode(expiring!.value as Buffer)).toMatchObject({ expireTimestamp: now + 50 })
  expect(offset!.timestamp).toBe(now)
  await group.leave('g', a!)
  const empty = groupMetadataValue.decode(group.records.at(-1)!.value as Buffer)
  expect(empty).toMatchObject({ generation: 2, protocol: null, leader: null, members: [] })
})

test('records of kinds that are not kept here are stepped over', () => {
  const consumerGroupMetadata = Buffer.from([0, 3, 0, 1, 0x67])
  expect(decodeRecord(consumerGroupMetadata, Buffer.from([0, 0]))).toBeNull()
})

test('offsets outlive the members of a group that was moved to another protocol', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  await group.commitOffsets('g', { 0: 4 }, a)
  group.records.push({ key: groupMetadataKey.encode({ group: 'g' }), value: null })
  const after = group.restart()
  expect(after.offset('g')).toBe(4)
  expect(after.shard.get('g')).toMatchObject({ state: 'Empty', protocolType: null })
})

test.each([
  // As Java counts: Utils.abs(groupId.hashCode()) % 50.
  ['', 0],
  ['g', 3],
  ['my-group', 12],
  ['gruppe-ä', 48],
  // Its hash is the smallest integer, which has no absolute value.
  ['polygenelubricants', 0],
])('the group %j of fifty partitions is in %i', (groupId, partition) => {
  expect(offsetsPartitionOf(groupId, 50)).toBe(partition)
})
