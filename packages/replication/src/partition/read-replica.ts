/** A replica that may serve a consumer's reads (KIP-392). */
export interface ReadCandidate {
  /** The broker that the replica is on. */
  readonly brokerId: number
  /** The rack of that broker; null when it has none. */
  readonly rack: string | null
  /** Where the replica's log ends, as far as the leader knows. */
  readonly endOffset: number
}

/**
 * The replica that a consumer in `rack` reads from best: the one of its rack that has most, and of equals the one with the
 * lowest id; `null` for the leader, where that is in the rack too or nobody is (KIP-392, as Kafka's RackAwareReplicaSelector).
 */
export function closestReplica(
  rack: string | null,
  leaderRack: string | null,
  candidates: readonly ReadCandidate[],
): number | null {
  if (rack === null || rack === leaderRack) {
    return null
  }
  let best: ReadCandidate | null = null
  for (const candidate of candidates) {
    if (
      candidate.rack === rack &&
      (best === null ||
        candidate.endOffset > best.endOffset ||
        (candidate.endOffset === best.endOffset && candidate.brokerId < best.brokerId))
    ) {
      best = candidate
    }
  }
  return best?.brokerId ?? null
}
