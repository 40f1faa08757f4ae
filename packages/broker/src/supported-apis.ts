import {
  type Api,
  apiVersions,
  createTopics,
  deleteGroups,
  describeGroups,
  describeProducers,
  deleteTopics,
  deleteRecords,
  describeConfigs,
  alterConfigs,
  describeLogDirs,
  createPartitions,
  electLeaders,
  incrementalAlterConfigs,
  alterPartitionReassignments,
  listPartitionReassignments,
  describeQuorum,
  describeCluster,
  unregisterBroker,
  listConfigResources,
  describeTopicPartitions,
  fetch,
  findCoordinator,
  heartbeat,
  initProducerId,
  joinGroup,
  leaveGroup,
  listGroups,
  listOffsets,
  metadata,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetForLeaderEpoch,
  produce,
  syncGroup,
} from '@varve/protocol'

/** An API whose messages are not known at compile time. */
export type AnyApi = Api<unknown, unknown, never, never>

/** One row of the table that ApiVersions answers from and the documentation prints. */
export interface SupportedApi {
  readonly api: AnyApi
  /** What ApiVersions says. */
  readonly advertised: readonly [min: number, max: number]
  /** What is answered; a request of another version ends its connection, as in Kafka. */
  readonly served: readonly [min: number, max: number]
  /** What a client should know beyond the versions; one sentence. */
  readonly notes: string
}

