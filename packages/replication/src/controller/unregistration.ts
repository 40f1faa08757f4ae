import type { ClusterImage } from '../cluster-image.js'
import { brokerKey } from '../metadata-keys.js'
import { resultOf, type UnregisterRequest } from './request.js'
import type { PendingRequest, RequestStep } from './pending-request.js'

/** Takes the registration that a broker has when it is asked for. */
export class Unregistration implements PendingRequest {
  readonly topic = null
  readonly #brokerId: number
  readonly #image: ClusterImage
  #brokerEpoch: number | null = null

  constructor({ brokerId }: UnregisterRequest, image: ClusterImage) {
    this.#brokerId = brokerId
    this.#image = image
  }

  next(): RequestStep {
    const registration = this.#image.brokers.get(this.#brokerId)
    if (this.#brokerEpoch !== null && registration?.brokerEpoch !== this.#brokerEpoch) {
      return { kind: 'done', result: resultOf(null) }
    }
    if (registration === undefined) {
      return { kind: 'done', result: resultOf('BROKER_ID_NOT_REGISTERED') }
    }
    this.#brokerEpoch = registration.brokerEpoch
    const key = brokerKey(this.#brokerId)
    return {
      kind: 'transaction',
      transaction: { compares: [{ key, revision: registration.revision }], deletes: [key] },
    }
  }
}
