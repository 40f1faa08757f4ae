// Leadership of a partition of `__consumer_offsets` comes and goes. A coordinator that goes on when it has gone fences
// members by an old clock and tells offsets that others have moved on from; one that begins before it has read everything
// hands out offsets from nowhere. So it is said here what each may do, and what whoever waits is told.
import { VarveError } from '@varve/records'
import { describe, expect, test } from 'vitest'
import { settled, topicId } from '../support/group-shard-harness.js'
import {
  asPartition,
  type ClusterMember,
  holdReading,
  joinedByTwo,
  stable,
  started,
  underWay,
} from '../support/offsets-cluster.js'

describe('a new leader', () => {
  test('serves what the one before it has stored, and the members go on', async () => {
    const { a, b } = await started()
    const member = await stable(a)
    expect(await a.commit('g', 7, member)).toBe('NONE')
    b.lead()
    await settled()
    expect(await a.heartbeat('g', member)).toBe('NOT_COORDINATOR')
    expect(await b.heartbeat('g', member)).toBe('NONE')
    expect(await b.offset('g')).toBe(7)
    expect(await b.commit('g', 8, member)).toBe('NONE')
    a.lead()
    await settled()
    expect(await a.heartbeat('g', member)).toBe('NONE')
    expect(await a.offset('g')).toBe(8)
    expect(a.state('g')).toBe('Stable')
  })

  test('tells nothing that is not committed yet', async () => {
    const { cluster, a, b } = await started()
    await a.commit('g', 7)
    cluster.logs[0]!.held = true
    const lost = await underWay(a.commit('g', 8))
    b.lead()
    expect(await lost.answer).toBe('NOT_COORDINATOR')
    await settled()
    expect(await b.offset('g')).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    cluster.logs[0]!.commit()
    await settled()
    expect(await b.offset('g')).toBe(8)
    expect(b.partitions[0]!.listeners).toBe(0)
  })

  test('does not wait for an offset that was lost with the one before it', async () => {
    const { cluster, a, b } = await started()
    await a.commit('g', 7)
    cluster.logs[0]!.held = true
    const lost = await underWay(a.commit('g', 8))
    b.lead(0, 0)
    expect(await lost.answer).toBe('NOT_COORDINATOR')
    await settled()
    expect(await b.offset('g')).toBe(7)
  })

  test('whose log cannot be read says so, until it leads no more', async () => {
    const { a, b } = await started()
    await a.commit('g', 7)
    b.partitions[0]!.readable = Promise.reject(new VarveError('VARVE_LOG_CORRUPT', 'a bad block'))
    b.lead()
    await settled()
    const reason = '__consumer_offsets-0: its groups cannot be served, because it cannot be read: a bad block'
    expect(b.coordinator.problems()).toEqual([reason])
    expect(b.lines).toEqual([`error ${reason}`])
    expect(await b.offset('g')).toBe('COORDINATOR_NOT_AVAILABLE')
    a.lead()
    await settled()
    expect(b.coordinator.problems()).toEqual([])
    expect(await b.offset('g')).toBe('NOT_COORDINATOR')
    expect(await a.offset('g')).toBe(7)
  })

  test('whose log fails before all of it is committed says so', async () => {
    const { cluster, a, b } = await started()
    cluster.logs[0]!.held = true
    await underWay(a.commit('g', 8))
    b.lead()
    await settled()
    b.partitions[0]!.fail()
    await settled()
    expect(b.coordinator.problems()).toHaveLength(1)
    expect(b.partitions[0]!.listeners).toBe(0)
  })
})

