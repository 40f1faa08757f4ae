/**
 * The addon's exports, as `native/varve-node` defines them. Offsets and byte counts are whole numbers; what reaches an
 * export has been checked by `@varve/log`, because the conversion to the engine's integers makes 0 of what is no number.
 */

/** An error of the engine, as a value: a rejection would carry no stable code. */
export interface Failure {
  /** `VARVE_…` */
  code: string
  /** What happened, to which file or directory, and what to do. */
  message: string
  /** The operating system's error number, where it refused something. */
  errno?: number
}

/** Who a data directory belongs to. */
export interface DirectoryIdentity {
  /** Must agree with the directory's. Default: whatever it has. */
  clusterId?: string
  /** Must agree with the directory's. Default: whatever it has. */
  nodeId?: number
  /** For a directory that has no cluster id yet and is asked for none. */
  newClusterId: string
  /** For a directory that has no id yet. */
  newDirectoryId: string
}

/** What a data directory is for, where that is not the usual. */
export interface DirectoryUse {
  /** Its bytes need not outlive the power: nothing is flushed. */
  isVolatile: boolean
  /** What its clock shows until it is turned, in ms since 1970. Default: the machine's time. */
  timeMs?: number
}

/** How a log is written: what is to be changed of the defaults, or of what is in force. A bound that is none is `Infinity`. */
export interface NativeLogConfig {
  /** Whether an acknowledgement waits for an fsync. */
  fsync?: boolean
  /** A segment is rolled before it grows beyond this. */
  segmentBytes?: number
  /** A segment is rolled before a batch so much younger than its first one. */
  segmentMs?: number
  /** Up to how much earlier than that, at random. */
  segmentJitterMs?: number
  /** An index entry is written about every so many bytes. */
  indexIntervalBytes?: number
  /** A segment is rolled once one of its indexes has grown to this. */
  segmentIndexBytes?: number
  /** The largest batch accepted. */
  maxBatchBytes?: number
  /** The largest record accepted in a compressed batch. */
  maxDecompressedMessageBytes?: number
  /** Whether the records of a batch are looked at before it is stored, not its header and checksum alone. */
  validateRecords?: boolean
  /** The codec that batches are stored under, by its number in Kafka: 0 none to 4 zstd. With -1 they keep theirs. */
  compression?: number
  /** The levels of gzip, lz4 and zstd, by Kafka's numbers. */
  compressionGzipLevel?: number
  compressionLz4Level?: number
  compressionZstdLevel?: number
  /** Whether records have the time of their append, not their producer's. */
  logAppendTime?: boolean
  /** How far a record's time may lie before that of its append. */
  timestampBeforeMaxMs?: number
  /** How far it may lie behind it. */
  timestampAfterMaxMs?: number
  /** Without `fsync`: what is appended is flushed after so long. */
  flushIntervalMs?: number
  /** Without `fsync`: what is appended is flushed once it is so much. */
  flushIntervalBytes?: number
  /** Without `fsync`: what is appended is flushed once it is so many records. */
  flushIntervalRecords?: number
  /** Where of each key only the last record is kept, every record needs a key. */
  cleanupPolicy?: 'delete' | 'compact' | 'compact,delete'
  /** A compaction is due once so much of what could be compacted, from 0 to 1, was not. */
  minCleanableDirtyRatio?: number
  /** What is not so old is not compacted. */
  minCompactionLagMs?: number
  /** What is so old makes a compaction due. */
  maxCompactionLagMs?: number
  /** How long a deletion of a key stays after the first compaction that met it. */
  deleteRetentionMs?: number
  /** What a compaction may read and write together in a second. */
  compactionBytesPerSecond?: number
  /** How often the log looks whether a compaction is due. */
  compactionCheckMs?: number
  /** Segments whose youngest record is older than this are deleted. */
  retentionMs?: number
  /** The oldest segments are deleted as long as the others hold this much. */
  retentionBytes?: number
  /** How often the log looks for what it need not retain. */
  retentionCheckMs?: number
  /** What is prepared ahead of the end of a file that grows. */
  preallocate?: 'off' | 'blocks' | 'zeros'
  /** Appends are refused while the disk has fewer free bytes. */
  lowDiskBytes?: number
  /** A producer that has written nothing for so long is forgotten. */
  producerIdExpirationMs?: number
}

