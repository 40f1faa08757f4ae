import type { PlacementBroker } from '@varve/partitioning'
import type { BrokerRegistration } from '../broker-registration.js'
import type { ClusterImage } from '../cluster-image.js'
import { targetReplicas } from './reassignment.js'

/** Those that may get replicas. */
export function placementBrokers(image: ClusterImage): PlacementBroker[] {
  return [...image.brokers.values()].filter(isAvailable).map(({ brokerId, rack }) => ({ id: brokerId, rack }))
}

/** Whether a broker may get replicas. */
export function isAvailable({ fenced, shuttingDown }: BrokerRegistration): boolean {
  return !fenced && !shuttingDown
}

/** Where the replicas of the partitions of all topics but one are, or are about to be. */
export function replicasOfOtherTopics(image: ClusterImage, topicId: string): (readonly number[])[] {
  const others: (readonly number[])[] = []
  for (const state of image.partitions()) {
    if (state.topicId !== topicId) {
      others.push(targetReplicas(state))
    }
  }
  return others
}

/** Whether replicas named by hand can be those of a partition: known brokers, each once. */
export function isValidAssignment(
  replicas: readonly number[],
  isKnown: (brokerId: number) => boolean,
): boolean {
  return replicas.length > 0 && new Set(replicas).size === replicas.length && replicas.every(isKnown)
}
