import { isUnderMinIsr, type PartitionState } from '../partition-state.js'

/**
 * When does the high watermark advance? When every replica of the maximal in-sync set has more than it covers (KIP-497), unless
 * the committed in-sync set is smaller than the minimum (KIP-966). It never goes back.
 *
 * @param current the high watermark so far
 * @param committed the in-sync replicas that are committed, and the minimum
 * @param maximal these and all that are asked for, whatever becomes of that; the leader among them
 * @param endOf how far the log of a replica is known to reach, durably where that is the policy; -1 when nothing is known
 */
export function advancedHighWatermark(
  current: number,
  committed: Pick<PartitionState, 'isr' | 'minInsyncReplicas'>,
  maximal: readonly number[],
  endOf: (replicaId: number) => number,
): number {
  if (isUnderMinIsr(committed)) {
    return current
  }
  let reachedByAll = Infinity
  for (const id of maximal) {
    reachedByAll = Math.min(reachedByAll, endOf(id))
  }
  return Math.max(current, reachedByAll)
}
