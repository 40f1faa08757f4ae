import type { Found } from './compare.js'
import type { Json } from './normal-form.js'

/**
 * Where an answer is different, `*` standing for anything, and what Kafka and varve answer. Without the two, whatever is there
 * follows from another case of the same row.
 */
export type Case = readonly [where: string, kafka: Json, varve: Json] | readonly [where: string]

/** Something that the two brokers answer differently, and why it is so. */
export interface Difference {
  /** What Kafka does, and what varve does. */
  readonly what: string
  readonly why: string
  readonly cases: readonly Case[]
}

/** What Kafka 4.4 advertises and varve does not serve, by key. */
const notServed: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  'SASL: SaslHandshake, SaslAuthenticate': { 17: '0-1', 36: '0-2' },
  'Transactions: AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, WriteTxnMarkers, TxnOffsetCommit, DescribeTransactions, ListTransactions':
    { 24: '0-5', 25: '0-4', 26: '0-5', 27: '1-2', 28: '0-6', 65: '0-0', 66: '0-2' },
  'ACLs: DescribeAcls, CreateAcls, DeleteAcls': { 29: '1-3', 30: '1-3', 31: '1-3' },
  'Moving replicas between data directories: AlterReplicaLogDirs': { 34: '1-2' },
  'Delegation tokens': { 38: '1-3', 39: '1-2', 40: '1-2', 41: '1-3' },
  'Quotas and SCRAM credentials': { 48: '0-1', 49: '0-1', 50: '0-0', 51: '0-0' },
  'Features and voters of a cluster: UpdateFeatures, AddRaftVoter, RemoveRaftVoter': {
    57: '0-2',
    80: '0-1',
    81: '0-0',
  },
  'The new protocol of consumer groups: ConsumerGroupHeartbeat, ConsumerGroupDescribe': {
    68: '0-1',
    69: '0-1',
  },
  'Share groups': {
    76: '1-1',
    77: '1-1',
    78: '1-2',
    79: '1-2',
    83: '0-0',
    84: '0-0',
    85: '0-1',
    86: '0-0',
    87: '0-1',
    90: '0-1',
    91: '0-0',
    92: '0-0',
  },
  'Streams groups': { 88: '0-1', 89: '0-1' },
  'APIs 93 and 94': { 93: '0-0', 94: '0-0' },
}

