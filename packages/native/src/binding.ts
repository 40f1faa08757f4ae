/** The addon's exports, as `native/varve-node` defines them. Offsets and byte counts are whole numbers. */

/** An error of the engine, as a value. */
export interface Failure {
  /** `VARVE_…` */
  code: string
  message: string
  errno?: number
}

export interface DirectoryIdentity {
  clusterId?: string
  nodeId?: number
  newClusterId: string
  newDirectoryId: string
}

export interface NativeLogConfig {
  fsync: boolean
  segmentBytes: number
  indexIntervalBytes: number
  maxBatchBytes: number
}

export interface NativeDirectory {
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: string
  readonly cleanShutdown: boolean
  logs(): Promise<string[] | Failure>
  openLog(name: string, config: NativeLogConfig, changed: () => void): Promise<NativeLog | Failure>
  close(): Promise<undefined | Failure>
}

export interface NativeLog {
  readonly startOffset: number
  readonly endOffset: number
  readonly durableOffset: number
  readonly flushedOffset: number
  readonly recovered: { endOffset: number; cutBytes: number } | null
  /** 0 open, 1 rolling, 2 failed or corrupt, 3 closed. */
  readonly phase: number
  readonly failure: Failure | null
  leaderEpoch: number
  /** Returns how many batches were taken; a result is a base offset, or -1 - n for the n-th of `refusals()`. */
  appendBatches(batches: readonly Uint8Array[], results: Float64Array): number
  /** The same for batches that lie one behind the other and have no checksum yet. */
  appendStaged(staging: Uint8Array, lengths: Uint32Array, results: Float64Array): number
  refusals(): Failure[]
  requestFlush(): number | Failure
  /** `null` when the answer is not in memory. */
  slice(from: number, upTo: number, maxBytes: number, minOneBatch: boolean): NativeSlice | Failure | null
  sliceCold(
    from: number,
    upTo: number,
    maxBytes: number,
    minOneBatch: boolean,
  ): Promise<NativeSlice | Failure>
  batchForTime(timestamp: number): Promise<number | null | Failure>
  batchOfMaxTimestamp(): Promise<number | null | Failure>
  close(): Promise<undefined | Failure>
}

export interface NativeSlice {
  readonly bytes: number
  readonly nextOffset: number
  /** Fills the buffer with what is in memory; returns how many bytes were. */
  readCached(buffer: Uint8Array, at: number): number
  read(buffer: Uint8Array, at: number): Promise<number | Failure>
  /** Checks bytes of this slice: how many hold good batches. A bad one has made the log read-only. */
  verify(bytes: Uint8Array): { good: number; failure?: Failure | null }
  close(): void
}

export interface Binding {
  openDirectory(path: string, identity: DirectoryIdentity): Promise<NativeDirectory | Failure>
  crc32c(bytes: Uint8Array, seed?: number): number
}
