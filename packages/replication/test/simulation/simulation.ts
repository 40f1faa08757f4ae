import { partitionKeyPrefix } from '@varve/replication'
import { Administrator } from './administrator.js'
import { SimulatedBroker } from './broker.js'
import { SimulatedConsumer } from './consumer.js'
import { Etcd } from './etcd.js'
import { EtcdServer } from './etcd-server.js'
import { FaultModel } from './fault-model.js'
import { Faults, storeNode } from './faults.js'
import { Invariants } from './invariants.js'
import { Liveness } from './liveness.js'
import type { Message } from './messages.js'
import { Network } from './network.js'
import { SimulatedNode } from './node.js'
import { SimulatedProducer } from './producer.js'
import { Random } from './random.js'
import { drawScenario, type FaultKind, type OperationKind, type Scenario } from './scenario.js'
import { Timeline, type EntryKind, type TimelineEntry } from './timeline.js'
import { Violation } from './violation.js'
import { VirtualTime } from './virtual-time.js'

/** Fifty times as many as a run takes: something goes round in circles. */
const mostEvents = 250_000

/** A cluster, its clients and its store, and everything that goes on in them. */
export class Simulation {
  readonly scenario: Scenario
  readonly random: Random
  readonly time = new VirtualTime()
  readonly timeline: Timeline
  readonly network: Network<Message>
  readonly etcd: Etcd
  readonly etcdServer: EtcdServer
  readonly brokers = new Map<number, SimulatedBroker>()
  readonly brokerIds: readonly number[]
  readonly faultModel: FaultModel
  readonly invariants: Invariants
  readonly producers: readonly SimulatedProducer[]
  readonly consumers: readonly SimulatedConsumer[]
  readonly administrator: Administrator
  readonly faults: Faults
  readonly #liveness: Liveness
  readonly #deleted = new Set<string>()
  #values = 0
  #nodes = 1000

  constructor(seed: number, { scenario, record = false }: SimulateOptions = {}) {
    this.random = new Random(seed)
    this.scenario = { ...scenarioOf(seed), ...scenario }
    const { brokers, racks, durability } = this.scenario
    this.timeline = new Timeline(() => this.time.now, record)
    const { time, random } = this
    this.network = new Network<Message>({
      time,
      random: random.fork('network'),
      // No connection repeats a request. A follower's Fetch has to bear it all the same.
      mayArriveTwice: ({ kind }) => kind === 'fetch' || kind === 'fetched',
    })
    this.etcd = new Etcd({
      time,
      random: random.fork('store'),
      lateExpiry: { chance: 0.2, maxMs: 3000 },
    })
    const node = new SimulatedNode(time, storeNode)
    this.network.join(node, () => {})
    this.etcdServer = new EtcdServer({
      time,
      random: random.fork('store server'),
      etcd: this.etcd,
      network: this.network,
      node,
    })
    this.faultModel = new FaultModel(durability)
    this.invariants = new Invariants(this.brokers, this.faultModel, durability)
    this.etcd.onCommit = (transaction) => {
      this.invariants.committed(transaction)
      for (const event of transaction.events)
        if (event.key.startsWith(partitionKeyPrefix)) {
          if (event.kind === 'delete') this.#deleted.add(event.key)
          else this.faults.moment(this.invariants.states.get(event.key)!.leader)
        }
    }
    for (let id = 1; id <= brokers; id++)
      this.brokers.set(id, new SimulatedBroker(this, new SimulatedNode(time, id), `rack-${id % racks}`))
    this.brokerIds = [...this.brokers.keys()]
    this.faults = new Faults(this)
    this.administrator = new Administrator(this)
    this.#liveness = new Liveness(this)
    for (const broker of this.brokers.values()) broker.startFirst()
    for (const topic of this.scenario.topics) this.administrator.create(topic)
    let client = 100
    this.producers = Array.from(
      { length: this.scenario.producers },
      (_, index) => new SimulatedProducer(this, new SimulatedNode(time, client++), index),
    )
    this.consumers = Array.from(
      { length: this.scenario.consumers },
      (_, index) =>
        new SimulatedConsumer(this, new SimulatedNode(time, client++), index, `rack-${index % racks}`),
    )
  }

  /** @throws Violation */
  run(): void {
    const { scenario, time, faults } = this
    time.after(1000, () => faults.begin())
    if (scenario.operations.length > 0) this.#operateLater()
    time.after(1000 + scenario.faultsMs, () => {
      faults.end()
      this.#liveness.begin()
    })
    while (!this.#liveness.isReached && time.runNext()) {
      if (time.executed > mostEvents) throw new Violation('liveness', `${mostEvents} events have no end`)
      for (const broker of this.brokers.values()) this.invariants.check(broker)
    }
  }

