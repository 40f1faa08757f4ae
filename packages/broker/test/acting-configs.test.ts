// What the tables call served, dynamic or static must act, or an operator sets it in vain. Here every one of them has a line:
// a value that is not the default, and what is different with it, or the test elsewhere that shows it.
import { readFileSync } from 'node:fs'
import {
  createTopics,
  deleteTopics,
  describeCluster,
  describeTopicPartitions,
  errors,
  fetch,
  metadata,
  offsetFetch,
} from '@varve/protocol'
import type { LogSettings } from '@varve/log'
import { beforeAll, describe, expect, test } from 'vitest'
import { Authority, type Credentials } from '../../../test/support/certificates.js'
import { brokerConfigs, topicConfigs } from '../src/configs/config-tables.js'
import type { BrokerOptions } from '../src/broker-options.js'
import { alter, BROKER, createWith, described } from './support/configs.js'
import { commit, join } from './support/group-requests.js'
import type { RawClient } from './support/raw-client.js'
import {
  fetchBody,
  fetchFrom,
  produceTo,
  settle,
  startTestBroker,
  type TestBroker,
  until,
} from './support/test-broker.js'

let server: Credentials
beforeAll(async () => {
  server = await (await Authority.create()).issue('broker', ['127.0.0.1'])
})

/** Configurations of a topic that are for its log: a value, and the setting of the log that it becomes. */
const ofLogs: Readonly<Record<string, readonly [value: string, settings: Partial<LogSettings>]>> = {
  'cleanup.policy': ['compact', { cleanupPolicy: 'compact' }],
  'compression.gzip.level': ['9', { compressionGzipLevel: 9 }],
  'compression.lz4.level': ['17', { compressionLz4Level: 17 }],
  'compression.type': ['zstd', { compression: 'zstd' }],
  'compression.zstd.level': ['5', { compressionZstdLevel: 5 }],
  'delete.retention.ms': ['5', { deleteRetentionMs: 5 }],
  'flush.messages': ['3', { flushIntervalRecords: 3 }],
  'flush.ms': ['4', { flushIntervalMs: 4 }],
  'index.interval.bytes': ['100', { indexIntervalBytes: 100 }],
  'internal.segment.bytes': ['5000', { segmentBytes: 5000 }],
  'max.compaction.lag.ms': ['80', { maxCompactionLagMs: 80 }],
  'max.decompressed.message.bytes': ['1000', { maxDecompressedMessageBytes: 1000 }],
  'max.message.bytes': ['2000', { maxBatchBytes: 2000 }],
  'message.timestamp.after.max.ms': ['90', { timestampAfterMaxMs: 90 }],
  'message.timestamp.before.max.ms': ['91', { timestampBeforeMaxMs: 91 }],
  'message.timestamp.type': ['LogAppendTime', { timestampType: 'LogAppendTime' }],
  'min.cleanable.dirty.ratio': ['0.25', { minCleanableDirtyRatio: 0.25 }],
  'min.compaction.lag.ms': ['70', { minCompactionLagMs: 70 }],
  preallocate: ['true', { preallocate: true }],
  'retention.bytes': ['6000', { retentionBytes: 6000 }],
  'retention.ms': ['7000', { retentionMs: 7000 }],
  'segment.bytes': ['2000000', { segmentBytes: 2_000_000 }],
  'segment.index.bytes': ['1200', { segmentIndexBytes: 1200 }],
  'segment.jitter.ms': ['500', { segmentJitterMs: 500 }],
  'segment.ms': ['600', { segmentMs: 600 }],
}

/** The same of a broker that no topic has under a name of its own. */
const ofAllLogs: typeof ofLogs = {
  'log.cleaner.backoff.ms': ['20', { compactionCheckMs: 20 }],
  'log.cleaner.io.max.bytes.per.second': ['30.0', { compactionBytesPerSecond: 30 }],
  'log.flush.scheduler.interval.ms': ['40', { flushIntervalMs: 40 }],
  'log.retention.check.interval.ms': ['50', { retentionCheckMs: 50 }],
  'log.retention.hours': ['2', { retentionMs: 7_200_000 }],
  'log.retention.minutes': ['2', { retentionMs: 120_000 }],
  'log.roll.hours': ['2', { segmentMs: 7_200_000 }],
  'log.roll.jitter.hours': ['2', { segmentJitterMs: 7_200_000 }],
  'producer.id.expiration.ms': ['60', { producerIdExpirationMs: 60 }],
}

