import { ReplicaLoad, type PlacementBroker } from '@varve/partitioning'
import type { BrokerRegistration } from '../broker-registration.js'
import type { ClusterImage } from '../cluster-image.js'
import type { NewPartitions } from './partition-puts.js'
import { targetReplicas } from './reassignment.js'

/** Those that may get replicas. */
export function placementBrokers(image: ClusterImage): PlacementBroker[] {
  return [...image.brokers.values()].filter(isAvailable).map(({ brokerId, rack }) => ({ id: brokerId, rack }))
}

/** Whether a broker may get replicas. */
export function isAvailable({ fenced, shuttingDown }: BrokerRegistration): boolean {
  return !fenced && !shuttingDown
}

/**
 * How the replicas are spread over the brokers, or are about to be: also those of the partitions that requests have placed and that the image has
 * yet to show, so that topics that are made at once do not all choose the same brokers.
 */
export class ReplicaSpread {
  readonly #image: ClusterImage
  readonly #beingMade: () => Iterable<NewPartitions>
  #load = new ReplicaLoad()
  #revision = -1

  constructor(image: ClusterImage, beingMade: () => Iterable<NewPartitions>) {
    this.#image = image
    this.#beingMade = beingMade
  }

  /** Of all topics. */
  get all(): ReplicaLoad {
    if (this.#revision !== this.#image.revision) {
      this.#revision = this.#image.revision
      this.#load = this.#count()
    }
    return this.#load
  }

  #count(): ReplicaLoad {
    const load = new ReplicaLoad()
    for (const state of this.#image.partitions()) {
      load.add(targetReplicas(state))
    }
    for (const { topicId, first, assignments } of this.#beingMade()) {
      for (const [index, replicas] of assignments.entries()) {
        if (this.#image.partition(topicId, first + index) === undefined) {
          load.add(replicas)
        }
      }
    }
    return load
  }

  ofTopic(topicId: string): ReplicaLoad {
    return new ReplicaLoad([...this.#image.partitionsOfTopic(topicId).values()].map(targetReplicas))
  }

  /** New partitions have been placed. */
  placed(assignments: readonly (readonly number[])[]): void {
    for (const replicas of assignments) {
      this.all.add(replicas)
    }
  }
}

/** Whether replicas named by hand can be those of a partition: known brokers, each once. */
export function isValidAssignment(
  replicas: readonly number[],
  isKnown: (brokerId: number) => boolean,
): boolean {
  return replicas.length > 0 && new Set(replicas).size === replicas.length && replicas.every(isKnown)
}
