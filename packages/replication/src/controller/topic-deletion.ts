import type { ClusterImage } from '../cluster-image.js'
import { topicKey } from '../metadata-keys.js'
import { resultOf, type DeleteTopicRequest } from './request.js'
import type { PendingRequest, RequestStep } from './pending-request.js'

/** The deletion of a topic. Its partitions are then ones without a topic, which the controller removes. */
export class TopicDeletion implements PendingRequest {
  readonly topic: string
  readonly #image: ClusterImage
  #topicId: string | null = null

  constructor({ name }: DeleteTopicRequest, image: ClusterImage) {
    this.topic = name
    this.#image = image
  }

  next(): RequestStep {
    const topic = this.#image.topics.get(this.topic)
    if (topic === undefined || (this.#topicId !== null && this.#topicId !== topic.topicId)) {
      const error = this.#topicId === null ? 'UNKNOWN_TOPIC_OR_PARTITION' : null
      return { kind: 'done', result: resultOf(error) }
    }
    this.#topicId = topic.topicId
    const key = topicKey(this.topic)
    return {
      kind: 'transaction',
      transaction: { compares: [{ key, revision: topic.revision }], deletes: [key] },
    }
  }
}