type Shows = (broker: TestBroker, client: RawClient) => Promise<void>

/** What is different in a broker that has the value. */
const ofBrokers: Readonly<Record<string, readonly [value: string, shows: Shows]>> = {
  'auto.create.topics.enable': [
    'false',
    async (_, client) => {
      const { topics } = await client.request(metadata, 12, { topics: [{ name: 'new' }] })
      expect(topics[0]!.errorCode).toBe(errors.UNKNOWN_TOPIC_OR_PARTITION.code)
    },
  ],
  'broker.rack': [
    'eu-1a',
    async (_, client) => {
      const asked = { includeClusterAuthorizedOperations: false }
      expect((await client.request(describeCluster, 1, asked)).brokers[0]!.rack).toBe('eu-1a')
    },
  ],
  'connections.max.idle.ms': [
    '5000',
    async ({ clock }, client) => {
      await client.request(metadata, 12, { topics: [] })
      clock.advance(6000)
      await client.closed
    },
  ],
  'delete.topic.enable': [
    'false',
    async ({ createTopic }, client) => {
      await createTopic('t')
      const body = { topics: [{ name: 't' }], timeoutMs: 1000 }
      const { responses } = await client.request(deleteTopics, 6, body)
      expect(responses[0]!.errorCode).toBe(errors.TOPIC_DELETION_DISABLED.code)
    },
  ],
  'fetch.max.bytes': [
    '1024',
    async ({ createTopic }, client) => {
      await createTopic('t')
      for (let sent = 0; sent < 3; sent++) await produceTo(client, 't', 'x'.repeat(600))
      const { records } = await fetchFrom(client, 't')
      expect(records!.length).toBeGreaterThan(600)
      expect(records!.length).toBeLessThan(1024)
    },
  ],
  'group.initial.rebalance.delay.ms': [
    '3000',
    async ({ clock, createTopic }, client) => {
      await createTopic('t')
      // The coordinator is there then.
      await commit(client, 8, 1)
      const { pending } = clock
      let joined = false
      const joining = join(client, 3, { groupId: 'h' }).then(() => (joined = true))
      await until(() => clock.pending > pending, 'the group waits')
      await settle(200)
      expect(joined).toBe(false)
      clock.advance(3000)
      await joining
    },
  ],
  'group.max.session.timeout.ms': ['9999', refusesSession],
  'group.max.size': [
    '1',
    async ({ connect }, client) => {
      await join(client, 9)
      const { errorCode } = await join(await connect(), 9)
      expect(errorCode).toBe(errors.GROUP_MAX_SIZE_REACHED.code)
    },
  ],
  'group.min.session.timeout.ms': ['10001', refusesSession],
  'max.incremental.fetch.session.cache.slots': [
    '0',
    async ({ createTopic }, client) => {
      await createTopic('t')
      const { sessionId } = await client.request(fetch, 12, { ...fetchBody('t'), sessionEpoch: 0 })
      expect(sessionId).toBe(0)
    },
  ],
  'max.request.partition.size.limit': [
    '1',
    async ({ createTopic }, client) => {
      await createTopic('t', 3)
      const body = { topics: [{ name: 't' }], responsePartitionLimit: 10 }
      const { topics } = await client.request(describeTopicPartitions, 0, body)
      expect(topics[0]!.partitions).toHaveLength(1)
    },
  ],
  'min.insync.replicas': [
    '2',
    // Of the replicas that there are, as in Kafka 4.4.
    async ({ createTopic }, client) => {
      await createTopic('t')
      expect((await produceTo(client, 't', 'x')).errorCode).toBe(0)
    },
  ],
  'num.partitions': [
    '3',
    async (_, client) => {
      const topic = { name: 't', numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] }
      const { topics } = await client.request(createTopics, 7, { topics: [topic] })
      expect(topics[0]!.numPartitions).toBe(3)
    },
  ],
  'offset.metadata.max.bytes': [
    '3',
    async ({ createTopic }, client) => {
      await createTopic('t')
      const { topics } = await commit(client, 8, 1)
      expect(topics[0]!.partitions[0]!.errorCode).toBe(errors.OFFSET_METADATA_TOO_LARGE.code)
    },
  ],
  'offsets.commit.timeout.ms': [
    '100',
    async ({ clock, createTopic, disk }, client) => {
      await createTopic('t')
      await commit(client, 8, 1)
      disk.log('__consumer_offsets-0').holdDurability()
      const { pending } = clock
      const late = commit(client, 8, 2)
      await until(() => clock.pending > pending, 'the commit is there')
      clock.advance(100)
      const { topics } = await late
      expect(topics[0]!.partitions[0]!.errorCode).toBe(errors.COORDINATOR_NOT_AVAILABLE.code)
      await disk.log('__consumer_offsets-0').flush()
    },
  ],
  'offsets.retention.check.interval.ms': [String(3 * 24 * 3_600_000), forgetsOffsets(9 * 24, 8 * 24)],
  'offsets.retention.minutes': ['60', forgetsOffsets(2, 0)],
  'offsets.topic.num.partitions': [
    '7',
    async ({ createTopic }, client) => {
      await createTopic('t')
      await commit(client, 8, 1)
      const { topics } = await client.request(metadata, 12, { topics: [{ name: '__consumer_offsets' }] })
      expect(topics[0]!.partitions).toHaveLength(7)
    },
  ],
  'socket.request.max.bytes': [
    '2000',
    async ({ createTopic }, client) => {
      await createTopic('t')
      const sent = produceTo(client, 't', 'x'.repeat(2000)).catch(() => {})
      await client.closed
      await sent
    },
  ],
}

