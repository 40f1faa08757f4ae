/** Where a leader epoch ends in a log. */
export interface EpochEnd {
  /** The leader epoch. */
  readonly epoch: number
  /** The offset behind its last record. */
  readonly endOffset: number
}

/** What the rules ask of the log of a replica. `Log` of `@varve/log` answers it, and so may any other. */
export interface ReplicaLog {
  /** The first offset that the log has, or would have. */
  readonly startOffset: number
  /** The offset behind the last record that is written. */
  readonly endOffset: number
  /**
   * The offset up to which the log's durability policy covers it: the end under `'os'`, the last flush in order under
   * `'fsync'`. What is behind it, a power loss may take back.
   */
  readonly durableOffset: number
  /**
   * The first offset of the earliest transaction that has not ended, or the end. A marker at or behind the high watermark has ended none yet, or
   * what read_committed shows could go back with a leader: a log that is told the high watermark, as `Log` is, knows.
   */
  readonly lastStableOffset: number
  /** The leader epoch of the last record, or a later one in which this log led without writing. */
  readonly leaderEpoch: number
  /**
   * Where a leader epoch ends in this log; for an epoch that the log skipped the largest smaller one that it has, for one
   * before its first the start of the first, `null` for one larger than any (KIP-101, KIP-279).
   */
  endOffsetForEpoch(epoch: number): EpochEnd | null
}
