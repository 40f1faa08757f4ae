import {
  brokerKey,
  ClusterImage,
  Controller,
  controllerKey,
  encodeBrokerRegistration,
  encodeControllerRegistration,
  encodePartitionState,
  encodeTopicRegistration,
  partitionKey,
  topicKey,
  type BrokerRegistration,
  type ControllerConfig,
  type ControllerOutput,
  type ControllerRequest,
  type ControllerResult,
  type MetadataOutcome,
  type MetadataTransaction,
  type PartitionState,
} from '@varve/replication'
import { MemoryStore } from './memory-store.js'

type Transaction = Extract<ControllerOutput, { kind: 'transaction' }>

/** The state of a partition of the topic `'id'` with three replicas, led by the first, but for what is given. */
export function partitionState(given: Partial<PartitionState> = {}): PartitionState {
  return {
    topicId: 'id',
    partition: 0,
    replicas: [1, 2, 3],
    addingReplicas: [],
    removingReplicas: [],
    leader: 1,
    leaderEpoch: 5,
    isr: [1, 2, 3],
    eligibleLeaderReplicas: [],
    lastKnownLeader: -1,
    minInsyncReplicas: 2,
    partitionEpoch: 0,
    ...given,
  }
}

/** A controller with a store, whose transactions succeed at once and whose watch is immediate, unless a test says otherwise. */
export class Harness {
  readonly store = new MemoryStore()
  readonly config: ControllerConfig
  image = new ClusterImage()
  controller!: Controller
  now = 1000
  #seen = 0
  readonly replies = new Map<number, ControllerResult>()
  readonly revoked: string[] = []
  /** Transactions that a test has yet to decide. */
  readonly waiting: Transaction[] = []
  /** Whether transactions wait for the test. */
  isHolding = false

  constructor(config: ControllerConfig = {}) {
    this.config = { defaultMinInsyncReplicas: 2, ...config }
  }

  /** Puts the registration of a broker, as it would itself. */
  register(brokerId: number, given: Partial<BrokerRegistration> = {}): number {
    const registration = {
      brokerId,
      brokerEpoch: null,
      incarnationId: `${brokerId}`,
      directoryId: `${brokerId}`,
      rack: null,
      endpoints: {},
      mayHaveLostRecords: false,
      fenced: true,
      shuttingDown: false,
      offlineReplicas: [],
      ...given,
    }
    return this.put(
      brokerKey(brokerId),
      encodeBrokerRegistration(registration),
      given.lease ?? `lease ${brokerId}`,
    )
  }

  /** Puts the topic `'id'`, unless another one is given. */
  putTopic(partitions = 1, configs: Record<string, string> = {}, name = 'orders', topicId = 'id'): number {
    return this.put(topicKey(name), encodeTopicRegistration({ topicId, partitions, configs }))
  }

  putState(given: Partial<PartitionState> = {}): number {
    const state = partitionState(given)
    return this.put(partitionKey(state.topicId, state.partition), encodePartitionState(state))
  }

  put(key: string, value: string, lease?: string): number {
    return this.store.commit({ puts: [{ key, value, ...(lease === undefined ? {} : { lease }) }] })!
  }

  /** Makes a controller of its own image, in place of the one that there may be. */
  begin(brokerId = 9): void {
    const revision = this.put(controllerKey, encodeControllerRegistration({ brokerId }), `lease ${brokerId}`)
    this.image = new ClusterImage()
    this.image.reset(this.store.entries, this.store.revision)
    this.#seen = this.store.events.length
    const { image, config, now } = this
    this.controller = new Controller({ brokerId, controllerRevision: revision, image, config, now })
  }

  /** Lets the controller see what has happened. */
  watch(): void {
    const events = this.store.events.slice(this.#seen)
    this.#seen = this.store.events.length
    for (const event of events) {
      this.image.apply(event)
    }
    if (events.length > 0) {
      this.controller.imageChanged(events, this.now)
    }
  }

  /** Goes on until there is nothing left to do. */
  run(): this {
    for (let round = 0; round < 1000; round += 1) {
      this.watch()
      const outputs = this.controller.take()
      if (outputs.length === 0 && this.#seen === this.store.events.length) {
        return this
      }
      for (const output of outputs) {
        this.#do(output)
      }
    }
    throw new Error('it does not come to an end')
  }

  #do(output: ControllerOutput): void {
    if (output.kind === 'reply') {
      this.replies.set(output.requestId, output.result)
    } else if (output.kind === 'revoke lease') {
      this.revoked.push(output.lease)
    } else if (this.isHolding) {
      this.waiting.push(output)
    } else {
      this.settle(output, this.commit(output.transaction))
    }
  }

  commit(transaction: MetadataTransaction): MetadataOutcome {
    const revision = this.store.commit(transaction)
    return revision === null ? { kind: 'failed' } : { kind: 'succeeded', revision }
  }

  settle({ id }: Transaction, outcome: MetadataOutcome): void {
    this.controller.settled(id, outcome, this.now)
  }

  /** Asks, and goes on until there is nothing left to do. */
  ask(request: ControllerRequest): ControllerResult | undefined {
    const requestId = this.controller.request(request, this.now)
    this.run()
    return this.replies.get(requestId)
  }

  pass(ms: number): this {
    this.now += ms
    this.controller.tick(this.now)
    return this.run()
  }

  state(partition = 0, topicId = 'id'): PartitionState {
    return this.image.partition(topicId, partition)!
  }

  isFenced(brokerId: number): boolean {
    return this.image.brokers.get(brokerId)?.fenced ?? true
  }
}

/** A cluster of brokers 1 to 4, admitted, with one partition on 1, 2 and 3, and a controller that has nothing to do. */
export function settledHarness(given: Partial<PartitionState> = {}, config: ControllerConfig = {}): Harness {
  const harness = new Harness(config)
  for (const brokerId of [1, 2, 3, 4]) {
    harness.register(brokerId, { fenced: false })
  }
  harness.putTopic()
  harness.putState(given)
  harness.begin()
  return harness.run()
}