/** Whose test is elsewhere, under that title. */
const elsewhere: Readonly<Record<string, readonly [file: string, title: string]>> = {
  'advertised.listeners': ['listeners.test.ts', 'a client is told the advertised address of the listener'],
  'auto.leader.rebalance.enable': ['cluster/configs.test.ts', 'if auto.leader.rebalance.enable says so'],
  'broker.id': ['topic-configs.test.ts', 'tell how the broker is run'],
  'broker.session.timeout.ms': [
    'cluster/configs.test.ts',
    'broker.session.timeout.ms is how long a registration outlives its broker',
  ],
  'controlled.shutdown.enable': [
    'cluster/configs.test.ts',
    'with controlled.shutdown.enable=%s a broker that stops says so, or not',
  ],
  'default.replication.factor': [
    'cluster/configs.test.ts',
    'default.replication.factor is that of topics that are created without one',
  ],
  'file.delete.delay.ms': ['delete-topics.test.ts', 'their files removed after file.delete.delay.ms'],
  ...Object.fromEntries(
    ['leader', 'follower'].flatMap((end) =>
      ['rate', 'replicas'].map((what) => [
        `${end}.replication.throttled.${what}`,
        [
          'cluster/replication-throttle.test.ts',
          'a replica that is added gets nothing while the rate of its %s is 0',
        ],
      ]),
    ),
  ),
  'inter.broker.listener.name': [
    'cluster/configs.test.ts',
    'by the listener that inter.broker.listener.name names',
  ],
  'leader.imbalance.check.interval.seconds': [
    'cluster/configs.test.ts',
    'leaders go back every leader.imbalance.check.interval.seconds',
  ],
  'listener.security.protocol.map': [
    'tls-listeners.test.ts',
    'the protocol map gives a listener of any name',
  ],
  listeners: ['listeners.test.ts', 'a client is told the advertised address of the listener'],
  'log.dirs': ['topic-configs.test.ts', 'tell how the broker is run'],
  'max.connections': ['connection-limits.test.ts', 'the limits are altered while the broker runs'],
  'max.connections.per.ip': ['connection-limits.test.ts', 'the limits are altered while the broker runs'],
  'max.connections.per.ip.overrides': [
    'connection-limits.test.ts',
    'the limits are altered while the broker runs',
  ],
  'node.id': ['topic-configs.test.ts', 'tell how the broker is run'],
  'offsets.topic.compression.codec': ['groups/offsets-topic.test.ts', 'has the codec with the number'],
  'offsets.topic.replication.factor': [
    'cluster/configs.test.ts',
    'has as many replicas as offsets.topic.replication.factor says',
  ],
  'offsets.topic.segment.bytes': ['groups/offsets-topic.test.ts', 'and segments of its own size'],
  'process.roles': ['administration.test.ts', 'DescribeQuorum'],
  'queued.max.request.bytes': ['connection-limits.test.ts', 'queued.max.request.bytes of %s is %d bytes'],
  'replica.fetch.max.bytes': ['cluster/configs.test.ts', 'followers fetch within replica.fetch.wait.max.ms'],
  'replica.fetch.response.max.bytes': [
    'cluster/configs.test.ts',
    'followers fetch within replica.fetch.wait.max.ms',
  ],
  'replica.fetch.wait.max.ms': [
    'cluster/configs.test.ts',
    'followers fetch within replica.fetch.wait.max.ms',
  ],
  'replica.lag.time.max.ms': [
    'cluster/configs.test.ts',
    'a follower that lacks records for replica.lag.time.max.ms is not in sync',
  ],
  'replica.selector.class': [
    'cluster/closest-replicas.test.ts',
    'a leader sends a consumer to the replica in its rack',
  ],
  'ssl.cipher.suites': ['tls-listeners.test.ts', 'versions and cipher suites are those that were given'],
  'ssl.client.auth': ['tls-listeners.test.ts', 'ssl.client.auth=%s'],
  'ssl.enabled.protocols': ['tls-listeners.test.ts', 'versions and cipher suites are those that were given'],
  'ssl.keystore.type': ['tls-listeners.test.ts', 'certificate and key may be a keystore of PKCS12'],
  'ssl.truststore.type': ['tls-listeners.test.ts', 'versions and cipher suites are those that were given'],
  'unclean.leader.election.enable': [
    'cluster/configs.test.ts',
    'unclean.leader.election.enable, of a topic or altered for the cluster',
  ],
}

