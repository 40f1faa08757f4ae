import {
  alterPartitionReassignments,
  apiVersions,
  describeCluster,
  describeLogDirs,
  describeQuorum,
  electLeaders,
  heartbeat,
  listConfigResources,
  listPartitionReassignments,
  metadata,
  unregisterBroker,
} from '@varve/protocol'
import { createTopic, write } from '../requests.js'
import { call, rawRequest, type Step, subject } from '../sequence.js'

/** The APIs that a stock broker of Kafka 4.4 serves, and the versions on both sides of those it advertises. */
const beyond: Readonly<Record<number, readonly number[]>> = {
  0: [-1, 14],
  1: [3, 19],
  2: [0, 12],
  3: [-1, 14],
  8: [1, 11],
  9: [0, 11],
  10: [-1, 7],
  11: [-1, 10],
  12: [-1, 5],
  13: [-1, 6],
  14: [-1, 6],
  15: [-1, 7],
  16: [-1, 6],
  19: [1, 8],
  20: [0, 7],
  21: [-1, 3],
  22: [-1, 7],
  23: [1, 5],
  32: [0, 5],
  33: [-1, 3],
  37: [-1, 4],
  42: [-1, 4],
  44: [-1, 2],
  47: [-1, 1],
  61: [-1, 1],
}

