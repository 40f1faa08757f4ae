import type { ControllerRequest, PartitionState } from '@varve/replication'
import type { Random } from './random.js'
import type { OperationKind, ScenarioTopic } from './scenario.js'
import type { Simulation } from './simulation.js'

interface KnownTopic extends ScenarioTopic {
  readonly topicId: string
}

/** Creates the topics, and changes things while they are in use. */
export class Administrator {
  readonly #simulation: Simulation
  readonly #random: Random
  readonly #topics = new Map<string, KnownTopic>()
  #topicIds = 0

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    this.#random = simulation.random.fork('administrator')
  }

  /** Asks until the topic is there. */
  create(topic: ScenarioTopic): void {
    const known: KnownTopic = { ...topic, topicId: `id-${this.#topicIds++}` }
    this.#topics.set(topic.name, known)
    this.#ask(
      {
        kind: 'create topic',
        name: topic.name,
        topicId: known.topicId,
        partitions: { count: topic.partitions, replicationFactor: topic.replicationFactor },
        configs: { 'min.insync.replicas': String(topic.minInsyncReplicas) },
      },
      true,
    )
  }

  operate(kind: OperationKind): void {
    const random = this.#random
    const topics = [...this.#topics.values()]
    if (topics.length === 0) return
    const topic = random.pick(topics)
    const { name } = topic
    const partition = random.int(0, topic.partitions - 1)
    switch (kind) {
      case 'create topic': {
        if (topics.length >= 3) return
        const replicationFactor = random.int(1, Math.min(3, this.#simulation.brokerIds.length))
        this.create({
          name: `topic-${this.#topicIds}`,
          partitions: 1,
          replicationFactor,
          minInsyncReplicas: random.int(1, replicationFactor),
        })
        return
      }
      case 'delete topic': {
        if (topics.length < 2) return
        this.#topics.delete(name)
        this.#ask({ kind: 'delete topic', name }, true)
        return
      }
      case 'add partitions': {
        if (topic.partitions >= 3) return
        this.#topics.set(name, { ...topic, partitions: topic.partitions + 1 })
        this.#ask({ kind: 'create partitions', name, count: topic.partitions + 1 }, true)
        return
      }
      case 'delete records': {
        const state = this.#state(topic, partition)
        const leader = state === undefined ? undefined : this.#simulation.brokers.get(state.leader)
        if (state !== undefined)
          leader?.life?.deleteRecords(`/partitions/${state.topicId}/${state.partition}`, random.float(0.3, 1))
        return
      }
      case 'minimum': {
        const minimum = random.int(1, topic.replicationFactor)
        this.#ask({ kind: 'alter topic configs', name, configs: { 'min.insync.replicas': String(minimum) } })
        return
      }
      case 'reassign': {
        const replicas = random
          .shuffle([...this.#simulation.brokerIds])
          .slice(0, Math.max(1, topic.replicationFactor))
        this.#ask({ kind: 'reassign', partitions: [{ topic: name, partition, replicas }] })
        return
      }
      case 'cancel reassignment': {
        this.#ask({ kind: 'reassign', partitions: [{ topic: name, partition, replicas: null }] })
        return
      }
      case 'preferred election': {
        this.#ask({ kind: 'elect leaders', election: 'preferred', partitions: null })
        return
      }
      case 'unclean election': {
        this.#simulation.invariants.uncleanAllowed.add(topic.topicId)
        this.#ask({ kind: 'elect leaders', election: 'unclean', partitions: [{ topic: name, partition }] })
        return
      }
      case 'drain': {
        this.#ask({ kind: 'drain', brokerId: random.pick(this.#simulation.brokerIds) })
      }
    }
  }

  #state({ topicId }: KnownTopic, partition: number): PartitionState | undefined {
    return this.#simulation.invariants.states.get(`/partitions/${topicId}/${partition}`)
  }

  /** Sends a request to whoever is the controller; with `persistently` until one answers. */
  #ask(request: ControllerRequest, persistently = false, askedBefore = false): void {
    const { time, brokers } = this.#simulation
    let isAnswered = false
    let isTaken = false
    for (const broker of brokers.values()) {
      if (isTaken || !broker.node.isUp) continue
      isTaken =
        broker.life?.administer(request, (result) => {
          isAnswered = true
          if (request.kind !== 'create topic') return
          const { error } = result as { error: string | null }
          // Too few brokers are there yet, for example.
          if (error !== null && error !== 'TOPIC_ALREADY_EXISTS') time.after(500, () => this.#again(request))
        }) ?? false
    }
    if (isTaken && !askedBefore) this.#simulation.tell('admin', () => `asks for ${JSON.stringify(request)}`)
    if (persistently)
      time.after(1500, () => {
        if (!isAnswered) this.#again(request)
      })
  }

  #again(request: ControllerRequest): void {
    const isWanted =
      request.kind !== 'create topic' || this.#topics.get(request.name)?.topicId === request.topicId
    if (isWanted) this.#ask(request, true, true)
  }
}
