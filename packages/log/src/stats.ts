import type { NativeDistribution, NativeStats } from '@varve/native'

/** How values are spread. The percentiles are at most 3 % too high, the rest is exact; all zero when there are none. */
export interface Distribution {
  /** How many values there were. */
  count: number
  /** Their average. */
  mean: number
  /** Half of them are at most this. */
  p50: number
  /** 90 % are at most this. */
  p90: number
  /** 99 % are at most this. */
  p99: number
  /** 99.9 % are at most this. */
  p999: number
  /** The largest. */
  max: number
}

/** What a log did since it was opened in this process, and how large it is now. */
export interface LogStats {
  /** What was written. */
  append: {
    /** Written, whether durable yet or not. */
    batches: number
    records: number
    bytes: number
    /** Batches that the engine was given and did not write. */
    refusedBatches: number
    /** How long each write took, in ms. Batches that are appended together are one write. */
    writeMs: Distribution
    /**
     * How long it took, in ms, from a write's being given to the engine until the log's durability covered it: what an append
     * waits for. Under `'fsync'` that is the write, its turn and its fsync; under `'os'` the write.
     */
    acknowledgeMs: Distribution
  }
  /** What was made durable. */
  flush: {
    /** How long each flush took, in ms: fsyncs of segments, their indexes, and the directory where files are new. */
    flushMs: Distribution
    /** How many records each flush made durable: the size of the groups that share an fsync. */
    groupRecords: Distribution
  }
  /** What was read, and where from. */
  read: {
    /** In the batches that `read` and `readBatches` gave. */
    records: number
    /** Reads that the page cache answered on the calling thread, and all bytes that it gave. */
    cachedReads: number
    cachedBytes: number
    /** Reads that waited for the disk on a thread. */
    coldReads: number
    coldBytes: number
    /** Slices that went to sockets by `send`, and their bytes. */
    sentSlices: number
    sentBytes: number
    /** The part of all reads that the page cache answered, from 0 to 1; `null` before the first. */
    hitRatio: number | null
  }
  /** Compactions, in the background and by `compact`. */
  compaction: {
    /** Those that came to their end. */
    completed: number
    /** Those that came to nothing, and left the log as it was. */
    failed: number
    /** Of the segments that compactions have replaced, in bytes, and of those that took their place. */
    replacedBytes: number
    keptBytes: number
  }
  /** The files that the log consists of. */
  segments: {
    /** How many there are now. */
    count: number
    /** Of the segment files, without their indexes. */
    bytes: number
    /** How many have been begun since the log was opened. */
    rolled: number
  }
}

const MS = 1e6

export function statsOf(native: NativeStats, recordsRead: number): LogStats {
  const reads = native.cachedReads + native.coldReads
  return {
    append: {
      batches: native.appendedBatches,
      records: native.appendedRecords,
      bytes: native.appendedBytes,
      refusedBatches: native.refusedBatches,
      writeMs: scaled(native.writeNanoseconds, MS),
      acknowledgeMs: scaled(native.acknowledgeNanoseconds, MS),
    },
    flush: {
      flushMs: scaled(native.flushNanoseconds, MS),
      groupRecords: scaled(native.flushGroupRecords, 1),
    },
    read: {
      records: recordsRead,
      cachedReads: native.cachedReads,
      cachedBytes: native.cachedBytes,
      coldReads: native.coldReads,
      coldBytes: native.coldBytes,
      sentSlices: native.sentSlices,
      sentBytes: native.sentBytes,
      hitRatio: reads === 0 ? null : native.cachedReads / reads,
    },
    compaction: {
      completed: native.compactions,
      failed: native.failedCompactions,
      replacedBytes: native.replacedBytes,
      keptBytes: native.keptBytes,
    },
    segments: { count: native.segments, bytes: native.segmentBytes, rolled: native.rolls },
  }
}

function scaled({ count, total, p50, p90, p99, p999, max }: NativeDistribution, by: number): Distribution {
  const mean = count === 0 ? 0 : total / count / by
  return { count, mean, p50: p50 / by, p90: p90 / by, p99: p99 / by, p999: p999 / by, max: max / by }
}
