// An offset that is told to be committed and is not makes a consumer skip records or read them twice; one that somebody
// else may overwrite does the same. So who may commit what, and from when on it counts, is spelled out here.
import { expect, test } from 'vitest'
import { VarveError } from '@varve/records'
import { GroupShardHarness, protocol, settled, topicId } from '../support/group-shard-harness.js'

const day = 24 * 60 * 60_000
const noMember = { memberId: '', groupInstanceId: null }

test('anybody commits for a group that has no members', async () => {
  const group = new GroupShardHarness()
  expect(await group.commitOffsets('g', { 0: 5, 1: 7 })).toEqual(['NONE', 'NONE'])
  expect([group.offset('g', 0), group.offset('g', 1), group.offset('g', 2)]).toEqual([5, 7, null])
  expect(group.shard.committed('other')).toBeNull()
})

test('a commit counts once it is in the log, and in the order in which it came', async () => {
  const group = new GroupShardHarness()
  group.held = true
  const first = group.commitOffsets('g', { 0: 5 })
  const second = group.commitOffsets('g', { 0: 6 })
  await settled()
  expect(group.pendingAppends, 'commits do not wait for each other').toBe(2)
  expect(group.offset('g')).toBeNull()
  group.commit()
  await first
  expect(group.offset('g')).toBe(5)
  group.commit()
  await second
  expect(group.offset('g')).toBe(6)
})

test('whichever append is told of first, the last one counts', async () => {
  const group = new GroupShardHarness()
  group.held = true
  const commits = [5, 6, 7].map((offset) => group.commitOffsets('g', { 0: offset }))
  group.commitAll()
  await Promise.all(commits)
  expect([group.offset('g'), group.restart().offset('g')]).toEqual([7, 7])
})

test('a commit that cannot be stored never was', async () => {
  const group = new GroupShardHarness()
  await group.commitOffsets('g', { 0: 5 })
  group.failNext = new Error('the disk said no')
  expect(await group.commitOffsets('g', { 0: 6 })).toEqual(['COORDINATOR_NOT_AVAILABLE'])
  group.failNext = new VarveError('VARVE_BATCH_TOO_LARGE', 'too large')
  expect(await group.commitOffsets('g', { 0: 6 })).toEqual(['INVALID_COMMIT_OFFSET_SIZE'])
  expect(group.offset('g')).toBe(5)
  expect(group.restart().offset('g')).toBe(5)
  group.failNext = new Error('the disk said no')
  await group.commitOffsets('new', { 0: 6 })
  await settled()
  expect(group.shard.get('new'), 'a group without anything').toBeUndefined()
})

test('whoever waits too long for a commit is told so, and it counts all the same once it is stored', async () => {
  const group = new GroupShardHarness({ offsetsCommitTimeoutMs: 2_000 })
  group.held = true
  const committed = group.commitOffsets('g', { 0: 5, 1: 5 })
  let answered = false
  void committed.then(() => (answered = true))
  group.clock.advance(1_999)
  await settled()
  expect(answered).toBe(false)
  group.clock.advance(1)
  expect(await committed).toEqual(['COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE'])
  expect(group.offset('g')).toBeNull()
  group.commit()
  await settled()
  expect(group.offset('g')).toBe(5)
  const deleted = group.shard.deleteOffsets('g', [{ topic: 't', partition: 0 }])
  group.clock.advance(2_000)
  expect(await deleted).toMatchObject({ name: 'COORDINATOR_NOT_AVAILABLE' })
  group.commit()
  await settled()
  expect(group.offset('g')).toBeNull()
  expect(group.clock.pending).toBe(0)
})

test('members commit in their generation only, others not while there are members', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  const commit = async (by: object) => (await group.commitOffsets('g', { 0: 1 }, by))[0]
  expect(await commit(a!)).toBe('NONE')
  expect(await commit({ ...a, generationId: 9 })).toBe('ILLEGAL_GENERATION')
  expect(await commit({ ...a, memberId: 'x' })).toBe('UNKNOWN_MEMBER_ID')
  expect(await commit({})).toBe('UNKNOWN_MEMBER_ID')
  expect(await commit({ memberId: a!.memberId })).toBe('ILLEGAL_GENERATION')
})

