import * as configs from './admin/configs.js'
import type {
  ConfigAlteration,
  ConfigDescription,
  ConfigQuery,
  ConfigResource,
  ConfigResourceType,
  DescribeConfigsOptions,
} from './admin/configs.js'
import * as elections from './admin/elections.js'
import type { ElectionOutcome, ElectionType } from './admin/elections.js'
import * as groupOffsets from './admin/group-offsets.js'
import * as groups from './admin/groups.js'
import type { GroupDescription, GroupFilter, ListedGroup } from './admin/groups.js'
import * as nodes from './admin/nodes.js'
import type { ClusterDescription, LogDir, LogDirFilter } from './admin/nodes.js'
import * as partitions from './admin/partitions.js'
import type {
  DeletedRecords,
  PartitionProducers,
  RecordDeletion,
  TopicDescription,
} from './admin/partitions.js'
import * as reassignments from './admin/reassignments.js'
import type { OngoingReassignment, PartitionOutcome, Reassignment } from './admin/reassignments.js'
import * as replicas from './admin/replicas.js'
import type { ReplicaRead, ReplicaRecords } from './admin/replicas.js'
import { AdminRequests } from './admin/requests.js'
import * as topics from './admin/topics.js'
import type { CreatedTopic, NewPartitions, NewTopic } from './admin/topics.js'
import { systemClock } from './clock.js'
import { Cluster, type ClusterOptions, type TopicMetadata } from './cluster.js'
import type { CommittedOffset, GroupOffset } from './committed-offsets.js'
import type { FoundOffset, Isolation, OffsetQuery } from './offset-lookup.js'
import type { TopicPartition } from './topic-partition.js'

export type {
  ConfigAlteration,
  ConfigChange,
  ConfigDescription,
  ConfigEntry,
  ConfigQuery,
  ConfigResource,
  ConfigResourceType,
  ConfigSource,
  ConfigSynonym,
  ConfigType,
  DescribeConfigsOptions,
} from './admin/configs.js'
export type { ElectionOutcome, ElectionType } from './admin/elections.js'
export type { GroupDescription, GroupFilter, GroupMember, GroupState, ListedGroup } from './admin/groups.js'
export type { ClusterDescription, LogDir, LogDirFilter, LogDirReplica, Node } from './admin/nodes.js'
export type {
  ActiveProducer,
  DeletedRecords,
  PartitionDescription,
  PartitionProducers,
  RecordDeletion,
  TopicDescription,
} from './admin/partitions.js'
export type { OngoingReassignment, PartitionOutcome, Reassignment } from './admin/reassignments.js'
export type { ReplicaRead, ReplicaRecords } from './admin/replicas.js'
export type { CreatedTopic, NewPartitions, NewTopic } from './admin/topics.js'
export type { PartitionMetadata, TopicMetadata } from './cluster.js'
export type { CommittedOffset, GroupOffset } from './committed-offsets.js'
export type { FoundOffset, OffsetQuery, OffsetSpec } from './offset-lookup.js'

export interface AdminOptions extends Pick<
  ClusterOptions,
  'brokers' | 'clientId' | 'tls' | 'connectTimeoutMs' | 'clock'
> {
  /** How long one request may take, in ms. Default 30 000. */
  requestTimeoutMs?: number
  /** How long a call goes on retrying what may pass, in ms. Default 30 000. */
  timeoutMs?: number
}

export interface CallOptions {
  signal?: AbortSignal
}

export interface ValidateOptions extends CallOptions {
  /** Only say whether it would work. Default false. */
  validateOnly?: boolean
}

/**
 * Looks after a cluster: topics, settings, groups, brokers. Every method connects by itself, finds the broker that can
 * answer (the controller, a group's coordinator, a partition's leader), and retries errors that may pass until
 * `timeoutMs` is over.
 *
 * A method that takes several things does what it can. It throws the KafkaError of the first that failed, with an
 * AggregateError of all as its `cause` when several did. Besides, every method throws `VARVE_NO_BROKER`, the codes of a
 * connection, `VARVE_UNSUPPORTED_VERSION` where the broker does not know the request, and `VARVE_INVALID_RESPONSE`.
 */
export class Admin {
  private readonly cluster: Cluster
  private readonly requests: AdminRequests

  /** @throws VarveError `VARVE_INVALID_OPTION` */
  constructor(options: AdminOptions) {
    const { brokers, clientId, tls, connectTimeoutMs, requestTimeoutMs, clock, timeoutMs = 30_000 } = options
    this.cluster = new Cluster({ brokers, clientId, tls, connectTimeoutMs, requestTimeoutMs, clock })
    this.requests = new AdminRequests(this.cluster, clock ?? systemClock, timeoutMs)
  }

  /** Creates topics. @throws KafkaError, e.g. TOPIC_ALREADY_EXISTS, INVALID_CONFIG */
  async createTopics(newTopics: readonly NewTopic[], options: ValidateOptions = {}): Promise<CreatedTopic[]> {
    return topics.create(this.requests, newTopics, options.validateOnly ?? false, options.signal)
  }