export default subject('requests', (sequence) => {
  for (let version = 0; version <= 5; version++) {
    sequence(`api-versions-v${version}`, `ApiVersions in version ${version}`, () => [
      call(
        apiVersions,
        version,
        version >= 3 ? { clientSoftwareName: 'varve', clientSoftwareVersion: '1' } : {},
      ),
    ])
  }
  sequence('api-versions-unknown', 'ApiVersions in a version from the future', () => [
    rawRequest(18, 99, '', { api: apiVersions }),
    rawRequest(18, 6, '', { api: apiVersions, flexible: true }),
    rawRequest(18, -1, ''),
  ])
  sequence('api-versions-software', 'names of client software that are not allowed', () =>
    (['', 'a b', '-x', 'x'.repeat(300)] as const).map((clientSoftwareName) =>
      call(apiVersions, 3, { clientSoftwareName, clientSoftwareVersion: '1' }),
    ),
  )
  for (const [key, versions] of Object.entries(beyond)) {
    sequence(`beyond-${key}`, `versions of API ${key} that are not advertised`, () =>
      versions.map((version) => rawRequest(Number(key), version, '00'.repeat(40))),
    )
  }
  for (const version of [0, 1, 2]) {
    sequence(`produce-v${version}`, `Produce in version ${version}, advertised and refused`, () => [
      rawRequest(0, version, 'ffff0000753000000000'),
    ])
  }
  sequence('unknown-api', 'APIs that there are not', () =>
    [95, 1000, -1, 32_767, 4, 5, 6, 7].map((key) => rawRequest(key, 0, '')),
  )
  const malformed: Record<string, [string, Step]> = {
    'metadata-cut': ['Metadata that ends within a string', rawRequest(3, 1, '000000010005616263')],
    'metadata-no-body': ['Metadata without a body', rawRequest(3, 1, '')],
    'metadata-negative-length': ['a string of negative length', rawRequest(3, 1, '00000001fffe')],
    'metadata-array-huge': ['an array that no memory holds', rawRequest(3, 1, '7fffffff')],
    'metadata-array-negative': ['an array of −2 elements', rawRequest(3, 1, 'fffffffe', { api: metadata })],
    'heartbeat-null-group': ['null where null is not allowed', rawRequest(12, 0, 'ffff000000010000')],
    'fetch-cut': ['Fetch without topics', rawRequest(1, 4, 'ffffffff00000000')],
    'create-topics-cut': ['CreateTopics cut short', rawRequest(19, 2, '00000001')],
    'join-null-protocols': [
      'JoinGroup with null protocols',
      rawRequest(11, 0, '000167000075300000000178ffffffff'),
    ],
    'left-over': [
      'bytes behind the request',
      rawRequest(12, 0, '00016700000001000178ffffffff', { api: heartbeat }),
    ],
    'flexible-no-tags': ['a flexible request without its tags', rawRequest(3, 9, '01')],
    'flexible-tag-huge': [
      'a tagged field that is longer than the request',
      rawRequest(3, 9, '00010000000100ff7f', { flexible: true, api: metadata }),
    ],
    'flexible-unknown-tag': [
      'a tagged field that nobody knows',
      rawRequest(3, 9, '01000000016302abcd', { flexible: true, api: metadata }),
    ],
    'short-header': ['a header that ends too early', { kind: 'raw', frame: '00030001', as: 'raw' }],
    'null-client-id': [
      'no client id',
      { kind: 'raw', frame: '0003000100000007ffff00000000', as: 'raw', api: metadata, version: 1 },
    ],
  }
  for (const [name, [story, step]] of Object.entries(malformed)) sequence(name, story, () => [step])

  for (const version of [0, 1, 2]) {
    sequence(`cluster-v${version}`, `DescribeCluster in version ${version}`, () => [
      call(describeCluster, version, { includeClusterAuthorizedOperations: false }),
      call(describeCluster, version, { includeClusterAuthorizedOperations: true }),
      ...(version >= 1
        ? [7, 0].map((endpointType) =>
            call(describeCluster, version, { includeClusterAuthorizedOperations: false, endpointType }),
          )
        : []),
    ])
  }
  sequence('elect', 'leaders elected of what is led already, and of what is not there', ({ topic }) => [
    createTopic(topic),
    ...[0, 1, 7].map((electionType) =>
      call(electLeaders, 2, {
        electionType,
        topicPartitions: [{ topic, partitions: [0, 1] }],
        timeoutMs: 5000,
      }),
    ),
    call(electLeaders, 2, {
      electionType: 0,
      topicPartitions: [{ topic: `${topic}-not`, partitions: [0] }],
      timeoutMs: 5000,
    }),
    call(electLeaders, 2, { electionType: 0, topicPartitions: [], timeoutMs: 5000 }),
  ])
  sequence('reassignments', 'reassignments, of which there are none', ({ topic }) => [
    createTopic(topic),
    call(listPartitionReassignments, 0, { timeoutMs: 5000, topics: null }),
    call(listPartitionReassignments, 0, {
      timeoutMs: 5000,
      topics: [{ name: topic, partitionIndexes: [0, 7] }],
    }),
    call(listPartitionReassignments, 0, {
      timeoutMs: 5000,
      topics: [{ name: `${topic}-not`, partitionIndexes: [0] }],
    }),
  ])
  for (const version of [0, 1]) {
    sequence(`reassign-v${version}`, `AlterPartitionReassignments in version ${version}`, ({ topic }) => [
      createTopic(topic),
      ...[true, ...(version > 0 ? [false] : [])].map((allowReplicationFactorChange) =>
        call(alterPartitionReassignments, version, {
          ...(version > 0 && { allowReplicationFactorChange }),
          topics: [
            {
              name: topic,
              partitions: [[1], [], [9], [1, 1], null].map((replicas) => ({ partitionIndex: 0, replicas })),
            },
            { name: topic, partitions: [{ partitionIndex: 7, replicas: [1] }] },
            { name: `${topic}-not`, partitions: [{ partitionIndex: 0, replicas: [1] }] },
          ],
        }),
      ),
      call(alterPartitionReassignments, version, { topics: [] }),
    ])
  }
  sequence('unregister', 'a broker unregistered that nobody knows', () => [
    call(unregisterBroker, 0, { brokerId: 9 }),
    call(unregisterBroker, 0, { brokerId: -1 }),
  ])
  for (const version of [0, 1]) {
    sequence(`elect-v${version}`, `ElectLeaders in version ${version}`, ({ topic }) => [
      createTopic(topic),
      call(electLeaders, version, { topicPartitions: [{ topic, partitions: [0, 1] }], timeoutMs: 5000 }),
    ])
  }
  for (const version of [1, 2, 3, 4, 5]) {
    sequence(`log-dirs-v${version}`, `DescribeLogDirs in version ${version}`, ({ topic }) => [
      call(describeLogDirs, version, { topics: [{ topic, partitions: [0] }] }),
      createTopic(topic, { partitions: 2 }),
      write(topic, ['one', 'two']),
      call(describeLogDirs, version, { topics: [{ topic, partitions: [0, 7] }] }),
      call(describeLogDirs, version, { topics: [] }),
    ])
  }
  for (const version of [0, 1, 2]) {
    sequence(`quorum-v${version}`, `DescribeQuorum in version ${version}`, ({ topic }) => [
      ...['__cluster_metadata', topic].map((topicName) =>
        call(describeQuorum, version, {
          topics: [{ topicName, partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }] }],
        }),
      ),
      call(describeQuorum, version, {
        topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
      }),
      call(describeQuorum, version, { topics: [] }),
    ])
  }
  sequence(
    'config-resources-v0',
    'ListConfigResources in version 0, where it lists metrics of clients only',
    () => [call(listConfigResources, 0, {})],
  )
})
