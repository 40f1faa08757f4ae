import type { ClusterImage } from '../cluster-image.js'
import { ReplicationError } from '../error.js'
import {
  brokerKey,
  brokerKeyPrefix,
  controllerKey,
  partitionKey,
  partitionKeyPrefix,
  partitionOfKey,
  topicKeyPrefix,
} from '../metadata-keys.js'
import type { MetadataEvent, MetadataOutcome, MetadataTransaction } from '../metadata-store.js'
import { Admission } from './admission.js'
import { PartitionChanges, type PartitionChange, type TopicDefaults } from './partition-changes.js'
import { PartitionCreation } from './partition-creation.js'
import type { PartitionIntent } from './partition-intent.js'
import { inNeedOf, wishesOf, type PartitionsRequest } from './partition-request.js'
import type { PendingRequest } from './pending-request.js'
import { ReplicaSpread } from './placement.js'
import {
  resultOf,
  type ControllerErrorName,
  type ControllerRequest,
  type ControllerResult,
  type PartitionResult,
} from './request.js'
import { TopicAlteration } from './topic-alteration.js'
import { TopicCreation } from './topic-creation.js'
import { TopicDeletion } from './topic-deletion.js'
import { batchesOf } from './transaction-batches.js'
import { Unregistration } from './unregistration.js'
import { WorkQueue } from './work-queue.js'

/** How a controller decides. */
export interface ControllerConfig {
  /** `min.insync.replicas` of topics that do not say. Default: 1. */
  readonly defaultMinInsyncReplicas?: number
  /** `unclean.leader.election.enable` of topics that do not say. Default: false. */
  readonly uncleanLeaderElection?: boolean
  /** How often preferred leaders that are in sync get their partitions back; null for never. Default: 300,000. */
  readonly leaderImbalanceCheckIntervalMs?: number | null
  /** How long to wait before a transaction that failed, or may have, is made anew, if the image does not change before. Default: 100. */
  readonly retryBackoffMs?: number
}

/** What a controller is made of. */
export interface ControllerOptions {
  /** The broker that is the controller. */
  readonly brokerId: number
  /** The revision at which `/controller` was put for this broker. Nothing is done before the image has reached it. */
  readonly controllerRevision: number
  /** Of the store. The controller only reads it. */
  readonly image: ClusterImage
  /** What the broker's configurations say of the cluster. */
  readonly config?: ControllerConfig
  /** Milliseconds of any clock; it may jump. */
  readonly now: number
}

/** What a controller wants done. */
export type ControllerOutput =
  /** Its outcome goes to {@link Controller.settled}, `'unknown'` if none comes. */
  | { readonly kind: 'transaction'; readonly id: number; readonly transaction: MetadataTransaction }
  /** Of a broker that seems to be gone. */
  | { readonly kind: 'revoke lease'; readonly lease: string }
  /** The answer to a {@link Controller.request}. */
  | { readonly kind: 'reply'; readonly requestId: number; readonly result: ControllerResult }

const requestKeyPrefix = 'request '

interface Transaction {
  readonly keys: readonly string[]
  readonly settled: (outcome: MetadataOutcome) => void
}

/**
 * Brings the store to what the rules want, change by change: admits brokers, elects leaders, reassigns replicas, makes and removes
 * topics. What is to be done is found from the image, again after each change of it, so whatever another controller began, and whatever became
 * of a transaction without an answer, is gone on with from where it is. All that it puts is compared with `/controller`: once another has
 * its place it can put nothing.
 *
 * After every call {@link Controller.take} says what to do.
 */
export class Controller {
  readonly #brokerId: number
  readonly #controllerRevision: number
  readonly #image: ClusterImage
  #defaults: TopicDefaults = { defaultMinInsyncReplicas: 1, uncleanLeaderElection: false }
  #imbalanceCheckIntervalMs: number | null = null
  readonly #queue: WorkQueue
  readonly #admission: Admission
  readonly #partitions: PartitionChanges
  readonly #spread: ReplicaSpread
  /** What is in the store, and in the image from a revision on. */
  #granted: { readonly revision: number; readonly intents: readonly PartitionIntent[] }[] = []
  /** The keys of partitions whose last transaction failed. */
  readonly #failed = new Set<string>()
  /** By name, as they were when last looked at. */
  readonly #topicIds = new Map<string, string>()
  readonly #transactions = new Map<number, Transaction>()
  readonly #requests = new Map<string, PendingRequest>()
  /** Those that are not answered yet. */
  readonly #unanswered = new Set<number>()
  #notBegun: { readonly requestId: number; readonly request: ControllerRequest }[] = []
  #outputs: ControllerOutput[] = []
  #hasStarted = false
  #lastId = 0
  #lastImbalanceCheck: number

