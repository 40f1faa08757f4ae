import type { BrokerRegistration } from '../broker-registration.js'
import { noBroker, type PartitionState } from '../partition-state.js'
import { isAvailable } from './placement.js'
import { minimumInForce } from './minimum.js'

/**
 * The state of a partition that has no records yet: those of its replicas that are live are in sync. Where none is, all are eligible, since there
 * is nothing that they could lack.
 */
export function newPartition(
  topicId: string,
  partition: number,
  replicas: readonly number[],
  configuredMinimum: number,
  registration: (brokerId: number) => BrokerRegistration | undefined,
): PartitionState {
  const isr = replicas.filter((replica) => {
    const registered = registration(replica)
    return registered !== undefined && isAvailable(registered)
  })
  const minInsyncReplicas = minimumInForce(configuredMinimum, replicas.length)
  return {
    topicId,
    partition,
    replicas,
    addingReplicas: [],
    removingReplicas: [],
    leader: isr[0] ?? noBroker,
    leaderEpoch: 0,
    isr,
    eligibleLeaderReplicas:
      isr.length >= minInsyncReplicas ? [] : replicas.filter((replica) => !isr.includes(replica)),
    lastKnownLeader: noBroker,
    minInsyncReplicas,
    partitionEpoch: 0,
  }
}
