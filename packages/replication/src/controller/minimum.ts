import { withInSyncReplicas } from '../partition/in-sync-set.js'
import type { PartitionState } from '../partition-state.js'

/** The configuration that says how many replicas have to be in sync for a record to be committed. */
export const minInsyncReplicasConfig = 'min.insync.replicas'

/** What of a configured minimum is in force with so many replicas: they cannot be more than there are. */
export function minimumInForce(configured: number, replicas: number): number {
  return Math.max(1, Math.min(configured, replicas))
}

/**
 * The state under a configured minimum. The replicas that a reassignment adds do not count before it is complete. The eligible leader replicas are those of
 * the new minimum: none when the ISR has it.
 */
export function withMinimum(state: PartitionState, configured: number): PartitionState {
  const minInsyncReplicas = minimumInForce(configured, state.replicas.length - state.addingReplicas.length)
  return minInsyncReplicas === state.minInsyncReplicas
    ? state
    : withInSyncReplicas({ ...state, minInsyncReplicas }, state.isr)
}
