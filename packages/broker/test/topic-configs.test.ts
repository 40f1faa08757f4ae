// A configuration is a promise to whoever set it: it acts from the answer on, also on logs that are open, and also after a
// restart. What cannot be had is refused in the words in which Kafka refuses it, because tools look for them.
import { errors } from '@varve/protocol'
import { describe, expect, test } from 'vitest'
import { alter, BROKER, type Change, createWith, described, TOPIC } from './support/configs.js'
import { startTestBroker, temporaryDirectory } from './support/test-broker.js'
import { MemoryDisk } from './memory-log.js'

test('a topic is created with configurations, and answers all that are in force', async () => {
  const { connect } = await startTestBroker({ configs: { 'log.retention.hours': 24 } })
  const client = await connect()
  const { configs, errorCode } = await createWith(client, 'orders', { 'segment.bytes': ' 2097152 ' })
  expect(errorCode).toBe(0)
  const found = new Map(configs!.map((config) => [config.name, config]))
  expect(found.get('segment.bytes')).toMatchObject({ value: '2097152', configSource: 1 })
  expect(found.get('retention.ms')).toMatchObject({ value: '86400000', configSource: 5 })
  expect(found.get('cleanup.policy')).toMatchObject({ value: 'delete', configSource: 5 })
})

test.each<[config: string, value: string, message: string]>([
  ['retention.ms', 'abc', 'Invalid value abc for configuration retention.ms: Not a number of type LONG'],
  ['retention.ms', '-5', 'Invalid value -5 for configuration retention.ms: Value must be at least -1'],
  [
    'segment.bytes',
    '99999999999',
    'Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT',
  ],
  [
    'cleanup.policy',
    'foo',
    'Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete',
  ],
  [
    'min.cleanable.dirty.ratio',
    '1.5',
    'Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1',
  ],
  [
    'min.cleanable.dirty.ratio',
    'abc',
    'Invalid value abc for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE',
  ],
  [
    'preallocate',
    'yes',
    'Invalid value yes for configuration preallocate: Expected value to be either true or false',
  ],
  [
    'compression.gzip.level',
    '0',
    'Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1',
  ],
  [
    'compression.lz4.level',
    '18',
    'Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17',
  ],
  [
    'compression.zstd.level',
    '23',
    'Invalid value 23 for configuration compression.zstd.level: Value must be no more than 22',
  ],
  [
    'remote.storage.enable',
    'true',
    'Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.',
  ],
  [
    'leader.replication.throttled.replicas',
    'x',
    "Invalid value [x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
  ],
])('%s=%s is refused as Kafka refuses it', async (name, value, message) => {
  const { connect, createTopic } = await startTestBroker()
  const client = await connect()
  const created = await createWith(client, 'orders', { [name]: value })
  expect([created.errorCode, created.errorMessage]).toEqual([errors.INVALID_CONFIG.code, message])
  await createTopic('orders')
  const altered = await alter(client, TOPIC, 'orders', [['set', name, value]])
  expect([altered.errorCode, altered.errorMessage]).toEqual([errors.INVALID_CONFIG.code, message])
})

test('what would have to act and does not may have its default only', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  expect(await createWith(client, 'a', { 'remote.log.copy.disable': 'false' })).toMatchObject({
    errorCode: 0,
  })
  expect(await createWith(client, 'b', { 'remote.log.copy.disable': 'true' })).toMatchObject({
    errorCode: errors.INVALID_CONFIG.code,
    errorMessage:
      'Invalid value true for configuration remote.log.copy.disable: this broker serves the default false only',
  })
})

