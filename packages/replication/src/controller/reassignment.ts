import { withInSyncReplicas } from '../partition/in-sync-set.js'
import type { PartitionState } from '../partition-state.js'
import { minimumInForce } from './minimum.js'

/** The replicas before a reassignment began: those that it goes back to when it is cancelled. */
export function originalReplicas({ replicas, addingReplicas }: PartitionState): readonly number[] {
  return replicas.filter((replica) => !addingReplicas.includes(replica))
}

/** The replicas that a reassignment leads to; without one, those that there are. */
export function targetReplicas({ replicas, removingReplicas }: PartitionState): readonly number[] {
  return replicas.filter((replica) => !removingReplicas.includes(replica))
}

/** Whether a reassignment is under way (KIP-455). */
export function isReassigning({ addingReplicas, removingReplicas }: PartitionState): boolean {
  return addingReplicas.length > 0 || removingReplicas.length > 0
}

/**
 * The state with a reassignment to `target` begun (KIP-455), in place of one that is under way; to {@link originalReplicas} this cancels. What
 * an earlier one was adding, and this one does not want, leaves at once, or if it holds what is committed, when those of `target` suffice: until
 * then it is both among those being added and among those being removed.
 */
export function beginReassignment(state: PartitionState, target: readonly number[]): PartitionState {
  const original = originalReplicas(state)
  const leaving = state.replicas.filter(
    (replica) =>
      !target.includes(replica) &&
      (original.includes(replica) ||
        state.isr.includes(replica) ||
        state.eligibleLeaderReplicas.includes(replica)),
  )
  const replicas = [...target, ...leaving]
  return {
    ...state,
    replicas,
    addingReplicas: replicas.filter((replica) => !original.includes(replica)),
    removingReplicas: leaving,
  }
}

/**
 * The state with the reassignment complete, if it can be: those added are in sync, and of the target so many that the minimum is
 * met without the others, so that nothing committed leaves with these. The leader may be one that has left.
 *
 * @param configuredMinimum `min.insync.replicas` of the topic
 */
export function completeReassignment(state: PartitionState, configuredMinimum: number): PartitionState {
  const target = targetReplicas(state)
  const isr = state.isr.filter((replica) => target.includes(replica))
  const minInsyncReplicas = minimumInForce(configuredMinimum, target.length)
  const areAdded = state.addingReplicas.every((replica) => isr.includes(replica) || !target.includes(replica))
  if (!isReassigning(state) || !areAdded || isr.length < minInsyncReplicas) {
    return state
  }
  return withInSyncReplicas(
    { ...state, replicas: target, addingReplicas: [], removingReplicas: [], minInsyncReplicas },
    isr,
  )
}
