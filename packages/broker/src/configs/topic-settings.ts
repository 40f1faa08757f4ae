import type { Durability, LogSettings } from '@varve/log'
import type { ReplicationEnd } from '../replication-quota.js'
import type { BrokerConfigs, ConfigSynonym } from './broker-configs.js'
import { topicConfigs } from './config-tables.js'
import { listOf, numberOf } from './config-value.js'
import type { ConfigValues } from './stored-configs.js'

/** What a topic's configurations, and those of the broker where it has none, come to. */
export interface TopicSettings {
  readonly maxMessageBytes: number
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  readonly timestampBeforeMaxMs: number
  readonly timestampAfterMaxMs: number
  readonly fileDeleteDelayMs: number
  readonly compacts: boolean
  readonly deletes: boolean
  /** Replicas whose leader, or which themselves, are to be throttled while they are not in sync: `partition:broker` pairs, or `*` for all. */
  readonly throttledReplicas: Readonly<Record<ReplicationEnd, ReadonlySet<string>>>
  /** How its logs are written and kept. */
  readonly log: LogSettings
}

const hourMs = 3_600_000
const minuteMs = 60_000

/** What the engine can do with the least. */
const leastSegmentBytes = 256
const leastIndexBytes = 12
const leastBatchBytes = 61

/** Values of the broker under names of topics: those that come in several units have the one that counts here. */
const derived: Readonly<Record<string, (broker: BrokerConfigs) => string | null>> = {
  'retention.ms': (broker) =>
    firstOf(
      broker,
      ['log.retention.ms', 1],
      ['log.retention.minutes', minuteMs],
      ['log.retention.hours', hourMs],
    ),
  'segment.ms': (broker) => firstOf(broker, ['log.roll.ms', 1], ['log.roll.hours', hourMs]),
  'segment.jitter.ms': (broker) =>
    firstOf(broker, ['log.roll.jitter.ms', 1], ['log.roll.jitter.hours', hourMs]),
  'flush.ms': (broker) =>
    firstOf(broker, ['log.flush.interval.ms', 1], ['log.flush.scheduler.interval.ms', 1]),
}

function firstOf(broker: BrokerConfigs, ...names: [name: string, unitMs: number][]): string | null {
  for (const [name, unitMs] of names) {
    const value = broker.value(name)
    if (value === null) continue
    const ms = BigInt(value)
    return String(ms < 0n ? -1n : ms * BigInt(unitMs))
  }
  return null
}

/** The value in force for a topic; null only for a configuration without a default. */
export function topicValue(name: string, configs: ConfigValues, broker: BrokerConfigs): string | null {
  const own = configs.get(name)
  if (own !== undefined) return own
  const { brokerName, defaultValue } = topicConfigs.get(name)!
  const fromBroker = derived[name]?.(broker) ?? (brokerName === null ? null : broker.value(brokerName))
  return fromBroker ?? defaultValue
}

/** The values that count and those beneath, as DescribeConfigs lists them. */
export function topicSynonyms(name: string, configs: ConfigValues, broker: BrokerConfigs): ConfigSynonym[] {
  const { brokerName } = topicConfigs.get(name)!
  const beneath = brokerName === null ? [] : broker.synonyms(brokerName)
  const own = configs.get(name)
  if (own === undefined) return beneath
  return [{ name, value: own, source: 'DYNAMIC_TOPIC_CONFIG' }, ...beneath]
}

/**
 * @param durability the broker's, below which no topic goes
 */
export function topicSettings(
  configs: ConfigValues,
  broker: BrokerConfigs,
  durability: Durability,
): TopicSettings {
  const text = (name: string): string => topicValue(name, configs, broker)!
  const number = (name: string): number => numberOf(text(name))
  const finite = (name: string): number => Math.min(number(name), Number.MAX_SAFE_INTEGER)
  const limit = (name: string): number => (number(name) < 0 ? Infinity : number(name))
  const replicas = (name: string): ReadonlySet<string> => new Set(listOf(text(name)))
  const policies = listOf(text('cleanup.policy'))
  const compacts = policies.includes('compact')
  const deletes = policies.includes('delete')
  const flushMessages = number('flush.messages')
  const everyRecord = durability === 'fsync' || flushMessages === 1
  const maxMessageBytes = number('max.message.bytes')
  const timestampType = text('message.timestamp.type') as TopicSettings['timestampType']
  const compression = text('compression.type')
  const segmentBytes = numberOf(
    topicValue('internal.segment.bytes', configs, broker) ?? text('segment.bytes'),
  )
  const compactionBytesPerSecond = broker.number('log.cleaner.io.max.bytes.per.second')
  return {
    maxMessageBytes,
    timestampType,
    timestampBeforeMaxMs: number('message.timestamp.before.max.ms'),
    timestampAfterMaxMs: number('message.timestamp.after.max.ms'),
    fileDeleteDelayMs: number('file.delete.delay.ms'),
    compacts,
    deletes,
    throttledReplicas: {
      leader: replicas('leader.replication.throttled.replicas'),
      follower: replicas('follower.replication.throttled.replicas'),
    },
    log: {
      durability: everyRecord ? 'fsync' : 'os',
      segmentBytes: Math.max(leastSegmentBytes, segmentBytes),
      segmentMs: number('segment.ms'),
      segmentJitterMs: finite('segment.jitter.ms'),
      indexIntervalBytes: number('index.interval.bytes'),
      segmentIndexBytes: Math.max(leastIndexBytes, number('segment.index.bytes')),
      maxBatchBytes: Math.max(leastBatchBytes, maxMessageBytes),
      maxDecompressedMessageBytes: number('max.decompressed.message.bytes'),
      compression: compression === 'uncompressed' ? 'none' : (compression as LogSettings['compression']),
      compressionGzipLevel: number('compression.gzip.level'),
      compressionLz4Level: number('compression.lz4.level'),
      compressionZstdLevel: number('compression.zstd.level'),
      timestampType,
      timestampBeforeMaxMs: number('message.timestamp.before.max.ms'),
      timestampAfterMaxMs: number('message.timestamp.after.max.ms'),
      flushIntervalRecords: flushMessages,
      flushIntervalMs: Math.max(1, number('flush.ms')),
      cleanupPolicy: compacts ? (deletes ? 'compact,delete' : 'compact') : 'delete',
      minCleanableDirtyRatio: Number(text('min.cleanable.dirty.ratio')),
      deleteRetentionMs: finite('delete.retention.ms'),
      minCompactionLagMs: finite('min.compaction.lag.ms'),
      // Where one is the topic's and the other the broker's, they may contradict each other.
      maxCompactionLagMs: Math.max(number('max.compaction.lag.ms'), number('min.compaction.lag.ms')),
      compactionCheckMs: Math.max(1, broker.number('log.cleaner.backoff.ms')),
      compactionBytesPerSecond: Math.max(1, Math.floor(compactionBytesPerSecond)),
      // A policy that names neither deletes nothing.
      retentionMs: deletes || compacts ? limit('retention.ms') : Infinity,
      retentionBytes: deletes || compacts ? limit('retention.bytes') : Infinity,
      retentionCheckMs: broker.number('log.retention.check.interval.ms'),
      preallocate: text('preallocate') === 'true',
      producerIdExpirationMs: broker.number('producer.id.expiration.ms'),
    },
  }
}