test('a member commits during a rebalance, but not between joining and its assignment', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  const joinB = group.join('g')
  await settled()
  expect(await group.commitOffsets('g', { 0: 1 }, a)).toEqual(['NONE'])
  const [a2] = await Promise.all([group.joinOnce('g', { memberId: a!.memberId }), joinB])
  expect(await group.commitOffsets('g', { 0: 2 }, a2)).toEqual(['REBALANCE_IN_PROGRESS'])
  expect(group.offset('g')).toBe(1)
})

test('a generation that does not exist is told so', async () => {
  const group = new GroupShardHarness()
  expect(await group.commitOffsets('g', { 0: 1 }, { memberId: 'x', generationId: 3 })).toEqual([
    'ILLEGAL_GENERATION',
  ])
  expect([...group.shard.groups()]).toEqual([])
})

test('a commit is a sign of life', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  group.clock.advance(9_999)
  await group.commitOffsets('g', { 0: 1 }, a)
  group.clock.advance(9_999)
  await settled()
  expect(group.state('g')).toBe('Stable')
})

test('a text that is too long refuses its offset alone', async () => {
  const group = new GroupShardHarness({ offsetMetadataMaxBytes: 10 })
  expect(await group.commitOffsets('g', { 0: 1 }, { metadata: '0123456789' })).toEqual(['NONE'])
  expect(await group.commitOffsets('g', { 1: 1 }, { metadata: '0123456789+' })).toEqual([
    'OFFSET_METADATA_TOO_LARGE',
  ])
  expect(group.shard.committed('g')!.get('t', 0)!.metadata).toBe('0123456789')
})

test('deleting a group deletes what it committed, also what is just being committed', async () => {
  const group = new GroupShardHarness()
  await group.commitOffsets('g', { 0: 1 })
  group.held = true
  const commit = group.commitOffsets('g', { 1: 2 })
  const deletion = group.shard.deleteGroup('g')
  const later = group.commitOffsets('g', { 2: 3 })
  await settled()
  group.commit()
  group.commit()
  await settled()
  group.commit()
  expect(await commit).toEqual(['NONE'])
  expect((await deletion).name).toBe('NONE')
  expect(await later).toEqual(['NONE'])
  for (const shard of [group, group.restart()]) {
    expect([0, 1, 2].map((partition) => shard.offset('g', partition))).toEqual([null, null, 3])
  }
})

test('a group with members, and one that does not exist, cannot be deleted', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  expect((await group.shard.deleteGroup('g')).name).toBe('NON_EMPTY_GROUP')
  await group.leave('g', a!)
  expect((await group.shard.deleteGroup('g')).name).toBe('NONE')
  expect((await group.shard.deleteGroup('g')).name).toBe('GROUP_ID_NOT_FOUND')
  expect([...group.restart().shard.groups()]).toEqual([])
})

test('a deletion that cannot be stored leaves the group as it was', async () => {
  const group = new GroupShardHarness()
  await group.commitOffsets('g', { 0: 1 })
  group.failNext = new Error('the disk said no')
  expect((await group.shard.deleteGroup('g')).name).toBe('COORDINATOR_NOT_AVAILABLE')
  expect(group.offset('g')).toBe(1)
})

test('a group of any size can be deleted: its tombstones go in batches', async () => {
  const group = new GroupShardHarness()
  const topic = 't'.repeat(249)
  const offsets = Object.fromEntries(Array.from({ length: 2_000 }, (_, partition) => [partition, 1]))
  await group.commitOffsets('g', offsets, { topic })
  group.held = true
  const deletion = group.shard.deleteGroup('g')
  await settled()
  expect(group.pendingAppends).toBeGreaterThan(1)
  while (group.pendingAppends > 0) group.commit()
  expect((await deletion).name).toBe('NONE')
  expect([...group.restart().shard.groups()]).toEqual([])
})

