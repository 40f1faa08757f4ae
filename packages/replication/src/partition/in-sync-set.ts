import type { PartitionState } from '../partition-state.js'

/**
 * The state with other in-sync replicas, and with the eligible leaders that follow from them (KIP-966). While the in-sync
 * set stays below the minimum the high watermark stands still, so who leaves it keeps the whole committed prefix; once it is back
 * at the minimum, records may be committed without them. The partition epoch is left as it is: the store sets it.
 *
 * @param isr in any order; those that are no replicas are dropped
 * @param options.lost brokers that may have lost records that they once reported to have: they are not eligible
 */
export function withInSyncReplicas(
  state: PartitionState,
  isr: readonly number[],
  { lost = [] }: { readonly lost?: readonly number[] } = {},
): PartitionState {
  const inSync = state.replicas.filter((id) => isr.includes(id))
  const eligible =
    inSync.length >= state.minInsyncReplicas
      ? []
      : state.replicas.filter(
          (id) =>
            (state.isr.includes(id) || state.eligibleLeaderReplicas.includes(id)) &&
            !inSync.includes(id) &&
            !lost.includes(id),
        )
  return { ...state, isr: inSync, eligibleLeaderReplicas: eligible }
}
