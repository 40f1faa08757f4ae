import type { Socket } from 'node:net'
import type { LogRecord, RecordBatch, RecordInput, VarveError } from '@varve/records'
import type { Visibility } from './isolation.js'
import type { Durability, LogSettings } from './options.js'
import type { LogTransactions } from './producers.js'
import type { ReadOptions } from './reader.js'
import type { SendToOptions, SentRange } from './send-to.js'
import type { Slice, SliceOptions } from './slice.js'
import type { LogStats } from './stats.js'

/** Where records were appended. */
export interface AppendResult {
  /** The offset of the first record. */
  baseOffset: number
  /** The offset of the last record. */
  lastOffset: number
}

/** How to append. */
export interface AppendOptions {
  /**
   * Takes the append back when it is aborted: it rejects with the signal's reason and is never written. Once the engine has
   * it, mostly at the end of the tick, aborting changes nothing any more and the append settles as any other.
   */
  signal?: AbortSignal
}

/** Of what to be told. */
export interface SubscribeOptions {
  /** `'written'`: of what is written and not durable yet, too. Default `'durable'`. */
  visibility?: Visibility
}

/** A record found by its time. */
export interface OffsetAndTimestamp {
  /** The record's offset. */
  offset: number
  /** In ms since 1970; beyond 2^53 − 1, which only an odd producer writes, the nearest that a number can hold. */
  timestamp: number
}

/** Where a leader epoch ends. */
export interface EpochEnd {
  /** The epoch asked for, or the largest below it that the log has seen. */
  epoch: number
  /** The offset behind its last record. */
  endOffset: number
}

/** What an unclean stop left of a log. */
export interface Recovered {
  /** The log's end after the recovery. */
  endOffset: number
  /** Bytes behind it that were not kept: half-written batches. Whole ones are kept aside as `<offset>.cut`. */
  cutBytes: number
}

/**
 * `'failed'`: a write or an fsync failed, the log takes no more writes until it is opened again. `'corrupt'`: bytes
 * that were durable once do not parse, the log can only be read. `'readOnly'`: it was opened so.
 */
export type LogState = 'open' | 'failed' | 'corrupt' | 'readOnly' | 'closed'

/** An append-only log in a directory. One process has it at a time, and each of its threads one `Log` of it. */
export interface Log extends AsyncDisposable, LogTransactions {
  /** The absolute path of its directory. */
  readonly dir: string
  /** As it was opened with, or {@link configure}d since. */
  readonly durability: Durability
  /** The first offset that can be read. */
  readonly startOffset: number
  /** The offset that the next record gets. */
  readonly endOffset: number
  /** Up to where the log's durability holds: the end under `'os'`, the last fsync under `'fsync'`. Readers stop here. */
  readonly durableOffset: number
  /** Up to where everything is on disk for good, whatever the durability. */
  readonly flushedOffset: number
  /** What was found after an unclean stop; `null` after a clean one and for a new log. */
  readonly recovered: Recovered | null
  /** Whether it can be written and read. `'closed'` as soon as {@link close} is called. */
  readonly state: LogState
  /** Why the log is `'failed'` or `'corrupt'`; `null` when it is neither, and once it is closed. */
  readonly failure: VarveError | null
  /** Bytes of appends that have no result yet. From `maxPendingBytes` on, further appends are held. */
  readonly pendingBytes: number
  /** The epoch that appended batches carry. At first the latest that the log's batches have, or 0. */
  readonly leaderEpoch: number
  /**
   * Sets {@link leaderEpoch}, from 0 to 2^31 − 1.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_EPOCH_FENCED` for one below the latest that the log's batches have
   */
  setLeaderEpoch(epoch: number): void
  /**
   * Where a leader epoch ends in this log: the offset behind its last record. For an epoch that the log skipped the
   * largest smaller one is answered, for one before its first the start of the first, for one larger than any `null`
   * (KIP-101, KIP-279).
   */
  endOffsetForEpoch(epoch: number): EpochEnd | null

