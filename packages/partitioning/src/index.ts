export { murmur2, toPositive } from './murmur2.js'
export {
  defaultPartitioner,
  keyPartition,
  PartitioningError,
  roundRobin,
  sticky,
  type Partitioner,
  type Random,
} from './partitioner.js'
export type {
  AssignorMember,
  GroupAssignment,
  GroupAssignor,
  PartitionCounts,
  TopicPartition,
} from './assignor.js'
export { rangeAssignor, roundRobinAssignor } from './eager-assignors.js'
export { cooperativeStickyAssignor, stickyAssignor } from './sticky-assignors.js'
export {
  PlacementError,
  placeReplicas,
  replaceReplica,
  type PlacementBroker,
  type PlacementErrorCode,
  type ReplicaPlacement,
  type ReplicaReplacement,
} from './replica-placement.js'
export {
  drainReplicas,
  rebalanceReplicas,
  type PartitionReplicas,
  type ReplicaDrain,
  type ReplicaRebalance,
} from './replica-movement.js'
export { ReplicaLoad } from './replica-load.js'