test('offsets of a topic that a member reads are not deleted, others are', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', { protocols: [protocol('range', ['t'])] })
  await group.commitOffsets('g', { 0: 1 }, a)
  await group.commitOffsets('g', { 0: 1 }, { ...a, topic: 'u' })
  const results = await group.shard.deleteOffsets('g', [
    { topic: 't', partition: 0 },
    { topic: 'u', partition: 0 },
    { topic: 'u', partition: 5 },
  ])
  expect(Array.isArray(results) && results.map(({ name }) => name)).toEqual([
    'GROUP_SUBSCRIBED_TO_TOPIC',
    'NONE',
    'NONE',
  ])
  expect([group.offset('g', 0, 't'), group.offset('g', 0, 'u')]).toEqual([1, null])
  expect(group.restart().offset('g', 0, 'u')).toBeNull()
})

test('offsets of members whose subscriptions cannot be read are not deleted', async () => {
  const group = new GroupShardHarness()
  const connect = { protocolType: 'connect', protocols: [{ name: 'v1', metadata: Buffer.from('x') }] }
  const joined = await group.join('g', connect)
  expect(joined.error.name).toBe('NONE')
  expect(await group.shard.deleteOffsets('g', [{ topic: 't', partition: 0 }])).toMatchObject({
    name: 'NON_EMPTY_GROUP',
  })
  const broken = { protocols: [{ name: 'range', metadata: Buffer.from('?') }] }
  await group.join('h', broken)
  expect(await group.shard.deleteOffsets('h', [{ topic: 't', partition: 0 }])).toMatchObject([
    { name: 'GROUP_SUBSCRIBED_TO_TOPIC' },
  ])
  expect(await group.shard.deleteOffsets('none', [])).toMatchObject({ name: 'GROUP_ID_NOT_FOUND' })
})

test('what members are subscribed to is known after a restart', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', { protocols: [protocol('range', ['t'])] })
  for (const topic of ['t', 'u']) await group.commitOffsets('g', { 0: 1 }, { ...a, topic })
  const after = group.restart()
  await after.shard.deleteOffsets('g', [
    { topic: 't', partition: 0 },
    { topic: 'u', partition: 0 },
  ])
  expect([after.offset('g', 0, 't'), after.offset('g', 0, 'u')]).toEqual([1, null])
})

test('a deleted topic takes its offsets along', async () => {
  const group = new GroupShardHarness()
  await group.commitOffsets('g', { 0: 1, 1: 2 }, { topic: 't' })
  await group.commitOffsets('g', { 0: 3 }, { topic: 'u' })
  await group.shard.topicDeleted({ name: 't', id: topicId })
  for (const shard of [group, group.restart()]) {
    expect([shard.offset('g', 0), shard.offset('g', 1), shard.offset('g', 0, 'u')]).toEqual([null, null, 3])
  }
})

test('what was committed for a topic of the same name stays when the one before it is found to be gone', async () => {
  const group = new GroupShardHarness()
  await group.commitOffsets('g', { 0: 1 })
  await group.shard.topicDeleted({ name: 't', id: 'BBBBBBBBBBBBBBBBBBBBBQ' })
  expect([group.offset('g'), group.restart().offset('g')]).toEqual([1, 1])
})

test('offsets of an empty group expire when it has been empty for the retention (KIP-211)', async () => {
  const group = new GroupShardHarness({ offsetsRetentionMinutes: 24 * 60 })
  const [a] = await group.stable('g', { sessionTimeoutMs: 60_000 })
  await group.commitOffsets('g', { 0: 1 }, a)
  for (let minutes = 0; minutes < 2 * 24 * 60; minutes++) {
    group.clock.advance(59_999)
    await group.heartbeat('g', a!)
  }
  await group.shard.expire()
  expect(group.offset('g'), 'a member reads the topic').toBe(1)
  await group.leave('g', a!)
  group.clock.advance(day - 1)
  await group.shard.expire()
  expect(group.offset('g')).toBe(1)
  expect(group.restart().offset('g')).toBe(1)
  group.clock.advance(1)
  await group.shard.expire()
  expect(group.shard.get('g')).toBeUndefined()
  expect([...group.restart().shard.groups()]).toEqual([])
})