describe('an election', () => {
  test('in a later epoch starts over without a resignation in between', async () => {
    const { cluster, a } = await started()
    const member = await stable(a)
    const joining = await underWay(a.join('g'))
    cluster.logs[0]!.held = true
    const committing = await underWay(a.commit('h', 8))
    const release = holdReading(a)
    a.lead()
    expect((await joining.answer).error.name).toBe('NOT_COORDINATOR')
    expect(await committing.answer).toBe('NOT_COORDINATOR')
    cluster.logs[0]!.commit()
    await settled()
    expect(await a.heartbeat('g', member)).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    release()
    await settled()
    expect(await a.heartbeat('g', member)).toBe('NONE')
    expect(await a.offset('h')).toBe(8)
  })

  test('before the load of an earlier one has ended lets that come to nothing', async () => {
    const { a, b } = await started()
    const member = await stable(a)
    const release = holdReading(b)
    b.lead()
    await settled()
    a.lead()
    await settled()
    expect(await a.leave('g', member)).toBe('NONE')
    holdReading(b)
    b.lead()
    release()
    await settled()
    expect(await b.heartbeat('g', member)).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    expect(b.lines).toEqual([])
  })

  test('in the same epoch or an earlier one changes nothing', async () => {
    const { cluster, a } = await started()
    a.lead()
    await settled()
    await stable(a)
    const joining = await underWay(a.join('g'))
    const partition = asPartition(a.partitions[0]!)
    const epoch = cluster.logs[0]!.leaderEpoch
    a.coordinator.lead(partition, epoch)
    a.coordinator.lead(partition, epoch - 1)
    a.coordinator.resign(partition, epoch - 1)
    expect(a.state('g')).toBe('PreparingRebalance')
    a.coordinator.resign(partition, epoch)
    expect((await joining.answer).error.name).toBe('NOT_COORDINATOR')
    a.coordinator.lead(partition, epoch)
    expect(await a.offset('g')).toBe('NOT_COORDINATOR')
  })

  test('counts in an epoch in which the broker could not lead at first', async () => {
    const { cluster, a } = await started()
    const partition = asPartition(a.partitions[0]!)
    const epoch = cluster.logs[0]!.elect(a.partitions[0]!)
    a.coordinator.resign(partition, epoch)
    a.coordinator.lead(partition, epoch)
    await settled()
    expect(await a.commit('g', 1)).toBe('NONE')
  })

  test('waits for what the same broker still appends from an earlier epoch', async () => {
    const { cluster, a } = await started()
    let release = (): void => {}
    cluster.logs[0]!.writable = new Promise((resolve) => (release = resolve))
    const late = await underWay(a.commit('g', 7))
    a.lead()
    await settled()
    expect(await a.offset('g')).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    release()
    expect(await late.answer).toBe('NONE')
    await settled()
    expect(await a.offset('g')).toBe(7)
  })
})

describe('a resignation', () => {
  test('ends a load that is under way', async () => {
    const { cluster, a, b } = await started()
    await stable(a)
    const release = holdReading(b)
    b.lead()
    await settled()
    cluster.elect(null)
    release()
    await settled()
    expect(await b.offset('g')).toBe('NOT_COORDINATOR')
    expect([...b.coordinator.loaded()]).toEqual([])
    expect(b.lines).toEqual([])
    b.lead()
    await settled()
    expect(b.state('g')).toBe('Stable')
  })

  test('makes a load that fails afterwards nobody’s problem', async () => {
    const { cluster, a, b } = await started()
    await a.commit('g', 7)
    let fail = (_: Error): void => {}
    b.partitions[0]!.readable = new Promise((_, reject) => (fail = reject))
    b.lead()
    await settled()
    cluster.elect(null)
    fail(new Error('its log was closed'))
    await settled()
    expect(b.coordinator.problems()).toEqual([])
    expect(b.lines).toEqual([])
    expect(await b.offset('g')).toBe('NOT_COORDINATOR')
  })

  test('ends the wait for the high watermark', async () => {
    const { cluster, a, b } = await started()
    cluster.logs[0]!.held = true
    await underWay(a.commit('g', 8))
    b.lead()
    await settled()
    expect(b.partitions[0]!.listeners).toBe(1)
    cluster.elect(null)
    expect(b.partitions[0]!.listeners).toBe(0)
    await settled()
    expect(b.lines).toEqual([])
  })

  test('answers who waits to join, or for an assignment', async () => {
    const { cluster, a } = await started()
    await stable(a, 'joining')
    const join = await underWay(a.join('joining'))
    const [, follower] = await joinedByTwo(a, 'syncing')
    const sync = await underWay(a.sync('syncing', follower))
    expect([a.state('joining'), a.state('syncing')]).toEqual(['PreparingRebalance', 'CompletingRebalance'])
    cluster.elect(null)
    expect((await join.answer).error.name).toBe('NOT_COORDINATOR')
    expect((await sync.answer).error.name).toBe('NOT_COORDINATOR')
  })

  test.each<[string, (a: ClusterMember) => Promise<() => Promise<string>>]>([
    ['a commit', async (a) => () => a.commit('g', 1)],
    [
      'an assignment',
      async (a) => {
        const [leader] = await joinedByTwo(a, 'g')
        return async () => (await a.sync('g', leader)).error.name
      },
    ],
    [
      'the last member that leaves',
      async (a) => {
        const member = await stable(a)
        return () => a.leave('g', member)
      },
    ],
    [
      'a static member that is back',
      async (a) => {
        const joined = await a.join('g', { groupInstanceId: 'i' })
        await a.sync('g', joined, 'i')
        return async () => (await a.join('g', { groupInstanceId: 'i' })).error.name
      },
    ],
    [
      'the deletion of a group',
      async (a) => {
        await a.commit('g', 1)
        return () => a.deleteGroup('g')
      },
    ],
  ])('answers %s that is being stored, and those behind it', async (_, prepare) => {
    const { cluster, a, b } = await started()
    const command = await prepare(a)
    cluster.logs[0]!.held = true
    const storing = await underWay(command())
    expect(cluster.logs[0]!.highWatermark).toBeLessThan(cluster.logs[0]!.endOffset)
    const behind = await underWay(a.heartbeat('g', { memberId: 'x', generationId: 1 }))
    const before = [...a.lines]
    b.lead()
    expect(await storing.answer).toBe('NOT_COORDINATOR')
    expect(['NOT_COORDINATOR', 'UNKNOWN_MEMBER_ID']).toContain(await behind.answer)
    await settled()
    expect(a.lines).toEqual(before)
    expect(cluster.clock.pending).toBe(2)
  })

  test('keeps what was stored before it, whoever is answered after it', async () => {
    const { cluster, a, b } = await started()
    cluster.logs[0]!.held = true
    const commit = await underWay(a.commit('g', 1))
    cluster.logs[0]!.commit()
    b.lead()
    expect(await commit.answer).toBe('NONE')
    await settled()
    expect(await b.offset('g')).toBe(1)
  })

  test('is not waited for by who finds out first that another leads', async () => {
    const { cluster, a, b } = await started()
    const member = await stable(a)
    await a.commit('g', 1, member)
    const joining = await underWay(a.join('g'))
    cluster.logs[0]!.elect(b.partitions[0]!)
    expect(await a.commit('h', 2)).toBe('NOT_COORDINATOR')
    expect((await joining.answer).error.name).toBe('NOT_COORDINATOR')
    expect(await a.heartbeat('g', member)).toBe('NOT_COORDINATOR')
    a.lead()
    await settled()
    expect(await a.heartbeat('g', member)).toBe('NONE')
    expect(await a.offset('h')).toBe(null)
  })
})