describe('IncrementalAlterConfigs', () => {
  test('sets and deletes, for open logs at once', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    const log = disk.log('orders-0')
    expect(log.settings.retentionMs).toBe(604_800_000)
    expect(
      await alter(client, TOPIC, 'orders', [
        ['set', 'retention.ms', '1000'],
        ['set', 'segment.ms', '5000'],
      ]),
    ).toMatchObject({ errorCode: 0 })
    expect(log.settings).toMatchObject({ retentionMs: 1000, segmentMs: 5000 })
    expect((await described(client, TOPIC, 'orders')).get('retention.ms')).toMatchObject({
      value: '1000',
      configSource: 1,
      synonyms: [{ name: 'retention.ms', value: '1000', source: 1 }],
    })
    await alter(client, TOPIC, 'orders', [['delete', 'retention.ms']])
    expect(log.settings).toMatchObject({ retentionMs: 604_800_000, segmentMs: 5000 })
  })

  test('appends to a list, and subtracts from it', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    const policyAfter = async (...change: Change): Promise<string | null> => {
      await alter(client, TOPIC, 'orders', [change])
      return (await described(client, TOPIC, 'orders')).get('cleanup.policy')!.value
    }
    expect(await policyAfter('append', 'cleanup.policy', 'compact')).toBe('delete,compact')
    expect(disk.log('orders-0').settings.cleanupPolicy).toBe('compact,delete')
    expect(await policyAfter('append', 'cleanup.policy', 'compact')).toBe('delete,compact')
    expect(await policyAfter('subtract', 'cleanup.policy', 'delete')).toBe('compact')
    expect(disk.log('orders-0').settings.cleanupPolicy).toBe('compact')
    expect(await policyAfter('subtract', 'cleanup.policy', 'compact')).toBe('')
    expect(disk.log('orders-0').settings).toMatchObject({ cleanupPolicy: 'delete', retentionMs: Infinity })
  })

  test.each<[what: string, changes: Change[], error: keyof typeof errors, message: string]>([
    ['an unknown name', [['set', 'nonsense', '5']], 'INVALID_CONFIG', 'Unknown topic config name: nonsense'],
    [
      'appending to a number',
      [['append', 'retention.ms', '5']],
      'INVALID_CONFIG',
      "Can't APPEND to key retention.ms because its type is not LIST.",
    ],
    [
      'a name twice',
      [
        ['set', 'retention.ms', '1'],
        ['set', 'retention.ms', '2'],
      ],
      'INVALID_REQUEST',
      'Error due to duplicate config keys',
    ],
    [
      'no value',
      [['set', 'retention.ms', null]],
      'INVALID_REQUEST',
      'Null value not supported for : retention.ms',
    ],
    [
      'a value that cannot be',
      [['set', 'segment.bytes', '1']],
      'INVALID_CONFIG',
      'Invalid value 1 for configuration segment.bytes: Value must be at least 1048576',
    ],
  ])('refuses %s, and changes nothing', async (_what, changes, error, message) => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    const answer = await alter(client, TOPIC, 'orders', [['set', 'segment.ms', '7'], ...changes])
    expect([answer.errorCode, answer.errorMessage]).toEqual([errors[error].code, message])
    expect((await described(client, TOPIC, 'orders')).get('segment.ms')!.configSource).toBe(5)
  })

  test('deleting what nobody knows is no mistake', async () => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('orders')
    expect(await alter(await connect(), TOPIC, 'orders', [['delete', 'nonsense']])).toMatchObject({
      errorCode: 0,
    })
  })

  test('validateOnly says what would be, and does nothing', async () => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    expect(await alter(client, TOPIC, 'orders', [['set', 'retention.ms', '777']], true)).toMatchObject({
      errorCode: 0,
    })
    expect(await alter(client, TOPIC, 'orders', [['set', 'retention.ms', 'x']], true)).toMatchObject({
      errorCode: errors.INVALID_CONFIG.code,
    })
    expect((await described(client, TOPIC, 'orders')).get('retention.ms')!.value).toBe('604800000')
  })

  test.each<[type: number, name: string, error: keyof typeof errors, message: RegExp]>([
    [TOPIC, 'nosuch', 'UNKNOWN_TOPIC_OR_PARTITION', /^The topic 'nosuch' does not exist\.$/],
    [TOPIC, '', 'INVALID_REQUEST', /^Default topic resources are not allowed\.$/],
    [TOPIC, 'a/b', 'INVALID_TOPIC_EXCEPTION', /^Topic name is invalid: /],
    [BROKER, '99', 'INVALID_REQUEST', /expected 0 or empty string, but received 99/],
    [BROKER, 'abc', 'INVALID_REQUEST', /must be an integer/],
    [8, '0', 'INVALID_REQUEST', /no configurations of BROKER_LOGGER/],
    [77, 'x', 'INVALID_REQUEST', /Unsupported resource type 77/],
  ])('resource %i %j is refused', async (type, name, error, message) => {
    const { connect } = await startTestBroker()
    const answer = await alter(await connect(), type, name, [['set', 'retention.ms', '5']])
    expect(answer.errorCode).toBe(errors[error].code)
    expect(answer.errorMessage).toMatch(message)
  })
})

