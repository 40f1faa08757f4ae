import type { BrokerRegistration } from '../broker-registration.js'
import { brokerKey, encodePartitionState, partitionKey } from '../metadata-keys.js'
import type { MetadataCompare, MetadataTransaction } from '../metadata-store.js'
import type { PartitionState } from '../partition-state.js'
import { withInSyncReplicas } from './in-sync-set.js'

/** A change of the in-sync replicas that a leader asks for (KIP-497). */
export interface InSyncChange {
  /** The state as it is to be. */
  readonly state: PartitionState
  /** The partition epoch of the state that it was made from. */
  readonly partitionEpoch: number
  /** What to put to the store, as it is. */
  readonly transaction: MetadataTransaction
}

/**
 * The change of `state` to other in-sync replicas. It fails when the state has been changed meanwhile, or the registration of
 * one that enters: a broker that was restarted does not get in on what it had before (KIP-903).
 */
export function inSyncChange(
  state: PartitionState,
  isr: readonly number[],
  entering: readonly BrokerRegistration[],
): InSyncChange {
  const key = partitionKey(state.topicId, state.partition)
  const changed = withInSyncReplicas(state, isr)
  return {
    state: changed,
    partitionEpoch: state.partitionEpoch,
    transaction: {
      compares: [
        { key, revision: state.partitionEpoch },
        ...entering.map(({ brokerId, revision }) => ({ key: brokerKey(brokerId), revision })),
      ],
      puts: [{ key, value: encodePartitionState(changed) }],
    },
  }
}

/** Whether all of `some` is among `all`. */
export function includesCompares(all: readonly MetadataCompare[], some: readonly MetadataCompare[]): boolean {
  return some.every((one) => all.some(({ key, revision }) => key === one.key && revision === one.revision))
}
