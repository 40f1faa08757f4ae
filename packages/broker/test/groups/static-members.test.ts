// KIP-345: a consumer with a group.instance.id may be restarted without its group taking notice. What must not happen is
// that the old one and the new one both believe to be it.
import { expect, test } from 'vitest'
import { GroupShardHarness, protocol, settled } from '../support/group-shard-harness.js'

const one = { groupInstanceId: 'one' }

test('a static member joins without asking for its id', async () => {
  const group = new GroupShardHarness()
  expect(await group.joinOnce('g', one)).toMatchObject({
    error: { name: 'NONE' },
    memberId: 'one-1',
    members: [{ groupInstanceId: 'one' }],
  })
})

test('one that comes back takes its assignment over without a rebalance, and the old one is fenced', async () => {
  const group = new GroupShardHarness()
  const [a, b] = await group.stable('g', {}, one)
  const back = await group.joinOnce('g', one)
  expect(back).toMatchObject({ error: { name: 'NONE' }, generationId: b!.generationId, leader: a!.memberId })
  expect(back.memberId).not.toBe(b!.memberId)
  expect(back.members).toEqual([])
  expect(group.state('g')).toBe('Stable')
  expect(String((await group.sync('g', back, {}, 'one')).assignment)).toBe('part 1')
  expect((await group.heartbeat('g', back, 'one')).name).toBe('NONE')

  expect((await group.heartbeat('g', b!, 'one')).name).toBe('FENCED_INSTANCE_ID')
  expect((await group.sync('g', b!, {}, 'one')).error.name).toBe('FENCED_INSTANCE_ID')
  expect((await group.joinOnce('g', { ...one, memberId: b!.memberId })).error.name).toBe('FENCED_INSTANCE_ID')
  expect((await group.leave('g', { ...one, memberId: b!.memberId }))[0]!.name).toBe('FENCED_INSTANCE_ID')
  expect((await group.heartbeat('g', b!)).name).toBe('UNKNOWN_MEMBER_ID')
  expect(group.lines).toContain(
    `warn g: fenced member ${b!.memberId}: its Heartbeat names group.instance.id one, which ${back.memberId} has now`,
  )
})

test('its new id is stored, so that it is known after a restart of the broker', async () => {
  const group = new GroupShardHarness()
  await group.stable('g', {}, one)
  const back = await group.joinOnce('g', one)
  const after = group.restart()
  expect((await after.heartbeat('g', back, 'one')).name).toBe('NONE')
  expect(String((await after.sync('g', back, {}, 'one')).assignment)).toBe('part 1')
})

test('if that cannot be stored, the old one stays what it is', async () => {
  const group = new GroupShardHarness()
  const [, b] = await group.stable('g', {}, one)
  group.failNext = new Error('the disk said no')
  expect((await group.joinOnce('g', one)).error.name).toBe('COORDINATOR_NOT_AVAILABLE')
  expect((await group.heartbeat('g', b!, 'one')).name).toBe('NONE')
  expect(group.state('g')).toBe('Stable')
})

test('a leader that comes back is told to leave the assignment alone (KIP-814)', async () => {
  const group = new GroupShardHarness()
  await group.stable('g', one, { groupInstanceId: 'two' })
  const back = await group.joinOnce('g', one)
  expect(back).toMatchObject({ leader: back.memberId, skipAssignment: true })
  expect(back.members).toHaveLength(2)
  expect(group.restart().shard.get('g')!.leaderId).toBe(back.memberId)
})

test('an older leader that comes back is told that its predecessor leads, so that it does not assign', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', one, { groupInstanceId: 'two' })
  const back = await group.joinOnce('g', { ...one, understandsSkipAssignment: false })
  expect(back).toMatchObject({ leader: a!.memberId, skipAssignment: false, members: [] })
})

test('one that comes back with a protocol that changes the choice begins a rebalance', async () => {
  const group = new GroupShardHarness()
  await group.stable('g', { ...one, protocols: [protocol('range'), protocol('sticky')] })
  void group.joinOnce('g', { ...one, protocols: [protocol('sticky'), protocol('range')] })
  await settled()
  expect(group.shard.get('g')).toMatchObject({ generationId: 2, protocolName: 'sticky' })
})

test('one that comes back while the leader assigns begins a rebalance', async () => {
  const group = new GroupShardHarness()
  const a = await group.joinOnce('g', one)
  const sync = group.sync('g', { ...a, memberId: a.memberId }, {}, 'one')
  await sync
  const b = group.joinOnce('g', { groupInstanceId: 'two' })
  await settled()
  const [a2] = await Promise.all([group.joinOnce('g', { ...one, memberId: a.memberId }), b])
  expect(group.state('g')).toBe('CompletingRebalance')
  void group.joinOnce('g', { groupInstanceId: 'two' })
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  expect((await group.heartbeat('g', a2, 'one')).name).toBe('REBALANCE_IN_PROGRESS')
})

test('a static member that is away is waited for until its session ends, through rebalances of others', async () => {
  const group = new GroupShardHarness()
  const away = { groupInstanceId: 'away', sessionTimeoutMs: 120_000, rebalanceTimeoutMs: 20_000 }
  const [a, b] = await group.stable('g', { rebalanceTimeoutMs: 20_000 }, away)
  const rejoin = group.joinOnce('g', { memberId: a!.memberId, rebalanceTimeoutMs: 20_000 })
  await settled()
  group.clock.advance(20_000)
  const { members } = await rejoin
  expect(members.map(({ memberId }) => memberId)).toContain(b!.memberId)
})

test('a rebalance that only static members could join goes on waiting until their sessions end', async () => {
  const group = new GroupShardHarness()
  const both = { sessionTimeoutMs: 90_000, rebalanceTimeoutMs: 20_000 }
  const [, b] = await group.stable('g', { ...one, ...both }, { groupInstanceId: 'two', ...both })
  await group.leave('g', { groupInstanceId: 'one' })
  group.clock.advance(60_000)
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  group.clock.advance(30_000)
  await settled()
  expect(group.state('g')).toBe('Empty')
  expect((await group.heartbeat('g', b!, 'two')).name).toBe('UNKNOWN_MEMBER_ID')
})

test('the successor of a waiting member is answered, the waiting one fenced', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {}, one)
  void group.join('g')
  await settled()
  const b = group.shard.get('g')!.staticMember('one')!
  const waiting = group.joinOnce('g', { ...one, memberId: b.memberId })
  await settled()
  const successor = group.joinOnce('g', one)
  expect((await waiting).error.name).toBe('FENCED_INSTANCE_ID')
  await group.joinOnce('g', { memberId: a!.memberId })
  expect((await successor).error.name).toBe('NONE')
})