describe("the broker's configurations", () => {
  test('are what topics have that have none of their own, at each level that Kafka has', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('orders')
    const client = await connect()
    const retention = async () => {
      const { value, configSource, synonyms } = (await described(client, TOPIC, 'orders')).get(
        'retention.ms',
      )!
      return [value, configSource, synonyms.map((one) => [one.name, one.value, one.source].join(' '))]
    }
    await alter(client, BROKER, '', [['set', 'log.retention.ms', '200000']])
    expect(disk.log('orders-0').settings.retentionMs).toBe(200_000)
    await alter(client, BROKER, '0', [['set', 'log.retention.ms', '100000']])
    expect(await retention()).toEqual([
      '100000',
      2,
      ['log.retention.ms 100000 2', 'log.retention.ms 200000 3', 'log.retention.hours 168 5'],
    ])
    expect(disk.log('orders-0').settings.retentionMs).toBe(100_000)
    await alter(client, BROKER, '0', [['delete', 'log.retention.ms']])
    await alter(client, BROKER, '', [['delete', 'log.retention.ms']])
    expect(await retention()).toEqual(['604800000', 5, []])
    expect(disk.log('orders-0').settings.retentionMs).toBe(604_800_000)
  })

  test('of the cluster are listed by themselves', async () => {
    const { connect } = await startTestBroker()
    const client = await connect()
    await alter(client, BROKER, '', [['set', 'log.retention.ms', '200000']])
    expect(
      [...(await described(client, BROKER, ''))].map(([name, { value, configSource }]) => [
        name,
        value,
        configSource,
      ]),
    ).toEqual([['log.retention.ms', '200000', 3]])
  })

  test.each<[name: string, value: string, message: string]>([
    ['num.partitions', '3', 'Cannot update these configs dynamically: [num.partitions]'],
    ['ssl.keystore.location', '/x', 'Cannot update these configs dynamically: [ssl.keystore.location]'],
    ['nonsense', '3', 'Cannot update these configs dynamically: [nonsense]'],
    [
      'log.retention.ms',
      'abc',
      'Invalid value abc for configuration log.retention.ms: Not a number of type LONG',
    ],
    [
      'log.segment.bytes',
      '5',
      'Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576',
    ],
  ])('refuse %s=%s', async (name, value, message) => {
    const { connect } = await startTestBroker()
    const { errorCode, errorMessage } = await alter(await connect(), BROKER, '0', [['set', name, value]])
    expect([errorCode, errorMessage]).toEqual([errors.INVALID_REQUEST.code, message])
  })

  test('tell how the broker is run', async () => {
    const options = {
      defaultPartitions: 3,
      configs: { 'log.roll.hours': 1, 'auto.create.topics.enable': false },
    }
    const { connect, broker } = await startTestBroker(options)
    const found = await described(await connect(), BROKER, '0')
    const values = (...names: string[]) =>
      names.map((name) => [found.get(name)!.value, found.get(name)!.configSource])
    expect(
      values('num.partitions', 'log.roll.hours', 'auto.create.topics.enable', 'node.id', 'log.dirs'),
    ).toEqual([
      ['3', 4],
      ['1', 4],
      ['false', 4],
      ['0', 4],
      [broker.dataDirectories.join(','), 4],
    ])
  })
})

