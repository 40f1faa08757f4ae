import type { ClusterImage } from '../cluster-image.js'
import { brokerKey, encodeBrokerRegistration, partitionKey } from '../metadata-keys.js'
import type { MetadataTransaction } from '../metadata-store.js'
import type { PartitionState } from '../partition-state.js'
import { isUnsettled } from './partition-target.js'

/**
 * The fenced brokers, and which partitions keep each of them from being unfenced. It goes by the image alone, by what is committed: the last
 * partition has to have been put, and seen, before the registration is.
 */
export class Admission {
  readonly #image: ClusterImage
  readonly #unsettled = new Map<number, Set<string>>()

  constructor(image: ClusterImage) {
    this.#image = image
  }

  /** Any registration and any partition may have changed. */
  reset(): void {
    this.#unsettled.clear()
    for (const brokerId of this.#image.brokers.keys()) {
      this.brokerChanged(brokerId)
    }
  }

  /** A registration has changed. */
  brokerChanged(brokerId: number): void {
    const registration = this.#image.brokers.get(brokerId)
    if (registration === undefined || !registration.fenced) {
      this.#unsettled.delete(brokerId)
      return
    }
    const unsettled = new Set<string>()
    for (const state of this.#image.partitionsOfBroker(brokerId)) {
      if (isUnsettled(state, registration)) {
        unsettled.add(partitionKey(state.topicId, state.partition))
      }
    }
    this.#unsettled.set(brokerId, unsettled)
  }

  /**
   * The state of a partition has changed, or it is gone.
   *
   * @returns the brokers that this was the last to wait for
   */
  partitionChanged(key: string, state: PartitionState | undefined): readonly number[] {
    const settled: number[] = []
    for (const [brokerId, unsettled] of this.#unsettled) {
      if (state !== undefined && isUnsettled(state, this.#image.brokers.get(brokerId)!)) {
        unsettled.add(key)
      } else if (unsettled.delete(key) && unsettled.size === 0) {
        settled.push(brokerId)
      }
    }
    return settled
  }

  /** The put that unfences a broker, of the registration that all this was about; null while it has to wait. */
  unfence(brokerId: number): MetadataTransaction | null {
    const registration = this.#image.brokers.get(brokerId)
    if (
      registration === undefined ||
      registration.shuttingDown ||
      this.#unsettled.get(brokerId)?.size !== 0
    ) {
      return null
    }
    const key = brokerKey(brokerId)
    const value = encodeBrokerRegistration({ ...registration, fenced: false })
    return {
      compares: [{ key, revision: registration.revision }],
      puts: [{ key, value, lease: 'kept' }],
    }
  }
}
