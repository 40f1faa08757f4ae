import { type BrokerLookup, type BrokerRegistration, type PartitionState } from '@varve/replication'

/** What a partition has to know of the cluster that its broker is in. */
export interface Membership {
  readonly brokerId: number
  /** Whether there is no cluster: the broker has the only replica of everything, and leads all of it. */
  readonly isSole: boolean
  /** The broker's epoch as it is now; -1 while it has none. */
  readonly brokerEpoch: () => number
  /** The registrations of all brokers. */
  readonly brokers: BrokerLookup
  /** `replica.lag.time.max.ms`. */
  readonly replicaLagTimeMaxMs: number
  /** Milliseconds. */
  readonly now: () => number
}

const soleBrokerEpoch = 0

/** The membership of a broker that is alone. */
export function soleMembership(brokerId: number): Membership {
  const registration: BrokerRegistration = {
    brokerId,
    brokerEpoch: soleBrokerEpoch,
    revision: soleBrokerEpoch,
    incarnationId: '',
    directoryId: '',
    rack: null,
    endpoints: {},
    mayHaveLostRecords: false,
    fenced: false,
    shuttingDown: false,
    offlineReplicas: [],
    lease: '',
  }
  return {
    brokerId,
    isSole: true,
    brokerEpoch: () => soleBrokerEpoch,
    brokers: (id) => (id === brokerId ? registration : undefined),
    replicaLagTimeMaxMs: Infinity,
    now: () => 0,
  }
}

/** The state of a partition whose only replica is on this broker. */
export function soleState(
  brokerId: number,
  { topicId, partition, leaderEpoch }: Pick<PartitionState, 'topicId' | 'partition' | 'leaderEpoch'>,
): PartitionState {
  return {
    topicId,
    partition,
    replicas: [brokerId],
    addingReplicas: [],
    removingReplicas: [],
    leader: brokerId,
    leaderEpoch,
    isr: [brokerId],
    eligibleLeaderReplicas: [],
    lastKnownLeader: brokerId,
    minInsyncReplicas: 1,
    partitionEpoch: soleBrokerEpoch + 1,
  }
}