  #operateLater(): void {
    const random = this.random.fork('operations')
    const { scenario, time } = this
    const next = (): void => {
      time.after(random.exponential(scenario.meanOperationMs), () => {
        if (this.#liveness.hasBegun) return
        this.administrator.operate(random.pick(scenario.operations))
        next()
      })
    }
    time.after(2000, next)
  }

  brokerStopped(broker: SimulatedBroker): void {
    this.faults.stopped(broker)
  }

  /** Of a process that there was not from the start. */
  nextNode(): number {
    return this.#nodes++
  }

  /** Each record has a value of its own. */
  nextValue(): number {
    return this.#values++
  }

  isDeleted(partition: string): boolean {
    return this.#deleted.has(partition)
  }

  /** A producer's earliest batch does not follow what the leader has. */
  sequenceLost(partition: string, producerId: number, baseSequence: number): void {
    const { generation, isOpen, hasForgotten } = this.invariants.prefix(partition)
    // Given up, deleted, or of a topic that some broker does not know to be gone.
    if (generation > 0 || isOpen || hasForgotten || this.isDeleted(partition)) return
    throw new Violation(
      'idempotent producer',
      `${partition}: the leader does not know what producer ${producerId} had acknowledged before sequence ${baseSequence}`,
    )
  }

  tell(kind: EntryKind, who: string, text: () => string): void {
    if (this.timeline.recording) this.timeline.tell(kind, who, text())
  }
}

/** What a seed draws. */
export function scenarioOf(seed: number): Scenario {
  return drawScenario(new Random(seed).fork('scenario'))
}

export interface SimulateOptions {
  /** In place of what the seed would draw. */
  readonly scenario?: Partial<Scenario>
  /** Keep the timeline. */
  readonly record?: boolean
}

export interface SimulationResult {
  readonly seed: number
  readonly scenario: Scenario
  /** What did not hold; null when everything did. Partitions have the names that people know them by. */
  readonly violation: Violation | null
  /** The partition that the violation names; null when it names none. */
  readonly violated: string | null
  readonly events: number
  readonly virtualMs: number
  /** From the end of the faults until all was as it should be; null when that did not happen. */
  readonly recoveryMs: number | null
  /** Batches that were acknowledged. */
  readonly acknowledged: number
  /** Records that were committed, of all partitions that there are in the end. */
  readonly committed: number
  /** Partitions that lost more than the protocol promises to survive; nothing was asked of them from then on. */
  readonly beyond: readonly string[]
  /** Partitions that there are in the end, and of which an unclean election gave up records. */
  readonly givenUp: readonly string[]
  /** How often each kind was done. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>
  readonly operations: Readonly<Partial<Record<OperationKind, number>>>
  readonly timeline: readonly TimelineEntry[]
}

/** Runs the cluster of a seed from its first start until it has recovered from all that was done to it. */
export function simulate(seed: number, options: SimulateOptions = {}): SimulationResult {
  const simulation = new Simulation(seed, options)
  const { scenario, time, producers, timeline, invariants, faults, administrator, faultModel } = simulation
  const partitions = invariants.states
  let violation: Violation | null = null
  let violated: string | null = null
  try {
    simulation.run()
  } catch (error) {
    const found = asViolation(error)
    violation = new Violation(found.invariant, timeline.named(found.what))
    const key = /\/partitions\/[^\s/]+\/\d+/.exec(found.what)?.[0]
    violated = key === undefined ? null : timeline.named(key)
    timeline.tell('violation', 'violation', found.message, key)
  }
  const named = (keys: readonly string[]): string[] => keys.map((key) => timeline.named(key))
  return {
    seed,
    scenario,
    violation,
    violated,
    events: time.executed,
    virtualMs: time.now,
    recoveryMs: violation === null ? time.now - faults.endedAt : null,
    acknowledged: producers.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    committed: [...partitions.keys()].reduce((sum, key) => sum + invariants.prefix(key).end, 0),
    beyond: named([...partitions.keys()].filter((key) => faultModel.isBeyond(key))),
    givenUp: named([...partitions.keys()].filter((key) => invariants.prefix(key).generation > 0)),
    faults: faults.done,
    operations: administrator.done,
    timeline: timeline.entries,
  }
}

function asViolation(error: unknown): Violation {
  if (error instanceof Violation) return error
  return new Violation(
    'no exception',
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  )
}
