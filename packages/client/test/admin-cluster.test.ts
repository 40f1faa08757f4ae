// What a broker answers about itself nobody else can; settings of one broker asked of another are another's settings.
// And Kafka speaks of all this in numbers, which must come out as the words that its tools show.

import { expect, test } from 'vitest'
import { errors } from '@varve/protocol'
import { startAdmin } from './scripted-admin.js'

const configs = (node: number) => (request: any) => ({
  throttleTimeMs: 0,
  results: request.body.resources.map(({ resourceType, resourceName }: any) => ({
    errorCode: 0,
    errorMessage: null,
    resourceType,
    resourceName,
    configs: [
      {
        name: 'said.by',
        value: String(node),
        readOnly: false,
        configSource: 4,
        isSensitive: false,
        synonyms: [{ name: 'said.by.all', value: 'x', source: 5 }],
        ...(request.version >= 3 ? { configType: 3, documentation: 'who it was' } : {}),
      },
      {
        name: 'a.default',
        value: null,
        readOnly: true,
        configSource: 5,
        isSensitive: true,
        synonyms: [],
        ...(request.version >= 3 ? { configType: 9, documentation: null } : {}),
      },
    ],
  })),
})

test('a broker is asked for its own settings, any for those of topics', async () => {
  const { cluster, admin } = await startAdmin(3)
  cluster.brokers.forEach((broker, node) => broker.on('DescribeConfigs', configs(node)))
  const found = await admin.describeConfigs(
    [
      { type: 'broker', name: '2' },
      { type: 'topic', name: 't', keys: ['said.by'] },
      { type: 'broker', name: '1' },
    ],
    { includeSynonyms: true, includeDocumentation: true },
  )
  expect(found.map(({ type, name }) => `${type} ${name}`)).toEqual(['broker 2', 'topic t', 'broker 1'])
  expect(found.map(({ entries }) => entries[1]!.value)).toEqual(['2', expect.any(String), '1'])
  expect(found[0]!.entries).toEqual([
    expect.objectContaining({
      name: 'a.default',
      value: null,
      source: 'default',
      isDefault: true,
      isReadOnly: true,
      isSensitive: true,
      type: 'password',
      documentation: null,
    }),
    {
      name: 'said.by',
      value: '2',
      source: 'staticBroker',
      isDefault: false,
      isReadOnly: false,
      isSensitive: false,
      type: 'int',
      synonyms: [{ name: 'said.by.all', value: 'x', source: 'default' }],
      documentation: 'who it was',
    },
  ])
  expect((await cluster.brokers[2]!.received('DescribeConfigs')).body).toMatchObject({
    resources: [{ resourceType: 4, resourceName: '2', configurationKeys: null }],
    includeSynonyms: true,
    includeDocumentation: true,
  })
})

test('a broker too old for documentation is not asked for any', async () => {
  const { cluster, admin } = await startAdmin(1, {}, { DescribeConfigs: [1, 2] })
  cluster.brokers[0]!.on('DescribeConfigs', configs(0))
  const [found] = await admin.describeConfigs([{ type: 'topic', name: 't' }], { includeDocumentation: true })
  expect(found!.entries[1]).toMatchObject({ name: 'said.by', type: 'unknown', documentation: null })
})