  /**
   * Appends records, stored as a whole or not at all, and resolves when the log's durability covers them. Appends that are
   * not awaited one by one are written, and fsynced, together, and share batches of up to 16 KiB where none of them has a
   * `signal`; their order is that of the calls. The records are encoded before this returns, unless more than `maxPendingBytes` are on their way: then they are held and encoded when it is their turn, and
   * must not be changed until the promise has settled. Holding costs no copy, but the records stay in memory: whoever
   * produces faster than the disk writes waits for some of the promises, or looks at {@link pendingBytes}.
   *
   * @throws VarveError (as a rejection, as everything here) `VARVE_EMPTY_BATCH`, `VARVE_RECORD_INVALID`,
   * `VARVE_BATCH_TOO_LARGE`, `VARVE_INVALID_TIMESTAMP`, `VARVE_LOW_DISK`, `VARVE_LOG_CLOSED` (nothing is stored); `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT` (the records
   * may be stored or not). The signal's reason when the append is taken back.
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * const appends = ['created', 'paid'].map((value) => log.append([{ key: 'order-1', value }])) // they share an fsync
   * for (const { baseOffset } of await Promise.all(appends)) console.log(baseOffset)
   * await log.append([{ value: 'in time or never' }], { signal: AbortSignal.timeout(1000) })
   * ```
   */
  append(records: readonly RecordInput[], options?: AppendOptions): Promise<AppendResult>

  /**
   * As {@link append}, for scripts: blocks the thread until the log's durability covers the records, and everything that was
   * appended before them. Nothing else happens in the process meanwhile, so a server has no use for it.
   *
   * @throws VarveError as {@link append}
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * const log = await openLog('./jobs')
   * const { lastOffset } = log.appendSync([{ value: 'started' }, { value: 'done' }])
   * console.log(lastOffset < log.durableOffset) // true
   * await log.close()
   * ```
   */
  appendSync(records: readonly RecordInput[]): AppendResult

  /**
   * Appends encoded record batches (magic 2), one per buffer, with one result each: a bad one never fails its
   * neighbours. Base offset and leader epoch are written into the buffers, which belong to the log until their
   * promise settles. The same buffer may be given more than once. A signal takes back those that the engine does not have yet.
   *
   * @throws VarveError (as a rejection of that batch) as {@link append}; and `VARVE_BATCH_CORRUPT` for bytes that are not
   * exactly one batch or do not agree with their checksum, `VARVE_BATCH_MAGIC` for another format, `VARVE_BATCH_INVALID` for
   * counts or records that contradict each other and for what is no `Uint8Array`, `VARVE_INVALID_TIMESTAMP`. At once `VARVE_BATCH_INVALID` when
   * `batches` is no array. For a batch of an idempotent or transactional producer (KIP-98) `VARVE_OUT_OF_ORDER_SEQUENCE`,
   * `VARVE_PRODUCER_FENCED`, `VARVE_INVALID_TXN_STATE`, and for a marker `VARVE_TRANSACTION_COORDINATOR_FENCED`; one of the
   * producer's last five batches again is answered with the offsets that it has, once those are durable.
   * @example
   * ```ts
   * import { encodeBatch, openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0 }
   * const encode = (): Buffer => encodeBatch([{ value: 'paid' }], { compression: 'gzip', producer })
   * const [first, retry] = await Promise.all(log.appendBatches([encode(), encode()]))
   * console.log(first?.baseOffset === retry?.baseOffset) // true: a retry is stored once
   * ```
   */
  appendBatches(batches: readonly Uint8Array[], options?: AppendOptions): Array<Promise<AppendResult>>

