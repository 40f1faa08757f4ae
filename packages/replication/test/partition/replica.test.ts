import { expect, test } from 'vitest'
import { noBroker, PartitionReplica, type BrokerRegistration } from '@varve/replication'
import { BatchLog } from './batch-log.js'
import { lagMs, registrationOf, stateOf, topicId } from './partition.js'

function replicaOf({ highWatermark }: { highWatermark?: number } = {}) {
  const log = new BatchLog()
  log.append(10, 1)
  const own = { registration: registrationOf(1) as BrokerRegistration | undefined, brokerEpoch: 11 }
  const replica = new PartitionReplica({
    brokerId: 1,
    brokerEpoch: () => own.brokerEpoch,
    log,
    brokers: (id) => (id === 1 ? own.registration : registrationOf(id)),
    replicaLagTimeMaxMs: lagMs,
    ...(highWatermark === undefined ? {} : { highWatermark }),
  })
  return { log, own, replica }
}

test('takes a role when a state gives it one, and another with each leader epoch', () => {
  const { replica } = replicaOf({ highWatermark: 4 })
  expect([replica.role, replica.highWatermark, replica.reconsider(0)]).toEqual(['waiting', 4, null])
  expect(replica.stateChanged(stateOf({ leader: 2, partitionEpoch: 100 }), 0)).toBe('follower')
  expect(replica.follower).toMatchObject({ leader: 2, leaderEpoch: 5, highWatermark: 4 })
  const followed = replica.follower!
  followed.answered(followed.fetch()!.fetchId, {
    error: null,
    leaderEpoch: 5,
    highWatermark: 6,
    logStartOffset: 0,
    diverging: null,
    records: null,
  })
  expect(replica.highWatermark).toBe(6)
  expect(replica.stateChanged(stateOf({ leader: 2, isr: [2], partitionEpoch: 101 }), 0)).toBeNull()
  expect(replica.follower).toBe(followed)
  expect(replica.stateChanged(stateOf({ leaderEpoch: 6, partitionEpoch: 102 }), 0)).toBe('leader')
  expect([replica.follower, followed.fetch()]).toEqual([null, null])
  const led = replica.leader!
  expect(replica.stateChanged(stateOf({ leaderEpoch: 6, isr: [1], partitionEpoch: 103 }), 0)).toBeNull()
  expect(replica.leader).toBe(led)
  expect(led.state.isr).toEqual([1])
  expect(replica.stateChanged(stateOf({ leaderEpoch: 7, partitionEpoch: 104 }), 0)).toBe('leader')
  expect(replica.leader).not.toBe(led)
  expect(replica.stateChanged(stateOf({ leader: noBroker, leaderEpoch: 8, partitionEpoch: 105 }), 0)).toBe(
    'waiting',
  )
  expect(replica.stateChanged(stateOf({ leader: 3, leaderEpoch: 9, partitionEpoch: 106 }), 0)).toBe(
    'follower',
  )
  expect(
    replica.stateChanged(stateOf({ leader: 3, leaderEpoch: 9, replicas: [2, 3], partitionEpoch: 107 }), 0),
  ).toBe('waiting')
  expect(
    replica.stateChanged(stateOf({ leaderEpoch: 9, replicas: [2, 3], partitionEpoch: 108 }), 0),
  ).toBeNull()
})

test('keeps the high watermark from role to role', () => {
  const { log, replica } = replicaOf()
  replica.stateChanged(stateOf({ replicas: [1, 2], isr: [1], minInsyncReplicas: 1 }), 0)
  expect(replica.highWatermark).toBe(10)
  replica.stateChanged(stateOf({ leader: noBroker, leaderEpoch: 6, partitionEpoch: 101 }), 0)
  expect(replica.highWatermark).toBe(10)
  replica.stateChanged(stateOf({ leader: 2, leaderEpoch: 7, partitionEpoch: 102 }), 0)
  expect([replica.highWatermark, replica.follower?.highWatermark, log.endOffset]).toEqual([10, 10, 10])
})

test('an earlier state is ignored, and one with an earlier leader epoch at a later revision is none', () => {
  const { replica } = replicaOf()
  replica.stateChanged(stateOf({ leader: 2 }), 0)
  expect(replica.stateChanged(stateOf({ leaderEpoch: 9, partitionEpoch: 100 }), 0)).toBeNull()
  expect(replica.role).toBe('follower')
  expect(() => replica.stateChanged(stateOf({ leaderEpoch: 4, partitionEpoch: 101 }), 0)).toThrow(
    expect.objectContaining({ code: 'VARVE_LEADER_EPOCH_WENT_BACK' }),
  )
})