async function refusesSession(_: TestBroker, client: RawClient): Promise<void> {
  const { errorCode } = await join(client, 9, { sessionTimeoutMs: 10_000 })
  expect(errorCode).toBe(errors.INVALID_SESSION_TIMEOUT.code)
}

/** An offset is there after `kept` hours and gone after `gone`; a week and some minutes are the default. */
function forgetsOffsets(gone: number, kept: number): Shows {
  return async ({ clock, createTopic }, client) => {
    await createTopic('t')
    await commit(client, 8, 5)
    const asked = { groupId: 'g', topics: [{ name: 't', partitionIndexes: [0] }] }
    const offset = async () =>
      (await client.request(offsetFetch, 7, asked)).topics[0]!.partitions[0]!.committedOffset
    const hours = async (count: number): Promise<void> => {
      // Quarters, so that an idle connection is not given up.
      for (let quarter = 0; quarter < 8 * count; quarter++) {
        clock.advance(450_000)
        await client.request(metadata, 12, { topics: [] })
      }
    }
    await hours(kept)
    expect(await offset()).toBe(5)
    await hours(gone - kept)
    expect(await offset()).toBe(-1)
  }
}

const acting = [...brokerConfigs.values()].filter(({ service }) => service !== 'fixed')
const inherited = [...topicConfigs.values()].flatMap(({ name, brokerName }) =>
  brokerName !== null && name in ofLogs ? [[name, brokerName] as const] : [],
)

