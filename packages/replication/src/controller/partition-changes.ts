import type { ClusterImage } from '../cluster-image.js'
import { brokerKey, encodePartitionState, partitionOfKey } from '../metadata-keys.js'
import type { MetadataCompare, MetadataPut } from '../metadata-store.js'
import { noBroker, type PartitionState } from '../partition-state.js'
import { grant, type PartitionIntent } from './partition-intent.js'
import { targetState, type PartitionRules } from './partition-target.js'
import type { ControllerErrorName } from './request.js'
import { allowsUncleanElection, configuredMinimum } from './topic-configs.js'

/** One partition's part of a transaction. */
export interface PartitionChange {
  readonly key: string
  readonly compares: readonly MetadataCompare[]
  /** Null deletes. */
  readonly put: MetadataPut | null
  /** What is granted when it is applied. */
  readonly intents: readonly PartitionIntent[]
}

/** What a cluster decides by where a topic has no configuration of its own. */
export interface TopicDefaults {
  readonly defaultMinInsyncReplicas: number
  readonly uncleanLeaderElection: boolean
}

/** Finds, from the image and what is wanted of it, how a partition's state is to change. */
export class PartitionChanges {
  readonly #image: ClusterImage
  readonly #defaults: () => TopicDefaults
  readonly #isBeingMade: (topicId: string, partition: number) => boolean
  readonly #intents = new Map<string, readonly PartitionIntent[]>()

  constructor(
    image: ClusterImage,
    defaults: () => TopicDefaults,
    isBeingMade: (topicId: string, partition: number) => boolean,
  ) {
    this.#image = image
    this.#defaults = defaults
    this.#isBeingMade = isBeingMade
  }

  want(key: string, intent: PartitionIntent): void {
    this.#intents.set(key, [...(this.#intents.get(key) ?? []), intent])
  }

  /** Whether anything beyond the rules is wanted of a partition. */
  isWanted(key: string): boolean {
    return this.#intents.has(key)
  }

  /** What was wanted is wanted no more. */
  remove(key: string, intents: readonly PartitionIntent[]): void {
    const left = (this.#intents.get(key) ?? []).filter((intent) => !intents.includes(intent))
    if (left.length === 0) {
      this.#intents.delete(key)
    } else {
      this.#intents.set(key, left)
    }
  }

  #resolve(key: string, intents: readonly PartitionIntent[], error: ControllerErrorName | null): void {
    this.remove(key, intents)
    for (const intent of intents) {
      intent.resolve(error)
    }
  }

  /** @returns null when the partition is as it is to be */
  changeOf(key: string): PartitionChange | null {
    const { topicId, partition } = partitionOfKey(key)!
    const state = this.#image.partition(topicId, partition)
    const topic = this.#image.topicById(topicId)
    if (state !== undefined && topic !== undefined && partition < topic.partitions) {
      return this.#changeOfState(key, state, this.#rulesOf(topic.configs))
    }
    this.#resolve(key, this.#intents.get(key) ?? [], 'UNKNOWN_TOPIC_OR_PARTITION')
    if (state === undefined || this.#isBeingMade(topicId, partition)) {
      return null
    }
    return { key, compares: [{ key, revision: state.partitionEpoch }], put: null, intents: [] }
  }

  #changeOfState(key: string, state: PartitionState, rules: PartitionRules): PartitionChange | null {
    let wanted = { state, rules }
    for (const intent of this.#intents.get(key) ?? []) {
      const step = grant(intent, wanted.state, wanted.rules, this.#image)
      if ('answer' in step) {
        this.#resolve(key, [intent], step.answer)
      } else {
        wanted = step
      }
    }
    const next = targetState(wanted.state, wanted.rules, state)
    if (next === state) {
      // What is left of the intents, later ones have taken back.
      this.#resolve(key, this.#intents.get(key) ?? [], null)
      return null
    }
    const compares: MetadataCompare[] = [{ key, revision: state.partitionEpoch }]
    if (next.leader !== noBroker && next.leaderEpoch !== state.leaderEpoch) {
      // One that has been restarted meanwhile is not elected on what it had before.
      compares.push({
        key: brokerKey(next.leader),
        revision: this.#image.brokers.get(next.leader)!.revision,
      })
    }
    const put = { key, value: encodePartitionState(next) }
    return { key, compares, put, intents: this.#intents.get(key) ?? [] }
  }

  #rulesOf(configs: Readonly<Record<string, string>>): PartitionRules {
    const { defaultMinInsyncReplicas, uncleanLeaderElection } = this.#defaults()
    return {
      registration: (id) => this.#image.brokers.get(id),
      minInsyncReplicas: configuredMinimum(configs, defaultMinInsyncReplicas),
      unclean: allowsUncleanElection(configs, uncleanLeaderElection),
      preferred: false,
    }
  }
}
