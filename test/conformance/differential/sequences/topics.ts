import {
  createPartitions,
  createTopics,
  type CreateTopicsRequestInput,
  deleteTopics,
  describeTopicPartitions,
  metadata,
} from '@varve/protocol'
import { createTopic } from '../requests.js'
import { call, noTopicId, type Step, subject, topicId, zeroId } from '../sequence.js'

type NewTopic = Partial<CreateTopicsRequestInput['topics'][number]>

const create = (name: string, topic: NewTopic = {}, { version = 7, validateOnly = false } = {}): Step =>
  call(createTopics, version, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...topic }],
    timeoutMs: 10_000,
    validateOnly,
  })
const remove = (name: string, version = 5): Step =>
  call(deleteTopics, version, {
    ...(version >= 6 ? { topics: [{ name, topicId: zeroId }] } : { topicNames: [name], topics: [] }),
    timeoutMs: 10_000,
  })
const removeById = (id: string): Step =>
  call(deleteTopics, 6, { topics: [{ name: null, topicId: id }], timeoutMs: 10_000 })
const about = (name: string | null, version = 12): Step =>
  call(metadata, version, {
    topics: name === null ? null : [{ name, topicId: zeroId }],
    ...(version >= 4 && { allowAutoTopicCreation: false }),
  })
const grow = (
  name: string,
  count: number,
  assignments: { brokerIds: number[] }[] | null = null,
  { version = 3, validateOnly = false } = {},
): Step =>
  call(createPartitions, version, { topics: [{ name, count, assignments }], timeoutMs: 10_000, validateOnly })

