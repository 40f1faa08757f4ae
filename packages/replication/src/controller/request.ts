/** The errors with which a controller answers, by Kafka's names. */
export type ControllerErrorName =
  | 'BROKER_ID_NOT_REGISTERED'
  | 'ELECTION_NOT_NEEDED'
  | 'ELIGIBLE_LEADERS_NOT_AVAILABLE'
  | 'INVALID_CONFIG'
  | 'INVALID_PARTITIONS'
  | 'INVALID_REPLICA_ASSIGNMENT'
  | 'INVALID_REPLICATION_FACTOR'
  | 'NO_REASSIGNMENT_IN_PROGRESS'
  | 'NOT_CONTROLLER'
  | 'PREFERRED_LEADER_NOT_AVAILABLE'
  | 'TOPIC_ALREADY_EXISTS'
  | 'UNKNOWN_TOPIC_OR_PARTITION'

/** A partition as requests name it. */
export interface TopicPartition {
  /** The topic's name. */
  readonly topic: string
  /** The partition's number, from 0 on. */
  readonly partition: number
}

/** Creates a topic. */
export interface CreateTopicRequest {
  readonly kind: 'create topic'
  /** The topic's name. */
  readonly name: string
  /** A new one, which no topic has ever had. */
  readonly topicId: string
  /** How many partitions, each with how many replicas, placed by the controller; or the replicas of each, the preferred leader first. */
  readonly partitions:
    | { readonly count: number; readonly replicationFactor: number }
    | { readonly assignments: readonly (readonly number[])[] }
  /** The topic's own configurations. Only `min.insync.replicas` and `unclean.leader.election.enable` are looked at. */
  readonly configs?: Readonly<Record<string, string>>
}

/** Deletes a topic with its partitions. */
export interface DeleteTopicRequest {
  readonly kind: 'delete topic'
  /** The topic's name. */
  readonly name: string
}

/** Changes configurations of a topic (IncrementalAlterConfigs). */
export interface AlterTopicConfigsRequest {
  readonly kind: 'alter topic configs'
  /** The topic's name. */
  readonly name: string
  /** The configurations to set; `null` for one to take back. The others stay as they are. */
  readonly configs: Readonly<Record<string, string | null>>
}

/** Gives a topic more partitions. */
export interface CreatePartitionsRequest {
  readonly kind: 'create partitions'
  /** The topic's name. */
  readonly name: string
  /** How many there are to be in the end. */
  readonly count: number
  /** The replicas of each new partition. Absent: as many as the others have, placed by the controller. */
  readonly assignments?: readonly (readonly number[])[]
}

/** KIP-455. It is answered when the reassignments have begun, not when they are complete. */
export interface ReassignRequest {
  readonly kind: 'reassign'
  /** `replicas` null cancels. */
  readonly partitions: readonly (TopicPartition & { readonly replicas: readonly number[] | null })[]
}

/** KIP-460. */
export interface ElectLeadersRequest {
  readonly kind: 'elect leaders'
  /** Which kind of election; the unclean one may lose records (KIP-460). */
  readonly election: 'preferred' | 'unclean'
  /** `null`: all those that need it. */
  readonly partitions: readonly TopicPartition[] | null
}

/** Moves all replicas of a broker to others. It is answered when the reassignments have begun. */
export interface DrainRequest {
  readonly kind: 'drain'
  /** The broker whose replicas go elsewhere. */
  readonly brokerId: number
}

/** Takes the registration of a broker away; one that lives registers again. */
export interface UnregisterRequest {
  readonly kind: 'unregister'
  /** The broker that does not come back. */
  readonly brokerId: number
}

/** What a controller is asked for. */
export type ControllerRequest =
  | CreateTopicRequest
  | DeleteTopicRequest
  | AlterTopicConfigsRequest
  | CreatePartitionsRequest
  | ReassignRequest
  | ElectLeadersRequest
  | DrainRequest
  | UnregisterRequest

/** What became of a partition of a request. */
export interface PartitionResult extends TopicPartition {
  /** Why it was not done; null when it was. */
  readonly error: ControllerErrorName | null
}

/** What became of a request. */
export interface ControllerResult {
  /** Of the request as a whole; null when there is none, or each partition has its own. */
  readonly error: ControllerErrorName | null
  /** In the order of the request, where it named partitions. */
  readonly partitions: readonly PartitionResult[]
}

export function resultOf(error: ControllerErrorName | null): ControllerResult {
  return { error, partitions: [] }
}