export const differences: readonly Difference[] = [
  ...Object.entries(notServed).map(([what, versions]): Difference => ({
    what: `${what}: advertised by Kafka, not by varve.`,
    why: 'They are not served, and a client finds that out before it asks.',
    cases: Object.entries(versions).map(([key, range]): Case => [
      `requests/api-versions-*: apiKeys.api ${key}`,
      range,
      null,
    ]),
  })),
  {
    what: 'Kafka names the features of its cluster, varve none.',
    why: 'Features turn on what is not served here: transactions of version 2, share groups, the new groups.',
    cases: [
      ['requests/api-versions-*: finalizedFeaturesEpoch', '<epoch>', -1],
      ['requests/api-versions-*: supportedFeatures*'],
      ['requests/api-versions-*: finalizedFeatures[*'],
    ],
  },
  {
    what: 'Kafka answers some errors without a message, varve says what is wrong.',
    why: 'A message costs nothing, and helps whoever looks for a mistake.',
    cases: [
      ['*rrorMessage', null, '<text>'],
      ['*rrorMessage', '', '<text>'],
    ],
  },
  {
    what: '`min.insync.replicas` is of the source DYNAMIC_DEFAULT_BROKER_CONFIG in Kafka, DEFAULT_CONFIG in varve.',
    why: 'A Kafka formatted with eligible leader replicas sets it for its cluster; a varve that is alone has one replica.',
    cases: [
      ['*].configs[*].configSource', 3, 5],
      ['configs/topic-defaults#2 DescribeConfigs v4: results[0].configs[*].synonyms[0].source', 3, 5],
      [
        'configs/topic-defaults#2 DescribeConfigs v4: results[0].configs[*].synonyms[1]',
        { name: 'min.insync.replicas', value: '1', source: 5 },
        '<absent>',
      ],
    ],
  },
  {
    what: 'Metadata that creates a topic answers at once that it is unknown in Kafka; varve waits for the creation.',
    why: 'Nobody else has to be asked, and the client need not ask again.',
    cases: [
      ['topics/metadata-creates#0 Metadata v12: topics[0].errorCode', 3, 0],
      ['topics/metadata-creates#0 Metadata v12: topics[0].*'],
    ],
  },
  {
    what: 'CreateTopics with a timeout of 0 or less fails in Kafka, though it may create the topic; varve creates it.',
    why: 'The timeout is ignored: the answer comes when the topic is there.',
    cases: [
      ['topics/create-nothing#* CreateTopics v7: topics[0].errorCode', 7, 0],
      ['topics/create-nothing#* CreateTopics v7: topics[0].*'],
    ],
  },
  {
    what: 'CreateTopics that only validates invents a topic id in Kafka; varve answers none.',
    why: 'It would be the id of nothing.',
    cases: [['topics/*#0 CreateTopics v7: topics[0].topicId', '<id*', 'AAAAAAAAAAAAAAAAAAAAAA']],
  },
  {
    what: 'Creating `__consumer_offsets` when it exists is TOPIC_ALREADY_EXISTS in Kafka, INVALID_REQUEST in varve.',
    why: 'Both refuse; varve refuses internal topics whether they are there or not.',
    cases: [['topics/exists#4 CreateTopics v7: topics[0].errorCode', 36, 42]],
  },
  {
    what: 'Spaces around the value of a configuration stay in Kafka, and are gone in varve.',
    why: 'Values are kept in one form; both mean the same number.',
    cases: [['topics/config-spaces#* CreateTopics v7: topics[0].configs[*].value', ' 1000 ', '1000']],
  },
  {
    what: 'DeleteTopics that names a topic by name and by id at once deletes nothing in Kafka; in varve it deletes it once.',
    why: 'The topic that was to go goes; the second mention is unknown by then.',
    cases: [
      ['topics/delete-twice#2 DeleteTopics v6: responses[0].errorCode', 42, 0],
      ['topics/delete-twice#2 *'],
      ['topics/delete-twice#3 *'],
    ],
  },
  {
    what: 'DescribeTopicPartitions with a negative partition in its cursor is refused by Kafka; varve begins with the first.',
    why: 'Nothing is in front of the first partition.',
    cases: [
      ['topics/describe#10 DescribeTopicPartitions v0: topics[0].errorCode', 42, 0],
      ['topics/describe#10 *'],
    ],
  },
  {
    what: 'An unknown operation of IncrementalAlterConfigs is UNKNOWN_SERVER_ERROR in Kafka, INVALID_REQUEST in varve.',
    why: 'The request is what is wrong.',
    cases: [['configs/operation-*#* IncrementalAlterConfigs v1: responses[0].errorCode', -1, 42]],
  },
  {
    what: 'Kafka takes configurations of a broker that it does not know; varve refuses them.',
    why: 'In Kafka they are for plug-ins; here there are none, and a misspelt name is found at once.',
    cases: [['configs/broker-wrong#3 IncrementalAlterConfigs v1: responses[0].errorCode', 0, 42]],
  },
  {
    what: 'A codec that does not exist, and bytes that their codec cannot read, are UNKNOWN_SERVER_ERROR in Kafka; varve names the error.',
    why: 'Clients retry an unknown server error, or not, by chance.',
    cases: [
      ['produce/codec-unknown#1 Produce v9: responses[0].partitionResponses[0].errorCode', -1, 76],
      ['produce/codec-unknown#1 Produce v9: responses[0].partitionResponses[0].logStartOffset', 0, -1],
      ['produce/not-compressed#1 Produce v9: responses[0].partitionResponses[0].errorCode', -1, 87],
    ],
  },
  {
    what: 'Kafka rewrites an uncompressed batch that claims LogAppendTime; varve refuses it with INVALID_TIMESTAMP.',
    why: 'No client writes it, and a batch that is stored is stored as it came.',
    cases: [
      ['produce/log-append-time#1 Produce v9: responses[0].partitionResponses[0].errorCode', 0, 32],
      ['produce/log-append-time#*'],
    ],
  },
  {
    what: 'Kafka stores an uncompressed batch whose records are not numbered 0, 1, 2 …; varve refuses it.',
    why: 'Readers could not make sense of its offsets.',
    cases: [
      ['produce/record-offset-delta#1 Produce v9: responses[0].partitionResponses[0].errorCode', 0, 87],
      ['produce/record-offset-delta#*'],
    ],
  },
  {
    what: 'The max timestamp of a batch from before 1970 is −1 in Kafka, and that of its latest record in varve.',
    why: 'It is what the field is for; negative timestamps other than −1 are outside what Kafka defines.',
    cases: [
      [
        'produce/timestamp-negative#2 Fetch v12: responses[0].partitions[0].records[0].maxTimestamp',
        '-1',
        '-4999',
      ],
    ],
  },
  {
    what: 'Kafka never answers a Produce whose records are null; varve answers INVALID_RECORD.',
    why: 'A client that waits for ever is nobody’s wish.',
    cases: [['produce/null-records#1 Produce v9:*']],
  },
  {
    what: 'A topic without partitions in a Produce is not in Kafka’s answer; it is in varve’s, without partitions.',
    why: 'The answer mirrors the request.',
    cases: [['produce/nothing#2 Produce v9: responses[0]']],
  },
  {
    what: 'Of a partition that occurs twice in a Produce Kafka stores the last batch only; varve stores both.',
    why: 'Nothing that was sent and acknowledged is lost.',
    cases: [
      ['produce/partition-twice#2 Fetch v12: responses[0].partitions[0].highWatermark', 1, 2],
      ['produce/partition-twice#*'],
    ],
  },
  {
    what: 'A transactional batch without a transactional id fails the authorization in Kafka; in varve it is UNSUPPORTED_FOR_MESSAGE_FORMAT.',
    why: 'There are no transactions here, with or without an id.',
    cases: [
      ['produce/transactional-without-id#1 Produce v9: responses[0].partitionResponses[0].errorCode', 53, 43],
    ],
  },
  {
    what: 'A retried batch is answered with its latest timestamp as append time in Kafka, −1 in varve, where timestamps are the producer’s.',
    why: 'The producer knows its own times; where they are the log’s, varve tells the original’s as well.',
    cases: [1000, 1001, 1002].map((time): Case => [
      'idempotent-producers/*: responses[0].partitionResponses[0].logAppendTimeMs',
      time,
      -1,
    ]),
  },
  {
    what: 'Transactional ids are served by Kafka, and refused by varve.',
    why: 'There are no transactions here; UNSUPPORTED_VERSION is what no client retries.',
    cases: [
      ['idempotent-producers/init-transactional#0 InitProducerId v4: errorCode', 0, 35],
      ['idempotent-producers/init-transactional#0 *'],
      ['groups/coordinator-*rrorCode', 0, 35],
      ['groups/coordinator-*nodeId', 1, -1],
    ],
  },
  {
    what: 'Negative sizes in Fetch are UNKNOWN_SERVER_ERROR in Kafka; varve takes them for 0.',
    why: '0 brings one batch, so that a consumer gets on.',
    cases: [
      ['fetch/*max-bytes-negative#* Fetch *: responses[0].partitions[0].errorCode', -1, 0],
      ['fetch/*max-bytes-negative#* Fetch *: responses[0].partitions[0].*'],
    ],
  },
  {
    what: 'Kafka fills a Fetch with the beginning of a batch; varve sends whole batches.',
    why: 'Clients throw the piece away and fetch it again.',
    cases: [
      [
        'fetch/partition-max-bytes-100#* Fetch *: responses[0].partitions[0].records[1]',
        '23 bytes of a batch cut short',
        '<absent>',
      ],
    ],
  },
  {
    what: 'An isolation level that does not exist is UNKNOWN_SERVER_ERROR in Kafka; varve takes it for read_uncommitted.',
    why: 'It has no meaning that could be broken.',
    cases: [
      ['fetch/isolation-unknown#* Fetch *: errorCode', -1, 0],
      ['fetch/isolation-unknown#* Fetch *: responses*'],
      ['fetch/list-replicas#* ListOffsets v11: topics[0].partitions[0].errorCode', -1, 0],
      ['fetch/list-replicas#* ListOffsets v11: topics[0].partitions[0].*'],
    ],
  },
  {
    what: 'Next to some errors of Fetch the list of aborted transactions is null in Kafka, and empty in varve.',
    why: 'Both say that there are none.',
    cases: [
      ['fetch/as-replica#* Fetch v12: responses[0].partitions[0].abortedTransactions', null, []],
      [
        'fetch/waits-for-deletion#3 the answer of waiting: responses[0].partitions[0].abortedTransactions',
        null,
        [],
      ],
    ],
  },
  {
    what: 'A partition that occurs twice in ListOffsets is refused once in Kafka, and once for each mention in varve.',
    why: 'The answer mirrors the request.',
    cases: [['fetch/list-twice#* ListOffsets *: topics[0].partitions[1]']],
  },
  {
    what: 'The record with the highest timestamp may be a deleted one in Kafka; in varve it is one that can be read.',
    why: 'Where every record is deleted there is none.',
    cases: [
      ['fetch/delete-*#8 ListOffsets v11: topics[0].partitions[0].offset', 2, -1],
      ['fetch/delete-*#8 ListOffsets v11: topics[0].partitions[0].timestamp', 5000, -1],
      ['fetch/delete-*#8 ListOffsets v11: topics[0].partitions[0].leaderEpoch', 0, -1],
    ],
  },
  {
    what: 'A group that has lost its last member or offset without ever having had a generation is still there in Kafka, and gone in varve.',
    why: 'There is nothing that it could be asked for; Kafka removes it a while later.',
    cases: [
      ['groups/pending#7 DescribeGroups v6: groups[0].errorCode', 0, 69],
      ['groups/pending#7 DescribeGroups v6: groups[0].groupState', 'Empty', 'Dead'],
      ['commits/delete#* OffsetDelete v0: errorCode', 0, 69],
      ['commits/delete#5 OffsetDelete v0: topics[0]'],
    ],
  },
  {
    what: 'DescribeQuorum names the listener of the controller in Kafka, and the one that was asked in varve.',
    why: 'No listener is a controller’s alone.',
    cases: [
      ['requests/quorum-v2#2 DescribeQuorum v2: nodes[0].listeners[0].name', 'CONTROLLER', 'PLAINTEXT'],
    ],
  },
  {
    what: 'Configurations of groups can be altered in Kafka; in varve they are read-only, with Kafka’s defaults.',
    why: 'They are of the consumer, share and streams protocols of groups, which are not served.',
    cases: [
      ['configs/groups#* DescribeConfigs v4: results[0].configs[*].readOnly', false, true],
      ['configs/groups-altered#* IncrementalAlterConfigs v1: responses[0].errorCode', 0, 42],
      ['configs/groups-altered#* IncrementalAlterConfigs v1: responses[0].errorCode', 40, 42],
      ['configs/groups-altered#* AlterConfigs v2: responses[0].errorCode', 0, 42],
      ['configs/groups-altered#* *: responses[0].errorMessage'],
    ],
  },
  {
    what: 'Levels of the broker’s loggers are configurations in Kafka; varve has none of them: INVALID_REQUEST.',
    why: 'They are the names of Java classes. What varve logs is said when it starts (`--log-level`).',
    cases: [['configs/loggers#*: *'], ['configs/root-logger#*: *']],
  },
  {
    what: 'Subscriptions to metrics of clients can be configured in Kafka; in varve that is INVALID_REQUEST.',
    why: 'No client is asked for its metrics (KIP-714 is not served).',
    cases: [['configs/client-metrics#*: *']],
  },
  {
    what: 'A static member that comes back is described with the client id and host of its predecessor in Kafka, and with its own in varve.',
    why: 'The predecessor is gone.',
    cases: [['rebalances/static-*#* DescribeGroups v6: groups[0].members[*].clientId']],
  },
  {
    what: 'A static member that comes back to a full group without its member id is refused in Kafka; in varve it takes its place.',
    why: 'The group does not grow by it.',
    cases: [
      ['rebalances/full#* JoinGroup v9 of erin: errorCode', 81, 0],
      ['rebalances/full#* JoinGroup v9 of erin: *'],
      ['rebalances/full#25 DescribeGroups v6: *'],
    ],
  },
  {
    what: 'Any negative length of an array is null to Kafka; to varve only −1 is, and the connection ends.',
    why: 'A client that writes −2 does not write what it means.',
    cases: [['requests/metadata-array-negative#0 raw:*']],
  },
]

const pattern = (text: string): RegExp => new RegExp(`^${text.split('*').map(escape).join('.*')}$`, 's')
const escape = (text: string): string => text.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')

const isValue = (declared: Json | undefined, answered: Json): boolean =>
  declared === undefined ||
  (typeof declared === 'string' && typeof answered === 'string'
    ? pattern(declared).test(answered)
    : JSON.stringify(declared) === JSON.stringify(answered))

export const isCase = ([where, kafka, varve]: Case, found: Found): boolean =>
  pattern(where).test(found.where) && isValue(kafka, found.kafka) && isValue(varve, found.varve)
