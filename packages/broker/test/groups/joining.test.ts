// A coordinator that lets a member into a generation that it does not take part in, or keeps one waiting that is gone,
// makes two consumers read the same partition, or nobody. These are the rules by which members come and go.
import { expect, test } from 'vitest'
import { GroupShardHarness, protocol, settled } from '../support/group-shard-harness.js'

test('a member is given its id first, and joins with it', async () => {
  const group = new GroupShardHarness()
  const first = await group.joinOnce('g')
  expect(first).toMatchObject({
    error: { name: 'MEMBER_ID_REQUIRED' },
    memberId: 'client-1',
    generationId: -1,
  })
  expect(await group.joinOnce('g', { memberId: first.memberId })).toMatchObject({
    error: { name: 'NONE' },
    memberId: 'client-1',
    generationId: 1,
    protocolType: 'consumer',
    protocolName: 'range',
    leader: 'client-1',
    members: [{ memberId: 'client-1', groupInstanceId: null, metadata: protocol('range').metadata }],
  })
})

test('an old client joins without knowing its id', async () => {
  const group = new GroupShardHarness()
  const joined = await group.joinOnce('g', { requiresKnownMemberId: false })
  expect(joined).toMatchObject({ error: { name: 'NONE' }, memberId: 'client-1', generationId: 1 })
})

test('an id that nobody was given is unknown, and makes no group', async () => {
  const group = new GroupShardHarness()
  expect(await group.joinOnce('g', { memberId: 'made-up' })).toMatchObject({
    error: { name: 'UNKNOWN_MEMBER_ID' },
    memberId: 'made-up',
  })
  expect([...group.shard.groups()]).toEqual([])
})

test('a group that came to nothing does not stay', async () => {
  const group = new GroupShardHarness()
  const refused = await group.joinOnce('g', { protocols: [] })
  expect(refused.error.name).toBe('INCONSISTENT_GROUP_PROTOCOL')
  await settled()
  expect([...group.shard.groups()]).toEqual([])
  expect(group.records).toEqual([])
})

test('the leader is told of all members, the others of none, and all get what the leader assigned', async () => {
  const group = new GroupShardHarness()
  const a = await group.join('g')
  await group.sync('g', a, { [a.memberId]: 'all' })
  const joinB = group.join('g')
  await settled()
  expect((await group.heartbeat('g', a)).name).toBe('REBALANCE_IN_PROGRESS')
  const [a2, b2] = await Promise.all([group.join('g', { memberId: a.memberId }), joinB])
  expect(a2).toMatchObject({ generationId: 2, leader: a.memberId })
  expect(a2.members.map(({ memberId }) => memberId).sort()).toEqual([a2.memberId, b2.memberId].sort())
  expect(b2).toMatchObject({ generationId: 2, leader: a.memberId, members: [] })
  const syncB = group.sync('g', b2)
  await settled()
  expect((await group.heartbeat('g', b2)).name).toBe('NONE')
  const syncA = group.sync('g', a2, { [a2.memberId]: 'half', [b2.memberId]: 'other half' })
  expect(String((await syncA).assignment)).toBe('half')
  expect(String((await syncB).assignment)).toBe('other half')
  expect(group.state('g')).toBe('Stable')
})

test('a member that the leader forgot gets an empty assignment', async () => {
  const group = new GroupShardHarness()
  const a = await group.join('g')
  expect(await group.sync('g', a, {})).toMatchObject({ error: { name: 'NONE' }, assignment: Buffer.alloc(0) })
})

test('the protocol that all support and most prefer is chosen', async () => {
  const group = new GroupShardHarness({ initialRebalanceDelayMs: 100 })
  const join = (...names: string[]) => group.join('g', { protocols: names.map((name) => protocol(name)) })
  const joins = [join('x', 'a', 'b'), join('b', 'a'), join('a', 'b', 'x'), join('b', 'a', 'y')]
  await settled()
  group.clock.advance(200)
  const joined = await Promise.all(joins)
  // x and y are not everybody's; of the others a and b have two votes each, and a's came first.
  expect(joined.map(({ protocolName }) => protocolName)).toEqual(['a', 'a', 'a', 'a'])
})

test('who shares no protocol with all members, or is of another type, is refused', async () => {
  const group = new GroupShardHarness()
  await group.stable('g', {})
  const join = group.joinOnce.bind(group)
  expect((await join('g', { protocols: [protocol('other')] })).error.name).toBe('INCONSISTENT_GROUP_PROTOCOL')
  expect((await join('g', { protocolType: 'connect' })).error.name).toBe('INCONSISTENT_GROUP_PROTOCOL')
  expect(group.state('g')).toBe('Stable')
})

test('the first rebalance waits for further members, a little longer for each, but not beyond the rebalance timeout', async () => {
  const group = new GroupShardHarness({ initialRebalanceDelayMs: 3_000 })
  let done = 0
  const join = () => {
    void group.join('g', { rebalanceTimeoutMs: 8_000 }).then(() => done++)
    return settled()
  }
  await join()
  group.clock.advance(2_000)
  await join()
  group.clock.advance(2_000)
  await settled()
  expect(done).toBe(0)
  group.clock.advance(1_900)
  await join()
  group.clock.advance(1_900)
  await settled()
  expect(done).toBe(0)
  group.clock.advance(400)
  await settled()
  expect(done).toBe(3)
  expect(group.shard.get('g')!.generationId).toBe(1)
})

