export type { BrokerRegistration } from './broker-registration.js'
export {
  BrokerSession,
  type BrokerSessionOptions,
  type BrokerSessionOutput,
  type BrokerSessionState,
} from './broker/session.js'
export type { ReplicationErrorName } from './error-name.js'
export { ClusterImage, type ClusterChange } from './cluster-image.js'
export {
  Controller,
  type ControllerConfig,
  type ControllerOptions,
  type ControllerOutput,
} from './controller/controller.js'
export { elect, electPreferred, type Electorate } from './controller/election.js'
export type {
  AlterTopicConfigsRequest,
  ControllerErrorName,
  ControllerRequest,
  ControllerResult,
  CreatePartitionsRequest,
  CreateTopicRequest,
  DeleteTopicRequest,
  DrainRequest,
  ElectLeadersRequest,
  PartitionResult,
  ReassignRequest,
  TopicPartition,
  UnregisterRequest,
} from './controller/request.js'
export { isAvailable } from './controller/placement.js'
export { isReassigning, originalReplicas, targetReplicas } from './controller/reassignment.js'
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
  partitionOfKey,
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
export { isUnderMinIsr, isUnderReplicated, noBroker, type PartitionState } from './partition-state.js'
export type { FetchedRecords, FollowerFetch, FollowerFetchAnswer } from './partition/fetch.js'
export { PartitionFollower, type FollowerStep, type PartitionFollowerOptions } from './partition/follower.js'
export type { Attendance, FollowerProgress } from './partition/follower-progress.js'
export { advancedHighWatermark } from './partition/high-watermark.js'
export type { InSyncChange } from './partition/in-sync-change.js'
export { withInSyncReplicas } from './partition/in-sync-set.js'
export { LeaderEpochs } from './partition/leader-epochs.js'
export { PartitionLeader, type BrokerLookup, type PartitionLeaderOptions } from './partition/leader.js'
export { closestReplica, type ReadCandidate } from './partition/read-replica.js'
export type { IsolationLevel } from './partition/readable-end.js'
export {
  PartitionReplica,
  type ClientError,
  type PartitionReplicaOptions,
  type ReplicaRole,
} from './partition/replica.js'
export { ReplicationThrottle } from './partition/replication-throttle.js'
export { mayHaveLostRecords, type FoundData } from './partition/unclean-restart.js'
export type { EpochEnd, ReplicaLog } from './replica-log.js'
export { nextProducerIdBlock, producerIdBlockSize, type ProducerIdBlock } from './producer-id-blocks.js'
