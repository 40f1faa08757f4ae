import { withInSyncReplicas } from '../partition/in-sync-set.js'
import { noBroker, type PartitionState } from '../partition-state.js'

/** What an election goes by. */
export interface Electorate {
  /** Whether the broker may lead this partition: unfenced, not about to stop, and its log has not failed. */
  readonly isLive: (brokerId: number) => boolean
  /** Whether one that may lack committed records is elected rather than none. */
  readonly unclean: boolean
}

/**
 * The state with a new leader, in a new leader epoch: the first live replica, in the order of the assignment, of the ISR, or with none there of
 * the eligible leader replicas, and the ISR is then that one alone (KIP-966). The only replica of a partition is elected whatever it
 * may have lost: nobody has more.
 *
 * @returns null when there is none to elect
 */
export function elect(state: PartitionState, { isLive, unclean }: Electorate): PartitionState | null {
  const inSync = state.replicas.find((replica) => state.isr.includes(replica) && isLive(replica))
  if (inSync !== undefined) {
    return withLeader(state, inSync)
  }
  const eligible = state.replicas.find(
    (replica) => state.eligibleLeaderReplicas.includes(replica) && isLive(replica),
  )
  if (eligible !== undefined) {
    return withLeader(withInSyncReplicas(state, [eligible]), eligible)
  }
  return unclean || state.replicas.length === 1 ? electUncleanly(state, isLive) : null
}

/** The last known leader, or else the first live replica. Nobody is known to have what it has, so nobody else is eligible. */
function electUncleanly(state: PartitionState, isLive: (brokerId: number) => boolean): PartitionState | null {
  const { lastKnownLeader, replicas } = state
  const inTurn = replicas.includes(lastKnownLeader) ? [lastKnownLeader, ...replicas] : replicas
  const any = inTurn.find(isLive)
  return any === undefined ? null : withLeader({ ...state, isr: [any], eligibleLeaderReplicas: [] }, any)
}

/** The first of the assignment. */
export function preferredLeader(state: PartitionState): number {
  return state.replicas[0]!
}

/**
 * The state led by its preferred leader, in a new leader epoch.
 *
 * @returns null when it leads already, or is not live or not in sync
 */
export function electPreferred(
  state: PartitionState,
  { isLive }: Pick<Electorate, 'isLive'>,
): PartitionState | null {
  const preferred = preferredLeader(state)
  const electable = preferred !== state.leader && state.isr.includes(preferred) && isLive(preferred)
  return electable ? withLeader(state, preferred) : null
}

/** The state without a leader, in a new leader epoch, so that the one it had leads no more. */
export function withoutLeader(state: PartitionState): PartitionState {
  return state.leader === noBroker
    ? state
    : { ...state, leader: noBroker, leaderEpoch: state.leaderEpoch + 1, lastKnownLeader: state.leader }
}

function withLeader(state: PartitionState, leader: number): PartitionState {
  return { ...state, leader, leaderEpoch: state.leaderEpoch + 1, lastKnownLeader: noBroker }
}