test('a group that nobody was ever a member of forgets each offset by the time of its commit', async () => {
  const group = new GroupShardHarness({ offsetsRetentionMinutes: 24 * 60 })
  await group.commitOffsets('g', { 0: 1 })
  group.clock.advance(day / 2)
  await group.commitOffsets('g', { 1: 1 })
  group.clock.advance(day / 2)
  await group.shard.expire()
  expect([group.offset('g', 0), group.offset('g', 1)]).toEqual([null, 1])
  expect(group.restart().offset('g', 0)).toBeNull()
})

test('members keep the offsets of what they read, and lose those of what they no longer do', async () => {
  const group = new GroupShardHarness({ offsetsRetentionMinutes: 60 })
  const [a] = await group.stable('g', { sessionTimeoutMs: 1_800_000, protocols: [protocol('range', ['t'])] })
  await group.commitOffsets('g', { 0: 1 }, a)
  await group.commitOffsets('g', { 0: 1 }, { ...a, topic: 'once' })
  for (let half = 0; half < 3; half++) {
    group.clock.advance(1_799_999)
    await group.heartbeat('g', a!)
  }
  await group.shard.expire()
  expect([group.offset('g', 0, 't'), group.offset('g', 0, 'once')]).toEqual([1, null])
})

test('a retention that an old client asks for counts from the commit', async () => {
  const group = new GroupShardHarness()
  await group.commitOffsets('g', { 0: 1 }, { retentionMs: 1_000 })
  await group.commitOffsets('g', { 1: 1 })
  const after = group.restart()
  after.clock.advance(999)
  await after.shard.expire()
  expect(after.offset('g')).toBe(1)
  after.clock.advance(1)
  await after.shard.expire()
  expect([after.offset('g', 0), after.offset('g', 1)]).toEqual([null, 1])
})

test('what is being committed while it expires stays', async () => {
  const group = new GroupShardHarness({ offsetsRetentionMinutes: 60 })
  await group.commitOffsets('g', { 0: 1, 1: 1 })
  group.clock.advance(3_600_000)
  group.held = true
  const commit = group.commitOffsets('g', { 0: 2 })
  const expiry = group.shard.expire()
  await settled()
  while (group.pendingAppends > 0) group.commit()
  await Promise.all([commit, expiry])
  for (const shard of [group, group.restart()]) {
    expect([shard.offset('g', 0), shard.offset('g', 1)]).toEqual([2, null])
  }
})

test('a group without members and offsets is deleted, one that somebody is about to join is not', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  await group.leave('g', a!)
  const { memberId } = await group.joinOnce('g')
  await group.shard.expire()
  expect((await group.joinOnce('g', { memberId })).error.name).toBe('NONE')
  await group.leave('g', { memberId })
  await group.shard.expire()
  expect(group.shard.get('g')).toBeUndefined()
  expect([...group.restart().shard.groups()]).toEqual([])
})

test('what cannot be deleted when it has expired is deleted the next time', async () => {
  const group = new GroupShardHarness({ offsetsRetentionMinutes: 60 })
  await group.commitOffsets('g', { 0: 1 })
  group.clock.advance(3_600_000)
  group.failNext = new Error('the disk said no')
  await group.shard.expire()
  expect(group.offset('g')).toBe(1)
  expect(group.lines.at(-1)).toBe('warn g: what has expired was not deleted: the disk said no')
  await group.shard.expire()
  expect(group.shard.get('g')).toBeUndefined()
})

test('without a name there are offsets, but no members', async () => {
  const group = new GroupShardHarness()
  expect(await group.commitOffsets('', { 0: 1 }, noMember)).toEqual(['NONE'])
  expect(group.offset('')).toBe(1)
})