const supported: readonly SupportedApi[] = [
  {
    api: produce,
    // librdkafka before 2.11.1 takes a minimum above 0 for "no compression" and silently sends everything uncompressed.
    advertised: [0, 13],
    served: [3, 13],
    notes:
      'Versions 0 to 2 are advertised for old librdkafka and refused, as Kafka does. Transactional batches are refused.',
  },
  {
    api: fetch,
    advertised: [4, 18],
    served: [4, 18],
    notes: 'With incremental sessions and read_committed.',
  },
  {
    api: listOffsets,
    advertised: [1, 11],
    served: [1, 11],
    notes: 'There is no tiered storage to list offsets of.',
  },
  {
    api: metadata,
    advertised: [0, 13],
    served: [0, 13],
    notes: 'Unknown topics are created on the way, if the broker and the request allow it.',
  },
  {
    api: findCoordinator,
    advertised: [0, 6],
    served: [0, 6],
    notes:
      'Names the leader of a group’s partition, which of a single broker is itself; there is no coordinator of transactions or of share groups.',
  },
  // Old librdkafka asks for exactly the oldest versions of these, and kafka-go sends nothing else.
  {
    api: offsetCommit,
    advertised: [2, 10],
    served: [2, 10],
    notes: 'Of classic groups, and of whoever keeps offsets without being a member.',
  },
  {
    api: offsetFetch,
    advertised: [1, 10],
    served: [1, 10],
    notes: 'There are no transactions that an offset could wait for.',
  },
  {
    api: joinGroup,
    advertised: [0, 9],
    served: [0, 9],
    notes: 'Classic groups, with static members and cooperative rebalancing.',
  },
  { api: heartbeat, advertised: [0, 4], served: [0, 4], notes: 'As Kafka.' },
  { api: leaveGroup, advertised: [0, 5], served: [0, 5], notes: 'As Kafka.' },
  { api: syncGroup, advertised: [0, 5], served: [0, 5], notes: 'As Kafka.' },
  { api: describeGroups, advertised: [0, 6], served: [0, 6], notes: 'As Kafka.' },
  { api: listGroups, advertised: [0, 5], served: [0, 5], notes: 'All groups are of the type "classic".' },
  { api: deleteGroups, advertised: [0, 3], served: [0, 3], notes: 'As Kafka.' },
  { api: offsetDelete, advertised: [0, 0], served: [0, 0], notes: 'As Kafka.' },
  {
    api: apiVersions,
    advertised: [0, 5],
    served: [0, 5],
    notes: 'Any other version is answered in version 0 with UNSUPPORTED_VERSION, as Kafka does.',
  },
  {
    api: createTopics,
    advertised: [2, 7],
    served: [2, 7],
    notes: 'Configurations that would have to act and do not are refused with INVALID_CONFIG.',
  },
  {
    api: deleteTopics,
    advertised: [1, 6],
    served: [1, 6],
    notes: 'Directories are renamed to `…-delete`; their files go after file.delete.delay.ms.',
  },
  {
    api: deleteRecords,
    advertised: [0, 2],
    served: [0, 2],
    notes: 'Of a cluster answered when the live followers have deleted, too.',
  },
  {
    api: describeConfigs,
    advertised: [1, 4],
    served: [1, 4],
    notes: 'Topics, brokers and groups, with every configuration that Kafka 4.4 lists.',
  },
  {
    api: alterConfigs,
    advertised: [0, 2],
    served: [0, 2],
    notes: 'Topics and brokers.',
  },
  {
    api: describeLogDirs,
    advertised: [1, 5],
    served: [1, 5],
    notes: 'Without the log of the metadata.',
  },
  {
    api: createPartitions,
    advertised: [0, 3],
    served: [0, 3],
    notes: 'At most 10,000 in one request, and none for internal topics.',
  },
  {
    api: electLeaders,
    advertised: [0, 2],
    served: [0, 2],
    notes: 'Preferred and unclean; a broker that is alone leads every partition.',
  },
  {
    api: incrementalAlterConfigs,
    advertised: [0, 1],
    served: [0, 1],
    notes: 'Topics and brokers; what does not act here is refused.',
  },
  {
    api: alterPartitionReassignments,
    advertised: [0, 1],
    served: [0, 1],
    notes: 'Answered when the reassignments have begun.',
  },
  {
    api: listPartitionReassignments,
    advertised: [0, 0],
    served: [0, 0],
    notes: 'A broker that is alone has none.',
  },
  {
    api: describeQuorum,
    advertised: [0, 2],
    served: [0, 2],
    notes: 'The controller is the only voter.',
  },
  {
    api: describeCluster,
    advertised: [0, 2],
    served: [0, 2],
    notes: 'Fenced brokers, too, for whoever asks for them; a broker that is alone is its own controller.',
  },
  {
    api: unregisterBroker,
    advertised: [0, 0],
    served: [0, 0],
    notes: 'One that lives registers again.',
  },
  {
    api: listConfigResources,
    advertised: [0, 1],
    served: [0, 1],
    notes: 'Topics and brokers.',
  },
  {
    api: describeTopicPartitions,
    advertised: [0, 0],
    served: [0, 0],
    notes: 'Page by page, with a cursor.',
  },
  {
    api: initProducerId,
    advertised: [0, 5],
    served: [0, 5],
    notes: 'For idempotent producers; a transactional id is refused with UNSUPPORTED_VERSION.',
  },
  {
    api: offsetForLeaderEpoch,
    advertised: [2, 4],
    served: [2, 4],
    notes: 'For consumers; followers learn it from Fetch.',
  },
  {
    api: describeProducers,
    advertised: [0, 0],
    served: [0, 0],
    notes: 'Producers are forgotten after producerIdExpirationMs without a batch.',
  },
]

/** Every API that the broker serves, by key, in ascending order. */
export const supportedApis: ReadonlyMap<number, SupportedApi> = new Map(
  [...supported].sort((a, b) => a.api.key - b.api.key).map((row) => [row.api.key, row]),
)

/** The table as Markdown, for the documentation. */
export function renderSupportTable(): string {
  const rows = [...supportedApis.values()].map(
    ({ api, advertised, served, notes }) =>
      `| ${api.key} | ${api.name} | ${advertised[0]}–${advertised[1]} | ${served[0]}–${served[1]} | ${notes} |`,
  )
  return (
    ['| key | API | advertised | served | notes |', '| --- | --- | --- | --- | --- |', ...rows].join('\n') +
    '\n'
  )
}