test('a follower that asks again is answered as before; the leader, or other subscriptions, begin a rebalance', async () => {
  const group = new GroupShardHarness()
  const [a, b] = await group.stable('g', {}, {})
  const again = await group.joinOnce('g', { memberId: b!.memberId })
  expect(again).toMatchObject({ generationId: b!.generationId, members: [], error: { name: 'NONE' } })
  expect(group.state('g')).toBe('Stable')

  const rejoin = group.joinOnce('g', { memberId: a!.memberId, reason: 'topics changed' })
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  expect(group.lines.at(-1)).toContain(`${a!.memberId} joins again as the leader (topics changed)`)
  const [, c] = await Promise.all([rejoin, group.joinOnce('g', { memberId: b!.memberId })])
  await Promise.all([group.sync('g', c), group.sync('g', { ...a!, generationId: c.generationId })])

  void group.joinOnce('g', { memberId: b!.memberId, protocols: [protocol('range', ['other'])] })
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  expect(group.lines.at(-1)).toContain(`${b!.memberId} joins again with other protocols or subscriptions`)
})

test('a lost answer to JoinGroup is given again while the leader assigns', async () => {
  const group = new GroupShardHarness()
  const a = await group.join('g')
  expect(await group.joinOnce('g', { memberId: a.memberId })).toEqual(a)
  expect(group.state('g')).toBe('CompletingRebalance')
})

test('a rebalance goes on without those that do not rejoin in time', async () => {
  const group = new GroupShardHarness()
  const [a, b] = await group.stable('g', {}, { sessionTimeoutMs: 60_000 })
  const rejoin = group.joinOnce('g', { memberId: a!.memberId })
  await settled()
  group.clock.advance(29_999)
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  group.clock.advance(1)
  expect((await rejoin).members.map(({ memberId }) => memberId)).toEqual([a!.memberId])
  expect((await group.heartbeat('g', b!)).name).toBe('UNKNOWN_MEMBER_ID')
  expect(group.lines).toContain(`info g: member ${b!.memberId} did not rejoin within its rebalance timeout`)
})

test('who joined and never asked for its assignment is taken out', async () => {
  const group = new GroupShardHarness()
  const a = await group.join('g', { sessionTimeoutMs: 60_000 })
  const joinB = group.join('g', { sessionTimeoutMs: 60_000 })
  await settled()
  const [a2, b2] = await Promise.all([
    group.join('g', { memberId: a.memberId, sessionTimeoutMs: 60_000 }),
    joinB,
  ])
  await group.sync('g', a2)
  expect(group.state('g')).toBe('Stable')
  group.clock.advance(30_000)
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  expect((await group.heartbeat('g', b2)).name).toBe('UNKNOWN_MEMBER_ID')
})

test('SyncGroup is refused for another generation, another protocol and during a rebalance', async () => {
  const group = new GroupShardHarness()
  const a = await group.join('g')
  const sync = async (request: object) =>
    (
      await group.shard.sync('g', {
        memberId: a.memberId,
        groupInstanceId: null,
        generationId: a.generationId,
        protocolType: null,
        protocolName: null,
        assignments: new Map(),
        ...request,
      })
    ).error.name
  expect(await sync({ generationId: 7 })).toBe('ILLEGAL_GENERATION')
  expect(await sync({ memberId: 'other' })).toBe('UNKNOWN_MEMBER_ID')
  expect(await sync({ protocolType: 'connect' })).toBe('INCONSISTENT_GROUP_PROTOCOL')
  expect(await sync({ protocolName: 'sticky' })).toBe('INCONSISTENT_GROUP_PROTOCOL')
  expect(await sync({ protocolType: 'consumer', protocolName: 'range' })).toBe('NONE')
  void group.join('g')
  await settled()
  expect(await sync({})).toBe('REBALANCE_IN_PROGRESS')
})

test('a rebalance takes the assignment from those who wait for it', async () => {
  const group = new GroupShardHarness()
  const a = await group.join('g')
  const joinB = group.join('g')
  await settled()
  const [, b2] = await Promise.all([group.join('g', { memberId: a.memberId }), joinB])
  const syncB = group.sync('g', b2)
  void group.join('g')
  expect((await syncB).error.name).toBe('REBALANCE_IN_PROGRESS')
})

test('a group that is full takes nobody, and one that lost a member takes another', async () => {
  const group = new GroupShardHarness({ maxSize: 2 })
  const [a, b] = await group.stable('g', {}, {})
  expect(await group.join('g')).toMatchObject({ error: { name: 'GROUP_MAX_SIZE_REACHED' }, memberId: '' })
  await group.leave('g', { memberId: b!.memberId })
  const joinC = group.join('g')
  await settled()
  const [a2] = await Promise.all([group.join('g', { memberId: a!.memberId }), joinC])
  expect(a2.members).toHaveLength(2)
})
