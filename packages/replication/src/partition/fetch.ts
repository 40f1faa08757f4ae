import type { ReplicationErrorName } from '../error-name.js'
import type { EpochEnd } from '../replica-log.js'

/** What a follower asks its leader for, and says of itself: FetchPartition of Kafka's Fetch, with a little beside. */
export interface FollowerFetch {
  /** Unique for the follower; its answer is matched by it. The leader takes no notice. */
  readonly fetchId: number
  /** The broker that fetches. */
  readonly replicaId: number
  /** The follower's broker epoch (KIP-903). */
  readonly replicaEpoch: number
  /** The leader epoch that the follower is in (KIP-320). */
  readonly currentLeaderEpoch: number
  /** Where its log ends. */
  readonly fetchOffset: number
  /** The leader epoch of its last record; -1 for a log without records (KIP-595). */
  readonly lastFetchedEpoch: number
  /** Where the follower's log starts. */
  readonly logStartOffset: number
  /** How far its log is durable, at most `fetchOffset`: what it counts with. */
  readonly durableOffset: number
  /** The high watermark that it knows, so that the leader sees whether a higher one is news (KIP-1166). */
  readonly highWatermark: number
}

/** What the leader answers a {@link FollowerFetch}. */
export type FollowerFetchAnswer =
  | {
      readonly kind: 'records'
      /** Records from here … */
      readonly from: number
      /** … up to here may be sent, fewer as well. The same as `from`: there are none. */
      readonly upTo: number
      readonly highWatermark: number
      readonly logStartOffset: number
    }
  | {
      readonly kind: 'diverging'
      /** The largest leader epoch not above the follower's last that the leader has … */
      readonly epoch: number
      /** … and its end. */
      readonly endOffset: number
      readonly highWatermark: number
      readonly logStartOffset: number
    }
  | {
      readonly kind: 'error'
      readonly error: ReplicationErrorName
      /** With OFFSET_OUT_OF_RANGE: where the leader's log starts. */
      readonly logStartOffset?: number
    }

/** The answer as it reaches the follower. */
export interface FetchedRecords {
  /** Kafka's name of what went wrong; null when nothing did. */
  readonly error: ReplicationErrorName | null
  /** The leader epoch in which the leader answered. */
  readonly leaderEpoch: number
  /** The leader's high watermark; −1 with an error. */
  readonly highWatermark: number
  /** -1 when the answer does not tell. */
  readonly logStartOffset: number
  /** Where the leader's log ends the epoch at which both part; null where they agree (KIP-595). */
  readonly diverging: EpochEnd | null
  /** The range of the record batches that came along; `null` when there are none. */
  readonly records: { readonly baseOffset: number; readonly endOffset: number } | null
}
