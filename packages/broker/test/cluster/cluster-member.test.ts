// One broker's part in a cluster, over a store that other members share.
import { openDataDirectory } from '@varve/log'
import { VarveError } from '@varve/records'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ClusterMember } from '../../src/cluster/cluster-member.js'
import { LocalMetadataStore } from '../../src/metadata/local-metadata-store.js'
import { ManualClock } from '../support/manual-clock.js'
import { temporaryDirectory, until } from '../support/test-broker.js'

async function clusterOf(): Promise<{
  clock: ManualClock
  lines: string[]
  store: LocalMetadataStore
  join(brokerId: number, directoryId: string): Promise<ClusterMember>
}> {
  const directory = await openDataDirectory(await temporaryDirectory(), { volatile: true })
  const clock = new ManualClock()
  const store = await LocalMetadataStore.open(directory, { durability: 'os', clock })
  const members: ClusterMember[] = []
  const lines: string[] = []
  onTestFinished(async () => {
    for (const member of members) member.close()
    await store.close()
    await directory.close()
    expect(clock.pending).toBe(0)
  })
  const join = async (brokerId: number, directoryId: string): Promise<ClusterMember> => {
    const number = members.length
    const member = await ClusterMember.open({
      store,
      brokerId,
      clock,
      log: (_, line) => lines.push(`${number}: ${line}`),
      controllerConfig: () => ({
        defaultMinInsyncReplicas: 1,
        uncleanLeaderElection: false,
        leaderImbalanceCheckIntervalMs: null,
      }),
    })
    members.push(member)
    member.register({
      incarnationId: String(number),
      directoryId,
      rack: null,
      endpoints: {},
      mayHaveLostRecords: false,
      leaseTtlSeconds: 9,
    })
    return member
  }
  return { clock, lines, store, join }
}

test('the first one is the controller, and notes all others', async () => {
  const { join } = await clusterOf()
  const [first, second] = [await join(1, 'a'), await join(2, 'b')]
  await Promise.all([first.untilRegistered(), second.untilRegistered()])
  expect([first.isController, second.isController]).toEqual([true, false])
  expect(await second.request({ kind: 'delete topic', name: 'orders' })).toMatchObject({
    error: 'NOT_CONTROLLER',
  })
})

test('one whose registration has vanished registers anew, with another epoch', async () => {
  const { clock, join } = await clusterOf()
  const member = await join(1, 'a')
  await member.untilRegistered()
  const { brokerEpoch } = member
  await member.transact({ deletes: ['/brokers/1'] })
  await until(() => {
    void clock.advance(100)
    return member.brokerEpoch > brokerEpoch
  }, 'it is registered anew')
})

test('one whose id and data another process has taken over says that it stops', async () => {
  const { clock, lines, join } = await clusterOf()
  const former = await join(1, 'a')
  await former.untilRegistered()
  const reasons: VarveError[] = []
  former.onTakenOver((reason) => reasons.push(reason))
  const later = await join(1, 'a')
  await until(() => reasons.length > 0, 'the former one is told')
  await clock.advance(100)
  expect(later.isUpToDate).toBe(true)
  expect(lines.filter((line) => line.includes('another process'))).toEqual([
    '0: another process is registered as broker 1; give each broker an id of its own, or stop the other one. This one stops',
  ])
  expect(reasons.map(({ code }) => code)).toEqual(['VARVE_BROKER_ID_TAKEN'])
  await expect(former.untilRegistered()).rejects.toBe(reasons[0])
})

test('one that is closed before it is registered does not wait for that', async () => {
  const { clock, lines, join } = await clusterOf()
  await (await join(1, 'a')).untilRegistered()
  const other = await join(1, 'b')
  await until(() => {
    void clock.advance(100)
    return lines.some((line) => line.endsWith('This one waits'))
  }, 'it waits')
  const registered = other.untilRegistered()
  other.close()
  await expect(registered).rejects.toMatchObject({ code: 'VARVE_BROKER_CLOSED' })
  await expect(other.untilRegistered()).rejects.toMatchObject({ code: 'VARVE_BROKER_CLOSED' })
})

test('what the store did not take is told from what nobody knows of', async () => {
  const { join, store } = await clusterOf()
  const member = await join(1, 'a')
  await member.untilRegistered()
  const twice = { puts: ['a', 'b'].map((value) => ({ key: '/twice', value })) }
  expect(await member.transact(twice)).toEqual({ kind: 'not applied' })
  const never = { compares: [{ key: '/never', revision: 7 }], puts: [{ key: '/never', value: 'v' }] }
  expect(await member.transact(never)).toEqual({ kind: 'failed' })
  vi.spyOn(store, 'txn').mockRejectedValueOnce(
    new VarveError('VARVE_METADATA_OUTCOME_UNKNOWN', 'the answer is lost'),
  )
  expect(await member.transact({ puts: [{ key: '/lost', value: 'v' }] })).toEqual({ kind: 'unknown' })
})