/** What a log remembers of a producer. */
export interface NativeProducer {
  producerId: bigint
  producerEpoch: number
  lastSequence: number
  lastTimestamp: number
  coordinatorEpoch: number
  currentTxnFirstOffset?: number
}

/** A transaction that ended with an abort, which is at `lastOffset`. */
export interface NativeAbortedTransaction {
  producerId: bigint
  firstOffset: number
  lastOffset: number
}

/** A log that is to be opened. */
export interface NativeWanted {
  /** Of its sub-directory; the empty name is the directory itself. */
  name: string
  config: NativeLogConfig
  /** What it is called when it has changed. */
  number: number
}

/** Tells this thread which of its logs have changed. */
export interface NativeChangedLogs {}

/** A locked data directory. */
export interface NativeDirectory {
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: string
  readonly cleanShutdown: boolean
  /** Names of the sub-directories that hold a log; the empty name for the directory itself. */
  logs(): Promise<string[] | Failure>
  /**
   * Opens or creates logs, and answers for each; what they need of the directory becomes durable once for all. `changedLogs`
   * tells their numbers after more has become durable, and after a log has rolled, failed or closed.
   */
  openLogs(
    wanted: readonly NativeWanted[],
    changedLogs: NativeChangedLogs,
  ): Promise<Array<NativeLog | Failure> | Failure>
  /** Sets the time of a directory that was opened with one, and resolves when its logs have done what was due by then. */
  turnClockTo(timeMs: number): Promise<undefined | Failure>
  /** Repairs what an inspection of a log finds and a repair can put right. The log must not be open. */
  repairLog(name: string, progress: NativeProgress): Promise<NativeRepaired[] | Failure>
  /** Writes the clean marker if every log closed cleanly, and lets go of the lock. */
  close(): Promise<undefined | Failure>
}

/** How values are spread. */
export interface NativeDistribution {
  count: number
  total: number
  p50: number
  p90: number
  p99: number
  p999: number
  max: number
}

/** What a log counts. */
export interface NativeStats {
  appendedBatches: number
  appendedRecords: number
  appendedBytes: number
  refusedBatches: number
  writeNanoseconds: NativeDistribution
  acknowledgeNanoseconds: NativeDistribution
  flushNanoseconds: NativeDistribution
  flushGroupRecords: NativeDistribution
  rolls: number
  cachedReads: number
  cachedBytes: number
  coldReads: number
  coldBytes: number
  sentSlices: number
  sentBytes: number
  compactions: number
  failedCompactions: number
  replacedBytes: number
  keptBytes: number
  segments: number
  segmentBytes: number
}

/** An open log. Its methods may be called while tasks of it run. */
/** A record found by its time. */
export interface NativeTimedOffset {
  readonly offset: number
  /** In ms; what a number cannot hold is the nearest that it can. */
  readonly timestamp: number
}