export default subject('topics', (sequence) => {
  const names: Record<string, [string, string]> = {
    'name-empty': ['an empty name', ''],
    'name-dot': ['a dot', '.'],
    'name-dots': ['two dots', '..'],
    'name-slash': ['a slash', 'a/b'],
    'name-space': ['a space', 'a b'],
    'name-umlaut': ['a letter beyond ASCII', 'schön'],
    'name-long': ['250 characters', 'x'.repeat(250)],
    'name-metadata': ['the topic of the controller', '__cluster_metadata'],
  }
  for (const [name, [story, topic]] of Object.entries(names)) {
    sequence(name, story, () => [create(topic), about(topic), create(topic, {}, { validateOnly: true })])
  }
  sequence('name-249', '249 characters', () => [create(`topics.name-249.${'x'.repeat(249 - 16)}`)])
  sequence('name-collides', 'names that differ in a dot and an underscore', ({ topic }) => [
    create(topic),
    create(topic.replaceAll('.', '_')),
    create(topic.replace('.', '_'), {}, { validateOnly: true }),
  ])
  sequence('exists', 'a topic that exists', ({ topic }) => [
    create(topic),
    create(topic),
    create(topic, {}, { validateOnly: true }),
    create(topic, { numPartitions: 0 }),
    create('__consumer_offsets'),
  ])
  sequence('twice', 'a topic twice in one request', ({ topic }) => [
    call(createTopics, 7, {
      topics: [topic, topic, `${topic}2`].map((name) => ({
        name,
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: [],
      })),
      timeoutMs: 10_000,
    }),
    about(topic),
    about(`${topic}2`),
  ])
  const invalid: Record<string, [string, NewTopic]> = {
    'partitions-0': ['no partitions', { numPartitions: 0 }],
    'partitions-minus-1': ['the broker’s number of partitions', { numPartitions: -1 }],
    'partitions-minus-2': ['−2 partitions', { numPartitions: -2 }],
    'partitions-many': ['more partitions than any controller takes', { numPartitions: 1_000_000 }],
    'replication-0': ['no replicas', { replicationFactor: 0 }],
    'replication-minus-1': ['the broker’s number of replicas', { replicationFactor: -1 }],
    'replication-minus-2': ['−2 replicas', { replicationFactor: -2 }],
    'replication-2': ['more replicas than brokers', { replicationFactor: 2 }],
    'both-wrong': ['no partitions and no replicas', { numPartitions: 0, replicationFactor: 0 }],
    assigned: [
      'an assignment',
      { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [1] }] },
    ],
    'assigned-and-counted': [
      'an assignment and numbers',
      { assignments: [{ partitionIndex: 0, brokerIds: [1] }] },
    ],
    'assigned-unknown-broker': [
      'a broker that there is not',
      { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [7] }] },
    ],
    'assigned-twice': [
      'a broker twice',
      { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [1, 1] }] },
    ],
    'assigned-nobody': [
      'no broker',
      { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [] }] },
    ],
    'assigned-gap': [
      'partitions that do not begin with 0',
      { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 1, brokerIds: [1] }] },
    ],
    'assigned-partition-twice': [
      'a partition twice',
      {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [
          { partitionIndex: 0, brokerIds: [1] },
          { partitionIndex: 0, brokerIds: [1] },
        ],
      },
    ],
    'config-unknown': ['a configuration that there is not', { configs: [{ name: 'made.up', value: '1' }] }],
    'config-null': ['a configuration without a value', { configs: [{ name: 'retention.ms', value: null }] }],
    'config-empty-name': ['a configuration without a name', { configs: [{ name: '', value: '1' }] }],
    'config-not-a-number': ['a number that is none', { configs: [{ name: 'retention.ms', value: 'long' }] }],
    'config-too-small': ['a number below the least', { configs: [{ name: 'segment.bytes', value: '1' }] }],
    'config-spaces': ['a number among spaces', { configs: [{ name: 'retention.ms', value: ' 1000 ' }] }],
    'config-policy': [
      'a policy that there is not',
      { configs: [{ name: 'cleanup.policy', value: 'shred' }] },
    ],
    'config-policy-both': [
      'both policies',
      { configs: [{ name: 'cleanup.policy', value: 'compact,delete' }] },
    ],
    'config-policy-empty': ['no policy', { configs: [{ name: 'cleanup.policy', value: '' }] }],
    'config-twice': [
      'a configuration twice',
      {
        configs: [
          { name: 'retention.ms', value: '1000' },
          { name: 'retention.ms', value: '2000' },
        ],
      },
    ],
    'config-not-a-boolean': [
      'a boolean that is none',
      { configs: [{ name: 'preallocate', value: 'maybe' }] },
    ],
    'config-codec': ['a codec that there is not', { configs: [{ name: 'compression.type', value: 'rar' }] }],
    'config-ratio': ['a ratio above 1', { configs: [{ name: 'min.cleanable.dirty.ratio', value: '1.5' }] }],
    'config-timestamp-type': [
      'a timestamp type that there is not',
      { configs: [{ name: 'message.timestamp.type', value: 'createtime' }] },
    ],
    'config-remote': ['tiered storage', { configs: [{ name: 'remote.storage.enable', value: 'true' }] }],
    'config-level': [
      'a level without its codec',
      { configs: [{ name: 'compression.lz4.level', value: '99' }] },
    ],
    'config-retention': [
      'local retention beyond the retention',
      {
        configs: [
          { name: 'retention.ms', value: '1000' },
          { name: 'local.retention.ms', value: '2000' },
        ],
      },
    ],
    'config-lags': [
      'a max lag of compaction below the min',
      {
        configs: [
          { name: 'min.compaction.lag.ms', value: '2000' },
          { name: 'max.compaction.lag.ms', value: '1000' },
        ],
      },
    ],
    'config-in-sync': [
      'more in-sync replicas than replicas',
      { configs: [{ name: 'min.insync.replicas', value: '3' }] },
    ],
  }
  for (const [name, [story, topic]] of Object.entries(invalid)) {
    sequence(name, story, ({ topic: own }) => [
      create(own, topic, { validateOnly: true }),
      create(own, topic),
      about(own),
    ])
  }
  for (const version of [2, 3, 4, 5, 6, 7]) {
    sequence(`create-v${version}`, `version ${version}, good and bad`, ({ topic }) => [
      create(topic, { numPartitions: 3 }, { version }),
      create(topic, {}, { version }),
      create(`${topic}2`, { numPartitions: -1, replicationFactor: -1 }, { version }),
      create(`${topic}3`, { configs: [{ name: 'retention.ms', value: '1000' }] }, { version }),
      create(`${topic}4`, { configs: [{ name: 'made.up', value: '1000' }] }, { version }),
    ])
  }
  sequence('create-nothing', 'no topics, and timeouts of zero and less', ({ topic }) => [
    call(createTopics, 7, { topics: [] }),
    ...[0, -1].map((timeoutMs, index) =>
      call(createTopics, 7, {
        topics: [
          { name: `${topic}${index}`, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
        ],
        timeoutMs,
        validateOnly: true,
      }),
    ),
  ])

  for (const version of [1, 2, 3, 4, 5, 6]) {
    sequence(`delete-v${version}`, `version ${version}, known, unknown and twice`, ({ topic }) => [
      create(topic),
      remove(topic, version),
      remove(topic, version),
      remove('a/b', version),
      remove('', version),
      about(topic),
    ])
  }
  sequence('delete-by-id', 'by ids, known, unknown, zero, and by both', ({ topic }) => [
    create(topic),
    create(`${topic}2`),
    removeById(topicId(topic)),
    removeById(topicId(topic)),
    removeById(noTopicId),
    removeById(zeroId),
    call(deleteTopics, 6, {
      topics: [{ name: `${topic}2`, topicId: topicId(`${topic}2`) }],
      timeoutMs: 10_000,
    }),
    call(deleteTopics, 6, { topics: [{ name: null, topicId: zeroId }], timeoutMs: 10_000 }),
    about(`${topic}2`),
  ])
  sequence('delete-twice', 'a topic twice in one request', ({ topic }) => [
    create(topic),
    call(deleteTopics, 5, { topicNames: [topic, topic], topics: [], timeoutMs: 10_000 }),
    call(deleteTopics, 6, {
      topics: [
        { name: topic, topicId: zeroId },
        { name: null, topicId: topicId(topic) },
      ],
      timeoutMs: 10_000,
    }),
    about(topic),
    call(deleteTopics, 5, { topicNames: [], topics: [], timeoutMs: 10_000 }),
  ])
  sequence('delete-and-create', 'a topic created again has another id', ({ topic }) => [
    create(topic, { numPartitions: 3 }),
    remove(topic),
    create(topic),
    about(topic),
  ])

  sequence('grow', 'partitions added, none added, taken away', ({ topic }) => [
    create(topic),
    grow(topic, 3, null, { validateOnly: true }),
    about(topic),
    grow(topic, 3),
    about(topic),
    grow(topic, 3),
    grow(topic, 2),
    grow(topic, 0),
    grow(topic, -1),
    ...[0, 1, 2].map((version) => grow(topic, 4 + version, null, { version })),
  ])
  sequence('grow-unknown', 'partitions of what does not exist', ({ topic }) => [
    grow(topic, 3),
    grow('', 3),
    grow('a/b', 3),
    call(createPartitions, 3, { topics: [], timeoutMs: 10_000, validateOnly: false }),
  ])
  sequence('grow-assigned', 'assignments of new partitions, right and wrong', ({ topic }) => [
    create(topic),
    grow(topic, 3, [{ brokerIds: [1] }]),
    grow(topic, 2, [{ brokerIds: [7] }]),
    grow(topic, 2, [{ brokerIds: [1, 1] }]),
    grow(topic, 2, [{ brokerIds: [] }]),
    grow(topic, 2, []),
    grow(topic, 2, [{ brokerIds: [1] }]),
    about(topic),
  ])
  sequence('grow-twice', 'a topic twice in one request', ({ topic }) => [
    create(topic),
    call(createPartitions, 3, {
      topics: [
        { name: topic, count: 2, assignments: null },
        { name: topic, count: 3, assignments: null },
      ],
      timeoutMs: 10_000,
      validateOnly: false,
    }),
    about(topic),
  ])
  sequence('grow-many', 'more partitions than any controller takes', ({ topic }) => [
    create(topic),
    grow(topic, 1_000_000),
  ])

  for (let version = 0; version <= 13; version++) {
    sequence(`metadata-v${version}`, `metadata in version ${version}`, ({ topic }) => [
      create(topic, { numPartitions: 2 }),
      about(topic, version),
      ...(version >= 4 ? [about(`${topic}-not`, version), about('a/b', version)] : []),
      ...(version >= 1 ? [about(null, version), call(metadata, version, { topics: [] })] : []),
    ])
  }
  sequence('metadata-by-id', 'metadata by ids', ({ topic }) => [
    create(topic),
    ...[10, 12, 13].flatMap((version) =>
      [topicId(topic), noTopicId].map((id) =>
        call(metadata, version, {
          topics: [{ name: version < 12 ? topic : null, topicId: id }],
          allowAutoTopicCreation: false,
        }),
      ),
    ),
    call(metadata, 12, { topics: [{ name: null, topicId: zeroId }], allowAutoTopicCreation: false }),
    call(metadata, 12, { topics: [{ name: topic, topicId: topicId(topic) }], allowAutoTopicCreation: false }),
    call(metadata, 12, { topics: [{ name: topic, topicId: noTopicId }], allowAutoTopicCreation: false }),
  ])
  sequence('metadata-null-name', 'a topic without a name, before it may be left out', () =>
    [10, 11].map((version) =>
      call(metadata, version, { topics: [{ name: null, topicId: zeroId }], allowAutoTopicCreation: false }),
    ),
  )
  sequence('metadata-twice', 'a topic twice', ({ topic }) => [
    create(topic),
    call(metadata, 12, {
      topics: [
        { name: topic, topicId: zeroId },
        { name: topic, topicId: zeroId },
      ],
      allowAutoTopicCreation: false,
    }),
  ])
  sequence('metadata-authorized', 'authorized operations', ({ topic }) => [
    create(topic),
    call(metadata, 10, {
      topics: [{ name: topic, topicId: zeroId }],
      includeClusterAuthorizedOperations: true,
      includeTopicAuthorizedOperations: true,
    }),
  ])
  sequence('metadata-creates', 'a topic created by asking for it', ({ topic }) => [
    call(metadata, 12, { topics: [{ name: topic, topicId: zeroId }], allowAutoTopicCreation: true }),
    about(topic),
    call(metadata, 12, { topics: [{ name: 'a/b', topicId: zeroId }], allowAutoTopicCreation: true }),
    call(metadata, 12, { topics: [{ name: '', topicId: zeroId }], allowAutoTopicCreation: true }),
    call(metadata, 12, { topics: [{ name: null, topicId: noTopicId }], allowAutoTopicCreation: true }),
  ])
  sequence('describe', 'partitions page by page', ({ topic }) => [
    createTopic(topic, { partitions: 3 }),
    createTopic(`${topic}2`),
    call(describeTopicPartitions, 0, { topics: [{ name: topic }] }),
    call(describeTopicPartitions, 0, { topics: [{ name: topic }], responsePartitionLimit: 2 }),
    call(describeTopicPartitions, 0, {
      topics: [{ name: topic }],
      responsePartitionLimit: 2,
      cursor: { topicName: topic, partitionIndex: 2 },
    }),
    call(describeTopicPartitions, 0, {
      topics: [{ name: topic }, { name: `${topic}2` }],
      responsePartitionLimit: 3,
    }),
    call(describeTopicPartitions, 0, { topics: [{ name: `${topic}-not` }] }),
    call(describeTopicPartitions, 0, { topics: [{ name: 'a/b' }] }),
    call(describeTopicPartitions, 0, { topics: [{ name: topic }], responsePartitionLimit: 0 }),
    call(describeTopicPartitions, 0, { topics: [{ name: topic }], responsePartitionLimit: -1 }),
    call(describeTopicPartitions, 0, {
      topics: [{ name: topic }],
      cursor: { topicName: topic, partitionIndex: -1 },
    }),
    call(describeTopicPartitions, 0, {
      topics: [{ name: topic }],
      cursor: { topicName: topic, partitionIndex: 9 },
    }),
  ])
})
