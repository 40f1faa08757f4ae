import type { NativeLogConfig } from '@varve/native'
import type { Compression } from '@varve/records'
import { checkBound, checkWholeNumber, invalidOption } from './whole-number.js'

/**
 * When an append is acknowledged, and what a reader may see: `'os'` once the page cache has it, so that it survives
 * the process but not the power; `'fsync'` once an fsync covers it.
 */
export type Durability = 'os' | 'fsync'

/**
 * What becomes of old records: `'delete'` deletes the segments that the retention does not cover, `'compact'` keeps of
 * each key only the last record, and `'compact,delete'` does both (Kafka's `cleanup.policy`).
 */
export type CleanupPolicy = 'delete' | 'compact' | 'compact,delete'

/** How a log is written. Nothing of it is stored: a log may be opened with other options than the last time. */
export interface LogOptions {
  /** Default `'fsync'`. */
  durability?: Durability
  /**
   * A segment is rolled before it grows beyond this many bytes. Default 1 GiB, from 256 to 2^31 − 1 (Kafka's
   * `segment.bytes`).
   */
  segmentBytes?: number
  /**
   * A segment is rolled before a batch that is this much younger than the segment's first one, by their timestamps, in ms.
   * Default `Infinity`: never by time (Kafka's `segment.ms`, whose default is seven days).
   */
  segmentMs?: number
  /** An index entry is written about every so many bytes. Default 4096 (Kafka's `index.interval.bytes`). */
  indexIntervalBytes?: number
  /** A segment is rolled once one of its indexes has so many bytes. Default 10 MiB (Kafka's `segment.index.bytes`). */
  segmentIndexBytes?: number
  /** The largest batch accepted, in bytes. Default 1 MiB + 12 (Kafka's `max.message.bytes`). */
  maxBatchBytes?: number
  /**
   * How closely an encoded batch is looked at before it is stored: `'full'` checks every record, of compressed batches
   * too, as Kafka does; `'header'` believes what the header says of them, for batches whose writer is trusted. Default
   * `'full'`.
   */
  batchValidation?: 'full' | 'header'
  /**
   * The codec in which batches are stored: `'producer'` keeps each as it came, uncompressed where `append` made it; any
   * other compresses those that have another one, in the background if they are large (Kafka's `compression.type`).
   * Default `'producer'`. Replicated batches are stored as they come.
   */
  compression?: 'producer' | Compression
  /**
   * Whose times records have: `'CreateTime'` their producer's, `'LogAppendTime'` that of the append (Kafka's
   * `message.timestamp.type`). Default `'CreateTime'`.
   */
  timestampType?: 'CreateTime' | 'LogAppendTime'
  /**
   * How many bytes of appends may be on their way, encoded and without a result. Further ones are held as they were
   * handed in and get their turn when there is room; one alone always has. Default 64 MiB; `Infinity` for no limit.
   */
  maxPendingBytes?: number
  /**
   * Under `'os'`: what is appended is flushed after so many ms, without an append having to wait for it. Default
   * `Infinity` (Kafka's `flush.ms`). Rolled segments are flushed whatever the durability.
   */
  flushIntervalMs?: number
  /** Under `'os'`: what is appended is flushed once it is so many bytes. Default `Infinity`. */
  flushIntervalBytes?: number
  /**
   * In a log that compacts every record needs a key, and a record without a value deletes its key. Compaction runs in the
   * background, over sealed segments that are flushed, by Kafka's rules; offsets stay what they are, so that there are
   * gaps. Default `'delete'`.
   */
  cleanupPolicy?: CleanupPolicy
  /**
   * A compaction is due once this share of the bytes that could be compacted was not yet, from 0 to 1. Default 0.5
   * (Kafka's `min.cleanable.dirty.ratio`).
   */
  minCleanableDirtyRatio?: number
  /**
   * How long the deletion of a key can still be read after the first compaction that met it, in ms: a reader that is
   * further behind misses it. Default one day (Kafka's `delete.retention.ms`).
   */
  deleteRetentionMs?: number
  /**
   * How often it is looked at whether a compaction is due, in ms; `Infinity` for only when asked by `log.compact()`.
   * Default 15 seconds (Kafka's `log.cleaner.backoff.ms`).
   */
  compactionCheckMs?: number
  /**
   * What a compaction may read and write together in a second, in bytes. Default `Infinity` (Kafka's
   * `log.cleaner.io.max.bytes.per.second`).
   */
  compactionBytesPerSecond?: number
  /**
   * Segments whose youngest record is older than so many ms are deleted in the background, whole and from the oldest on.
   * Batches whose timestamp is −1 do not age. Default `Infinity` (Kafka's `retention.ms`, whose default is seven days).
   */
  retentionMs?: number
  /**
   * The oldest segments are deleted in the background as long as those left hold so many bytes. Default `Infinity`
   * (Kafka's `retention.bytes`).
   */
  retentionBytes?: number
  /**
   * How often that is looked at, in ms, if there is any such limit; `Infinity` for only when asked by
   * `log.applyRetention()`. Default five minutes (Kafka's `log.retention.check.interval.ms`).
   */
  retentionCheckMs?: number
  /**
   * Whether blocks are found for a log that grows before it needs them, 1 to 16 MiB ahead by its rate: they count as used
   * space until the segment is rolled or the log closed. `'zero'` writes zeros there, which spares an fsync blocks and
   * length both, and lets appends wait while they are written. Small logs have neither. What helps is for the disk to
   * say: on ext4 blocks alone made an fsync slower, and zeros a fifth faster (docs/benchmarks.md). Default `false`.
   */
  preallocate?: boolean | 'zero'
  /**
   * Appends are refused with `VARVE_LOW_DISK` while the log's disk has fewer free bytes, so that there is room left to
   * roll, checkpoint and delete. The disk is looked at every second and every 16 MiB. Default 0.
   */
  lowDiskBytes?: number
  /**
   * An idempotent producer that has written nothing for so many ms, by the timestamps of its batches, is forgotten: its
   * next batch may have any sequence number, and a late retry is stored again. One with an open transaction never is.
   * Default 24 hours (Kafka's `producer.id.expiration.ms`).
   */
  producerIdExpirationMs?: number
  /**
   * When the appends of a tick are written together: in a microtask, for code that awaits its appends, or in
   * `setImmediate`, for a server that gathers what all its sockets delivered. Default `'microtask'`.
   */
  gather?: 'microtask' | 'immediate'
}

