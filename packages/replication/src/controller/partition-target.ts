import type { BrokerRegistration } from '../broker-registration.js'
import { withInSyncReplicas } from '../partition/in-sync-set.js'
import type { PartitionState } from '../partition-state.js'
import { elect, electPreferred, withoutLeader } from './election.js'
import { withMinimum } from './minimum.js'
import { completeReassignment } from './reassignment.js'

/** What the state of a partition is to follow from. */
export interface PartitionRules {
  readonly registration: (brokerId: number) => BrokerRegistration | undefined
  /** `min.insync.replicas` as configured. */
  readonly minInsyncReplicas: number
  /** Whether a replica that may lack committed records is elected rather than none. */
  readonly unclean: boolean
  /** Whether the preferred leader is to lead, if it is in sync. */
  readonly preferred: boolean
}

/**
 * What the rules make of a partition's state: who is gone, or about to go, leaves the ISR, who may have lost records is not eligible
 * either, a reassignment that can be complete is, and one that is live leads if there is one.
 *
 * @param before the state as it is, where `state` has something else asked for in it
 * @returns `before` itself when there is nothing to change
 */
export function targetState(
  state: PartitionState,
  rules: PartitionRules,
  before: PartitionState = state,
): PartitionState {
  const isLive = (brokerId: number): boolean => mayLead(rules.registration(brokerId), state)
  // First who is gone, under the minimum that was in force: the eligible leaders are such under that one.
  let next = withoutUnavailable(state, rules, isLive)
  next = withMinimum(next, rules.minInsyncReplicas)
  next = completeReassignment(next, rules.minInsyncReplicas)
  if (!next.isr.includes(next.leader)) {
    next = elect(next, { isLive, unclean: rules.unclean }) ?? withoutLeader(next)
  }
  if (rules.preferred) {
    next = electPreferred(next, { isLive }) ?? next
  }
  next = withoutFormerReplicas(next, before)
  return areEqual(before, next) ? before : next
}

/** Whether a broker may lead a partition, and be in its ISR (KIP-841). */
export function mayLead(
  registration: BrokerRegistration | undefined,
  { topicId, partition }: PartitionState,
): boolean {
  return (
    registration !== undefined &&
    !registration.fenced &&
    !registration.shuttingDown &&
    !registration.offlineReplicas.includes(`${topicId}:${partition}`)
  )
}

/**
 * Whether a registration still stands in a partition's state for what its broker was before, so that it cannot be unfenced: until then its
 * leader epoch may be one in which a former life wrote what is lost.
 */
export function isUnsettled(state: PartitionState, registration: BrokerRegistration): boolean {
  const { brokerId } = registration
  return (
    state.leader === brokerId ||
    state.isr.includes(brokerId) ||
    (mayLack(registration) && state.eligibleLeaderReplicas.includes(brokerId))
  )
}

/** Once it is unfenced, what it reports it has. */
function mayLack(registration: BrokerRegistration | undefined): boolean {
  return registration !== undefined && registration.fenced && registration.mayHaveLostRecords
}

function withoutUnavailable(
  state: PartitionState,
  { registration }: PartitionRules,
  isLive: (brokerId: number) => boolean,
): PartitionState {
  const lost = state.replicas.filter((replica) => mayLack(registration(replica)))
  const next = withInSyncReplicas(state, state.isr.filter(isLive), { lost })
  const isLed = next.isr.length > 0 || next.eligibleLeaderReplicas.some(isLive)
  return isLed || !isStoppingLeader(state, registration(state.leader))
    ? next
    : withInSyncReplicas(state, [state.leader], { lost })
}

/**
 * Raises the leader epoch where a replica has left, also of a leader that stays: should it be added again, it begins with an empty log, and a leader
 * takes what it knows of a follower in its epoch for what that still has.
 */
function withoutFormerReplicas(next: PartitionState, before: PartitionState): PartitionState {
  const hasLeft = before.replicas.some((replica) => !next.replicas.includes(replica))
  return hasLeft && next.leaderEpoch === before.leaderEpoch
    ? { ...next, leaderEpoch: next.leaderEpoch + 1 }
    : next
}

/** A leader that is about to stop, but serves until there is another. */
function isStoppingLeader(state: PartitionState, registration: BrokerRegistration | undefined): boolean {
  return (
    registration !== undefined &&
    state.isr.includes(registration.brokerId) &&
    mayLead({ ...registration, shuttingDown: false }, state)
  )
}

function areEqual(a: PartitionState, b: PartitionState): boolean {
  return (
    a.leader === b.leader &&
    a.leaderEpoch === b.leaderEpoch &&
    a.lastKnownLeader === b.lastKnownLeader &&
    a.minInsyncReplicas === b.minInsyncReplicas &&
    haveEqual(a.replicas, b.replicas) &&
    haveEqual(a.addingReplicas, b.addingReplicas) &&
    haveEqual(a.removingReplicas, b.removingReplicas) &&
    haveEqual(a.isr, b.isr) &&
    haveEqual(a.eligibleLeaderReplicas, b.eligibleLeaderReplicas)
  )
}

/** Whether two lists have the same elements in the same order. */
export function haveEqual(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index])
}