  /**
   * Appends record batches of another log as they are: several in one buffer, one behind the other, with the offsets and
   * leader epochs that they have there. Offsets may have gaps, as those of a compacted log do, but neither they nor the
   * epochs may go backwards. The buffer belongs to the log until the promise settles. Resolves when the durability covers
   * all of them; a batch that is refused leaves those in front of it appended.
   *
   * @throws VarveError (as a rejection) as {@link appendBatches}, and `VARVE_EPOCH_FENCED`
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using leader = await openLog('./leader')
   * await using follower = await openLog('./follower')
   * leader.setLeaderEpoch(3)
   * await leader.append([{ value: 'a' }, { value: 'b' }])
   *
   * // What the follower has and the leader has not goes first (KIP-101).
   * const end = leader.endOffsetForEpoch(follower.leaderEpoch)
   * if (end !== null) await follower.truncateTo(Math.min(end.endOffset, follower.endOffset))
   * if (follower.endOffset < leader.startOffset) await follower.truncateFullyAndStartAt(leader.startOffset)
   * const slice = await leader.slice({ from: follower.endOffset, visibility: 'written' })
   * await follower.appendReplicated(await slice.read())
   * slice.close()
   * console.log(follower.endOffset, follower.leaderEpoch) // 2 3
   * ```
   */
  appendReplicated(batches: Uint8Array): Promise<AppendResult>

  /**
   * Reads records in the order of their offsets; a transaction's markers are left out. Keys and values are views of
   * memory that the reading holds: copy what must outlive it.
   *
   * @throws VarveError at once `VARVE_INVALID_OPTION`, `VARVE_LOG_CLOSED`, with `follow` `VARVE_READ_ONLY`; from the iterator, which then has ended,
   * `VARVE_OFFSET_OUT_OF_RANGE` for a `from` outside of `startOffset` to `endOffset`, and when deletion overtakes it,
   * `VARVE_TRUNCATED` when what it has read is cut off, `VARVE_LOG_CORRUPT` behind the records
   * in front of the damage, `VARVE_UNSUPPORTED_CODEC` and `VARVE_BATCH_INVALID` for a batch that cannot be decoded,
   * `VARVE_LOG_CLOSED`, `VARVE_IO`, and with `follow` `VARVE_LOG_FAILED`.
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * await log.append([{ value: 'a' }, { value: 'b' }])
   * for await (const record of log.read({ from: 1 })) console.log(record.offset, String(record.value))
   * const sinceYesterday = { timestamp: Date.now() - 24 * 60 * 60 * 1000 }
   * for await (const { value } of log.read({ from: sinceYesterday, follow: true })) if (String(value) === 'b') break
   * ```
   */
  read(options?: ReadOptions): AsyncIterableIterator<LogRecord>
  /**
   * Reads whole batches, checked against their checksums: the first may start before `from`, the last may reach beyond
   * `to`, and a transaction's markers are among them.
   *
   * @throws VarveError as {@link read}
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * await log.append([{ value: 'a' }, { value: 'b' }])
   * for await (const batch of log.readBatches({ from: 'start' })) {
   *   console.log(batch.baseOffset, batch.lastOffset, batch.compression, batch.byteLength)
   * }
   * ```
   */
  readBatches(options?: ReadOptions): AsyncIterableIterator<RecordBatch>

  /**
   * A range of whole batches of one segment for somebody who sends them on; synchronous unless an index or a header
   * must be fetched from the disk. Empty at the durable end. Close it when it is done with.
   *
   * @throws VarveError (as a rejection where it is a promise) `VARVE_OFFSET_OUT_OF_RANGE` for a `from` outside of
   * `startOffset` to `durableOffset`, `VARVE_INVALID_OPTION`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`.
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * await log.append([{ value: 'a' }, { value: 'b' }])
   * const slice = await log.slice({ from: 1, maxBytes: 64 << 10 })
   * console.log(slice.byteLength, slice.nextOffset, (await slice.read()).length)
   * slice.close()
   * ```
   */
  slice(options: SliceOptions): Slice | Promise<Slice>