test('all that act have a line', () => {
  const topics = [...topicConfigs.values()].filter(
    ({ service }) => service === 'served' || service === 'hidden',
  )
  const lines = [ofLogs, ofAllLogs, ofBrokers, elsewhere].flatMap((one) => Object.keys(one))
  const brokerNames = new Set([...lines, ...inherited.map(([, brokerName]) => brokerName)])
  // Its own test for a topic, this one for a broker.
  brokerNames.add('log.segment.delete.delay.ms')
  const all = [...topics, ...acting].map(({ name }) => name)
  expect(all.filter((name) => !brokerNames.has(name))).toEqual([])
  const known = new Set([...all, ...inherited.map(([name]) => name)])
  expect(lines.filter((name) => !known.has(name))).toEqual([])
})

test.each(Object.entries(ofLogs))('a topic with %s', async (name, [value, settings]) => {
  const { connect, disk } = await startTestBroker()
  const client = await connect()
  await createWith(client, 'plain', {})
  expect(disk.log('plain-0').settings).not.toMatchObject(settings)
  expect((await createWith(client, 'special', { [name]: value })).errorMessage).toBeNull()
  expect(disk.log('special-0').settings).toMatchObject(settings)
})

test.each(inherited)('topics have what the broker has for %s, %s', async (name, brokerName) => {
  const { connect, createTopic, disk } = await startTestBroker()
  const [value, settings] = ofLogs[name]!
  await createTopic('plain')
  const { errorMessage } = await alter(await connect(), BROKER, '', [['set', brokerName, value]])
  expect(errorMessage).toBeNull()
  expect(disk.log('plain-0').settings).toMatchObject(settings)
})

test.each(Object.entries(ofAllLogs))('all topics of a broker with %s', async (name, [value, settings]) => {
  const [plain, special] = [await startTestBroker(), await startTestBroker({ configs: { [name]: value } })]
  for (const { createTopic } of [plain, special]) await createTopic('t')
  expect(plain.disk.log('t-0').settings).not.toMatchObject(settings)
  expect(special.disk.log('t-0').settings).toMatchObject(settings)
})

describe('a broker with', () => {
  test.each(Object.entries(ofBrokers))('%s', async (name, [value, shows]) => {
    const broker = await startTestBroker({ configs: { [name]: value } })
    await shows(broker, await broker.connect())
  })
})

// Whatever is shown with a value must not be so without it.
describe('a broker without', () => {
  const others = Object.entries(ofBrokers).filter(([name]) => name !== 'min.insync.replicas')
  /** Without them nothing happens that could be waited for. */
  const quiet = [
    'connections.max.idle.ms',
    'group.max.size',
    'offsets.commit.timeout.ms',
    'socket.request.max.bytes',
  ]
  test.each(others)('%s', async (name, [, shows]) => {
    const broker = await startTestBroker()
    const shown = shows(broker, await broker.connect())
    const inVain = async (): Promise<void> => {
      await settle(500)
      throw new Error('nothing happened')
    }
    await expect(quiet.includes(name) ? Promise.race([shown, inVain()]) : shown).rejects.toThrow()
  })
})

test.each(Object.entries(elsewhere))('the test of %s is there', (_, [file, title]) => {
  expect(readFileSync(new URL(file, import.meta.url), 'utf8')).toContain(title)
})

test('nothing that is said not to act has a value of this broker', async () => {
  const options: BrokerOptions = {
    listeners: 'PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0',
    ssl: {
      ...server,
      ca: server.cert,
      clientAuth: 'requested',
      protocols: ['TLSv1.3'],
      ciphers: ['TLS_AES_128_GCM_SHA256'],
    },
    rack: 'a',
    durability: 'fsync',
    maxConnections: 10,
    maxConnectionsPerIpOverrides: '127.0.0.1:9',
    groups: { offsetsTopicSegmentBytes: 2_000_000 },
  }
  const { connect } = await startTestBroker(options)
  const own = [...(await described(await connect(), BROKER, '0')).values()].filter(
    ({ configSource }) => configSource === 4,
  )
  expect(own.length).toBeGreaterThan(10)
  const idle = own.filter(({ name }) => brokerConfigs.get(name)!.service === 'fixed')
  expect(idle.map(({ name }) => name)).toEqual([])
})
