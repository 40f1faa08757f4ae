// What a partition of a cluster does when its leader, its replicas or its log change.
import { expect, test } from 'vitest'
import { batchOf, settle } from '../support/test-broker.js'
import { replicaOn, stateOf, TestMembership } from './support/replica.js'

const fetchOf = (replicaId: number, fetchOffset: number) => ({
  fetchId: 0,
  replicaId,
  replicaEpoch: 10,
  currentLeaderEpoch: 5,
  fetchOffset,
  lastFetchedEpoch: fetchOffset === 0 ? -1 : 5,
  logStartOffset: 0,
  durableOffset: fetchOffset,
  highWatermark: 0,
})

test('the log knows the high watermark from the beginning, and whenever it moves', async () => {
  const { partition, log } = await replicaOn(new TestMembership(1), stateOf())
  expect(log.highWatermark).toBe(0)
  await partition.append(batchOf('a'), false)
  expect(log.highWatermark).toBe(0)
  for (const id of [2, 3]) partition.fetchedBy(fetchOf(id, 1))
  expect(log.highWatermark).toBe(1)
})

test('who waits for all replicas is answered when they have it', async () => {
  const { partition } = await replicaOn(new TestMembership(1), stateOf())
  let answered = 0
  const appended = partition.append(batchOf('a'), true).finally(() => answered++)
  await settle()
  partition.fetchedBy(fetchOf(2, 1))
  await settle()
  expect(answered).toBe(0)
  partition.fetchedBy(fetchOf(3, 1))
  expect(await appended).toBe(0)
})

test('who waits for all replicas is refused when the leader is another one', async () => {
  const { partition } = await replicaOn(new TestMembership(1), stateOf())
  const appended = partition.append(batchOf('a'), true)
  await settle()
  partition.stateChanged(stateOf({ leader: 2, leaderEpoch: 6, partitionEpoch: 30 }))
  await expect(appended).rejects.toMatchObject({ code: 'VARVE_NOT_LEADER' })
})

test('who waits for this replica alone is refused when the leader is another one before it has the batch', async () => {
  const { partition } = await replicaOn(new TestMembership(1), stateOf())
  const appended = partition.append(batchOf('a'), false)
  partition.stateChanged(stateOf({ leader: 2, leaderEpoch: 6, partitionEpoch: 30 }))
  await expect(appended).rejects.toMatchObject({ code: 'VARVE_NOT_LEADER' })
  // Nor in an epoch in which it leads again: in between it may have been cut off.
  partition.stateChanged(stateOf({ leaderEpoch: 7, partitionEpoch: 40 }))
  expect(await partition.append(batchOf('b'), false)).toBe(1)
  const again = partition.append(batchOf('c'), false)
  partition.stateChanged(stateOf({ leader: 2, leaderEpoch: 8, partitionEpoch: 50 }))
  partition.stateChanged(stateOf({ leaderEpoch: 9, partitionEpoch: 60 }))
  await expect(again).rejects.toMatchObject({ code: 'VARVE_NOT_LEADER' })
})

test('who waits is refused when the log is released, and when it fails', async () => {
  for (const end of ['release', 'fail'] as const) {
    const { partition, log } = await replicaOn(new TestMembership(1), stateOf())
    const appended = partition.append(batchOf('a'), true)
    await settle()
    if (end === 'fail') log.fail()
    else void partition.release()
    const code = end === 'fail' ? 'VARVE_LOG_FAILED' : 'VARVE_NOT_LEADER'
    await expect(appended).rejects.toMatchObject({ code })
    expect([partition.leader, partition.follower]).toEqual([null, null])
  }
})

test('what is in sync with too few is refused before it is appended, and told of after', async () => {
  const { partition, log } = await replicaOn(new TestMembership(1), stateOf({ minInsyncReplicas: 2 }))
  const appended = partition.append(batchOf('a'), true)
  await settle()
  partition.stateChanged(stateOf({ minInsyncReplicas: 2, isr: [1], partitionEpoch: 30 }))
  await expect(partition.append(batchOf('b'), true)).rejects.toMatchObject({
    code: 'VARVE_NOT_ENOUGH_REPLICAS',
  })
  expect(log.endOffset).toBe(1)
  for (const id of [2, 3]) partition.fetchedBy(fetchOf(id, 1))
  partition.stateChanged(stateOf({ minInsyncReplicas: 2, isr: [1, 2], partitionEpoch: 31 }))
  partition.fetchedBy(fetchOf(2, 1))
  expect(await appended).toBe(0)
})

test('a broker leads only once it is registered as itself and unfenced', async () => {
  const membership = new TestMembership(1)
  const own = membership.registrations.get(1)!
  membership.registrations.set(1, { ...own, fenced: true })
  const { partition, log } = await replicaOn(membership, stateOf())
  expect([partition.leader, partition.clientError(-1)?.code]).toEqual([null, 6])
  membership.registrations.set(1, own)
  partition.reconsider()
  expect([partition.leader?.leaderEpoch, log.leaderEpoch]).toEqual([5, 5])
})

test('who has read of a later epoch than this replica knows is not told that it is lost', async () => {
  const { partition } = await replicaOn(new TestMembership(1), stateOf())
  const asked = (currentLeaderEpoch: number, readEpoch: number) =>
    partition.clientError(currentLeaderEpoch, false, readEpoch)?.name
  expect(asked(-1, 6)).toBe('UNKNOWN_LEADER_EPOCH')
  expect(asked(5, 6)).toBe('UNKNOWN_LEADER_EPOCH')
  expect(asked(5, 5)).toBeUndefined()
  partition.stateChanged(stateOf({ leader: 2, leaderEpoch: 6, partitionEpoch: 30 }))
  expect(asked(-1, 6)).toBe('NOT_LEADER_OR_FOLLOWER')
})