describe('a leader with too few replicas in sync', () => {
  test('keeps nothing that it could not append', async () => {
    const { cluster, a, b } = await started()
    await a.commit('g', 1)
    cluster.logs[0]!.failNext = new VarveError('VARVE_NOT_ENOUGH_REPLICAS', 'too few are in sync')
    expect(await a.commit('g', 2)).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(await a.offset('g')).toBe(1)
    expect(await a.commit('g', 3)).toBe('NONE')
    b.lead()
    await settled()
    expect(await b.offset('g')).toBe(3)
  })

  test('keeps what is committed all the same, as the next one does', async () => {
    const { cluster, a, b } = await started()
    const member = await stable(a)
    await a.commit('g', 1, member)
    cluster.logs[0]!.held = true
    const leave = await underWay(a.leave('g', member))
    cluster.logs[0]!.commitWithTooFew()
    expect(await leave.answer).toBe('NONE')
    const deletion = await underWay(a.deleteGroup('g'))
    cluster.logs[0]!.commitWithTooFew()
    expect(await deletion.answer).toBe('NONE')
    for (const leader of [a, b]) {
      leader.lead()
      await settled()
      expect(await leader.offset('g')).toBe(null)
    }
  })
})

describe('the clock of a leader that was', () => {
  test('fences nobody: the sessions of members begin anew with the next one', async () => {
    const { cluster, a, b } = await started()
    const member = await stable(a)
    cluster.clock.advance(9_999)
    b.lead()
    await settled()
    const stored = cluster.logs[0]!.endOffset
    cluster.clock.advance(1)
    await settled()
    expect(cluster.logs[0]!.endOffset).toBe(stored)
    cluster.clock.advance(9_998)
    expect(await b.heartbeat('g', member)).toBe('NONE')
    a.lead()
    await settled()
    cluster.clock.advance(9_999)
    await settled()
    expect(a.state('g')).toBe('Stable')
    cluster.clock.advance(1)
    await settled()
    expect(a.state('g')).toBe('Empty')
  })

  test('has no say in what was only waited for while something was stored', async () => {
    const { cluster, a, b } = await started()
    const [leader, follower] = await joinedByTwo(a, 'g')
    cluster.logs[0]!.held = true
    const assigning = await underWay(a.sync('g', leader))
    // Both the session of the one that does not ask for its assignment and the time to ask for it are over.
    cluster.clock.advance(30_000)
    const before = [...a.lines]
    b.lead()
    expect((await assigning.answer).error.name).toBe('COORDINATOR_NOT_AVAILABLE')
    await settled()
    expect(a.lines).toEqual(before)
    // That of the expiry of offsets is all that is left of both.
    expect(cluster.clock.pending).toBe(2)
    cluster.logs[0]!.commit()
    await settled()
    expect(await b.heartbeat('g', follower)).toBe('NONE')
  })

  test('expires no offsets, that of the next one does', async () => {
    const { cluster, a, b } = await started({ offsetsRetentionMinutes: 60 })
    await a.commit('g', 1)
    b.lead()
    await settled()
    const stored = cluster.logs[0]!.endOffset
    cluster.logs[0]!.elect(null)
    cluster.clock.advance(70 * 60_000)
    await settled()
    expect(cluster.logs[0]!.endOffset).toBe(stored)
    expect(b.lines.filter((line) => line.startsWith('warn') || line.startsWith('error'))).toEqual([])
    a.lead()
    await settled()
    cluster.clock.advance(10 * 60_000)
    await settled()
    expect(await a.offset('g')).toBe(null)
    b.lead()
    await settled()
    expect(await b.offset('g')).toBe(null)
  })
})

