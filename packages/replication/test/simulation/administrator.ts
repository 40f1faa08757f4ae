import { isReassigning, partitionKey, type ControllerRequest } from '@varve/replication'
import type { Random } from './random.js'
import type { OperationKind, ScenarioTopic } from './scenario.js'
import type { Simulation } from './simulation.js'
import { inWords } from './timeline.js'

const retryMs = 1500

/** Creates the topics, and changes things while they are in use. */
export class Administrator {
  readonly #simulation: Simulation
  readonly #random: Random
  /** Those that are to be there. */
  readonly #topics = new Map<string, ScenarioTopic>()
  #names = 0
  #topicIds = 0
  /** How often each kind has been done. */
  readonly done: Partial<Record<OperationKind, number>> = {}

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    this.#random = simulation.random.fork('administrator')
  }

  create(topic: Omit<ScenarioTopic, 'name'>): void {
    const name = topicName(this.#names++)
    this.#topics.set(name, { ...topic, name })
    this.#ask(() => this.#creation(name), 'until it is so')
  }

  #creation(name: string): ControllerRequest | null {
    const topic = this.#topics.get(name)
    if (topic === undefined || this.#simulation.invariants.topics.has(name)) return null
    const topicId = `id-${this.#topicIds++}`
    this.#simulation.timeline.nameTopic(topicId, name)
    return {
      kind: 'create topic',
      name,
      topicId,
      partitions: { count: topic.partitions, replicationFactor: topic.replicationFactor },
      configs: {
        'min.insync.replicas': String(topic.minInsyncReplicas),
        ...(topic.isUnclean && { 'unclean.leader.election.enable': 'true' }),
      },
    }
  }

  operate(kind: OperationKind): void {
    if (this.#carryOut(kind)) this.done[kind] = (this.done[kind] ?? 0) + 1
  }

  /** Whether there was something to do. */
  #carryOut(kind: OperationKind): boolean {
    const random = this.#random
    const { invariants, brokerIds, brokers } = this.#simulation
    const topics = [...this.#topics.values()]
    if (topics.length === 0) return false
    const { name, partitions, replicationFactor } = random.pick(topics)
    const partition = random.int(0, partitions - 1)
    switch (kind) {
      case 'create topic': {
        if (topics.length >= 3) return false
        const factor = random.int(1, Math.min(3, brokerIds.length))
        this.create({
          partitions: 1,
          replicationFactor: factor,
          minInsyncReplicas: random.int(1, factor),
        })
        return true
      }
      case 'delete topic': {
        if (topics.length < 2) return false
        this.#topics.delete(name)
        this.#ask(
          () => (invariants.topics.has(name) ? { kind: 'delete topic', name } : null),
          'until it is so',
        )
        return true
      }
      case 'add partitions': {
        if (partitions >= 3) return false
        const topic = this.#topics.get(name)!
        this.#topics.set(name, { ...topic, partitions: partitions + 1 })
        this.#ask(() => {
          const isMissing = (invariants.topics.get(name)?.partitions ?? Infinity) <= partitions
          return isMissing ? { kind: 'create partitions', name, count: partitions + 1 } : null
        }, 'until it is so')
        return true
      }
      case 'delete records': {
        const topic = invariants.topics.get(name)
        if (topic === undefined) return false
        const key = partitionKey(topic.topicId, partition)
        const leader = invariants.states.get(key)?.leader ?? -1
        if (!brokers.get(leader)?.node.isUp) return false
        brokers.get(leader)!.life!.deleteRecords(key, random.float(0.3, 1))
        return true
      }
      case 'minimum': {
        const minimum = String(random.int(1, replicationFactor))
        this.#ask(() => ({
          kind: 'alter topic configs',
          name,
          configs: { 'min.insync.replicas': minimum },
        }))
        return true
      }
      case 'reassign': {
        const reassign = (): void => {
          const replicas = random.shuffle([...brokerIds]).slice(0, replicationFactor)
          this.#ask(() => ({ kind: 'reassign', partitions: [{ topic: name, partition, replicas }] }))
        }
        reassign()
        // In place of the first, which may be under way.
        if (random.chance(0.5)) this.#simulation.time.after(random.exponential(30), reassign)
        return true
      }
      case 'replication factor': {
        const factor = random.int(1, Math.min(5, brokerIds.length))
        const replicas = random.shuffle([...brokerIds]).slice(0, factor)
        this.#ask(() => ({ kind: 'reassign', partitions: [{ topic: name, partition, replicas }] }))
        return true
      }
      case 'cancel reassignment': {
        this.#ask(() => ({ kind: 'reassign', partitions: [{ topic: name, partition, replicas: null }] }))
        return true
      }
      case 'preferred election': {
        const partitions = random.chance(0.5) ? null : [{ topic: name, partition }]
        this.#ask(() => ({ kind: 'elect leaders', election: 'preferred', partitions }))
        return true
      }
      case 'leader changes': {
        // Back to the first, too: what its earlier leadership has left on its way may arrive yet.
        const gapMs = random.pick([30, 150, 600])
        for (let change = 0; change < 4; change++)
          this.#simulation.time.after(change * gapMs, () => this.#changeLeader(name, partition))
        return true
      }
      case 'unclean election': {
        const topic = invariants.topics.get(name)
        if (topic === undefined) return false
        invariants.uncleanAllowed.add(topic.topicId)
        this.#ask(() => ({
          kind: 'elect leaders',
          election: 'unclean',
          partitions: [{ topic: name, partition }],
        }))
        return true
      }
      case 'drain': {
        const brokerId = random.pick(brokerIds)
        this.#ask(() => ({ kind: 'drain', brokerId }))
        if (random.chance(0.5)) this.#simulation.time.after(random.exponential(300), () => this.#cancelAll())
        return true
      }
      case 'unregister': {
        const brokerId = random.pick(brokerIds)
        this.#ask(() => ({ kind: 'unregister', brokerId }))
        return true
      }
    }
  }

  /** Every reassignment that is under way. */
  #cancelAll(): void {
    const { topics, states } = this.#simulation.invariants
    const names = new Map([...topics.values()].map(({ topicId, name }) => [topicId, name]))
    const partitions = [...states.values()]
      .filter((state) => isReassigning(state) && names.has(state.topicId))
      .map(({ topicId, partition }) => ({ topic: names.get(topicId)!, partition, replicas: null }))
    if (partitions.length > 0) this.#ask(() => ({ kind: 'reassign', partitions }))
  }

  /** To another one of the in-sync replicas. */
  #changeLeader(topic: string, partition: number): void {
    const { invariants, time } = this.#simulation
    const topicId = invariants.topics.get(topic)?.topicId
    const state = topicId && invariants.states.get(partitionKey(topicId, partition))
    if (!state) return
    const others = state.isr.filter((id) => id !== state.leader)
    if (others.length === 0) return
    const next = this.#random.pick(others)
    const replicas = [next, ...state.replicas.filter((id) => id !== next)]
    this.#ask(() => ({ kind: 'reassign', partitions: [{ topic, partition, replicas }] }))
    const partitions = [{ topic, partition }]
    time.after(10, () => this.#ask(() => ({ kind: 'elect leaders', election: 'preferred', partitions })))
  }

  /** Sends a request to whoever takes itself for the controller. */
  #ask(makeRequest: () => ControllerRequest | null, persistence: 'once' | 'until it is so' = 'once'): void {
    const request = makeRequest()
    if (request === null) return
    const { time, brokers } = this.#simulation
    const controllers = [...brokers.values()].filter(({ node, life }) => node.isUp && life?.isController)
    if (controllers.length > 0) {
      this.#simulation.tell('administrator', 'admin', () => `asks: ${inWords(request)}`)
      this.#random.pick(controllers).life!.administer(request)
    }
    if (persistence === 'until it is so') time.after(retryMs, () => this.#ask(makeRequest, persistence))
  }
}

const names = ['orders', 'payments', 'clicks', 'users', 'invoices', 'metrics']

/** The name of a topic that has not been there before. */
function topicName(index: number): string {
  const round = Math.floor(index / names.length)
  return `${names[index % names.length]}${round === 0 ? '' : round + 1}`
}