  constructor({ brokerId, controllerRevision, image, config = {}, now }: ControllerOptions) {
    const { retryBackoffMs = 100 } = config
    this.#brokerId = brokerId
    this.#controllerRevision = controllerRevision
    this.#image = image
    this.#decideBy(config)
    this.#lastImbalanceCheck = now
    this.#queue = new WorkQueue(retryBackoffMs)
    this.#admission = new Admission(image)
    this.#partitions = new PartitionChanges(
      image,
      () => this.#defaults,
      (topicId, partition) =>
        [...this.#requests.values()].some((request) => request.makes?.(topicId, partition)),
    )
    this.#spread = new ReplicaSpread(image, () =>
      [...this.#requests.values()].flatMap(({ partitions }) => partitions ?? []),
    )
    this.#work(now)
  }

  #decideBy({
    defaultMinInsyncReplicas = 1,
    uncleanLeaderElection = false,
    leaderImbalanceCheckIntervalMs = 300_000,
  }: ControllerConfig): void {
    this.#defaults = { defaultMinInsyncReplicas, uncleanLeaderElection }
    this.#imbalanceCheckIntervalMs = leaderImbalanceCheckIntervalMs
  }

  /** Decides by another configuration from now on, also of what has been decided before. Its `retryBackoffMs` stays. */
  configure(config: ControllerConfig, now: number): void {
    this.#decideBy(config)
    if (this.#hasStarted) {
      this.#markPartitions()
    }
    this.#work(now)
  }

  /** Whether the image knows of no other controller, and of this one's end. */
  get isActive(): boolean {
    const { revision, controller } = this.#image
    return revision < this.#controllerRevision || controller?.revision === this.#controllerRevision
  }

  /** Whether there is nothing to be done, now or later, as far as the image shows: no request, transaction or retry. */
  get isIdle(): boolean {
    return this.#queue.isIdle && this.#unanswered.size === 0
  }

  /** The image has applied these events. */
  imageChanged(events: readonly MetadataEvent[], now: number): void {
    if (this.#hasStarted) {
      this.#note(events)
    }
    this.#work(now)
  }

  /** The image has begun anew with all that the store holds. */
  imageReset(now: number): void {
    this.#hasStarted = false
    this.#work(now)
  }

  /**
   * @returns the id of the reply, which comes when what was asked for is in the store and in the image; `NOT_CONTROLLER` if this
   * controller loses its place before, and then it may or may not have been done.
   */
  request(request: ControllerRequest, now: number): number {
    const requestId = ++this.#lastId
    this.#unanswered.add(requestId)
    this.#notBegun.push({ requestId, request })
    this.#work(now)
    return requestId
  }

  /** Time has passed; at least every `retryBackoffMs`. */
  tick(now: number): void {
    const interval = this.#imbalanceCheckIntervalMs
    const since = now - this.#lastImbalanceCheck
    if (interval !== null && (since >= interval || since < 0)) {
      this.#lastImbalanceCheck = now
      if (this.#hasStarted && since >= 0) {
        this.#returnPreferredLeaders()
      }
    }
    this.#work(now)
  }

  /** A broker has reset its connection: most likely its process has ended, and its lease need not be waited for. */
  connectionReset(brokerId: number): void {
    const registration = this.#image.brokers.get(brokerId)
    if (registration !== undefined && brokerId !== this.#brokerId && this.isActive) {
      this.#outputs.push({ kind: 'revoke lease', lease: registration.lease })
    }
  }

  /**
   * A transaction has ended, as far as anybody can tell.
   *
   * @throws ReplicationError `VARVE_UNKNOWN_TRANSACTION` for one that is not under way
   */
  settled(id: number, outcome: MetadataOutcome, now: number): void {
    const transaction = this.#transactions.get(id)
    if (transaction === undefined) {
      throw new ReplicationError('VARVE_UNKNOWN_TRANSACTION', `there is no transaction ${id} under way`)
    }
    this.#transactions.delete(id)
    this.#queue.settled(transaction.keys, outcome, this.#image.revision, now)
    transaction.settled(outcome)
    this.#work(now)
  }

  /** What is to be done since the last call. */
  take(): readonly ControllerOutput[] {
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  #work(now: number): void {
    if (!this.isActive) {
      this.#end()
      return
    }
    if (this.#image.revision < this.#controllerRevision) {
      // What its predecessor put may be missing still: a topic that is there as a whole would look half made.
      return
    }
    if (!this.#hasStarted) {
      this.#hasStarted = true
      this.#markAll()
    }
    this.#queue.imageReached(this.#image.revision)
    this.#answerGranted()
    this.#beginRequests()
    for (let due = this.#queue.takeDue(now); due.length > 0; due = this.#queue.takeDue(now)) {
      this.#lookAt(due)
    }
  }

  #end(): void {
    this.#notBegun = []
    this.#granted = []
    this.#requests.clear()
    for (const requestId of this.#unanswered) {
      this.#reply(requestId, resultOf('NOT_CONTROLLER'))
    }
  }

  #note(events: readonly MetadataEvent[]): void {
    for (const { key } of events) {
      if (key.startsWith(brokerKeyPrefix)) {
        this.#brokerChanged(Number(key.slice(brokerKeyPrefix.length)))
      }
    }
    for (const { key } of events) {
      const partition = key.startsWith(partitionKeyPrefix) ? partitionOfKey(key) : null
      if (partition !== null) {
        this.#queue.mark(key)
        const state = this.#image.partition(partition.topicId, partition.partition)
        for (const brokerId of this.#admission.partitionChanged(key, state)) {
          this.#queue.mark(brokerKey(brokerId))
        }
      } else if (key.startsWith(topicKeyPrefix)) {
        this.#topicChanged(key.slice(topicKeyPrefix.length))
      }
    }
    for (const key of this.#requests.keys()) {
      this.#queue.remind(key)
    }
  }

  #markAll(): void {
    this.#topicIds.clear()
    for (const { name, topicId } of this.#image.topics.values()) {
      this.#topicIds.set(name, topicId)
    }
    this.#admission.reset()
    for (const brokerId of this.#image.brokers.keys()) {
      this.#queue.mark(brokerKey(brokerId))
    }
    this.#markPartitions()
    for (const key of this.#requests.keys()) {
      this.#queue.remind(key)
    }
  }

  #markPartitions(): void {
    for (const { topicId, partition } of this.#image.partitions()) {
      this.#queue.mark(partitionKey(topicId, partition))
    }
  }

  #brokerChanged(brokerId: number): void {
    this.#admission.brokerChanged(brokerId)
    this.#queue.mark(brokerKey(brokerId))
    for (const { topicId, partition } of this.#image.partitionsOfBroker(brokerId)) {
      this.#queue.mark(partitionKey(topicId, partition))
    }
  }

  /** Its configurations are others, or it is new or gone, and its partitions are to follow. */
  #topicChanged(name: string): void {
    const before = this.#topicIds.get(name)
    const now = this.#image.topics.get(name)?.topicId
    for (const topicId of new Set([before, now])) {
      for (const partition of topicId === undefined ? [] : this.#image.partitionsOfTopic(topicId).keys()) {
        this.#queue.mark(partitionKey(topicId!, partition))
      }
    }
    if (now === undefined) {
      this.#topicIds.delete(name)
    } else {
      this.#topicIds.set(name, now)
    }
  }

  #returnPreferredLeaders(): void {
    for (const { topic, partition } of inNeedOf('preferred', this.#image)) {
      const key = partitionKey(this.#image.topics.get(topic)!.topicId, partition)
      if (!this.#partitions.isWanted(key)) {
        const wish = { kind: 'elect', election: 'preferred' } as const
        this.#partitions.want(key, { wish, attempted: false, resolve: () => {} })
        this.#queue.mark(key)
      }
    }
  }

  #beginRequests(): void {
    const begun = this.#notBegun
    this.#notBegun = []
    for (const { requestId, request } of begun) {
      const pending = this.#pendingRequest(request)
      if (pending === null) {
        this.#beginPartitions(requestId, request as PartitionsRequest)
      } else {
        const key = `${requestKeyPrefix}${requestId}`
        this.#requests.set(key, pending)
        this.#queue.mark(key)
      }
    }
  }

  /** Null for one to partitions one by one. */
  #pendingRequest(request: ControllerRequest): PendingRequest | null {
    const { defaultMinInsyncReplicas } = this.#defaults
    switch (request.kind) {
      case 'create topic':
        return new TopicCreation(request, this.#image, this.#spread, defaultMinInsyncReplicas)
      case 'create partitions':
        return new PartitionCreation(request, this.#image, this.#spread, defaultMinInsyncReplicas)
      case 'delete topic':
        return new TopicDeletion(request, this.#image)
      case 'alter topic configs':
        return new TopicAlteration(request, this.#image)
      case 'unregister':
        return new Unregistration(request, this.#image)
      default:
        return null
    }
  }

  #beginPartitions(requestId: number, request: PartitionsRequest): void {
    const wishes = wishesOf(request, this.#image, this.#spread)
    const results: (PartitionResult | undefined)[] = wishes.map(() => undefined)
    let left = wishes.length
    const resolve = (index: number, error: ControllerErrorName | null): void => {
      const { topic, partition } = wishes[index]!
      results[index] = { topic, partition, error }
      left -= 1
      if (left === 0) {
        this.#reply(requestId, { error: null, partitions: results as PartitionResult[] })
      }
    }
    if (left === 0) {
      this.#reply(requestId, resultOf(null))
    }
    for (const [index, { topic, partition, wish }] of wishes.entries()) {
      const topicId = this.#image.topics.get(topic)?.topicId
      if (typeof wish === 'string') {
        resolve(index, wish)
      } else if (topicId === undefined) {
        resolve(index, 'UNKNOWN_TOPIC_OR_PARTITION')
      } else {
        const key = partitionKey(topicId, partition)
        this.#partitions.want(key, { wish, attempted: false, resolve: (error) => resolve(index, error) })
        this.#queue.mark(key)
      }
    }
  }

  #lookAt(keys: readonly string[]): void {
    const changes: PartitionChange[] = []
    for (const key of keys) {
      if (key.startsWith(partitionKeyPrefix)) {
        const change = this.#partitions.changeOf(key)
        if (change === null) {
          this.#failed.delete(key)
        } else {
          changes.push(change)
        }
      } else if (key.startsWith(brokerKeyPrefix)) {
        const unfencing = this.#admission.unfence(Number(key.slice(brokerKeyPrefix.length)))
        if (unfencing !== null) {
          this.#begin([key], unfencing)
        }
      } else {
        this.#goOn(key)
      }
    }
    for (const { changes: batch, transaction } of batchesOf(changes, (key) => this.#failed.has(key))) {
      this.#begin(
        batch.map(({ key }) => key),
        transaction,
        (outcome) => this.#partitionsSettled(batch, outcome),
      )
    }
  }

  #partitionsSettled(batch: readonly PartitionChange[], outcome: MetadataOutcome): void {
    for (const { key, intents } of batch) {
      if (outcome.kind === 'succeeded') {
        this.#failed.delete(key)
        if (intents.length > 0) {
          this.#partitions.remove(key, intents)
          this.#granted.push({ revision: outcome.revision, intents })
        }
      } else if (outcome.kind === 'failed') {
        this.#failed.add(key)
      } else if (outcome.kind === 'unknown') {
        for (const intent of intents) {
          intent.attempted = true
        }
      }
    }
  }

  /** Whoever asked finds it in the image. */
  #answerGranted(): void {
    const { revision } = this.#image
    const seen = this.#granted.filter((each) => each.revision <= revision)
    if (seen.length > 0) {
      this.#granted = this.#granted.filter((each) => each.revision > revision)
    }
    for (const { resolve } of seen.flatMap(({ intents }) => intents)) {
      resolve(null)
    }
  }

  #goOn(key: string): void {
    const request = this.#requests.get(key)
    if (request === undefined || this.#firstOf(request.topic) !== key) {
      return
    }
    const step = request.next()
    if (step.kind === 'transaction') {
      this.#begin([key], step.transaction)
    } else if (step.kind === 'done') {
      this.#requests.delete(key)
      this.#reply(Number(key.slice(requestKeyPrefix.length)), step.result)
      if (request.topic !== null) {
        this.#topicChanged(request.topic)
      }
      const next = this.#firstOf(request.topic)
      if (next !== undefined) {
        this.#queue.mark(next)
      }
    }
  }

  /** The request to a topic whose turn it is. */
  #firstOf(topic: string | null): string | undefined {
    for (const [key, request] of this.#requests) {
      if (request.topic === topic) {
        return key
      }
    }
    return undefined
  }

  #begin(
    keys: readonly string[],
    { compares = [], puts = [], deletes = [] }: MetadataTransaction,
    settled: (outcome: MetadataOutcome) => void = () => {},
  ): void {
    const id = ++this.#lastId
    const isController = { key: controllerKey, revision: this.#controllerRevision }
    this.#transactions.set(id, { keys, settled })
    this.#queue.begun(keys)
    this.#outputs.push({
      kind: 'transaction',
      id,
      transaction: { compares: [isController, ...compares], puts, deletes },
    })
  }

  #reply(requestId: number, result: ControllerResult): void {
    this.#unanswered.delete(requestId)
    this.#outputs.push({ kind: 'reply', requestId, result })
  }
}
