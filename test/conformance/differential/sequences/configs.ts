import { alterConfigs, describeConfigs, incrementalAlterConfigs, listConfigResources } from '@varve/protocol'
import { createTopic } from '../requests.js'
import { call, type Step, subject } from '../sequence.js'

const TOPIC = 2
const BROKER = 4
const [LOGGER, CLIENT_METRICS, GROUP] = [8, 16, 32] as const
const [SET, DELETE, APPEND, SUBTRACT] = [0, 1, 2, 3] as const

type Change = readonly [operation: number, name: string, value?: string | null]

const alter = (
  resourceType: number,
  resourceName: string,
  changes: readonly Change[],
  { version = 1, validateOnly = false } = {},
): Step =>
  call(incrementalAlterConfigs, version, {
    resources: [
      {
        resourceType,
        resourceName,
        configs: changes.map(([configOperation, name, value = null]) => ({ configOperation, name, value })),
      },
    ],
    validateOnly,
  })
const replace = (
  resourceType: number,
  resourceName: string,
  values: Readonly<Record<string, string | null>>,
  { version = 2, validateOnly = false } = {},
): Step =>
  call(alterConfigs, version, {
    resources: [
      {
        resourceType,
        resourceName,
        configs: Object.entries(values).map(([name, value]) => ({ name, value })),
      },
    ],
    validateOnly,
  })
const describe = (
  resourceType: number,
  resourceName: string,
  configurationKeys: readonly string[] | null,
  { version = 4, includeSynonyms = false } = {},
): Step =>
  call(describeConfigs, version, {
    resources: [{ resourceType, resourceName, configurationKeys }],
    includeSynonyms,
  })

