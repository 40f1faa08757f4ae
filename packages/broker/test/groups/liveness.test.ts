// A member that died must be noticed, or its partitions are read by nobody; one that lives must not be taken for dead, or
// its group never comes to rest. Time is turned by hand here, to the millisecond before and after.
import { expect, test } from 'vitest'
import { GroupShardHarness, settled } from '../support/group-shard-harness.js'

test('a member that is not heard of for its session timeout is removed, and the log says why', async () => {
  const group = new GroupShardHarness()
  const [a, b] = await group.stable('g', { sessionTimeoutMs: 20_000 }, { sessionTimeoutMs: 10_000 })
  group.clock.advance(9_999)
  expect((await group.heartbeat('g', b!)).name).toBe('NONE')
  group.clock.advance(9_999)
  await settled()
  expect(group.state('g')).toBe('Stable')
  group.clock.advance(1)
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  expect(group.lines).toContain(
    `warn g: member ${b!.memberId} (client id client, 127.0.0.1) has not been heard of for 10000 ms and is removed`,
  )
  expect((await group.heartbeat('g', b!)).name).toBe('UNKNOWN_MEMBER_ID')
  expect((await group.heartbeat('g', a!)).name).toBe('REBALANCE_IN_PROGRESS')
})

test('when the last session ends the group is empty, and that is stored', async () => {
  const group = new GroupShardHarness()
  await group.stable('g', {})
  group.clock.advance(10_000)
  await settled()
  expect(group.state('g')).toBe('Empty')
  expect(group.restart().state('g')).toBe('Empty')
  expect(group.restart().shard.get('g')!.generationId).toBe(2)
})

test('who waits for a rebalance needs no heartbeats', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', { rebalanceTimeoutMs: 60_000 }, { sessionTimeoutMs: 60_000 })
  const rejoin = group.joinOnce('g', { memberId: a!.memberId, rebalanceTimeoutMs: 60_000 })
  await settled()
  group.clock.advance(59_999)
  await settled()
  group.clock.advance(1)
  expect((await rejoin).error.name).toBe('NONE')
})

test('who joined and is never heard of again is removed after its session, whatever the rebalance timeout', async () => {
  const group = new GroupShardHarness()
  const { memberId } = await group.join('g', { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 300_000 })
  group.clock.advance(9_999)
  await settled()
  expect(group.shard.get('g')!.members.has(memberId)).toBe(true)
  group.clock.advance(1)
  await settled()
  expect(group.state('g')).toBe('Empty')
})

test('a new member waits for a rebalance longer than its session', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', { rebalanceTimeoutMs: 60_000, sessionTimeoutMs: 100_000 })
  const join = group.join('g', { sessionTimeoutMs: 10_000 })
  await settled()
  group.clock.advance(50_000)
  await settled()
  await group.join('g', { memberId: a!.memberId })
  expect((await join).error.name).toBe('NONE')
})

test('a new member whose rebalance takes longer than five minutes is given up', async () => {
  const group = new GroupShardHarness()
  await group.stable('g', { rebalanceTimeoutMs: 600_000, sessionTimeoutMs: 1_800_000 })
  const join = group.join('g')
  await settled()
  group.clock.advance(300_000)
  expect((await join).error.name).toBe('UNKNOWN_MEMBER_ID')
})

test('an id that nobody joins with is forgotten after the session timeout, and a rebalance no longer waits for it', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  const { memberId } = await group.joinOnce('g', { sessionTimeoutMs: 10_000 })
  const rejoin = group.joinOnce('g', { memberId: a!.memberId })
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  group.clock.advance(10_000)
  expect((await rejoin).generationId).toBe(2)
  expect((await group.joinOnce('g', { memberId })).error.name).toBe('UNKNOWN_MEMBER_ID')
})

test('a rebalance goes on when the one that it waits for takes its id back', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  const { memberId } = await group.joinOnce('g')
  const rejoin = group.joinOnce('g', { memberId: a!.memberId })
  await settled()
  expect(group.state('g')).toBe('PreparingRebalance')
  await group.leave('g', { memberId })
  expect((await rejoin).generationId).toBe(2)
})

test('heartbeats of strangers and of other generations are refused', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {})
  expect((await group.heartbeat('nobody', a!)).name).toBe('UNKNOWN_MEMBER_ID')
  expect((await group.heartbeat('g', { memberId: 'x', generationId: 1 })).name).toBe('UNKNOWN_MEMBER_ID')
  expect((await group.heartbeat('g', { ...a!, generationId: 9 })).name).toBe('ILLEGAL_GENERATION')
})

test('a member that leaves lets the others rebalance at once, and the reason is told', async () => {
  const group = new GroupShardHarness()
  const [a, b] = await group.stable('g', {}, {})
  expect((await group.leave('g', { memberId: b!.memberId, reason: 'shutting down' }))[0]!.name).toBe('NONE')
  expect(group.lines.at(-1)).toContain(`member ${b!.memberId} left (shutting down)`)
  const a2 = await group.join('g', { memberId: a!.memberId })
  expect(a2).toMatchObject({ generationId: 3, leader: a2.memberId })
  expect(a2.members).toHaveLength(1)
})

test('several members leave with one request, each with its own result', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {}, { groupInstanceId: 'i' })
  const { memberId: pending } = await group.joinOnce('g')
  const left = await group.leave(
    'g',
    { memberId: a!.memberId },
    { groupInstanceId: 'i' },
    { memberId: pending },
    { memberId: 'stranger' },
    { groupInstanceId: 'nobody' },
  )
  expect(left.map(({ name }) => name)).toEqual([
    'NONE',
    'NONE',
    'NONE',
    'UNKNOWN_MEMBER_ID',
    'UNKNOWN_MEMBER_ID',
  ])
  expect(group.state('g')).toBe('Empty')
  expect((await group.leave('other', { memberId: 'x' }))[0]!.name).toBe('UNKNOWN_MEMBER_ID')
})

test('a leader that leaves is followed by another', async () => {
  const group = new GroupShardHarness()
  const [a, b] = await group.stable('g', {}, {})
  await group.leave('g', { memberId: a!.memberId })
  expect(await group.join('g', { memberId: b!.memberId })).toMatchObject({
    leader: b!.memberId,
    generationId: 3,
  })
})

test('closing answers whoever waits, and no timer is left', async () => {
  const group = new GroupShardHarness()
  const [a] = await group.stable('g', {}, {})
  await group.joinOnce('g')
  const rejoin = group.joinOnce('g', { memberId: a!.memberId })
  await settled()
  group.shard.close()
  expect((await rejoin).error.name).toBe('NOT_COORDINATOR')
  expect(group.clock.pending).toBe(0)
  await expect(group.joinOnce('g')).rejects.toMatchObject({ error: { name: 'NOT_COORDINATOR' } })
})