test('a state that its own change brought about is no news when the watch tells it', () => {
  const { replica } = replicaOf()
  replica.stateChanged(stateOf({ isr: [1, 2] }), 0)
  const leader = replica.leader!
  const change = leader.change(2 * lagMs)!
  leader.changeSettled(change, { kind: 'succeeded', revision: 105 }, 0)
  expect(replica.state?.partitionEpoch).toBe(105)
  expect(replica.stateChanged(stateOf({ isr: [1, 2], partitionEpoch: 104 }), 0)).toBeNull()
  expect(replica.leader?.state.isr).toEqual([1])
  replica.reconsider(0)
  expect(replica.leader?.state.isr).toEqual([1])
})

test.each([
  ['without a registration', undefined],
  ['while it is fenced', registrationOf(1, { fenced: true })],
  ['with the registration of a former life', registrationOf(1, { brokerEpoch: 9 })],
  ['that it was elected to before it was registered', registrationOf(1, { brokerEpoch: 100 })],
])('takes no leadership %s', (_, registration) => {
  const { own, replica } = replicaOf()
  own.registration = registration
  own.brokerEpoch = registration?.brokerEpoch === 100 ? 100 : 11
  expect(replica.stateChanged(stateOf(), 0)).toBeNull()
  expect(replica.role).toBe('waiting')
  own.registration = registrationOf(1)
  own.brokerEpoch = 11
  expect(replica.reconsider(0)).toBe('leader')
  // Who leads goes on: a lease that is lost is no safety matter.
  own.registration = undefined
  expect(replica.reconsider(0)).toBeNull()
  expect(replica.role).toBe('leader')
})

test('takes no new role before a step for the old one has ended', () => {
  const { log, replica } = replicaOf({ highWatermark: 10 })
  replica.stateChanged(stateOf({ leader: 2 }), 0)
  const follower = replica.follower!
  const { fetchId } = follower.fetch()!
  const step = follower.answered(fetchId, {
    error: null,
    leaderEpoch: 5,
    highWatermark: 0,
    logStartOffset: 0,
    diverging: { epoch: 1, endOffset: 4 },
    records: null,
  })
  expect(step).toEqual({ kind: 'truncate', to: 4 })
  expect(replica.stateChanged(stateOf({ leaderEpoch: 6, partitionEpoch: 101 }), 0)).toBe('waiting')
  expect(replica.stateChanged(stateOf({ leader: 3, leaderEpoch: 7, partitionEpoch: 102 }), 0)).toBeNull()
  expect(replica.stateChanged(stateOf({ leaderEpoch: 8, partitionEpoch: 103 }), 0)).toBeNull()
  log.truncate(4)
  follower.truncated()
  expect(replica.reconsider(0)).toBe('leader')
  expect(replica.leader).toMatchObject({ leaderEpoch: 8, epochStartOffset: 4, highWatermark: 4 })
})

test('neither leads nor follows once its log has failed', () => {
  const { own, replica } = replicaOf()
  replica.stateChanged(stateOf(), 0)
  own.registration = registrationOf(1, { offlineReplicas: [`${topicId}:0`] })
  expect(replica.logFailed(0)).toBe('waiting')
  expect(replica.reconsider(0)).toBeNull()
  expect(replica.stateChanged(stateOf({ leader: 2, leaderEpoch: 6, partitionEpoch: 101 }), 0)).toBeNull()
  expect(replica.role).toBe('waiting')
})

test('answers clients that know the leader epoch, as a follower only those that may read from one', () => {
  const { replica } = replicaOf()
  const errors = () =>
    [-1, 4, 5, 6].map((currentLeaderEpoch) => [
      replica.clientError({ currentLeaderEpoch, fromFollower: false }),
      replica.clientError({ currentLeaderEpoch, fromFollower: true }),
    ])
  const both = (error: string | null) => [error, error]
  expect(errors()).toEqual(Array(4).fill(both('UNKNOWN_TOPIC_OR_PARTITION')))
  const fenced = both('FENCED_LEADER_EPOCH')
  const unknown = both('UNKNOWN_LEADER_EPOCH')
  const noLeader = 'NOT_LEADER_OR_FOLLOWER'
  replica.stateChanged(stateOf({ leader: noBroker, partitionEpoch: 100 }), 0)
  expect(errors()).toEqual([both(noLeader), fenced, both(noLeader), unknown])
  replica.stateChanged(stateOf({ leader: 2, partitionEpoch: 101 }), 0)
  expect(errors()).toEqual([[noLeader, null], fenced, [noLeader, null], unknown])
  replica.stateChanged(stateOf({ leaderEpoch: 6, partitionEpoch: 102 }), 0)
  expect(errors()).toEqual([both(null), fenced, fenced, both(null)])
  replica.logFailed(0)
  expect(errors()).toEqual(Array(4).fill(both('KAFKA_STORAGE_ERROR')))
})