export default subject('configs', (sequence) => {
  sequence('topic-defaults', 'every configuration of a topic', ({ topic }) => [
    createTopic(topic),
    describe(TOPIC, topic, null),
    describe(TOPIC, topic, null, { includeSynonyms: true }),
  ])
  for (const version of [1, 2, 3, 4]) {
    sequence(`describe-v${version}`, `version ${version}`, ({ topic }) => [
      createTopic(topic, { configs: { 'retention.ms': '86400000', 'cleanup.policy': 'compact,delete' } }),
      describe(TOPIC, topic, ['retention.ms', 'cleanup.policy', 'segment.bytes'], {
        version,
        includeSynonyms: true,
      }),
      describe(TOPIC, topic, [], { version }),
      describe(TOPIC, topic, ['made.up'], { version }),
      describe(TOPIC, `${topic}-not`, null, { version }),
    ])
  }
  sequence('describe-wrong', 'resources that there are not', () => [
    describe(TOPIC, '', null),
    describe(TOPIC, 'a/b', null),
    describe(0, 'x', null),
    describe(99, 'x', null),
    describe(-1, 'x', null),
    describe(BROKER, '7', ['num.io.threads']),
    describe(BROKER, 'x', ['num.io.threads']),
    call(describeConfigs, 4, { resources: [] }),
  ])
  sequence('describe-twice', 'one resource twice', ({ topic }) => [
    createTopic(topic),
    call(describeConfigs, 4, {
      resources: [0, 1].map(() => ({
        resourceType: TOPIC,
        resourceName: topic,
        configurationKeys: ['retention.ms'],
      })),
    }),
  ])
  sequence('describe-broker', 'configurations of the broker', () => [
    describe(
      BROKER,
      '1',
      ['log.retention.hours', 'message.max.bytes', 'num.partitions', 'log.cleanup.policy'],
      {
        includeSynonyms: true,
      },
    ),
    describe(BROKER, '', ['log.retention.hours']),
  ])
  sequence('set', 'set, append, subtract, delete', ({ topic }) => [
    createTopic(topic),
    alter(TOPIC, topic, [[SET, 'retention.ms', '1000000']]),
    describe(TOPIC, topic, ['retention.ms'], { includeSynonyms: true }),
    alter(TOPIC, topic, [[APPEND, 'cleanup.policy', 'compact']]),
    describe(TOPIC, topic, ['cleanup.policy'], { includeSynonyms: true }),
    alter(TOPIC, topic, [[SUBTRACT, 'cleanup.policy', 'delete']]),
    describe(TOPIC, topic, ['cleanup.policy']),
    alter(TOPIC, topic, [
      [DELETE, 'retention.ms'],
      [DELETE, 'cleanup.policy'],
      [DELETE, 'segment.bytes'],
    ]),
    describe(TOPIC, topic, ['retention.ms', 'cleanup.policy']),
  ])
  const wrong: Record<string, [string, readonly Change[]]> = {
    'unknown-name': ['a configuration that there is not', [[SET, 'made.up', '1']]],
    'unknown-name-deleted': ['what there is not, deleted', [[DELETE, 'made.up']]],
    'empty-name': ['a configuration without a name', [[SET, '', '1']]],
    'not-a-number': ['a number that is none', [[SET, 'retention.ms', 'long']]],
    'too-small': ['a number below the least', [[SET, 'segment.bytes', '13']]],
    'too-large': ['a number that no int holds', [[SET, 'segment.bytes', '99999999999']]],
    'null-value': ['no value', [[SET, 'retention.ms', null]]],
    'null-value-appended': ['no value to append', [[APPEND, 'cleanup.policy', null]]],
    'append-to-number': ['something appended to a number', [[APPEND, 'retention.ms', '1']]],
    'subtract-from-number': ['something subtracted from a number', [[SUBTRACT, 'retention.ms', '1']]],
    'operation-unknown': ['an operation that there is not', [[7, 'retention.ms', '1']]],
    'operation-negative': ['a negative operation', [[-1, 'retention.ms', '1']]],
    twice: [
      'one configuration twice',
      [
        [SET, 'retention.ms', '1'],
        [SET, 'retention.ms', '2'],
      ],
    ],
    'good-and-bad': [
      'one good, one bad: neither counts',
      [
        [SET, 'retention.ms', '77'],
        [SET, 'segment.bytes', 'x'],
      ],
    ],
    'append-unknown': ['an unknown element appended', [[APPEND, 'cleanup.policy', 'shred']]],
    'append-twice': ['an element appended that is there', [[APPEND, 'cleanup.policy', 'delete']]],
    'subtract-last': ['the last element subtracted', [[SUBTRACT, 'cleanup.policy', 'delete']]],
    'subtract-missing': [
      'an element subtracted that is not there',
      [[SUBTRACT, 'cleanup.policy', 'compact']],
    ],
    nothing: ['no changes', []],
    'throttled-replicas': [
      'replicas that are throttled',
      [[SET, 'leader.replication.throttled.replicas', '0:1,1:1']],
    ],
    'throttled-replicas-wrong': [
      'throttled replicas that are none',
      [[SET, 'leader.replication.throttled.replicas', 'x']],
    ],
    boolean: ['a boolean in capitals', [[SET, 'preallocate', 'TRUE']]],
    'min-insync': ['in-sync replicas of 0', [[SET, 'min.insync.replicas', '0']]],
    compression: ['a codec', [[SET, 'compression.type', 'zstd']]],
    'broker-name': ['the broker’s name of a configuration', [[SET, 'log.retention.ms', '1']]],
  }
  for (const [name, [story, changes]] of Object.entries(wrong)) {
    sequence(name, story, ({ topic }) => [
      createTopic(topic),
      alter(TOPIC, topic, changes, { validateOnly: true }),
      alter(TOPIC, topic, changes),
      describe(TOPIC, topic, [
        'retention.ms',
        'cleanup.policy',
        'segment.bytes',
        'preallocate',
        'compression.type',
      ]),
    ])
  }
  sequence('alter-unknown', 'resources that there are not', ({ topic }) => [
    alter(TOPIC, topic, [[SET, 'retention.ms', '1']]),
    alter(TOPIC, '', [[SET, 'retention.ms', '1']]),
    alter(TOPIC, 'a/b', [[SET, 'retention.ms', '1']]),
    alter(BROKER, '7', [[SET, 'log.cleaner.threads', '2']]),
    alter(BROKER, 'x', [[SET, 'log.cleaner.threads', '2']]),
    alter(0, 'x', [[SET, 'retention.ms', '1']]),
    alter(99, 'x', [[SET, 'retention.ms', '1']]),
    call(incrementalAlterConfigs, 1, { resources: [], validateOnly: false }),
    alter(TOPIC, topic, [[SET, 'retention.ms', '1']], { version: 0 }),
  ])
  sequence('alter-twice', 'one resource twice', ({ topic }) => [
    createTopic(topic),
    call(incrementalAlterConfigs, 1, {
      resources: ['1', '2'].map((value) => ({
        resourceType: TOPIC,
        resourceName: topic,
        configs: [{ name: 'retention.ms', configOperation: SET, value }],
      })),
      validateOnly: false,
    }),
    describe(TOPIC, topic, ['retention.ms']),
  ])
  sequence('replace', 'AlterConfigs replaces all that was set', ({ topic }) => [
    createTopic(topic, { configs: { 'retention.ms': '1000000', 'segment.bytes': '2000000' } }),
    ...[0, 1, 2].flatMap((version) => [
      replace(TOPIC, topic, { 'retention.ms': `${version + 5}` }, { version }),
      describe(TOPIC, topic, ['retention.ms', 'segment.bytes']),
    ]),
    replace(TOPIC, topic, { 'retention.ms': '9' }, { validateOnly: true }),
    replace(TOPIC, topic, { 'made.up': '9' }),
    replace(TOPIC, topic, { 'retention.ms': null }),
    replace(TOPIC, topic, { 'retention.ms': 'x' }),
    replace(TOPIC, `${topic}-not`, { 'retention.ms': '9' }),
    replace(0, topic, {}),
    replace(TOPIC, topic, {}),
    describe(TOPIC, topic, ['retention.ms', 'segment.bytes']),
    call(alterConfigs, 2, { resources: [], validateOnly: false }),
  ])
  sequence('broker', 'configurations of the broker and of all brokers, altered', () => [
    alter(BROKER, '1', [[SET, 'log.cleaner.backoff.ms', '14000']]),
    describe(BROKER, '1', ['log.cleaner.backoff.ms'], { includeSynonyms: true }),
    alter(BROKER, '', [[SET, 'log.cleaner.backoff.ms', '13000']]),
    describe(BROKER, '', ['log.cleaner.backoff.ms'], { includeSynonyms: true }),
    describe(BROKER, '1', ['log.cleaner.backoff.ms'], { includeSynonyms: true }),
    alter(BROKER, '1', [[DELETE, 'log.cleaner.backoff.ms']]),
    describe(BROKER, '1', ['log.cleaner.backoff.ms'], { includeSynonyms: true }),
    alter(BROKER, '', [[DELETE, 'log.cleaner.backoff.ms']]),
    describe(BROKER, '1', ['log.cleaner.backoff.ms'], { includeSynonyms: true }),
  ])
  sequence('broker-wrong', 'configurations of the broker that cannot be altered so', () => [
    alter(BROKER, '1', [[SET, 'num.partitions', '5']]),
    alter(BROKER, '1', [[SET, 'node.id', '5']]),
    alter(BROKER, '', [[SET, 'broker.id', '5']]),
    alter(BROKER, '1', [[SET, 'made.up', '5']], { validateOnly: true }),
    alter(BROKER, '1', [[SET, 'log.cleaner.threads', 'x']]),
    alter(BROKER, '1', [[SET, 'log.cleaner.threads', '0']]),
    alter(BROKER, '', [[SET, 'message.max.bytes', '-1']]),
  ])
  sequence('list', 'resources that have configurations', ({ topic }) => [
    createTopic(topic, { configs: { 'retention.ms': '1000000' } }),
    ...[[2], [4], [99], [0], [16]].map((resourceTypes) => call(listConfigResources, 1, { resourceTypes })),
  ])
  sequence('groups', 'configurations of a group', ({ group }) => [
    describe(GROUP, group, null),
    describe(GROUP, group, null, { includeSynonyms: true }),
    describe(GROUP, group, ['consumer.session.timeout.ms', 'made.up']),
    describe(GROUP, '', null),
  ])
  sequence('groups-altered', 'configurations of a group, altered', ({ group }) => [
    alter(GROUP, group, [[SET, 'consumer.session.timeout.ms', '50000']], { validateOnly: true }),
    alter(GROUP, group, [[SET, 'consumer.session.timeout.ms', '1']]),
    alter(GROUP, group, [[SET, 'made.up', '1']]),
    alter(GROUP, '', [[SET, 'consumer.session.timeout.ms', '50000']]),
    replace(GROUP, group, { 'consumer.session.timeout.ms': '50000' }, { validateOnly: true }),
    call(listConfigResources, 1, { resourceTypes: [GROUP] }),
  ])
  sequence('loggers', 'levels of the broker’s loggers', () => [
    describe(LOGGER, '', null),
    describe(LOGGER, '7', null),
    describe(LOGGER, 'x', null),
    describe(LOGGER, '1', ['made.up']),
    alter(LOGGER, '1', [[SET, 'made.up', 'INFO']], { validateOnly: true }),
    alter(LOGGER, '7', [[SET, 'root', 'INFO']], { validateOnly: true }),
    alter(LOGGER, '1', [[SET, 'root', 'MADE_UP']], { validateOnly: true }),
    alter(LOGGER, '1', [[APPEND, 'root', 'INFO']], { validateOnly: true }),
    replace(LOGGER, '1', { root: 'INFO' }, { validateOnly: true }),
    call(listConfigResources, 1, { resourceTypes: [LOGGER] }),
  ])
  sequence('root-logger', 'the level of the root logger', () => [describe(LOGGER, '1', ['root'])])
  sequence('client-metrics', 'subscriptions to metrics of clients', ({ group }) => [
    describe(CLIENT_METRICS, group, null),
    describe(CLIENT_METRICS, '', null),
    alter(CLIENT_METRICS, group, [[SET, 'interval.ms', '1000']], { validateOnly: true }),
    alter(CLIENT_METRICS, group, [[SET, 'interval.ms', '1']]),
    alter(CLIENT_METRICS, group, [[SET, 'made.up', '1']]),
    alter(CLIENT_METRICS, '', [[SET, 'interval.ms', '1000']]),
    replace(CLIENT_METRICS, group, { 'interval.ms': '1000' }, { validateOnly: true }),
    call(listConfigResources, 1, { resourceTypes: [CLIENT_METRICS] }),
  ])
})
