import type { BrokerRegistration, PartitionState } from '@varve/replication'
import { BrokerConfigs } from '../../../src/configs/broker-configs.js'
import { systemClock } from '../../../src/clock.js'
import { topicSettings } from '../../../src/configs/topic-settings.js'
import type { Membership } from '../../../src/membership.js'
import type { MetadataStore } from '../../../src/metadata/metadata-store.js'
import { Partition } from '../../../src/partition.js'
import { type ReplicationEnd, ReplicationQuota } from '../../../src/replication-quota.js'
import { MemoryDisk, type MemoryLog } from '../../memory-log.js'
import { temporaryDirectory } from '../../support/test-broker.js'

const noStore = { list: async () => ({ entries: [], revision: 0 }) } as unknown as MetadataStore
const configs = await BrokerConfigs.load(noStore, 0, new Map(), true)
const settings = topicSettings(new Map(), configs, 'os')

/** Of a broker whose rate nobody has altered. */
export function unlimited(end: ReplicationEnd): ReplicationQuota {
  return new ReplicationQuota({ end, brokerId: 1, configs, clock: systemClock })
}

/** Brokers 1 to 3, which the store has had registered at revision 10. */
export class TestMembership implements Membership {
  readonly isSole = false
  readonly replicaLagTimeMaxMs = 30_000
  epoch = 10
  time = 0
  readonly registrations = new Map([1, 2, 3].map((brokerId) => [brokerId, registrationOf(brokerId)]))
  readonly brokerId: number

  constructor(brokerId: number) {
    this.brokerId = brokerId
  }

  readonly brokerEpoch = (): number => this.epoch
  readonly brokers = (id: number): BrokerRegistration | undefined => this.registrations.get(id)
  readonly now = (): number => this.time
}

export function registrationOf(brokerId: number): BrokerRegistration {
  return {
    brokerId,
    brokerEpoch: 10,
    revision: 11,
    incarnationId: '',
    directoryId: `directory-${brokerId}`,
    rack: null,
    endpoints: {},
    mayHaveLostRecords: false,
    fenced: false,
    shuttingDown: false,
    offlineReplicas: [],
    lease: String(brokerId),
  }
}

/** A partition of brokers 1 to 3, all in sync, that broker 1 leads in epoch 5. */
export function stateOf(changes: Partial<PartitionState> = {}): PartitionState {
  return {
    topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
    partition: 0,
    replicas: [1, 2, 3],
    addingReplicas: [],
    removingReplicas: [],
    leader: 1,
    leaderEpoch: 5,
    isr: [1, 2, 3],
    eligibleLeaderReplicas: [],
    lastKnownLeader: 1,
    minInsyncReplicas: 1,
    partitionEpoch: 20,
    ...changes,
  }
}

/** A replica of one of them, over a log in memory. */
export async function replicaOn(
  membership: TestMembership,
  state: PartitionState,
): Promise<{ partition: Partition; log: MemoryLog }> {
  const directory = await new MemoryDisk().openDataDirectory(await temporaryDirectory())
  const log = (await directory.openLog(`orders-${state.partition}`)) as unknown as MemoryLog
  const partition = new Partition({ topic: 'orders', state, membership, settings })
  partition.attach(log)
  return { partition, log }
}
