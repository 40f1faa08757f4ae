import type { Compression } from '@varve/records'

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
  /**
   * Each segment is rolled up to so many ms earlier than that, by chance, so that logs that began together do not all roll
   * at once. Default 0 (Kafka's `segment.jitter.ms`).
   */
  segmentJitterMs?: number
  /** An index entry is written about every so many bytes. Default 4096 (Kafka's `index.interval.bytes`). */
  indexIntervalBytes?: number
  /** A segment is rolled once one of its indexes has so many bytes. Default 10 MiB (Kafka's `segment.index.bytes`). */
  segmentIndexBytes?: number
  /** The largest batch accepted, in bytes. Default 1 MiB + 12 (Kafka's `max.message.bytes`). */
  maxBatchBytes?: number
  /**
   * The largest record accepted in a compressed batch, in bytes as it is encoded. Default `Infinity` (Kafka's
   * `max.decompressed.message.bytes`). All records of a batch together expand to 256 MiB at most, whatever this is.
   */
  maxDecompressedMessageBytes?: number
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
  /** The level of gzip where `compression` is `'gzip'`: 1 to 9, or −1 for zlib's default. Default −1 (KIP-390). */
  compressionGzipLevel?: number
  /**
   * The level of lz4 where `compression` is `'lz4'`, 1 to 17: 9 is its fast compression, all others are levels of its high
   * one, of which those from 12 on are the same. Default 9 (KIP-390).
   */
  compressionLz4Level?: number
  /** The level of zstd where `compression` is `'zstd'`: −131 072 to 22. Default 3 (KIP-390). */
  compressionZstdLevel?: number
  /**
   * Whose times records have: `'CreateTime'` their producer's, `'LogAppendTime'` that of the append (Kafka's
   * `message.timestamp.type`). Default `'CreateTime'`.
   */
  timestampType?: 'CreateTime' | 'LogAppendTime'
  /**
   * A record whose producer's time lies more than so many ms before that of its append is refused, and its batch with it
   * (`VARVE_INVALID_TIMESTAMP`). Records without a time are not, nor is anything under `'LogAppendTime'`. Default `Infinity`
   * (Kafka's `message.timestamp.before.max.ms`, KIP-937).
   */
  timestampBeforeMaxMs?: number
  /**
   * The same for times that lie behind that of the append. Default `Infinity` (Kafka's `message.timestamp.after.max.ms`,
   * whose default is one hour).
   */
  timestampAfterMaxMs?: number
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
   * Under `'os'`: what is appended is flushed once it is so many records. Default `Infinity` (Kafka's `flush.messages`). No
   * append waits for that: whoever wants each on disk before it is acknowledged, as Kafka's `flush.messages=1` does, wants
   * `'fsync'`.
   */
  flushIntervalRecords?: number
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
   * A segment is not compacted before its youngest record is so many ms old, by its timestamp, not even by
   * `log.compact()`. Default 0 (Kafka's `min.compaction.lag.ms`).
   */
  minCompactionLagMs?: number
  /**
   * A compaction is due, however little is new, once the first batch of a segment that was not compacted yet is older than
   * so many ms; segments are rolled as early as that. Not smaller than `minCompactionLagMs`. Default `Infinity` (Kafka's
   * `max.compaction.lag.ms`, KIP-354).
   */
  maxCompactionLagMs?: number
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
   * say: on ext4 blocks changed throughput by less than a tenth, either way; zeros made one small durable append at a time a
   * fifth faster, and many at once half as fast, because everything is written twice. Default `false`.
   */
  preallocate?: boolean | 'zero'
  /**
   * Appends are refused with `VARVE_LOW_DISK` while the log's disk has fewer free bytes, so that there is room left to
   * roll, checkpoint and delete. The disk is looked at every second and every 16 MiB. Default 0.
   */
  lowDiskBytes?: number
  /**
   * An idempotent producer that has written nothing for so many ms, by the timestamps of its batches, is forgotten: its
   * next batch may have any sequence number, and a late retry is stored again. (One that is not known begins with 0 where the
   * log is younger than that, has a leader epoch beyond 0, and nothing was deleted or compacted.) One with an open transaction never is.
   * Default 24 hours (Kafka's `producer.id.expiration.ms`).
   */
  producerIdExpirationMs?: number
  /**
   * When the appends of a tick are written together: in a microtask, for code that awaits its appends, or in
   * `setImmediate`, for a server that gathers what all its sockets delivered. Default `'microtask'`.
   */
  gather?: 'microtask' | 'immediate'
}

/** What can be changed of an open log by `log.configure()`: what is left out stays as it is. */
export type LogSettings = Omit<LogOptions, 'gather'>

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