describe('a topic that is deleted', () => {
  const deleted = { name: 't', id: topicId }

  test('takes along what its leader here has of it', async () => {
    const { a, b } = await started({}, 2)
    b.lead(1)
    await settled()
    // By their hashes in partitions 1 and 0.
    expect(await b.commit('g', 1)).toBe('NONE')
    expect(await a.commit('h', 2)).toBe('NONE')
    await a.topicDeleted(deleted)
    expect([await b.offset('g'), await a.offset('h')]).toEqual([1, null])
    await b.topicDeleted(deleted)
    expect(await b.offset('g')).toBe(null)
  })

  test('takes along what is being loaded, but for what was committed to a later one of its name', async () => {
    const { a, b } = await started()
    await a.commit('g', 1)
    const release = holdReading(b)
    b.lead()
    await settled()
    await b.topicDeleted({ ...deleted, id: 'BBBBBBBBBBBBBBBBBBBBBQ' })
    release()
    await settled()
    expect(await b.offset('g')).toBe(1)
    const releaseAgain = holdReading(a)
    a.lead()
    await a.topicDeleted(deleted)
    releaseAgain()
    await settled()
    expect(await a.offset('g')).toBe(null)
    b.lead()
    await settled()
    expect(await b.offset('g')).toBe(null)
  })

  test('may be that of the groups, which begin anew when there is one again', async () => {
    const { cluster, a } = await started()
    const member = await stable(a)
    const joining = await underWay(a.join('g'))
    const former = asPartition(a.partitions[0]!)
    await cluster.makeTopicAnew()
    expect((await joining.answer).error.name).toBe('NOT_COORDINATOR')
    expect(await a.heartbeat('g', member)).toBe('NOT_COORDINATOR')
    expect(cluster.clock.pending).toBe(0)
    expect(a.lead()).toBe(0)
    a.coordinator.resign(former, 1)
    expect(await a.heartbeat('g', member)).toBe('UNKNOWN_MEMBER_ID')
    await stable(a)
    expect(a.coordinator.completedRebalances).toBe(2)
  })
})

test('rebalances that were completed stay counted, groups only where they are led', async () => {
  const { a, b } = await started()
  await stable(a, 'g')
  await stable(a, 'h')
  expect([a.coordinator.completedRebalances, [...a.coordinator.loaded()].length]).toEqual([2, 2])
  b.lead()
  await settled()
  expect([a.coordinator.completedRebalances, [...a.coordinator.loaded()].length]).toEqual([2, 0])
  expect([b.coordinator.completedRebalances, [...b.coordinator.loaded()].length]).toEqual([0, 2])
  a.lead()
  await settled()
  await stable(a, 'i')
  expect([a.coordinator.completedRebalances, [...a.coordinator.loaded()].length]).toEqual([3, 3])
})
