import type { ClusterImage } from '../cluster-image.js'
import { noBroker, type PartitionState } from '../partition-state.js'
import { preferredLeader } from './election.js'
import { haveEqual, mayLead, type PartitionRules } from './partition-target.js'
import { isValidAssignment } from './placement.js'
import { beginReassignment, isReassigning, originalReplicas, targetReplicas } from './reassignment.js'
import type { ControllerErrorName } from './request.js'

/** What a request wants of one partition beyond what the rules make of it. */
export interface PartitionIntent {
  readonly wish: PartitionWish
  /** Whether a transaction with it has been under way, and may have been applied. */
  attempted: boolean
  readonly resolve: (error: ControllerErrorName | null) => void
}

export type PartitionWish =
  | { readonly kind: 'reassign'; readonly replicas: readonly number[] }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'elect'; readonly election: 'preferred' | 'unclean' }

/** What is to be done for a wish: a state to go on from and rules to go by, or it is answered. */
export type WishStep =
  | { readonly state: PartitionState; readonly rules: PartitionRules }
  | { readonly answer: ControllerErrorName | null }

/** Looks at what a partition is by now, and says what a wish still needs. */
export function grant(
  { wish, attempted }: Pick<PartitionIntent, 'wish' | 'attempted'>,
  state: PartitionState,
  rules: PartitionRules,
  image: ClusterImage,
): WishStep {
  switch (wish.kind) {
    case 'reassign': {
      const isKnown = (id: number): boolean => image.brokers.has(id) || state.replicas.includes(id)
      if (!isValidAssignment(wish.replicas, isKnown)) {
        return { answer: 'INVALID_REPLICA_ASSIGNMENT' }
      }
      return haveEqual(targetReplicas(state), wish.replicas)
        ? { answer: null }
        : { state: beginReassignment(state, wish.replicas), rules }
    }
    case 'cancel': {
      if (!isReassigning(state) && !attempted) {
        return { answer: 'NO_REASSIGNMENT_IN_PROGRESS' }
      }
      const original = originalReplicas(state)
      return haveEqual(targetReplicas(state), original)
        ? { answer: null }
        : { state: beginReassignment(state, original), rules }
    }
    case 'elect':
      return wish.election === 'preferred'
        ? grantPreferred(attempted, state, rules)
        : grantUnclean(attempted, state, rules)
  }
}

function grantPreferred(attempted: boolean, state: PartitionState, rules: PartitionRules): WishStep {
  const preferred = preferredLeader(state)
  if (state.leader === preferred) {
    return { answer: attempted ? null : 'ELECTION_NOT_NEEDED' }
  }
  return state.isr.includes(preferred) && mayLead(rules.registration(preferred), state)
    ? { state, rules: { ...rules, preferred: true } }
    : { answer: 'PREFERRED_LEADER_NOT_AVAILABLE' }
}

function grantUnclean(attempted: boolean, state: PartitionState, rules: PartitionRules): WishStep {
  const isLive = (id: number): boolean => mayLead(rules.registration(id), state)
  if (state.leader !== noBroker && isLive(state.leader)) {
    return { answer: attempted ? null : 'ELECTION_NOT_NEEDED' }
  }
  return state.replicas.some(isLive)
    ? { state, rules: { ...rules, unclean: true } }
    : { answer: 'ELIGIBLE_LEADERS_NOT_AVAILABLE' }
}
