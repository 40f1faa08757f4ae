import { VarveError } from '@varve/records'

/** How groups are coordinated. Each option is one of Kafka's, by another name, with Kafka's default unless it says otherwise. */
export interface GroupOptions {
  /**
   * How long the first rebalance of an empty group waits for further members, in ms: `group.initial.rebalance.delay.ms`.
   * Default 0, where Kafka and `varve serve` wait 3 s: a group that grows rebalances once more instead.
   */
  initialRebalanceDelayMs?: number
  /** A member that asks for a shorter session is refused, in ms: `group.min.session.timeout.ms`. Default 6 s. */
  minSessionTimeoutMs?: number
  /** A member that asks for a longer session is refused, in ms: `group.max.session.timeout.ms`. Default 30 minutes. */
  maxSessionTimeoutMs?: number
  /** Further members are refused: `group.max.size`. Default 2^31 − 1. */
  maxSize?: number
  /** The longest text that may be committed beside an offset: `offset.metadata.max.bytes`. Default 4096. */
  offsetMetadataMaxBytes?: number
  /** How long offsets are kept once nobody uses them: `offsets.retention.minutes`. Default 10,080, seven days. */
  offsetsRetentionMinutes?: number
  /** How often it is looked for such offsets, in ms: `offsets.retention.check.interval.ms`. Default 10 minutes. */
  offsetsRetentionCheckIntervalMs?: number
  /**
   * Partitions of `__consumer_offsets` when it is created: `offsets.topic.num.partitions`. Default 1, where Kafka has 50:
   * one broker gains nothing by more. What is there stays as it is.
   */
  offsetsTopicPartitions?: number
  /**
   * The size of its segments when it is created, in bytes: `offsets.topic.segment.bytes`. At least 1 MiB, as of any topic; default
   * 100 MiB.
   */
  offsetsTopicSegmentBytes?: number
  /**
   * What its batches are compressed with: `offsets.topic.compression.codec`, Kafka's number of a codec: 0 for none, 1 gzip,
   * 2 snappy, 3 lz4, 4 zstd. Default 0.
   */
  offsetsTopicCompressionCodec?: number
  /**
   * Whoever waits for something to be stored, offsets or members, is answered COORDINATOR_NOT_AVAILABLE when it is not within so many
   * ms: `offsets.commit.timeout.ms`. It may be stored later all the same. Default 5 s.
   */
  offsetsCommitTimeoutMs?: number
}

const minute = 60_000
const int32Max = 2 ** 31 - 1

const limits = {
  initialRebalanceDelayMs: { default: 0, min: 0, max: int32Max },
  minSessionTimeoutMs: { default: 6_000, min: 1, max: int32Max },
  maxSessionTimeoutMs: { default: 30 * minute, min: 1, max: int32Max },
  maxSize: { default: int32Max, min: 1, max: int32Max },
  offsetMetadataMaxBytes: { default: 4096, min: 0, max: 32_767 },
  offsetsRetentionMinutes: { default: 7 * 24 * 60, min: 1, max: int32Max },
  offsetsRetentionCheckIntervalMs: { default: 10 * minute, min: 1, max: int32Max },
  offsetsTopicPartitions: { default: 1, min: 1, max: 10_000 },
  offsetsTopicSegmentBytes: { default: 100 * 1024 * 1024, min: 1024 * 1024, max: int32Max },
  offsetsTopicCompressionCodec: { default: 0, min: 0, max: 4 },
  offsetsCommitTimeoutMs: { default: 5_000, min: 1, max: int32Max },
} as const satisfies Record<keyof GroupOptions, { default: number; min: number; max: number }>

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function resolveGroupOptions(options: GroupOptions = {}): Required<GroupOptions> {
  const resolved = {} as Required<GroupOptions>
  for (const name of Object.keys(limits) as (keyof GroupOptions)[]) {
    const { min, max, default: fallback } = limits[name]
    const value = options[name] ?? fallback
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new VarveError(
        'VARVE_INVALID_OPTION',
        `groups.${name} must be an integer from ${min} to ${max}, not ${value}`,
      )
    }
    resolved[name] = value
  }
  if (resolved.minSessionTimeoutMs > resolved.maxSessionTimeoutMs) {
    throw new VarveError(
      'VARVE_INVALID_OPTION',
      `groups.minSessionTimeoutMs, ${resolved.minSessionTimeoutMs}, is above maxSessionTimeoutMs, ${resolved.maxSessionTimeoutMs}`,
    )
  }
  return resolved
}