/** How `openLog` opens a log. */
export interface OpenLogOptions extends LogOptions {
  /**
   * Opens a log that is there to read it as it is now, up to its last whole batch: nothing is locked, created, recovered or
   * written, so the directory need not be writable, and whoever has the log open is not disturbed. What the other appends
   * later is not seen, and `follow` is refused: open it again. Of what the other has not flushed, a power loss may take back
   * what was read here; readings of what the other deletes, compacts or cuts off meanwhile fail with `VARVE_IO`. Everything
   * that would change the log rejects with `VARVE_READ_ONLY`. Default `false`.
   */
  readOnly?: boolean
}

/** In the order of Kafka's codec numbers. */
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const satisfies readonly Compression[]

const INT32_MAX = 0x7fff_ffff
const MAX_PENDING_BYTES = 64 << 20
const LIMITS = {
  segmentBytes: { min: 256, default: 1 << 30 },
  indexIntervalBytes: { min: 0, default: 4096 },
  segmentIndexBytes: { min: 12, default: 10 << 20 },
  maxBatchBytes: { min: 61, default: (1 << 20) + 12 },
} as const

/** What may be `Infinity`, which is then what it is unless told otherwise. */
const BOUNDS = {
  segmentMs: { min: 1, default: Infinity },
  flushIntervalMs: { min: 1, default: Infinity },
  flushIntervalBytes: { min: 1, default: Infinity },
  retentionMs: { min: 0, default: Infinity },
  retentionBytes: { min: 0, default: Infinity },
  retentionCheckMs: { min: 1, default: 300_000 },
  compactionCheckMs: { min: 1, default: 15_000 },
  compactionBytesPerSecond: { min: 1, default: Infinity },
  lowDiskBytes: { min: 0, default: 0 },
  producerIdExpirationMs: { min: 1, default: 86_400_000 },
} as const