  /**
   * Sends whole batches from `from` on to a socket, as {@link slice} and `send` together do, over as many segments as it
   * takes: up to `upTo`, `maxBytes` (default 1 MiB) or the durable end, whichever comes first.
   *
   * @throws VarveError (as a rejection) as {@link slice}, with nothing sent; as `send`
   * @example
   * ```ts
   * import { once } from 'node:events'
   * import { connect, createServer, type AddressInfo } from 'node:net'
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * await log.append([{ value: 'a' }])
   * const server = createServer(async (socket) => {
   *   const { bytes, nextOffset } = await log.sendTo(socket, { from: 0, maxBytes: 4 << 20 })
   *   console.log(bytes, 'bytes sent, next is offset', nextOffset)
   *   socket.end()
   * })
   * await once(server.listen(0), 'listening')
   * for await (const chunk of connect((server.address() as AddressInfo).port)) console.log(chunk.length)
   * server.close()
   * ```
   */
  sendTo(socket: Socket, options: SendToOptions): Promise<SentRange>

  /**
   * The first record at or after `timestamp` (ms since 1970, a whole number); `null` when all are older.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`, `VARVE_BATCH_INVALID` for a
   * batch that cannot be decoded, which `batchValidation: 'header'` may let in
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * await log.append([1000, 3000, 2000].map((timestamp) => ({ value: 'a', timestamp })))
   * console.log(await log.offsetForTime(1500)) // { offset: 1, timestamp: 3000 }
   * console.log(await log.maxTimestamp()) // { offset: 1, timestamp: 3000 }
   * ```
   */
  offsetForTime(timestamp: number): Promise<OffsetAndTimestamp | null>
  /** The first record with the largest timestamp; `null` for an empty log. @throws VarveError as {@link offsetForTime} */
  maxTimestamp(): Promise<OffsetAndTimestamp | null>

