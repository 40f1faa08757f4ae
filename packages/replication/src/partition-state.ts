/** The id that stands for no broker. */
export const noBroker = -1

/**
 * What the metadata store holds of a partition: the one fact that all brokers decide by. Whoever changes it, the leader its
 * in-sync replicas and the controller everything else, puts a whole new state, compared with the partition epoch of the one
 * that it was made from.
 */
export interface PartitionState {
  /** The id of the topic. */
  readonly topicId: string
  /** The partition's number, from 0 on. */
  readonly partition: number
  /** Broker ids in the order of the assignment; the first is the preferred leader. Those being added are among them. */
  readonly replicas: readonly number[]
  /** Of `replicas` those that a reassignment adds (KIP-455). */
  readonly addingReplicas: readonly number[]
  /** Of `replicas` those that a reassignment takes away once the others are in sync (KIP-455). */
  readonly removingReplicas: readonly number[]
  /** The leader, or {@link noBroker}. */
  readonly leader: number
  /** Raised by each election; no two brokers ever lead in the same one. */
  readonly leaderEpoch: number
  /** The in-sync replicas that are committed. May be empty (KIP-966). */
  readonly isr: readonly number[]
  /**
   * Those outside of `isr` that hold the whole committed prefix all the same, because it has not grown since they left
   * (KIP-966). Empty while `isr` has at least `minInsyncReplicas`.
   */
  readonly eligibleLeaderReplicas: readonly number[]
  /** The last leader there was, kept while there is none: an unclean election prefers it (KIP-966). */
  readonly lastKnownLeader: number
  /**
   * `min.insync.replicas` as it is in force for this partition, at most the number of replicas. It is part of the state because
   * `eligibleLeaderReplicas` holds only under the minimum that it was made with.
   */
  readonly minInsyncReplicas: number
  /**
   * The store's revision at which this state was put. Every change raises it, and only the holder of the latest can make
   * the next one (KIP-497's partition epoch).
   */
  readonly partitionEpoch: number
}

/** Whether fewer replicas are in sync than have to be for a record to be committed (Kafka's UnderMinIsrPartitionCount). */
export function isUnderMinIsr({
  isr,
  minInsyncReplicas,
}: Pick<PartitionState, 'isr' | 'minInsyncReplicas'>): boolean {
  return isr.length < minInsyncReplicas
}

/**
 * Whether fewer replicas are in sync than the partition is to have (Kafka's UnderReplicatedPartitions): those that a reassignment is adding are no
 * part of that yet, though one that is in sync counts (KIP-455).
 */
export function isUnderReplicated({
  replicas,
  addingReplicas,
  isr,
}: Pick<PartitionState, 'replicas' | 'addingReplicas' | 'isr'>): boolean {
  return isr.length < replicas.length - addingReplicas.length
}
