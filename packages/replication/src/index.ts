export type { BrokerRegistration } from './broker-registration.js'
export type { ReplicationErrorName } from './error-name.js'
export { ReplicationError } from './error.js'
export {
  maxTransactionOperations,
  type MetadataCompare,
  type MetadataEntry,
  type MetadataEvent,
  type MetadataOutcome,
  type MetadataPut,
  type MetadataTransaction,
} from './metadata-store.js'
export { noBroker, type PartitionState } from './partition-state.js'
export type { EpochEnd, ReplicaLog } from './replica-log.js'
