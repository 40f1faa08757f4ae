import type { ClusterImage } from '../cluster-image.js'
import { encodeTopicRegistration, topicKey } from '../metadata-keys.js'
import { resultOf, type AlterTopicConfigsRequest } from './request.js'
import { areValidConfigs } from './topic-configs.js'
import type { PendingRequest, RequestStep } from './pending-request.js'

/** New configurations of a topic. What follows from them for its partitions' states, the controller puts after. */
export class TopicAlteration implements PendingRequest {
  readonly #request: AlterTopicConfigsRequest
  readonly #image: ClusterImage

  constructor(request: AlterTopicConfigsRequest, image: ClusterImage) {
    this.#request = request
    this.#image = image
  }

  get topic(): string {
    return this.#request.name
  }

  next(): RequestStep {
    const topic = this.#image.topics.get(this.topic)
    if (topic === undefined) {
      return { kind: 'done', result: resultOf('UNKNOWN_TOPIC_OR_PARTITION') }
    }
    const configs = { ...topic.configs }
    for (const [name, value] of Object.entries(this.#request.configs)) {
      if (value === null) {
        delete configs[name]
      } else {
        configs[name] = value
      }
    }
    if (!areValidConfigs(configs)) {
      return { kind: 'done', result: resultOf('INVALID_CONFIG') }
    }
    const value = encodeTopicRegistration({ ...topic, configs })
    if (haveEqualEntries(configs, topic.configs)) {
      return { kind: 'done', result: resultOf(null) }
    }
    const key = topicKey(this.topic)
    return {
      kind: 'transaction',
      transaction: { compares: [{ key, revision: topic.revision }], puts: [{ key, value }] },
    }
  }
}

function haveEqualEntries(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}
