/** An error code of Kafka's protocol. */
export interface KafkaError {
  readonly code: number
  /** Kafka's name, e.g. `OFFSET_OUT_OF_RANGE`. */
  readonly name: string
  /** Whether the same request may succeed later, by Kafka's own classification. */
  readonly retriable: boolean
  readonly message: string
}

const RETRY = true
const FINAL = false

type Row = readonly [code: number, retriable: boolean, message: string]

// Codes, names and what may be retried are Kafka 4.4's (`Errors.java`).
const table = {
  UNKNOWN_SERVER_ERROR: [-1, FINAL, 'the broker met something it did not expect; its log says what'],
  NONE: [0, FINAL, 'no error'],
  OFFSET_OUT_OF_RANGE: [1, FINAL, "the offset is before the log's start or after its end"],
  CORRUPT_MESSAGE: [2, RETRY, 'a batch is damaged: its checksum, its size or its structure is wrong'],
  UNKNOWN_TOPIC_OR_PARTITION: [3, RETRY, 'this broker does not host such a topic or partition'],
  INVALID_FETCH_SIZE: [4, FINAL, 'the fetch asks for a size that no fetch can have'],
  LEADER_NOT_AVAILABLE: [5, RETRY, 'the partition has no leader at the moment; an election may be under way'],
  NOT_LEADER_OR_FOLLOWER: [
    6,
    RETRY,
    "this broker is not the partition's leader, or for a fetch not one of its replicas",
  ],
  REQUEST_TIMED_OUT: [7, RETRY, 'the request could not be completed within its timeout'],
  BROKER_NOT_AVAILABLE: [8, FINAL, 'the broker is not there'],
  REPLICA_NOT_AVAILABLE: [9, RETRY, 'the replica is not there yet'],
  MESSAGE_TOO_LARGE: [10, FINAL, "a batch is larger than the topic's max.message.bytes"],
  STALE_CONTROLLER_EPOCH: [11, FINAL, 'the request comes from a controller that has been replaced'],
  OFFSET_METADATA_TOO_LARGE: [12, FINAL, 'the text committed beside an offset is too long'],
  NETWORK_EXCEPTION: [13, RETRY, 'the connection ended before the response came'],
  COORDINATOR_LOAD_IN_PROGRESS: [14, RETRY, 'the coordinator is still reading its state'],
  COORDINATOR_NOT_AVAILABLE: [15, RETRY, 'no coordinator can be named now'],
  NOT_COORDINATOR: [16, RETRY, 'another broker coordinates this group or transaction'],
  INVALID_TOPIC_EXCEPTION: [
    17,
    FINAL,
    "the topic's name is not allowed, or it is internal and may not be written",
  ],
  RECORD_LIST_TOO_LARGE: [18, FINAL, 'the batch is larger than a segment of the log'],
  NOT_ENOUGH_REPLICAS: [
    19,
    RETRY,
    'fewer replicas are in sync than min.insync.replicas asks for; nothing was written',
  ],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: [
    20,
    RETRY,
    "the records are in the leader's log but on fewer replicas than min.insync.replicas asks for",
  ],
  INVALID_REQUIRED_ACKS: [21, FINAL, 'acks is neither -1, 0 nor 1'],
  ILLEGAL_GENERATION: [22, FINAL, 'the group has moved on to another generation'],
  INCONSISTENT_GROUP_PROTOCOL: [23, FINAL, 'the member supports no protocol that all members share'],
  INVALID_GROUP_ID: [24, FINAL, "the group's name is empty or not allowed"],
  UNKNOWN_MEMBER_ID: [25, FINAL, 'the group has no such member'],
  INVALID_SESSION_TIMEOUT: [26, FINAL, 'the session timeout is outside the range that the broker allows'],
  REBALANCE_IN_PROGRESS: [27, FINAL, 'the group is rebalancing; the member must join again'],
  INVALID_COMMIT_OFFSET_SIZE: [28, FINAL, 'the offset commit is too large for the offsets topic'],
  TOPIC_AUTHORIZATION_FAILED: [29, FINAL, 'the client may not do this with the topic'],
  GROUP_AUTHORIZATION_FAILED: [30, FINAL, 'the client may not use the group'],
  CLUSTER_AUTHORIZATION_FAILED: [31, FINAL, 'the client may not do this with the cluster'],
  INVALID_TIMESTAMP: [32, FINAL, "a record's timestamp is too far from the broker's time"],
  UNSUPPORTED_SASL_MECHANISM: [33, FINAL, 'the broker does not offer this SASL mechanism'],
  ILLEGAL_SASL_STATE: [34, FINAL, 'the request does not belong in this phase of authentication'],
  UNSUPPORTED_VERSION: [35, FINAL, 'the broker does not serve this version of the API'],
  TOPIC_ALREADY_EXISTS: [36, FINAL, 'a topic of that name exists'],
  INVALID_PARTITIONS: [37, FINAL, 'the number of partitions is not allowed'],
  INVALID_REPLICATION_FACTOR: [
    38,
    FINAL,
    'the replication factor is not positive or exceeds the number of brokers',
  ],
  INVALID_REPLICA_ASSIGNMENT: [
    39,
    FINAL,
    'the assignment of replicas to brokers contradicts itself or the cluster',
  ],
  INVALID_CONFIG: [40, FINAL, 'a setting does not exist or its value is not allowed'],
  NOT_CONTROLLER: [41, RETRY, 'this broker is not the controller'],
  INVALID_REQUEST: [42, FINAL, 'the request contradicts itself or cannot be read'],
  UNSUPPORTED_FOR_MESSAGE_FORMAT: [43, FINAL, 'the format of the stored messages does not allow this'],
  POLICY_VIOLATION: [44, FINAL, 'a policy of the cluster forbids it'],
  OUT_OF_ORDER_SEQUENCE_NUMBER: [45, FINAL, "a producer's sequence number leaves a gap"],
  DUPLICATE_SEQUENCE_NUMBER: [46, FINAL, "a producer's sequence number has been written before"],
  INVALID_PRODUCER_EPOCH: [47, FINAL, 'a producer wrote with an old epoch'],
  INVALID_TXN_STATE: [48, FINAL, 'the transaction is in a state that does not allow this'],
  INVALID_PRODUCER_ID_MAPPING: [49, FINAL, 'the producer id does not belong to this transactional id'],
  INVALID_TRANSACTION_TIMEOUT: [50, FINAL, "the transaction timeout exceeds the broker's maximum"],
  CONCURRENT_TRANSACTIONS: [51, RETRY, "the producer's previous transaction is still being completed"],
  TRANSACTION_COORDINATOR_FENCED: [
    52,
    FINAL,
    'the marker comes from a transaction coordinator that has been replaced',
  ],
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: [53, FINAL, 'the client may not use this transactional id'],
  SECURITY_DISABLED: [54, FINAL, 'the cluster has no authorizer, so it has no access rules'],
  OPERATION_NOT_ATTEMPTED: [55, FINAL, 'nothing was done, because another part of the request failed'],
  KAFKA_STORAGE_ERROR: [56, RETRY, "the log cannot be read or written; the broker's log says why"],
  LOG_DIR_NOT_FOUND: [57, FINAL, 'the broker has no such data directory'],
  SASL_AUTHENTICATION_FAILED: [58, FINAL, 'the credentials were refused'],
  UNKNOWN_PRODUCER_ID: [59, FINAL, 'the broker no longer knows anything of this producer'],
  REASSIGNMENT_IN_PROGRESS: [60, FINAL, "the partition's replicas are being moved"],
  DELEGATION_TOKEN_AUTH_DISABLED: [61, FINAL, 'delegation tokens are switched off'],
  DELEGATION_TOKEN_NOT_FOUND: [62, FINAL, 'no such delegation token'],
  DELEGATION_TOKEN_OWNER_MISMATCH: [63, FINAL, 'the delegation token belongs to somebody else'],
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: [
    64,
    FINAL,
    'delegation tokens may not be requested over this connection',
  ],
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: [65, FINAL, 'the client may not use this delegation token'],
  DELEGATION_TOKEN_EXPIRED: [66, FINAL, 'the delegation token has expired'],
  INVALID_PRINCIPAL_TYPE: [67, FINAL, 'there is no such type of principal'],
  NON_EMPTY_GROUP: [68, FINAL, 'the group still has members'],
  GROUP_ID_NOT_FOUND: [69, FINAL, 'there is no such group'],
  FETCH_SESSION_ID_NOT_FOUND: [70, RETRY, 'the fetch session is gone; begin a new one'],
  INVALID_FETCH_SESSION_EPOCH: [
    71,
    RETRY,
    "the fetch session's epoch is not the expected one; begin a new session",
  ],
  LISTENER_NOT_FOUND: [72, RETRY, 'the leader has no listener of the name through which the client came'],
  TOPIC_DELETION_DISABLED: [73, FINAL, 'deleting topics is switched off'],
  FENCED_LEADER_EPOCH: [74, RETRY, "the client's leader epoch is older than the broker's"],
  UNKNOWN_LEADER_EPOCH: [75, RETRY, "the client's leader epoch is newer than the broker's"],
  UNSUPPORTED_COMPRESSION_TYPE: [76, FINAL, 'the API version does not allow this compression'],
  STALE_BROKER_EPOCH: [77, FINAL, 'the request comes from an earlier life of that broker'],
  OFFSET_NOT_AVAILABLE: [78, RETRY, "the new leader's high watermark has not caught up yet"],
  MEMBER_ID_REQUIRED: [79, FINAL, 'the member must join again with the id that this response gives it'],
  PREFERRED_LEADER_NOT_AVAILABLE: [80, RETRY, 'the preferred leader is not available'],
  GROUP_MAX_SIZE_REACHED: [81, FINAL, 'the group has as many members as it may have'],
  FENCED_INSTANCE_ID: [82, FINAL, 'another member has taken over this static instance id'],
  ELIGIBLE_LEADERS_NOT_AVAILABLE: [83, RETRY, 'no replica that may become leader is available'],
  ELECTION_NOT_NEEDED: [84, RETRY, 'the partition already has the leader that the election would give it'],
  NO_REASSIGNMENT_IN_PROGRESS: [85, FINAL, 'no replicas of the partition are being moved'],
  GROUP_SUBSCRIBED_TO_TOPIC: [
    86,
    FINAL,
    'the group is consuming the topic, so its offsets cannot be deleted',
  ],
  INVALID_RECORD: [
    87,
    FINAL,
    'a record was refused: its batch contradicts itself, or a compacted topic got one without a key',
  ],
  UNSTABLE_OFFSET_COMMIT: [88, RETRY, 'offsets are waiting for a transaction to end'],
  THROTTLING_QUOTA_EXCEEDED: [89, RETRY, 'the client has used up its quota'],
  PRODUCER_FENCED: [90, FINAL, 'a newer producer has the same transactional id'],
  RESOURCE_NOT_FOUND: [91, FINAL, 'what the request refers to does not exist'],
  DUPLICATE_RESOURCE: [92, FINAL, 'the request names the same thing twice'],
  UNACCEPTABLE_CREDENTIAL: [93, FINAL, 'the credential does not meet the requirements'],
  INCONSISTENT_VOTER_SET: [94, FINAL, 'the set of voters is not the expected one'],
  INVALID_UPDATE_VERSION: [95, FINAL, 'the version of the update is not the next one'],
  FEATURE_UPDATE_FAILED: [96, FINAL, 'the feature could not be changed'],
  PRINCIPAL_DESERIALIZATION_FAILURE: [97, FINAL, 'the forwarded principal cannot be read'],
  SNAPSHOT_NOT_FOUND: [98, FINAL, 'there is no such snapshot'],
  POSITION_OUT_OF_RANGE: [99, FINAL, 'the position is outside the snapshot'],
  UNKNOWN_TOPIC_ID: [100, RETRY, 'this broker hosts no topic with that id'],
  DUPLICATE_BROKER_REGISTRATION: [101, FINAL, 'a running broker is already registered with that id'],
  BROKER_ID_NOT_REGISTERED: [102, FINAL, 'no broker is registered with that id'],
  INCONSISTENT_TOPIC_ID: [103, RETRY, 'the log on disk belongs to another topic id'],
  INCONSISTENT_CLUSTER_ID: [104, FINAL, 'the request was meant for another cluster'],
  TRANSACTIONAL_ID_NOT_FOUND: [105, FINAL, 'there is no such transactional id'],
  FETCH_SESSION_TOPIC_ID_ERROR: [106, RETRY, 'the fetch session mixes topic names and topic ids'],
  INELIGIBLE_REPLICA: [107, FINAL, 'the replica may not join the in-sync replicas'],
  NEW_LEADER_ELECTED: [108, FINAL, 'the change of the in-sync replicas elected another leader'],
  OFFSET_MOVED_TO_TIERED_STORAGE: [109, FINAL, 'the offset is in remote storage only'],
  FENCED_MEMBER_EPOCH: [
    110,
    FINAL,
    "the member's epoch is not the group's; it must give up its partitions and join again",
  ],
  UNRELEASED_INSTANCE_ID: [111, FINAL, 'another member still holds this static instance id'],
  UNSUPPORTED_ASSIGNOR: [112, FINAL, "the group's coordinator does not have that assignor"],
  STALE_MEMBER_EPOCH: [113, FINAL, "the member's epoch is old; heartbeat first"],
  MISMATCHED_ENDPOINT_TYPE: [
    114,
    FINAL,
    'the request was sent to a broker and is for a controller, or the other way round',
  ],
  UNSUPPORTED_ENDPOINT_TYPE: [115, FINAL, 'this type of endpoint is not supported'],
  UNKNOWN_CONTROLLER_ID: [116, FINAL, 'there is no controller with that id'],
  UNKNOWN_SUBSCRIPTION_ID: [117, FINAL, 'the telemetry subscription has changed; fetch it again'],
  TELEMETRY_TOO_LARGE: [118, FINAL, 'the metrics sent are more than the broker accepts'],
  INVALID_REGISTRATION: [119, FINAL, 'the registration was refused'],
  TRANSACTION_ABORTABLE: [
    120,
    FINAL,
    'the transaction failed and must be aborted; the producer may then go on',
  ],
  INVALID_RECORD_STATE: [121, FINAL, 'the record is not in a state that can be acknowledged'],
  SHARE_SESSION_NOT_FOUND: [122, RETRY, 'the share session is gone; begin a new one'],
  INVALID_SHARE_SESSION_EPOCH: [
    123,
    RETRY,
    "the share session's epoch is not the expected one; begin a new session",
  ],
  FENCED_STATE_EPOCH: [124, FINAL, "the share state's epoch is old"],
  INVALID_VOTER_KEY: [125, FINAL, "the voter's directory id is not the expected one"],
  DUPLICATE_VOTER: [126, FINAL, 'the voter is already in the set'],
  VOTER_NOT_FOUND: [127, FINAL, 'the voter is not in the set'],
  INVALID_REGULAR_EXPRESSION: [128, FINAL, "the subscription's regular expression cannot be compiled"],
  REBOOTSTRAP_REQUIRED: [
    129,
    FINAL,
    'the client reached another cluster or node than it meant; start again from the bootstrap servers',
  ],
  STREAMS_INVALID_TOPOLOGY: [130, FINAL, 'the streams topology contradicts itself'],
  STREAMS_INVALID_TOPOLOGY_EPOCH: [131, FINAL, "the streams topology's epoch is not allowed"],
  STREAMS_TOPOLOGY_FENCED: [132, FINAL, "the streams topology's epoch is old"],
  SHARE_SESSION_LIMIT_REACHED: [133, RETRY, 'the broker has as many share sessions as it may have'],
  GROUP_DELETION_FAILED: [134, FINAL, 'the group could not be deleted'],
  STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED: [
    135,
    FINAL,
    "the streams topology's description could not be stored",
  ],
  CONTROLLER_ID_NOT_REGISTERED: [136, FINAL, 'no controller is registered with that id'],
} as const satisfies Record<string, Row>

export type KafkaErrorName = keyof typeof table

/** Every error of Kafka 4.4 by its name: `errors.OFFSET_OUT_OF_RANGE.code`. */
export const errors: Readonly<Record<KafkaErrorName, KafkaError>> = Object.fromEntries(
  Object.entries(table).map(([name, [code, retriable, message]]) => [
    name,
    { code, name, retriable, message },
  ]),
) as Record<KafkaErrorName, KafkaError>

const byCode = new Map(Object.values(errors).map((error) => [error.code, error]))

/** The error of a code. One that this version does not know comes back as an UNKNOWN_SERVER_ERROR that keeps its code. */
export function errorByCode(code: number): KafkaError {
  return (
    byCode.get(code) ?? {
      code,
      name: errors.UNKNOWN_SERVER_ERROR.name,
      retriable: false,
      message: `the broker answered with error code ${code}, which this version of varve does not know`,
    }
  )
}