  /** Deletes topics with all their records. @throws KafkaError, e.g. UNKNOWN_TOPIC_OR_PARTITION, TOPIC_DELETION_DISABLED */
  async deleteTopics(names: readonly string[], options: CallOptions = {}): Promise<void> {
    return topics.remove(this.requests, names, options.signal)
  }

  /** Gives topics more partitions; there are never fewer. @throws KafkaError, e.g. INVALID_PARTITIONS */
  async createPartitions(
    newPartitions: readonly NewPartitions[],
    options: ValidateOptions = {},
  ): Promise<void> {
    return topics.addPartitions(this.requests, newPartitions, options.validateOnly ?? false, options.signal)
  }

  /** All topics, by name. */
  async listTopics(options: CallOptions = {}): Promise<TopicMetadata[]> {
    return topics.list(this.requests, options.signal)
  }

  /** @throws KafkaError, e.g. UNKNOWN_TOPIC_OR_PARTITION. */
  async describeTopics(names: readonly string[], options: CallOptions = {}): Promise<TopicMetadata[]> {
    return topics.describe(this.requests, names, options.signal)
  }

  /**
   * Topics with all that is known of their partitions (KIP-966), asked for page by page. Kafka has this request since
   * 3.8; of older brokers it is what Metadata tells.
   *
   * @param options `pageSize`: partitions in one response, default 2000
   * @throws KafkaError, e.g. UNKNOWN_TOPIC_OR_PARTITION
   */
  async describeTopicPartitions(
    names: readonly string[],
    options: CallOptions & { pageSize?: number } = {},
  ): Promise<TopicDescription[]> {
    return partitions.describePartitions(this.requests, names, options.pageSize ?? 2_000, options.signal)
  }

  /**
   * Deletes what lies before an offset, for good.
   *
   * @throws KafkaError, e.g. OFFSET_OUT_OF_RANGE, POLICY_VIOLATION (a topic that is only compacted);
   * `VARVE_UNKNOWN_PARTITION`
   */
  async deleteRecords(
    deletions: readonly RecordDeletion[],
    options: CallOptions = {},
  ): Promise<DeletedRecords[]> {
    return partitions.removeRecords(this.requests, deletions, options.signal)
  }

  /**
   * Looks up offsets by time. `latest` is the offset after the last record.
   *
   * @param options `replicaOn`: ask this broker about its replicas instead of the leaders; `latest` is then where the replica's
   * log ends, whether that is committed or not
   * @throws KafkaError; `VARVE_UNKNOWN_PARTITION`
   */
  async listOffsets(
    queries: readonly OffsetQuery[],
    options: CallOptions & { isolation?: Isolation; replicaOn?: number } = {},
  ): Promise<FoundOffset[]> {
    return partitions.findOffsets(this.requests, queries, { isolation: 'read_uncommitted', ...options })
  }

  /**
   * Reads batches of one replica, a follower's too (KIP-392), up to its high watermark, as they are stored: equal replicas have
   * equal bytes.
   *
   * @param options `maxBytes`: of the answer, which has a whole first batch all the same. Default 1 048 576 (1 MiB)
   * @throws KafkaError, e.g. OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR
   */
  async readReplica(
    where: ReplicaRead,
    options: CallOptions & { maxBytes?: number } = {},
  ): Promise<ReplicaRecords> {
    return replicas.read(this.requests, where, options.maxBytes ?? 1_048_576, options.signal)
  }