export interface NativeLog {
  readonly startOffset: number
  readonly endOffset: number
  /** Up to where the log's durability holds. */
  readonly durableOffset: number
  /** Up to where everything is on disk for good, whatever the durability. */
  readonly flushedOffset: number
  /**
   * How often the log was truncated since it was opened. What was appended before the latest time was durable before it
   * was cut off, if it was.
   */
  readonly truncations: number
  /** The lowest offset at which the log has ended since there were `seen` truncations; `null` when there was no other. */
  lowestEndSince(seen: number): number | null
  /** Up to where every transaction has ended for good. */
  readonly lastStableOffset: number
  /** No marker from this offset on ends a transaction for {@link lastStableOffset}. */
  setHighWatermark(offset: number): void
  /** The producers that the log remembers. */
  producers(): NativeProducer[]
  /** The aborted transactions with a record in a range; `null` when an index is not in memory. */
  abortedTransactions(from: number, upTo: number): NativeAbortedTransaction[] | Failure | null
  /** The same on a thread that waits for the disk. */
  abortedTransactionsCold(from: number, upTo: number): Promise<NativeAbortedTransaction[] | Failure>
  /** Changes of the configuration what is given, for every environment, all of it or nothing. */
  configure(change: NativeLogConfig): Failure | null
  readonly segmentBytes: number
  readonly maxBatchBytes: number
  /** Whether an acknowledgement waits for an fsync, as the environment that opened the log first, or configured it, has said. */
  readonly fsync: boolean
  readonly recovered: { endOffset: number; cutBytes: number } | null
  /** 0 open, 1 rolling, 2 failed or corrupt, 3 closed, 4 read-only. */
  readonly phase: number
  /** Why the phase is 2. */
  readonly failure: Failure | null
  readonly leaderEpoch: number
  setLeaderEpoch(epoch: number): Failure | null
  /** Where a leader epoch ends; `null` for one larger than any that the log knows. */
  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } | null
  /**
   * Appends encoded batches, one per buffer, and returns how many it took: fewer when the log rolls or this call had
   * enough. A result is a base offset, or -1 - n for the n-th of {@link refusals}. Offset and leader epoch are assigned
   * in place, or, for replicated ones, kept.
   */
  appendBatches(batches: readonly Uint8Array[], replicated: boolean, results: Float64Array): number
  /** The same for batches that lie one behind the other and have no checksum yet. */
  appendStaged(staging: Uint8Array, lengths: Uint32Array, results: Float64Array): number
  /** The refusals of the last append. */
  refusals(): Failure[]
  /** Blocks the thread until the log does not roll any more. */
  waitUntilRolled(): void
  /** Blocks the thread until {@link durableOffset} reaches `offset`, or the log takes no more writes. */
  waitUntilDurable(offset: number): void
  /** Asks for a flush; it is done when {@link flushedOffset} reaches the answer. */
  requestFlush(): number | Failure
  /** A slice of what readers may see, or of all that is `written`; `null` when the answer is not in memory. */
  slice(
    from: number,
    upTo: number,
    maxBytes: number,
    minOneBatch: boolean,
    written: boolean,
  ): NativeSlice | Failure | null
  /** The same on a thread that waits for the disk. */
  sliceCold(
    from: number,
    upTo: number,
    maxBytes: number,
    minOneBatch: boolean,
    written: boolean,
  ): Promise<NativeSlice | Failure>
  /** The first record at or after a time (ms). */
  offsetForTime(timestamp: number): Promise<NativeTimedOffset | null | Failure>
  /** The first record with the largest time. */
  maxTimestamp(): Promise<NativeTimedOffset | null | Failure>
  /** Since the log was opened. */
  stats(): NativeStats
  /** How many compactions have ended since then, those that failed as well. */
  readonly compactions: number
  /** The base offset of the segment that appends go to. */
  readonly activeSegment: number
  /** Compacts what is sealed and flushed; up to where. */
  compact(): Promise<number | Failure>
  /** Why the last compaction came to nothing, if it did. */
  readonly compactionFailure: Failure | null
  /** Deletes what the configured retention does not cover; the log start offset. */
  applyRetention(): Promise<number | Failure>
  /** Deletes the records before an offset; the log start offset. */
  deleteBefore(offset: number): Promise<number | Failure>
  /** Cuts off the batch that holds an offset and everything behind it; the new end offset. */
  truncateTo(offset: number): Promise<number | Failure>
  /** Deletes everything and lets the log start, empty, at an offset; the new end offset. */
  truncateFullyAndStartAt(offset: number): Promise<number | Failure>
  /** Whether one more, or one fewer, wants to be told of what is written and not durable yet. */
  watchWrites(oneMore: boolean): void
  /** Flushes, makes the recovery point durable and lets go of the files. */
  close(): Promise<undefined | Failure>
  /** Closes it without a flush. */
  discard(): Promise<undefined | Failure>
}

/** Whole batches of a segment file, which stays open until the slice is closed or collected. */
export interface NativeSlice {
  readonly bytes: number
  readonly nextOffset: number
  /** Fills the buffer from byte `at` of the slice on with what is in memory; returns how many bytes were. */
  readCached(buffer: Uint8Array, at: number): number
  /** Fills the buffer on a thread that waits for the disk. */
  read(buffer: Uint8Array, at: number): Promise<number | Failure>
  /** Checks bytes of this slice: how many hold good batches. A bad one has made the log read-only. */
  verify(bytes: Uint8Array): { good: number; failure?: Failure | null }
  /** Lets go of the file. */
  close(): void
}

/** How the records of a batch are compressed. */
export type NativeCodec = 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** What sends files to sockets for one event loop. */
export interface NativeSender {
  /** Takes a second descriptor of a socket; `null` if it cannot be sent to, or descriptors are short. */
  connect(fd: number): NativeSocket | null
}

