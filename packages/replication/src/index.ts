export type { BrokerRegistration } from './broker-registration.js'
export type { ReplicationErrorName } from './error-name.js'
export { ReplicationError } from './error.js'
export {
  brokerKey,
  brokerKeyPrefix,
  controllerKey,
  decodeBrokerRegistration,
  decodeControllerRegistration,
  decodePartitionState,
  decodeTopicRegistration,
  encodeBrokerRegistration,
  encodeControllerRegistration,
  encodePartitionState,
  encodeTopicRegistration,
  partitionKey,
  partitionKeyPrefix,
  producerIdsKey,
  topicKey,
  topicKeyPrefix,
  type ControllerRegistration,
  type TopicRegistration,
} from './metadata-keys.js'
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
