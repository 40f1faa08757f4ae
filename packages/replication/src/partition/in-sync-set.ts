import type { PartitionState } from '../partition-state.js'

/**
 * The state with another set of in-sync replicas, and the eligible leader replicas that follow from it (KIP-966): who leaves while
 * the set is below the minimum has the whole committed prefix, and keeps it as long as the set stays below.
 *
 * @param options.lost those that may have lost what they had, and so are not eligible
 */
export function withInSyncReplicas(
  state: PartitionState,
  isr: readonly number[],
  { lost = [] }: { readonly lost?: readonly number[] } = {},
): PartitionState {
  const stayEligible = (replica: number): boolean =>
    (state.eligibleLeaderReplicas.includes(replica) || state.isr.includes(replica)) &&
    !isr.includes(replica) &&
    !lost.includes(replica)
  const eligibleLeaderReplicas =
    isr.length >= state.minInsyncReplicas ? [] : state.replicas.filter(stayEligible)
  return { ...state, isr, eligibleLeaderReplicas }
}