/** @throws VarveError `VARVE_INVALID_OPTION` naming the option and what it may be. */
export function completeOptions(options: LogOptions): Required<LogOptions> {
  const number = (name: keyof typeof LIMITS): number => {
    const value = options[name] ?? LIMITS[name].default
    checkWholeNumber(name, value, LIMITS[name].min, INT32_MAX)
    return value
  }
  const bound = (name: keyof typeof BOUNDS): number => {
    const value = options[name] ?? BOUNDS[name].default
    if (value !== Infinity) checkWholeNumber(name, value, BOUNDS[name].min, Number.MAX_SAFE_INTEGER)
    return value
  }
  const ratio = options.minCleanableDirtyRatio ?? 0.5
  if (typeof ratio !== 'number' || !(ratio >= 0 && ratio <= 1))
    throw invalidOption('minCleanableDirtyRatio', ratio, 'a number from 0 to 1')
  const deleteRetentionMs = options.deleteRetentionMs ?? 86_400_000
  checkWholeNumber('deleteRetentionMs', deleteRetentionMs, 0, Number.MAX_SAFE_INTEGER)
  const oneOf = <T extends string | boolean>(name: keyof LogOptions, value: T, allowed: readonly T[]): T => {
    if (allowed.includes(value)) return value
    throw invalidOption(
      name,
      value,
      allowed.map((item) => (typeof item === 'string' ? `'${item}'` : `${item}`)).join(' or '),
    )
  }
  const maxPendingBytes = options.maxPendingBytes ?? MAX_PENDING_BYTES
  checkBound('maxPendingBytes', maxPendingBytes)
  return {
    durability: oneOf('durability', options.durability ?? 'fsync', ['os', 'fsync']),
    segmentBytes: number('segmentBytes'),
    segmentMs: bound('segmentMs'),
    indexIntervalBytes: number('indexIntervalBytes'),
    segmentIndexBytes: number('segmentIndexBytes'),
    maxBatchBytes: number('maxBatchBytes'),
    batchValidation: oneOf('batchValidation', options.batchValidation ?? 'full', ['full', 'header']),
    compression: oneOf('compression', options.compression ?? 'producer', ['producer', ...CODECS]),
    timestampType: oneOf('timestampType', options.timestampType ?? 'CreateTime', [
      'CreateTime',
      'LogAppendTime',
    ]),
    maxPendingBytes,
    flushIntervalMs: bound('flushIntervalMs'),
    flushIntervalBytes: bound('flushIntervalBytes'),
    cleanupPolicy: oneOf('cleanupPolicy', options.cleanupPolicy ?? 'delete', [
      'delete',
      'compact',
      'compact,delete',
    ]),
    minCleanableDirtyRatio: ratio,
    deleteRetentionMs,
    compactionCheckMs: bound('compactionCheckMs'),
    compactionBytesPerSecond: bound('compactionBytesPerSecond'),
    retentionMs: bound('retentionMs'),
    retentionBytes: bound('retentionBytes'),
    retentionCheckMs: bound('retentionCheckMs'),
    lowDiskBytes: bound('lowDiskBytes'),
    preallocate: oneOf('preallocate', options.preallocate ?? false, [true, false, 'zero']),
    producerIdExpirationMs: bound('producerIdExpirationMs'),
    gather: oneOf('gather', options.gather ?? 'microtask', ['microtask', 'immediate']),
  }
}

/** The options as the engine takes them, which has no number for a bound that is none. */
export function nativeConfig(options: Required<LogOptions>): NativeLogConfig {
  const { segmentBytes, indexIntervalBytes, segmentIndexBytes, maxBatchBytes } = options
  const retains = options.retentionMs !== Infinity || options.retentionBytes !== Infinity
  const finite = (value: number): number | undefined => (value === Infinity ? undefined : value)
  return {
    fsync: options.durability === 'fsync',
    segmentBytes,
    segmentMs: finite(options.segmentMs),
    indexIntervalBytes,
    segmentIndexBytes,
    maxBatchBytes,
    validateRecords: options.batchValidation === 'full',
    compression: options.compression === 'producer' ? undefined : CODECS.indexOf(options.compression),
    logAppendTime: options.timestampType === 'LogAppendTime',
    flushIntervalMs: finite(options.flushIntervalMs),
    flushIntervalBytes: finite(options.flushIntervalBytes),
    compacts: options.cleanupPolicy !== 'delete',
    deletes: options.cleanupPolicy !== 'compact',
    minCleanableDirtyRatio: options.minCleanableDirtyRatio,
    deleteRetentionMs: options.deleteRetentionMs,
    compactionCheckMs: finite(options.compactionCheckMs),
    compactionBytesPerSecond: finite(options.compactionBytesPerSecond),
    retentionMs: finite(options.retentionMs),
    retentionBytes: finite(options.retentionBytes),
    retentionCheckMs: retains ? finite(options.retentionCheckMs) : undefined,
    preallocate: options.preallocate === 'zero' ? 'zeros' : options.preallocate ? 'blocks' : 'off',
    lowDiskBytes: options.lowDiskBytes === 0 ? undefined : options.lowDiskBytes,
    producerIdExpirationMs: finite(options.producerIdExpirationMs),
  }
}