test('what was altered is in force after a restart', async () => {
  const disk = new MemoryDisk()
  const data = await temporaryDirectory()
  const first = await startTestBroker({ disk, data })
  await first.createTopic('orders')
  const client = await first.connect()
  await alter(client, TOPIC, 'orders', [['set', 'cleanup.policy', 'compact']])
  await alter(client, BROKER, '0', [['set', 'log.segment.bytes', '2000000']])
  await alter(client, BROKER, '', [['set', 'log.retention.ms', '5000']])
  await first.broker.close()
  const second = await startTestBroker({ disk, data })
  expect(disk.log('orders-0').settings).toMatchObject({
    cleanupPolicy: 'compact',
    segmentBytes: 2_000_000,
    retentionMs: 5000,
  })
  const found = await described(await second.connect(), TOPIC, 'orders')
  expect([found.get('cleanup.policy')!.value, found.get('segment.bytes')!.configSource]).toEqual([
    'compact',
    2,
  ])
})

test.each<[config: string, value: string, setting: string, expected: unknown]>([
  ['segment.jitter.ms', '500000', 'segmentJitterMs', 500_000],
  ['flush.messages', '3', 'flushIntervalRecords', 3],
  ['flush.ms', '0', 'flushIntervalMs', 1],
  ['flush.ms', '9223372036854775807', 'flushIntervalMs', Infinity],
  ['min.compaction.lag.ms', '70', 'minCompactionLagMs', 70],
  ['max.compaction.lag.ms', '80', 'maxCompactionLagMs', 80],
  ['message.timestamp.after.max.ms', '90', 'timestampAfterMaxMs', 90],
  ['message.timestamp.before.max.ms', '91', 'timestampBeforeMaxMs', 91],
  ['message.timestamp.type', 'LogAppendTime', 'timestampType', 'LogAppendTime'],
  ['compression.type', 'uncompressed', 'compression', 'none'],
  ['compression.type', 'zstd', 'compression', 'zstd'],
  ['compression.gzip.level', '9', 'compressionGzipLevel', 9],
  ['compression.lz4.level', '17', 'compressionLz4Level', 17],
  ['compression.zstd.level', '-131072', 'compressionZstdLevel', -131_072],
  ['max.decompressed.message.bytes', '1000', 'maxDecompressedMessageBytes', 1000],
  ['retention.bytes', '-1', 'retentionBytes', Infinity],
  ['retention.ms', '-1', 'retentionMs', Infinity],
  ['delete.retention.ms', '5', 'deleteRetentionMs', 5],
  ['min.cleanable.dirty.ratio', '0.25', 'minCleanableDirtyRatio', 0.25],
  ['segment.index.bytes', '4', 'segmentIndexBytes', 12],
  ['index.interval.bytes', '1', 'indexIntervalBytes', 1],
  ['preallocate', 'TRUE', 'preallocate', true],
  ['internal.segment.bytes', '5000', 'segmentBytes', 5000],
])('%s=%s reaches the log as %s', async (name, value, setting, expected) => {
  const { connect, disk } = await startTestBroker()
  expect((await createWith(await connect(), 'orders', { [name]: value })).errorMessage).toBeNull()
  expect(disk.log('orders-0').settings).toMatchObject({ [setting]: expected })
})

test('a least lag of compaction above the largest is refused, and put up with where the broker has the other', async () => {
  const { connect, disk } = await startTestBroker()
  const client = await connect()
  const lags = { 'min.compaction.lag.ms': '10', 'max.compaction.lag.ms': '5' }
  expect((await createWith(client, 'orders', lags)).errorMessage).toBe(
    'conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)',
  )
  await alter(client, BROKER, '', [['set', 'log.cleaner.max.compaction.lag.ms', '5']])
  await createWith(client, 'orders', { 'min.compaction.lag.ms': '10' })
  expect(disk.log('orders-0').settings).toMatchObject({ minCompactionLagMs: 10, maxCompactionLagMs: 10 })
})
