import {
  BrokerSession,
  ClusterImage,
  Controller,
  decodePartitionState,
  mayHaveLostRecords,
  noBroker,
  partitionKey,
  partitionKeyPrefix,
  partitionOfKey,
  PartitionReplica,
  ReplicationThrottle,
  type ControllerRequest,
  type MetadataEntry,
  type MetadataEvent,
  type MetadataTransaction,
  type PartitionState,
} from '@varve/replication'
import type { SimulatedBroker } from './broker.js'
import { EtcdClient } from './etcd-client.js'
import { HostedReplica } from './hosted-replica.js'
import type { Invariants } from './invariants.js'
import type { ClientMetadata, Message } from './messages.js'
import type { Packet } from './network.js'
import { ProducerIds } from './producer-ids.js'
import type { Simulation } from './simulation.js'
import { inWords, type EntryKind } from './timeline.js'
import type { Timer } from './virtual-time.js'

/** How often a broker looks at what only time changes. */
const tickMs = 300

/** One life of a broker, from its start until it crashes or is shut down. */
export class BrokerLife {
  readonly id: number
  readonly store: EtcdClient
  readonly invariants: Invariants
  readonly replicas = new Map<string, HostedReplica>()
  readonly image = new ClusterImage()
  /** Of what this broker sends to replicas that are not in sync; it counts records. */
  readonly throttle: ReplicationThrottle
  readonly #producerIds = new ProducerIds(this)
  readonly #broker: SimulatedBroker
  readonly #simulation: Simulation
  #session: BrokerSession | null = null
  #controller: Controller | null = null
  #controllerRevision = -1
  /**
   * The image has this life's registration, so it is not older than the logs. Before that a log without a partition in it may be that
   * of one that it does not know yet.
   */
  #isUpToDate = false
  #isPumping = false

