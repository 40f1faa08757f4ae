import type { SecureContextOptions } from 'node:tls'
import type { openDataDirectory } from '@varve/log'
import type { VarveError } from '@varve/records'
import type { ResolvedOptions } from './broker-options.js'
import type { ClusterView } from './cluster-view.js'
import type { BrokerConfigs } from './configs/broker-configs.js'
import type { ControllerLink } from './controller-link.js'
import type { DataDirectories } from './data-directories.js'
import type { MetadataStore } from './metadata/metadata-store.js'
import type { OpeningProgress } from './opening-progress.js'
import type { ReplicationQuota } from './replication-quota.js'
import type { Endpoint } from './request-context.js'
import type { Topics } from './topics.js'

/** What a foundation is laid with. */
export interface FoundationOptions {
  readonly options: ResolvedOptions
  /** The data directories. */
  readonly paths: readonly string[]
  /** Whether they go with the broker. */
  readonly temporary: boolean
  readonly openDataDirectory: typeof openDataDirectory
  readonly opening: OpeningProgress
  /** What the broker proves itself with to others; null where it has nothing. Another one after a renewal. */
  readonly identity: () => SecureContextOptions | null
}

/** What a broker stands on, which is another thing for one that is alone than for one of a cluster. */
export interface Foundation {
  readonly directories: DataDirectories
  readonly metadata: MetadataStore
  readonly configs: BrokerConfigs
  readonly topics: Topics
  readonly cluster: ClusterView
  readonly controller: ControllerLink
  /** Of what leaders here send; null where nothing is replicated. */
  readonly leaderQuota: ReplicationQuota | null
  /** Begins to be there for others, which reach it at these endpoints. */
  join(endpoints: readonly Endpoint[]): Promise<void>
  /** Calls `listener` once others go by another process in place of this broker, which must not serve any more. */
  onTakenOver(listener: (reason: VarveError) => void): void
  /** One line for each thing that keeps the broker from doing its part in the cluster. */
  problems(): string[]
  /** Hands over what others can do as well, as long as that takes no longer than `timeoutMs`. */
  leave(timeoutMs: number): Promise<void>
  /** Is there no more, without a word to anybody. */
  vanish(): void
}
