import type { ClusterOptions } from './cluster.js'
import type { AssignorName } from './group-assignors.js'
import type { Isolation } from './offset-lookup.js'
import type { TopicPartition } from './topic-partition.js'

export interface ConsumerOptions extends Pick<
  ClusterOptions,
  'brokers' | 'clientId' | 'tls' | 'connectTimeoutMs' | 'clock'
> {
  /** How long a broker may wait for `minBytes` to be there, in ms. Default 500. */
  maxWaitMs?: number
  /** Default 1: whatever is there comes at once. */
  minBytes?: number
  /** Of one response, in bytes; at most two per broker are held at a time. Default 16 777 216 (16 MiB). */
  maxBytes?: number
  /** Of one partition in a response, in bytes; a larger batch comes alone. Default 1 048 576 (1 MiB). */
  maxPartitionBytes?: number
  /** Whether records of unfinished and aborted transactions are read. Default `'read_uncommitted'`, as Kafka's. */
  isolation?: Isolation
  /**
   * Where this consumer is: a leader may then name a follower on the same rack to read from (KIP-392), as Kafka does with
   * `replica.selector.class`. Default: leaders are read.
   */
  rack?: string
  /**
   * Where to go on when the offset asked for is not, or no longer, in the log. Default `'none'`: the iteration ends
   * with OFFSET_OUT_OF_RANGE, because going on elsewhere would leave records out, or read them twice, in silence. Where an unclean
   * election has taken records that were fetched (KIP-320), it ends with `VARVE_LOG_TRUNCATED`, and otherwise goes on where the logs
   * part. In a group it also says where to begin without a commit, and is `'latest'` by default, as Kafka's.
   */
  offsetReset?: 'earliest' | 'latest' | 'none'
  /** Whether batches are checked for damage. Default true. */
  checkCrcs?: boolean
  /**
   * What a batch may expand to, in bytes; one that expands further ends the iteration with `VARVE_DECOMPRESSION_LIMIT`. One
   * batch is expanded at a time. Default 268 435 456 (256 MiB), which is what a varve broker accepts.
   */
  maxDecompressedBytes?: number
  /** How long a broker may take to answer beyond `maxWaitMs`, in ms. Default 30 000. */
  requestTimeoutMs?: number
  /** Pause before the first retry, in ms; it doubles with each up to one second. Default 100. */
  retryBackoffMs?: number
  /** The group to be a member of, once `subscribe` is called; `commit` and `committed` are about it. */
  groupId?: string
  /**
   * The name of this member in its group across restarts (KIP-345): it does not leave when it is closed, and has the
   * same partitions when it comes back within `sessionTimeoutMs`.
   */
  groupInstanceId?: string
  /**
   * How partitions are shared out, the preferred first; all members need one in common. Default, as Java's,
   * `['range', 'cooperative-sticky']`. Partitions stay while others move only if all are `'cooperative-sticky'`.
   */
  assignors?: readonly AssignorName[]
  /** A member that is not heard of for so long is taken out of the group, in ms. Default 45 000. */
  sessionTimeoutMs?: number
  /** In ms; a third of `sessionTimeoutMs` at most. Default 3 000. */
  heartbeatIntervalMs?: number
  /**
   * A member that asks for no more records for so long leaves the group, in ms; and so long may the others wait for it
   * in a rebalance. Default 300 000.
   */
  maxPollIntervalMs?: number
  /**
   * Whether the positions are committed, now and then and when partitions are given up. Default true. What has been
   * handed out counts as done when the next record is asked for.
   */
  autoCommit?: boolean
  /** In ms. Default 5 000. */
  autoCommitIntervalMs?: number
  /** Hears of automatic commits that failed. Default: a warning of the process. */
  onCommitError?: (error: unknown) => void
  /** How old may be what is known of a topic's partitions before it is asked for again, in ms. Default 300 000. */
  metadataMaxAgeMs?: number
}

export interface Assignment extends TopicPartition {
  /** An offset, the first record that is there, or the next one to come. */
  readonly offset: number | 'earliest' | 'latest'
  /**
   * Records from this offset on are not read. Once every assigned partition has come to its end, iterations end.
   * Default: there is no end.
   */
  readonly end?: number
}

export interface IterateOptions {
  /** Ends the iteration with the signal's reason. The consumer can be iterated again. */
  signal?: AbortSignal
}