  /**
   * Calls `listener` after `durableOffset` moved or `state` changed, and at times when neither did; with
   * `visibility: 'written'` also after `endOffset` moved. Returns how to stop that. What a listener throws becomes an uncaught
   * exception.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * const unsubscribe = log.subscribe(() => console.log(log.durableOffset, log.state))
   * await log.append([{ value: 'a' }])
   * unsubscribe()
   * ```
   */
  subscribe(listener: () => void, options?: SubscribeOptions): () => void
  /**
   * Changes how the log is written and kept, for all threads that have it open, without an append or a reader having to
   * stop: what is appended from now on, and what the background looks at from its next look on, goes by it. Either all of the settings
   * count or, if one is refused, none. What is left out stays; nothing of it is stored. `maxPendingBytes` is this thread's.
   *
   * From `'os'` to `'fsync'` it resolves once all that was appended before is on disk, and readers go on to see what they
   * have seen meanwhile; the other way round what waits for an fsync is acknowledged at once.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_READ_ONLY`, `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders', { durability: 'os' })
   * await log.configure({ retentionMs: 7 * 24 * 60 * 60 * 1000, segmentBytes: 64 << 20 })
   * ```
   */
  configure(settings: LogSettings): Promise<void>
  /**
   * Makes everything appended so far durable, whatever the log's durability. Returns the offset reached.
   *
   * @throws VarveError `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders', { durability: 'os' })
   * await log.append([{ value: 'a' }])
   * console.log(await log.flush(), log.flushedOffset) // 1 1
   * ```
   */
  flush(): Promise<number>
  /**
   * Deletes the records before `offset`, as Kafka's DeleteRecords does: the log starts there from now on, also after a
   * crash, and segments that end before it are removed. Slices of them stay readable. Returns the log's start offset.
   *
   * @throws VarveError `VARVE_OFFSET_OUT_OF_RANGE` for an offset beyond `durableOffset`, `VARVE_INVALID_OPTION`,
   * `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders', { segmentBytes: 4096, retentionBytes: 16_384 })
   * for (let n = 0; n < 200; n++) log.append([{ value: `${n} ${'x'.repeat(500)}` }]).catch(console.error)
   * await log.flush()
   * console.log(await log.applyRetention()) // whole segments
   * console.log(await log.deleteBefore(190)) // 190
   * ```
   */
  deleteBefore(offset: number): Promise<number>
  /**
   * Compacts everything in sealed segments, without waiting for the next look at it in the background and however little
   * of it is new. Returns the offset up to which the log is compacted. A compaction that fails leaves the log as it was.
   * Closing the log ends one that is under way, with `VARVE_LOG_CLOSED`.
   *
   * @throws VarveError `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./users', { cleanupPolicy: 'compact', segmentBytes: 4096 })
   * for (let n = 0; n < 200; n++) await log.append([{ key: `user-${n % 3}`, value: 'x'.repeat(100) }])
   * console.log(await log.compact(), log.compactionFailure)
   * ```
   */
  compact(): Promise<number>
  /** Why the last compaction, in the background too, came to nothing; `null` when it did not. */
  readonly compactionFailure: VarveError | null
  /**
   * Deletes the segments that `retentionMs` and `retentionBytes` do not cover, without waiting for the next look at them
   * in the background. Returns the log's start offset.
   *
   * @throws VarveError `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  applyRetention(): Promise<number>
  /**
   * Cuts off the batch that holds `offset` and everything behind it, as a follower does that has more than its leader.
   * Appends made meanwhile wait for it. Slices that reach beyond the new end cannot be read any more, and readings that
   * have passed it end with `VARVE_TRUNCATED`. Returns the new end offset: `offset`, or less where it lies within a batch
   * or behind a gap.
   *
   * @throws VarveError `VARVE_OFFSET_OUT_OF_RANGE` for an offset before `startOffset`, `VARVE_INVALID_OPTION`,
   * `VARVE_LOG_FAILED`, `VARVE_LOG_CORRUPT`, `VARVE_LOG_CLOSED`, `VARVE_IO`
   */
  truncateTo(offset: number): Promise<number>
  /**
   * Deletes everything, leader epochs and producers too, and lets the log start, empty, at `offset`, as a follower does whose
   * leader's log starts behind its own end. Appends made meanwhile wait for it. Slices cannot be read any more; readings that
   * have passed `offset` end with `VARVE_TRUNCATED`, those before it with `VARVE_OFFSET_OUT_OF_RANGE`. A crash on the way
   * leaves the log as it was, up to some offset, or empty at `offset`. Returns the new end offset, which is `offset`.
   *
   * @throws VarveError as {@link truncateTo}
   */
  truncateFullyAndStartAt(offset: number): Promise<number>
  /**
   * What the log did since it was opened, and how long it took. Counting costs an append nanoseconds, asking tens of
   * microseconds. After {@link close} the last figures are given. What happens is told on the channels of
   * {@link LogEvents}.
   *
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * await log.append([{ value: 'a' }])
   * const { append, flush, read } = log.stats()
   * console.log(append.writeMs.p99, flush.groupRecords.mean, read.hitRatio)
   * ```
   */
  stats(): LogStats
  /**
   * Waits for pending appends, flushes and lets go of the directory and all files. Nothing can be appended or read from
   * the call on, and readings under way end with `VARVE_LOG_CLOSED`; slices stay readable. Calling it again gives the same
   * promise.
   *
   * @throws VarveError `VARVE_LOG_FAILED` when something written could not be made durable, now or before. The log is
   * closed nevertheless.
   */
  close(options?: CloseOptions): Promise<void>
}

/** How {@link Log.close} closes. */
export interface CloseOptions {
  /**
   * Whether what was appended is made durable. `false` is for a log whose directory is removed next: it saves the fsyncs, and
   * nothing fails that is not wanted any more. Default `true`.
   */
  flush?: boolean
}
