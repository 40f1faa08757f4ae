/**
 * A consumer believes the broker when it says that an offset is committed: if a kill -9 can take that back, everything since
 * is read a second time, and if it can leave a generation without its members, the whole group stands still until sessions
 * end. So the real broker is killed in the middle of commits, at seeded points, and asked after each start what it knows.
 */
import { join } from 'node:path'
import {
  consumerSubscription,
  describeGroups,
  errors,
  heartbeat,
  joinGroup,
  offsetCommit,
  offsetFetch,
  syncGroup,
} from '@varve/protocol'
import { Admin } from '@varve/client'
import { describe, expect, test } from 'vitest'
import { RawClient } from '../../packages/broker/test/support/raw-client.js'
import { BrokerProcess } from '../support/broker-process.js'
import { isLongRun, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { temporaryDirectory } from '../support/tree.js'

const TOPIC = 't'
const GROUP = 'g'
const PARTITIONS = 4
const KILLS = isLongRun ? 200 : 6

interface Member {
  readonly memberId: string
  readonly generationId: number
}

/** Begins a group of one static member, which lives through all kills. */
async function form(client: RawClient): Promise<Member> {
  const metadata = consumerSubscription.encode({ topics: [TOPIC], userData: null }, 0)
  const { memberId, generationId } = await client.request(joinGroup, 9, {
    groupId: GROUP,
    sessionTimeoutMs: 300_000,
    rebalanceTimeoutMs: 300_000,
    memberId: '',
    groupInstanceId: 'instance',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata }],
  })
  const { errorCode } = await client.request(syncGroup, 5, {
    groupId: GROUP,
    generationId,
    memberId,
    groupInstanceId: 'instance',
    assignments: [{ memberId, assignment: Buffer.from('everything') }],
  })
  expect(errorCode).toBe(0)
  return { memberId, generationId }
}

/** Asks until the broker has read its groups. */
async function whenLoaded<R extends { errorCode: number }>(ask: () => Promise<R>): Promise<R> {
  for (;;) {
    const response = await ask()
    if (response.errorCode !== errors.COORDINATOR_LOAD_IN_PROGRESS.code) return response
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Commits ever larger offsets from several connections until the broker is killed. */
async function commitUntilKilled(
  broker: BrokerProcess,
  member: Member,
  offsets: { acknowledged: number; attempted: number }[],
  killAfter: number,
): Promise<void> {
  let count = 0
  const commitOn = async (partition: number): Promise<void> => {
    const client = await RawClient.connect(broker.port)
    const offset = offsets[partition]!
    try {
      for (;;) {
        const committedOffset = ++offset.attempted
        const { topics } = await client.request(offsetCommit, 8, {
          groupId: GROUP,
          generationIdOrMemberEpoch: member.generationId,
          memberId: member.memberId,
          groupInstanceId: 'instance',
          topics: [
            {
              name: TOPIC,
              partitions: [{ partitionIndex: partition, committedOffset, committedMetadata: 'm' }],
            },
          ],
        })
        expect(topics[0]!.partitions[0]!.errorCode).toBe(0)
        offset.acknowledged = committedOffset
        if (++count === killAfter) broker.child.kill('SIGKILL')
      }
    } catch (error) {
      if (!/connection was closed/.test(String(error))) throw error
    } finally {
      await client.close()
    }
  }
  await Promise.all(offsets.map((_, partition) => commitOn(partition)))
  await broker.stop('SIGKILL')
}

describe.each([
  { durability: 'fsync', seed: 21 },
  { durability: 'os', seed: 22 },
])('killed while a group commits, durability $durability', ({ durability, seed }) => {
  test('offsets that were acknowledged are there, and the member goes on', { timeout }, async () => {
    const data = join(temporaryDirectory(), 'log')
    const next = random(seed)
    const offsets = Array.from({ length: PARTITIONS }, () => ({ acknowledged: 0, attempted: 0 }))
    let broker = await BrokerProcess.start(data, ['--durability', durability])
    const admin = new Admin({ brokers: [broker.address] })
    await admin.createTopics([{ name: TOPIC, partitions: PARTITIONS }])
    await admin.close()
    const first = await RawClient.connect(broker.port)
    const member = await form(first)
    await first.close()

    for (let round = 0; round < KILLS; round++) {
      await commitUntilKilled(broker, member, offsets, 1 + Math.floor(next() * 400))
      broker = await BrokerProcess.start(data, ['--durability', durability])
      const client = await RawClient.connect(broker.port)
      const { topics } = await whenLoaded(() =>
        client.request(offsetFetch, 5, { groupId: GROUP, topics: null }),
      )
      const stored = new Map(topics[0]!.partitions.map((one) => [one.partitionIndex, one.committedOffset]))
      offsets.forEach((offset, partition) => {
        const found = stored.get(partition) ?? 0
        expect(found, `partition ${partition} in round ${round} of seed ${seed}`).toBeGreaterThanOrEqual(
          offset.acknowledged,
        )
        expect(found).toBeLessThanOrEqual(offset.attempted)
        // What was not acknowledged may be there or not; from here on it is known.
        Object.assign(offset, { acknowledged: found, attempted: found })
      })
      const alive = { groupId: GROUP, ...member, groupInstanceId: 'instance' }
      expect((await client.request(heartbeat, 4, alive)).errorCode).toBe(0)
      const { groups } = await client.request(describeGroups, 5, {
        groups: [GROUP],
        includeAuthorizedOperations: false,
      })
      expect(groups[0]).toMatchObject({
        groupState: 'Stable',
        members: [{ memberId: member.memberId, memberAssignment: Buffer.from('everything') }],
      })
      await client.close()
    }
    expect(await broker.stop()).toBe(0)
  })
})