  constructor(broker: SimulatedBroker, simulation: Simulation) {
    this.#broker = broker
    this.#simulation = simulation
    this.id = broker.id
    this.invariants = simulation.invariants
    const { node } = broker
    const { startsStale } = simulation.scenario
    const throttle = simulation.faults.endedAt < Infinity ? Infinity : simulation.scenario.throttle
    this.throttle = new ReplicationThrottle({ bytesPerSecond: throttle, now: this.now() })
    this.store = new EtcdClient({ node, server: simulation.etcdServer, startsStale })
    const recoveries = [...broker.logs.values()].map((log) => log.open())
    // Remembered until a controller has noted it, however often the broker is started meanwhile.
    broker.mayHaveLostRecords ||= mayHaveLostRecords({
      durability: simulation.scenario.durability,
      cleanShutdown: recoveries.every(({ cleanShutdown }) => cleanShutdown),
      rebooted: broker.rebooted,
      cutWholeBatch: recoveries.some(({ cutWholeBatch }) => cutWholeBatch),
    })
    this.store.follow('/', {
      reset: (entries, revision) => this.#reset(entries, revision),
      events: (events) => this.#apply(events),
    })
    node.after(tickMs, () => this.#tick())
  }

  now(): number {
    return this.#broker.node.clock.now()
  }

  after(ms: number, run: () => void): Timer {
    return this.#broker.node.after(ms, run)
  }

  tell(kind: EntryKind, text: () => string, partition: string | null = null): void {
    const { timeline } = this.#simulation
    if (timeline.recording) timeline.tell(kind, `broker ${this.id}`, text(), partition)
  }

  send(broker: number, message: Message): void {
    this.#simulation.network.send(this.id, broker, message)
  }

  reply(packet: Packet<Message>, message: Message): void {
    this.#simulation.network.reply(packet, message)
  }

  #reset(entries: readonly MetadataEntry[], revision: number): void {
    this.image.reset(entries, revision)
    const { rack, directoryId, node } = this.#broker
    this.#session ??= new BrokerSession({
      brokerId: this.id,
      incarnationId: `${this.id}-${node.incarnation}`,
      directoryId,
      rack,
      endpoints: {},
      mayHaveLostRecords: this.#broker.mayHaveLostRecords,
      image: this.image,
      leaseTtlSeconds: this.#simulation.scenario.leaseTtlSeconds,
      now: this.now(),
    })
    this.#imageChanged(null)
    for (const { topicId, partition } of this.image.partitionsOfBroker(this.id))
      this.#partitionChanged(partitionKey(topicId, partition))
    for (const partition of this.#broker.logs.keys()) this.#partitionChanged(partition)
    this.pump()
  }

  #apply(events: readonly MetadataEvent[]): void {
    for (const event of events) this.image.apply(event)
    this.#imageChanged(events)
    for (const event of events) {
      if (event.key.startsWith(partitionKeyPrefix)) this.#partitionChanged(event.key)
    }
    if (events.some(({ key }) => key.startsWith('/brokers/'))) {
      // A leadership may have waited for the broker to be unfenced, an expansion for a follower's registration.
      for (const hosted of this.replicas.values()) hosted.reconsider()
    }
    this.pump()
  }

  #imageChanged(events: readonly MetadataEvent[] | null): void {
    const session = this.#session!
    session.imageChanged(this.now())
    if (session.hasBeenUnfenced) this.#broker.admitted()
    if (!this.#isUpToDate && session.brokerEpoch !== -1) {
      this.#isUpToDate = true
      for (const partition of this.#broker.logs.keys()) this.#partitionChanged(partition)
    }
    if (events === null) this.#controller?.imageReset(this.now())
    else this.#controller?.imageChanged(events, this.now())
    this.#becomeController()
  }

  #becomeController(): void {
    const revision = this.#session!.controllerRevision
    if (revision === null) {
      this.#controller = null
    } else if (this.#controller === null || this.#controllerRevision !== revision) {
      this.tell('controller', () => `is the controller, at revision ${revision}`)
      this.#controllerRevision = revision
      this.#controller = new Controller({
        brokerId: this.id,
        controllerRevision: revision,
        image: this.image,
        config: {
          defaultMinInsyncReplicas: 1,
          uncleanLeaderElection: false,
          leaderImbalanceCheckIntervalMs: 3000,
        },
        now: this.now(),
      })
    }
  }

  #state(partition: string): PartitionState | undefined {
    const { topicId, partition: index } = partitionOfKey(partition)!
    return this.image.partition(topicId, index)
  }

  #partitionChanged(partition: string): void {
    const state = this.#state(partition)
    if (state === undefined || !state.replicas.includes(this.id)) {
      if (this.#isUpToDate) this.#remove(partition)
      return
    }
    let hosted = this.replicas.get(partition)
    if (hosted === undefined) {
      hosted = this.#host(partition)
      this.replicas.set(partition, hosted)
    }
    hosted.stateChanged(state)
  }

  #host(partition: string): HostedReplica {
    const log = this.#broker.log(partition)
    const replica = new PartitionReplica({
      brokerId: this.id,
      brokerEpoch: () => this.#session!.brokerEpoch,
      brokers: (id) => this.image.brokers.get(id),
      log,
      replicaLagTimeMaxMs: this.#simulation.scenario.replicaLagTimeMaxMs,
    })
    return new HostedReplica(this, partition, replica, log)
  }

  #remove(partition: string): void {
    const hosted = this.replicas.get(partition)
    const hadFailed = hosted?.log.state === 'failed'
    hosted?.remove()
    this.replicas.delete(partition)
    this.#broker.deleteLog(partition)
    if (hadFailed) this.#tellOffline()
  }

  #tellOffline(): void {
    const offline = [...this.replicas.values()].filter(({ log }) => log.state === 'failed')
    this.#session?.setOfflineReplicas(
      offline.map(({ partition }) => partition.slice(partitionKeyPrefix.length).replace('/', ':')),
      this.now(),
    )
  }

  logChanged(partition: string): void {
    const hosted = this.replicas.get(partition)
    if (hosted === undefined) return
    if (hosted.log.state === 'failed') {
      this.tell('log', () => 'its log has failed', partition)
      this.#tellOffline()
    }
    hosted.logChanged()
    this.pump()
  }

  /** One of its leaders is about to have an ISR changed. */
  changesInSync(): void {
    this.#simulation.faults.moment(this.id, true)
  }

  #tick(): void {
    this.#session?.tick(this.now())
    this.#controller?.tick(this.now())
    for (const hosted of this.replicas.values()) hosted.pump()
    this.pump()
    this.after(tickMs, () => this.#tick())
  }

  /** Carries out what session and controller want. */
  pump(): void {
    if (this.#isPumping || this.#session === null) return
    this.#isPumping = true
    for (let isQuiet = false; !isQuiet;) {
      isQuiet = true
      for (const output of this.#session.take()) {
        isQuiet = false
        this.#carryOutForSession(output)
      }
      for (const output of this.#controller?.take() ?? []) {
        isQuiet = false
        this.#carryOutForController(output)
      }
    }
    this.#isPumping = false
    if (this.#session.state === 'stopped') this.#broker.stopped()
  }

  #carryOutForSession(output: ReturnType<BrokerSession['take']>[number]): void {
    const session = this.#session!
    switch (output.kind) {
      case 'grant lease': {
        this.store.grantLease(output.ttlSeconds, (lease) => {
          if (lease === null) session.leaseNotGranted(this.now())
          else session.leaseGranted(lease, this.now())
          this.pump()
        })
        return
      }
      case 'keep alive': {
        const { lease } = output
        this.store.keepAlive(lease, (answer) => {
          if (answer !== 'lost') return
          this.tell('brokers', () => 'has lost its lease')
          session.leaseLost(lease, this.now())
          this.#becomeController()
          this.pump()
        })
        return
      }
      case 'revoke lease': {
        this.store.revokeLease(output.lease)
        return
      }
      case 'transaction': {
        this.store.transaction(output.transaction, (outcome) => {
          session.settled(output.id, outcome, this.now())
          this.#becomeController()
          this.pump()
        })
      }
    }
  }

  #carryOutForController(output: ReturnType<Controller['take']>[number]): void {
    const controller = this.#controller!
    switch (output.kind) {
      case 'transaction': {
        const controllerRevision = this.#controllerRevision
        this.#tellTransaction(output.transaction)
        this.store.transaction(output.transaction, (outcome) => {
          if (outcome.kind !== 'succeeded') this.tell('controller', () => `its transaction: ${outcome.kind}`)
          else this.invariants.controllerHasPut(controllerRevision, outcome.revision)
          controller.settled(output.id, outcome, this.now())
          this.pump()
        })
        return
      }
      case 'revoke lease': {
        this.store.revokeLease(output.lease)
        return
      }
      case 'reply': {
        this.tell('controller', () => `answers ${inWords(output.result)}`)
      }
    }
  }

  #tellTransaction({ puts = [], deletes = [] }: MetadataTransaction): void {
    if (!this.#simulation.timeline.recording) return
    for (const { key, value } of puts) {
      if (key.startsWith(partitionKeyPrefix))
        this.tell('controller', () => describeState(decodePartitionState({ key, value, revision: 0 })), key)
      else this.tell('controller', () => `puts ${key.slice(1)}`)
    }
    for (const key of deletes) {
      if (key.startsWith(partitionKeyPrefix)) this.tell('controller', () => 'removes it', key)
      else this.tell('controller', () => `removes ${key.slice(1)}`)
    }
  }

  get isController(): boolean {
    return this.#controller !== null
  }

  /** What an administrator wants of the controller. Whether it was answered nobody waits for: what has become of it is seen. */
  administer(request: ControllerRequest): void {
    this.#controller?.request(request, this.now())
    this.pump()
  }

  /** As a DeleteRecords request to the leader does. */
  deleteRecords(partition: string, share: number): void {
    this.replicas.get(partition)?.deleteRecords(share)
  }

  shutDown(): void {
    this.#session?.shutDown(5000, this.now())
    this.pump()
  }

  connectionReset(peer: number): void {
    for (const hosted of this.replicas.values()) hosted.connectionReset(peer)
    this.#controller?.connectionReset(peer)
    const controller = this.image.controller
    if (controller?.brokerId === peer) this.store.revokeLease(controller.lease)
    this.pump()
  }

  receive(packet: Packet<Message>): void {
    const { message } = packet
    switch (message.kind) {
      case 'fetch': {
        const hosted = this.replicas.get(message.partition)
        if (hosted !== undefined) hosted.fetch(packet, message.fetch)
        else this.reply(packet, notThere(message.partition, message.fetch.fetchId))
        return
      }
      case 'fetched': {
        this.replicas.get(message.partition)?.fetched(message)
        return
      }
      case 'produce': {
        const hosted = this.replicas.get(message.partition)
        if (hosted !== undefined) hosted.produce(packet, message)
        else if (message.acks !== 0)
          this.reply(packet, {
            kind: 'produced',
            requestId: message.requestId,
            error: 'NOT_LEADER_OR_FOLLOWER',
            baseOffset: -1,
          })
        return
      }
      case 'consume': {
        const hosted = this.replicas.get(message.partition)
        if (hosted !== undefined) hosted.consume(packet, message)
        else
          this.reply(packet, {
            kind: 'consumed',
            requestId: message.requestId,
            error: 'NOT_LEADER_OR_FOLLOWER',
            preferredReadReplica: null,
            logStartOffset: -1,
            batches: [],
            generation: -1,
          })
        return
      }
      case 'init producer id': {
        const { requestId } = message
        this.#producerIds.take((producerId) =>
          this.reply(packet, { kind: 'producer id', requestId, producerId }),
        )
        return
      }
      case 'metadata': {
        this.reply(packet, {
          kind: 'metadata answer',
          requestId: message.requestId,
          metadata: this.#clientMetadata(),
        })
      }
    }
  }

  #clientMetadata(): ClientMetadata {
    const partitions = []
    for (const { name, topicId, partitions: count } of this.image.topics.values()) {
      for (let index = 0; index < count; index++) {
        const partition = partitionKey(topicId, index)
        const state = this.image.partition(topicId, index)
        if (state !== undefined)
          partitions.push({ partition, topic: name, leader: state.leader, leaderEpoch: state.leaderEpoch })
      }
    }
    return { controller: this.image.controller?.brokerId ?? -1, partitions }
  }
}

function describeState({
  leader,
  leaderEpoch,
  isr,
  eligibleLeaderReplicas,
  replicas,
}: PartitionState): string {
  const led = leader === noBroker ? 'no leader' : `leader ${leader}`
  const eligible = eligibleLeaderReplicas.length > 0 ? `, eligible ${eligibleLeaderReplicas.join(' ')}` : ''
  return `puts ${led} in epoch ${leaderEpoch}, in sync ${isr.join(' ')} of ${replicas.join(' ')}${eligible}`
}

function notThere(partition: string, fetchId: number): Message {
  return {
    kind: 'fetched',
    partition,
    fetchId,
    answer: {
      error: 'UNKNOWN_TOPIC_OR_PARTITION',
      leaderEpoch: -1,
      highWatermark: -1,
      logStartOffset: -1,
      diverging: null,
      records: null,
    },
    batches: [],
  }
}