test('changes go out as Kafka numbers them, and a refusal names what was refused', async () => {
  const { cluster, admin } = await startAdmin()
  cluster.brokers[0]!.on('IncrementalAlterConfigs', ({ body }) => ({
    throttleTimeMs: 0,
    responses: body.resources.map(({ resourceType, resourceName }: any) => ({
      errorCode: resourceName === 'bad' ? errors.INVALID_CONFIG.code : 0,
      errorMessage: resourceName === 'bad' ? 'not so' : null,
      resourceType,
      resourceName,
    })),
  }))
  const changes = [
    { operation: 'set', name: 'retention.ms', value: '5' },
    { operation: 'delete', name: 'segment.ms' },
    { operation: 'append', name: 'cleanup.policy', value: 'compact' },
    { operation: 'subtract', name: 'cleanup.policy', value: 'delete' },
  ] as const
  await admin.alterConfigs([{ type: 'topic', name: 't', changes }], { validateOnly: true })
  expect((await cluster.brokers[0]!.received('IncrementalAlterConfigs')).body).toEqual({
    resources: [
      {
        resourceType: 2,
        resourceName: 't',
        configs: [
          { name: 'retention.ms', configOperation: 0, value: '5' },
          { name: 'segment.ms', configOperation: 1, value: null },
          { name: 'cleanup.policy', configOperation: 2, value: 'compact' },
          { name: 'cleanup.policy', configOperation: 3, value: 'delete' },
        ],
      },
    ],
    validateOnly: true,
  })
  await expect(admin.alterConfigs([{ type: 'topic', name: 'bad', changes }])).rejects.toMatchObject({
    kafkaName: 'INVALID_CONFIG',
    message: expect.stringMatching(/topic 'bad'.*not so/),
  })
})

test('what has settings is listed by type', async () => {
  const { cluster, admin } = await startAdmin()
  cluster.brokers[0]!.on('ListConfigResources', () => ({
    throttleTimeMs: 0,
    errorCode: 0,
    configResources: [
      { resourceName: 'g', resourceType: 32 },
      { resourceName: '0', resourceType: 4 },
      { resourceName: 'from the future', resourceType: 99 },
    ],
  }))
  expect(await admin.listConfigResources()).toEqual([
    { type: 'group', name: 'g' },
    { type: 'broker', name: '0' },
  ])
  await admin.listConfigResources(['group', 'topic'])
  expect((await cluster.brokers[0]!.received('ListConfigResources', 1)).body.resourceTypes).toEqual([32, 2])
})

test('each broker tells of its directories, and a bad one is told of beside the good', async () => {
  const { cluster, admin } = await startAdmin(2)
  const good = (node: number) => ({
    errorCode: 0,
    logDir: `/data${node}`,
    topics: [
      {
        name: 't',
        partitions: [{ partitionIndex: 1, partitionSize: 512, offsetLag: 0, isFutureKey: false }],
      },
    ],
    totalBytes: 1000,
    usableBytes: 400,
  })
  cluster.brokers.forEach((broker, node) =>
    broker.on('DescribeLogDirs', () => ({
      throttleTimeMs: 0,
      errorCode: 0,
      results: [good(node), { errorCode: errors.KAFKA_STORAGE_ERROR.code, logDir: '/bad', topics: [] }],
    })),
  )
  const found = await admin.describeLogDirs({ nodeIds: [1], partitions: [{ topic: 't', partition: 1 }] })
  expect(found).toMatchObject([
    {
      nodeId: 1,
      path: '/data1',
      error: null,
      totalBytes: 1000,
      usableBytes: 400,
      replicas: [{ topic: 't', partition: 1, sizeBytes: 512, offsetLag: 0, isFuture: false }],
    },
    { nodeId: 1, path: '/bad', error: { kafkaName: 'KAFKA_STORAGE_ERROR' }, replicas: [] },
  ])
  expect((await admin.describeLogDirs()).map(({ path }) => path)).toEqual([
    '/data0',
    '/bad',
    '/data1',
    '/bad',
  ])
})

test('the cluster is described by node id', async () => {
  const { cluster, admin } = await startAdmin()
  const brokers = [2, 0].map((brokerId) => ({ brokerId, host: `h${brokerId}`, port: 9092, rack: null }))
  cluster.brokers[0]!.on('DescribeCluster', () => ({
    throttleTimeMs: 0,
    errorCode: 0,
    clusterId: 'c',
    controllerId: 2,
    brokers,
  }))
  expect(await admin.describeCluster()).toEqual({
    clusterId: 'c',
    controllerId: 2,
    nodes: [
      { nodeId: 0, host: 'h0', port: 9092, rack: null, isFenced: false },
      { nodeId: 2, host: 'h2', port: 9092, rack: null, isFenced: false },
    ],
  })
})