/** A second descriptor of a socket, on which one job at a time sends. While it does nobody else may write. */
export interface NativeSocket {
  /** Adds a copy of the bytes to the next job. */
  pushBytes(bytes: Uint8Array): void
  /** Adds a slice to the next job, which keeps the file open; false for a closed one. */
  pushSlice(slice: NativeSlice): boolean
  /**
   * Begins the job; its peer may take nothing for `patience` ms, `Infinity` for ever. Returns the status of a job that is
   * over already, of which nothing more is heard.
   */
  begin(id: number, patience: number): number | null
  /** While there are bytes of the job that the kernel has not taken: those, and what the peer has not taken from it. */
  readonly unsentBytes: number
  /** What was wrong with the log when a job ended with -1. */
  failure(): Failure | null
  /** Ends the TCP connection and drops the job, of which nothing is heard any more. */
  close(): void
}

/** How far an inspection is, in bytes of segments. */
export interface NativeProgress {
  readonly done: number
  readonly total: number
}

/** Something that an inspection found. */
export interface NativeFinding {
  kind: string
  isProblem: boolean
  isRepairable: boolean
  file: string
  position: number
  bytes: number
  fromOffset: number
  toOffset: number
  detail: string
}

/** What an inspection counted in a segment. */
export interface NativeSegment {
  baseOffset: number
  endOffset: number
  bytes: number
  batches: number
  records: number
  controlBatches: number
  transactionalBatches: number
  /** Batches by the number of their codec: none, gzip, snappy, lz4, zstd, and any other. */
  codecs: number[]
  firstTimestamp?: number
  maxTimestamp?: number
  indexEntries?: number
  timeIndexEntries?: number
}

/** What was found of a log. */
export interface NativeInspection {
  recoveryPoint?: number
  startOffset: number
  endOffset: number
  clean: boolean
  segments: NativeSegment[]
  leaderEpochs: Array<{ epoch: number; startOffset: number }>
  snapshots: Array<{ offset: number; producers?: number }>
  cutFiles: Array<{ name: string; bytes: number }>
  findings: NativeFinding[]
}

/** What a repair did about something. */
export interface NativeRepaired {
  finding: NativeFinding
  keptAside?: string
}

/** What the addon exports. */
export interface Binding {
  /**
   * Starts the sender; missing where the system has no `epoll`. `settled` gets the ends of jobs, as pairs of an id and a
   * status in one list: 0 for all sent, -1 for what {@link NativeSocket.failure} says, else an errno. It does not keep
   * the event loop alive.
   */
  openSender?(settled: (ends: number[]) => void): NativeSender
  /**
   * `changed` gets the numbers of the logs that were opened with the result and have changed since it was called last, on
   * the event loop and without keeping it alive.
   */
  openChangedLogs(changed: (numbers: number[]) => void): NativeChangedLogs
  openDirectory(
    path: string,
    identity: DirectoryIdentity,
    use: DirectoryUse,
  ): Promise<NativeDirectory | Failure>
  NativeProgress: new () => NativeProgress
  /** Looks a log over, without a lock and without a change. */
  inspectLog(path: string, name: string, progress: NativeProgress): Promise<NativeInspection | Failure>
  /** Names of the logs in a directory, without its lock; the empty name for the directory itself. */
  logsIn(path: string): Promise<string[] | Failure>
  /** Replaces the `partition.metadata` in a directory, so that a crash leaves either none or a whole one. */
  writePartitionMetadata(dir: string, content: string, durable: boolean): Promise<undefined | Failure>
  /** Opens a log of a data directory, as `NativeDirectory.openLogs` does, to be read as it is: no lock, no change. */
  openLogReadOnly(
    path: string,
    name: string,
    config: NativeLogConfig,
    changedLogs: NativeChangedLogs,
    number: number,
  ): Promise<NativeLog | Failure>
  crc32c(bytes: Uint8Array, seed?: number): number
  /** Compresses the concatenated records of a batch, framed as Kafka's Java client frames them; without a level at that of the client. */
  compress(codec: NativeCodec, bytes: Uint8Array, level?: number): Buffer
  /**
   * The inverse, for the framing of any of Kafka's clients; a failure is `VARVE_DECOMPRESSION_LIMIT` or
   * `VARVE_BATCH_INVALID`.
   */
  decompress(codec: NativeCodec, bytes: Uint8Array, maxBytes: number): Buffer | Failure
}
