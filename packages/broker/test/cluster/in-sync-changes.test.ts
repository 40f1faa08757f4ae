// A leader asks the store for other in-sync replicas, one change at a time, and the store may answer late, or not at all.
import type { MetadataOutcome, MetadataTransaction } from '@varve/replication'
import { expect, onTestFinished, test } from 'vitest'
import { InSyncChanges } from '../../src/cluster/in-sync-changes.js'
import type { Partition } from '../../src/partition.js'
import { ManualClock } from '../support/manual-clock.js'
import { batchOf, settle } from '../support/test-broker.js'
import { replicaOn, stateOf, TestMembership } from './support/replica.js'

interface Leading {
  readonly membership: TestMembership
  readonly partition: Partition
  readonly clock: ManualClock
  readonly changes: InSyncChanges
  readonly lines: string[]
  /** What the store was asked for. */
  readonly asked: MetadataTransaction[]
  settle(outcome: MetadataOutcome): Promise<void>
}

/** Broker 1 leads, and has a record that neither follower has fetched for longer than it may take. */
async function lagging(): Promise<Leading> {
  const membership = new TestMembership(1)
  const { partition } = await replicaOn(membership, stateOf())
  await partition.append(batchOf('a'), false)
  membership.time = 31_000
  const clock = new ManualClock()
  const asked: MetadataTransaction[] = []
  const lines: string[] = []
  let answer: (outcome: MetadataOutcome) => void = () => {}
  const changes = new InSyncChanges({
    clock,
    replicaLagTimeMaxMs: membership.replicaLagTimeMaxMs,
    log: (_, line) => lines.push(line),
    transact: (transaction) => {
      asked.push(transaction)
      return new Promise((resolve) => (answer = resolve))
    },
  })
  onTestFinished(() => {
    changes.close()
    expect(clock.pending).toBe(0)
  })
  const end = async (outcome: MetadataOutcome): Promise<void> => {
    answer(outcome)
    await settle()
  }
  return { membership, partition, clock, changes, lines, asked, settle: end }
}

test('who lags leaves the in-sync replicas when the store says so, and then the rest is committed', async () => {
  const { partition, changes, asked, lines, settle: end } = await lagging()
  changes.follow(partition)
  changes.look(partition)
  expect([asked.length, partition.highWatermark]).toEqual([1, 0])
  await end({ kind: 'succeeded', revision: 30 })
  expect([partition.state.isr, partition.state.partitionEpoch, partition.highWatermark]).toEqual([[1], 30, 1])
  expect(lines).toEqual(['orders-0: in sync 1 (before: 1, 2, 3)'])
})

test('a change that was not applied is asked for again after a while', async () => {
  const { partition, clock, changes, asked, settle: end } = await lagging()
  changes.follow(partition)
  await end({ kind: 'not applied' })
  changes.look(partition)
  expect(asked.length).toBe(1)
  await clock.advance(500)
  expect(asked.length).toBe(2)
  expect(asked[1]).toEqual(asked[0])
})

test('a change of unknown outcome counts as neither, and is asked for again after a while', async () => {
  const { partition, clock, changes, asked, settle: end } = await lagging()
  changes.follow(partition)
  await end({ kind: 'unknown' })
  changes.look(partition)
  expect([asked.length, partition.highWatermark]).toEqual([1, 0])
  await clock.advance(500)
  expect(asked.length).toBe(2)
  expect(asked[1]).toEqual(asked[0])
  partition.stateChanged(stateOf({ isr: [1], partitionEpoch: 31 }))
  await end({ kind: 'failed' })
  expect([partition.state.isr, partition.highWatermark, asked.length]).toEqual([[1], 1, 2])
})

test('a change whose comparison has failed is not asked for again before the state is another', async () => {
  const { partition, clock, changes, asked, settle: end } = await lagging()
  changes.follow(partition)
  await end({ kind: 'failed' })
  await clock.advance(5000)
  expect(asked.length).toBe(1)
  partition.stateChanged(stateOf({ isr: [1, 2], partitionEpoch: 31 }))
  changes.look(partition)
  expect(asked.length).toBe(2)
})

test('an outcome that comes after the leadership changes nothing of the next one', async () => {
  const { partition, clock, changes, asked, settle: end } = await lagging()
  changes.follow(partition)
  partition.stateChanged(stateOf({ leader: 2, leaderEpoch: 6, partitionEpoch: 31 }))
  changes.follow(partition)
  await end({ kind: 'succeeded', revision: 30 })
  await clock.advance(5000)
  expect([partition.state.isr, partition.state.partitionEpoch, asked.length]).toEqual([[1, 2, 3], 31, 1])
})

test('who begins to lag is noticed without any event', async () => {
  const { membership, partition, clock, changes, asked } = await lagging()
  membership.time = 0
  changes.follow(partition)
  expect(asked).toEqual([])
  membership.time = 31_000
  await clock.advance(3000)
  expect(asked.length).toBe(1)
})
