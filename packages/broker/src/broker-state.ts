import type { BrokerLog } from './broker-log.js'
import type { Cancellation } from './cancellation.js'
import type { Clock } from './clock.js'
import type { ControllerLink } from './controller-link.js'
import type { ClusterView } from './cluster-view.js'
import type { BrokerConfigs } from './configs/broker-configs.js'
import type { DataDirectories } from './data-directories.js'
import type { FetchSessions } from './fetch-sessions.js'
import type { GroupCoordinator } from './groups/group-coordinator.js'
import type { LimitedLog } from './limited-log.js'
import type { LowDisk } from './low-disk.js'
import type { Faults } from './testing/faults.js'
import type { ProducerIds } from './producer-ids.js'
import type { ReplicationQuota } from './replication-quota.js'
import type { RequestObserver } from './request-observer.js'
import type { Topics } from './topics.js'

/** What the handlers share. */
export interface BrokerState {
  readonly nodeId: number
  readonly clusterId: string
  readonly cluster: ClusterView
  /** Who carries out what changes the cluster. */
  readonly controller: ControllerLink
  readonly configs: BrokerConfigs
  readonly directories: DataDirectories
  /** How far the metadata store has come. */
  readonly metadataRevision: () => Promise<number>
  readonly topics: Topics
  readonly producerIds: ProducerIds
  readonly fetchSessions: FetchSessions
  /** Of what followers are sent; null where nothing is replicated. */
  readonly leaderQuota: ReplicationQuota | null
  readonly groups: GroupCoordinator
  readonly clock: Clock
  /** By which clients are waited for on their connections. */
  readonly connectionClock: Clock
  readonly log: BrokerLog
  /** For lines that a peer can cause as often as it likes. */
  readonly limitedLog: LimitedLog
  readonly lowDisk: LowDisk
  /** Null where nobody measures. */
  readonly observer: RequestObserver | null
  readonly autoCreateTopics: boolean
  readonly defaultPartitions: number
  /** What was injected to go wrong. */
  readonly faults: Faults
  /** Cancelled when the broker begins to close: long polls are answered with what there is. */
  readonly closing: Cancellation
}