  /** The idempotent and transactional producers that partitions remember (KIP-664). @throws KafkaError; `VARVE_UNKNOWN_PARTITION` */
  async describeProducers(
    where: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<PartitionProducers[]> {
    return partitions.listProducers(this.requests, where, options.signal)
  }

  /** Settings of topics, brokers, groups …, and where each comes from. @throws KafkaError, e.g. UNKNOWN_TOPIC_OR_PARTITION */
  async describeConfigs(
    queries: readonly ConfigQuery[],
    options: CallOptions & DescribeConfigsOptions = {},
  ): Promise<ConfigDescription[]> {
    return configs.describe(this.requests, queries, options, options.signal)
  }

  /** Changes single settings; the others stay as they are (KIP-339). @throws KafkaError, e.g. INVALID_CONFIG */
  async alterConfigs(alterations: readonly ConfigAlteration[], options: ValidateOptions = {}): Promise<void> {
    return configs.alter(this.requests, alterations, options.validateOnly ?? false, options.signal)
  }

  /** What has settings of its own (KIP-1142), of these types or of all. @throws KafkaError */
  async listConfigResources(
    types: readonly ConfigResourceType[] = [],
    options: CallOptions = {},
  ): Promise<ConfigResource[]> {
    return configs.listResources(this.requests, types, options.signal)
  }

  /** The groups of all brokers, by name. @throws KafkaError */
  async listGroups(options: CallOptions & GroupFilter = {}): Promise<ListedGroup[]> {
    return groups.list(this.requests, options, options.signal)
  }

  /** @throws KafkaError, e.g. GROUP_ID_NOT_FOUND */
  async describeGroups(groupIds: readonly string[], options: CallOptions = {}): Promise<GroupDescription[]> {
    return groups.describe(this.requests, groupIds, options.signal)
  }

  /** Forgets groups and their offsets. @throws KafkaError, e.g. NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND */
  async deleteGroups(groupIds: readonly string[], options: CallOptions = {}): Promise<void> {
    return groups.remove(this.requests, groupIds, options.signal)
  }

  /**
   * Where a group goes on, by topic and partition; a group that there is not has no offsets.
   *
   * @param options `partitions`: only these, those without an offset are left out. `requireStable`: wait while a
   * transaction may still change one of them (KIP-447)
   */
  async listGroupOffsets(
    groupId: string,
    options: CallOptions & { partitions?: readonly TopicPartition[]; requireStable?: boolean } = {},
  ): Promise<CommittedOffset[]> {
    const { partitions: asked = null, requireStable = false, signal } = options
    return groupOffsets.list(this.requests, groupId, asked, requireStable, signal)
  }

  /**
   * Commits offsets for a group that has no members, which is how a group is moved.
   *
   * @throws KafkaError, e.g. UNKNOWN_MEMBER_ID while the group has members
   */
  async alterGroupOffsets(
    groupId: string,
    offsets: readonly GroupOffset[],
    options: CallOptions = {},
  ): Promise<void> {
    return groupOffsets.alter(this.requests, groupId, offsets, options.signal)
  }

  /** Forgets offsets (KIP-496). @throws KafkaError, e.g. GROUP_SUBSCRIBED_TO_TOPIC, GROUP_ID_NOT_FOUND */
  async deleteGroupOffsets(
    groupId: string,
    where: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<void> {
    return groupOffsets.remove(this.requests, groupId, where, options.signal)
  }

  /**
   * Has other brokers hold partitions (KIP-455). The new replicas get all records first, and only then are those that go
   * replicas no more: {@link listPartitionReassignments} tells how far that is. To end a reassignment that is under way, give
   * null: the partition keeps what replicas it had.
   *
   * @returns an outcome for each, in their order, with an error such as INVALID_REPLICA_ASSIGNMENT or
   * NO_REASSIGNMENT_IN_PROGRESS where it was refused
   * @throws KafkaError where the whole was
   */
  async alterPartitionReassignments(
    wanted: readonly Reassignment[],
    options: CallOptions = {},
  ): Promise<PartitionOutcome[]> {
    return reassignments.alter(this.requests, wanted, options.signal)
  }

  /** The reassignments that are under way, of these partitions or, with null, of all (KIP-455). @throws KafkaError */
  async listPartitionReassignments(
    where: readonly TopicPartition[] | null = null,
    options: CallOptions = {},
  ): Promise<OngoingReassignment[]> {
    return reassignments.list(this.requests, where, options.signal)
  }

  /**
   * Elects leaders of these partitions (KIP-460), or with null of all that need it. `unclean` loses the records that the new leader
   * lacks, and is for partitions whose replicas in sync do not come back.
   *
   * @returns an outcome for each that was named, and with null for each that was elected, with an error such as
   * PREFERRED_LEADER_NOT_AVAILABLE or ELIGIBLE_LEADERS_NOT_AVAILABLE where nobody could be
   * @throws KafkaError where the whole was refused
   */
  async electLeaders(
    type: ElectionType,
    where: readonly TopicPartition[] | null,
    options: CallOptions = {},
  ): Promise<ElectionOutcome[]> {
    return elections.elect(this.requests, type, where, options.signal)
  }

  /**
   * The brokers, and which of them is the controller. Kafka has this request since 2.8.
   *
   * @param options `includeFenced`: also brokers that are registered and take no requests, which Kafka tells since 4.0.
   * Default false
   * @throws KafkaError
   */
  async describeCluster(
    options: CallOptions & { includeFenced?: boolean } = {},
  ): Promise<ClusterDescription> {
    return nodes.cluster(this.requests, options.includeFenced ?? false, options.signal)
  }

  /**
   * Forgets a broker that will not come back. It must not be running, and its replicas had better be elsewhere.
   *
   * @throws KafkaError, e.g. BROKER_ID_NOT_REGISTERED
   */
  async unregisterBroker(nodeId: number, options: CallOptions = {}): Promise<void> {
    return nodes.unregister(this.requests, nodeId, options.signal)
  }

  /** What lies in the brokers' directories. @throws KafkaError */
  async describeLogDirs(options: CallOptions & LogDirFilter = {}): Promise<LogDir[]> {
    return nodes.logDirs(this.requests, options, options.signal)
  }

  /** Closes the connections; calls under way are rejected. */
  async close(): Promise<void> {
    this.cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
