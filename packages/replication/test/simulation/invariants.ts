import {
  brokerKeyPrefix,
  controllerKey,
  decodeBrokerRegistration,
  decodePartitionState,
  decodeTopicRegistration,
  noBroker,
  originalReplicas,
  partitionKeyPrefix,
  topicKeyPrefix,
  type BrokerRegistration,
  type MetadataEvent,
  type PartitionState,
  type ProducerIdBlock,
  type TopicRegistration,
} from '@varve/replication'
import type { HostedReplica, SimulatedBroker } from './broker.js'
import { CommittedPrefix, describe } from './committed-prefix.js'
import type { CommittedTransaction } from './etcd.js'
import type { FaultModel } from './fault-model.js'
import type { SimulatedBatch } from './simulated-batch.js'
import type { SimulatedLog } from './simulated-log.js'
import { Violation } from './violation.js'

/**
 * What must hold at every step of a run. It sees everything at once, as no broker can: what the store has committed, each
 * log, and each leader.
 */
export class Invariants {
  readonly #brokers: ReadonlyMap<number, SimulatedBroker>
  readonly #faultModel: FaultModel
  readonly #durability: 'os' | 'fsync'
  /** The topics as they are committed in the store, by name. */
  readonly topics = new Map<string, TopicRegistration>()
  /** The states as they are committed in the store. */
  readonly states = new Map<string, PartitionState>()
  readonly #registrations = new Map<number, BrokerRegistration>()
  /** The revisions at which the controller was another one, or none. */
  readonly #controllers: { readonly revision: number; readonly isThere: boolean }[] = []
  readonly #prefixes = new Map<string, CommittedPrefix>()
  readonly #producerIdBlocks: Omit<ProducerIdBlock, 'transaction'>[] = []
  /** By partition and epoch, the life of a broker that leads in it. */
  readonly #leaders = new Map<string, string>()
  /** By partition: from this epoch on a leader's end of committed records must not be below this offset. */
  readonly #endsAtElection = new Map<string, { epoch: number; end: number }>()
  /** Topics, by id, in which an operator has allowed an unclean election. */
  readonly uncleanAllowed = new Set<string>()

  constructor(
    brokers: ReadonlyMap<number, SimulatedBroker>,
    faultModel: FaultModel,
    durability: 'os' | 'fsync',
  ) {
    this.#brokers = brokers
    this.#faultModel = faultModel
    this.#durability = durability
  }

  prefix(partition: string): CommittedPrefix {
    let prefix = this.#prefixes.get(partition)
    if (prefix === undefined) this.#prefixes.set(partition, (prefix = new CommittedPrefix(partition)))
    return prefix
  }

  /** What the store has just committed. */
  committed({ events }: CommittedTransaction): void {
    for (const event of events) {
      if (event.key.startsWith(partitionKeyPrefix)) this.#partitionCommitted(event)
      else if (event.key.startsWith(topicKeyPrefix)) this.#topicCommitted(event)
      else if (event.key.startsWith(brokerKeyPrefix)) this.#brokerCommitted(event)
      else if (event.key === controllerKey)
        this.#controllers.push({ revision: event.revision, isThere: event.kind === 'put' })
    }
  }

  #topicCommitted(event: MetadataEvent): void {
    if (event.kind === 'delete') this.topics.delete(event.key.slice(topicKeyPrefix.length))
    else {
      const topic = decodeTopicRegistration(event)
      this.topics.set(topic.name, topic)
      if (topic.configs['unclean.leader.election.enable'] === 'true') this.uncleanAllowed.add(topic.topicId)
    }
  }

  #partitionCommitted(event: MetadataEvent): void {
    const partition = event.key
    if (event.kind === 'delete') {
      this.states.delete(partition)
      this.#prefixes.delete(partition)
      this.#faultModel.partitionRemoved(partition)
      return
    }
    const state = decodePartitionState(event)
    const before = this.states.get(partition)
    this.states.set(partition, state)
    if (before !== undefined) this.#checkChange(partition, before, state)
    this.#faultModel.stateCommitted(partition, state)
    this.#checkEligible(partition)
  }

  #checkChange(partition: string, before: PartitionState, state: PartitionState): void {
    const wrong = (what: string): Violation => new Violation('leader election', `${partition}: ${what}`)
    if (state.leaderEpoch < before.leaderEpoch) throw wrong('the leader epoch went back')
    if (state.leader !== before.leader && state.leaderEpoch === before.leaderEpoch)
      throw wrong(`from ${before.leader} to ${state.leader} in one epoch`)
    for (const broker of [...state.isr, ...state.eligibleLeaderReplicas]) {
      if (!state.replicas.includes(broker)) throw wrong(`${broker} is in sync and no replica`)
    }
    for (const broker of state.isr) {
      if (!before.isr.includes(broker) && !this.#isAvailable(broker, state))
        throw wrong(`${broker} enters the in-sync replicas and is fenced, offline or about to stop`)
    }
    if (
      state.leader !== noBroker &&
      state.leader !== before.leader &&
      !this.#isAvailable(state.leader, state)
    )
      throw wrong(`${state.leader} was elected and is fenced, offline or about to stop`)
    const haveLeft = before.replicas.filter((broker) => !state.replicas.includes(broker))
    if (haveLeft.some((broker) => before.isr.includes(broker)) && state.isr.length < state.minInsyncReplicas)
      throw wrong(`${haveLeft.join(' ')} left and in sync are ${state.isr.join(' ')}`)
    for (const broker of before.addingReplicas) {
      const isAdded = state.replicas.includes(broker) && !state.addingReplicas.includes(broker)
      if (isAdded && !state.isr.includes(broker)) throw wrong(`${broker} was added and is not in sync`)
    }
    if (state.leader !== noBroker && !state.isr.includes(state.leader))
      throw wrong(`${state.leader} leads and is not in sync`)
    if (state.leaderEpoch === before.leaderEpoch || state.leader === noBroker) return
    const isClean = before.isr.includes(state.leader) || before.eligibleLeaderReplicas.includes(state.leader)
    const prefix = this.prefix(partition)
    if (!isClean) {
      if (!this.uncleanAllowed.has(state.topicId) && originalReplicas(before).length > 1)
        throw wrong(
          `${state.leader} was elected, in sync are ${before.isr.join(' ')} and eligible ${before.eligibleLeaderReplicas.join(' ')}`,
        )
      prefix.isOpen = true
      prefix.boundFromEpoch = state.leaderEpoch
      this.#endsAtElection.delete(partition)
    } else if (!prefix.isOpen) {
      this.#endsAtElection.set(partition, { epoch: state.leaderEpoch, end: prefix.end })
    }
  }

  /** KIP-841: as the store has it at this moment. */
  #isAvailable(broker: number, { topicId, partition }: PartitionState): boolean {
    const registration = this.#registrations.get(broker)
    if (registration === undefined) return false
    const { fenced, shuttingDown, offlineReplicas } = registration
    return !fenced && !shuttingDown && !offlineReplicas.includes(`${topicId}:${partition}`)
  }

  #brokerCommitted(event: MetadataEvent): void {
    if (event.kind === 'delete') {
      this.#registrations.delete(Number(event.key.slice(brokerKeyPrefix.length)))
      return
    }
    const registration = decodeBrokerRegistration(event)
    this.#registrations.set(registration.brokerId, registration)
    const { brokerId, fenced, mayHaveLostRecords, brokerEpoch, revision } = registration
    const { node } = this.#brokers.get(brokerId)!
    // Another process under the broker's id may have lost, for all that the cluster knows, what the broker has.
    const isAnother = registration.incarnationId !== `${brokerId}-${node.incarnation}`
    if (brokerEpoch === revision && isAnother && mayHaveLostRecords)
      this.#faultModel.recordsLost(brokerId, node.incarnation)
    if (brokerEpoch === revision) this.#faultModel.registered(brokerId)
    if (fenced || !mayHaveLostRecords) return
    for (const [partition, { isr, eligibleLeaderReplicas }] of this.states) {
      if (!this.#faultModel.isUnsettled(partition, brokerId)) continue
      if (isr.includes(brokerId) || eligibleLeaderReplicas.includes(brokerId))
        throw new Violation(
          'unclean restart',
          `${partition}: broker ${brokerId} may have lost records and is unfenced while it counts as in sync or eligible`,
        )
    }
  }

  /** What a controller wanted put was put, at that revision. */
  controllerHasPut(controllerRevision: number, revision: number): void {
    const last = this.#controllers.findLast((change) => change.revision <= revision)
    if (last?.revision !== controllerRevision || !last.isThere)
      throw new Violation(
        'one controller',
        `the one of revision ${controllerRevision} has put at ${revision}, and was none since ${last?.revision}`,
      )
  }

  /** Every replica that may be elected cleanly has the whole committed prefix. */
  #checkEligible(partition: string): void {
    const state = this.states.get(partition)
    const prefix = this.#prefixes.get(partition)
    if (state === undefined || prefix === undefined || prefix.isOpen) return
    if (this.#faultModel.isBeyond(partition)) return
    for (const broker of state.isr) this.#checkHolds(broker, prefix, 'in sync')
    for (const broker of state.eligibleLeaderReplicas) this.#checkHolds(broker, prefix, 'eligible')
  }

  /** Up to where a log counts. */
  #reach(log: SimulatedLog): number {
    return this.#durability === 'os' ? log.endOffset : log.durableOffset
  }

  #checkHolds(brokerId: number, prefix: CommittedPrefix, as: string): void {
    if (this.#faultModel.isExcused(prefix.partition, brokerId)) return
    const log = this.#brokers.get(brokerId)!.logs.get(prefix.partition)
    const end = log === undefined ? 0 : this.#reach(log)
    if (!prefix.isIn(log, end))
      throw new Violation(
        'eligible replicas hold what is committed',
        `${prefix.partition}: broker ${brokerId} is ${as} and has records up to ${end}, the last ${describe(log?.batchAt(end - 1))}; committed is up to ${prefix.end}, the last ${describe(prefix.batchAt(prefix.end - 1))}`,
      )
  }

  /** To be called after each event, for the broker that it happened on. */
  check(broker: SimulatedBroker): void {
    if (broker.life === null) return
    for (const hosted of broker.life.replicas.values()) this.#checkReplica(broker, hosted)
  }

  /** To be called when a broker's disk has changed by a fault or a restart. */
  checkDisk(broker: SimulatedBroker): void {
    for (const [partition, log] of broker.logs) {
      if (this.states.has(partition)) this.truncated(partition, log)
    }
  }

  /** A follower has cut its log. */
  truncated(partition: string, log: SimulatedLog): void {
    this.prefix(partition).compareAgain(log)
    this.#checkEligible(partition)
  }

  #checkReplica(broker: SimulatedBroker, hosted: HostedReplica): void {
    const { leader, follower } = hosted.replica
    const { checked } = hosted
    const state = this.states.get(hosted.partition)
    if (state === undefined || this.#faultModel.isBeyond(hosted.partition)) return
    this.#checkWithin(broker, hosted)
    if (leader !== null) {
      const { highWatermark } = leader
      if (checked.role === leader && checked.highWatermark === highWatermark) return
      const prefix = this.prefix(hosted.partition)
      if (checked.role !== leader) this.#checkNewLeader(broker, hosted, prefix)
      else if (highWatermark < checked.highWatermark)
        throw new Violation(
          'high watermark',
          `${hosted.partition}: it went back from ${checked.highWatermark} to ${highWatermark} on broker ${broker.id} in epoch ${leader.leaderEpoch}`,
        )
      checked.role = leader
      checked.highWatermark = highWatermark
      if (prefix.isOpen || leader.leaderEpoch < prefix.boundFromEpoch) return
      const end = prefix.end
      prefix.advance(hosted.log, highWatermark)
      if (prefix.end > end) this.#checkEligible(hosted.partition)
      this.#checkLatestOffset(hosted)
    } else if (follower !== null) {
      const { highWatermark } = follower
      if (checked.role === follower && checked.highWatermark === highWatermark) return
      const before = checked.role === follower ? checked.highWatermark : 0
      checked.role = follower
      checked.highWatermark = highWatermark
      const prefix = this.prefix(hosted.partition)
      if (prefix.isOpen || prefix.generation > 0) return
      if (highWatermark < before)
        throw new Violation(
          'high watermark',
          `${hosted.partition}: it went back from ${before} to ${highWatermark} on broker ${broker.id}, which follows in epoch ${follower.leaderEpoch}`,
        )
      // What the leader has deleted may differ, and is deleted here as well before the replica counts as in sync.
      const isDeleted = highWatermark <= follower.logStartOffset
      if (highWatermark > prefix.end || !(isDeleted || prefix.agreesAt(hosted.log, highWatermark)))
        throw new Violation(
          'high watermark of a follower',
          `${hosted.partition}: ${highWatermark} on broker ${broker.id}, whose log ends at ${hosted.log.endOffset}; committed is up to ${prefix.end}`,
        )
    }
  }

  #checkWithin({ id }: SimulatedBroker, { partition, log, replica }: HostedReplica): void {
    const { leader, follower } = replica
    if (follower?.isBusy) return
    const highWatermark = (leader ?? follower)?.highWatermark
    if (highWatermark === undefined) return
    if (highWatermark < log.startOffset || highWatermark > log.endOffset)
      throw new Violation(
        'high watermark within the log',
        `${partition}: ${highWatermark} on broker ${id}, whose log is from ${log.startOffset} to ${log.endOffset}`,
      )
  }

  #checkNewLeader(broker: SimulatedBroker, hosted: HostedReplica, prefix: CommittedPrefix): void {
    const leader = hosted.replica.leader!
    const epoch = `${hosted.partition} ${leader.leaderEpoch}`
    const life = `${broker.id} (life ${broker.node.incarnation})`
    const other = this.#leaders.get(epoch)
    if (other !== undefined && other !== life)
      throw new Violation('one leader per epoch', `${epoch}: broker ${life} leads where ${other} did`)
    this.#leaders.set(epoch, life)
    if (leader.leaderEpoch < prefix.boundFromEpoch) return
    if (prefix.isOpen) {
      prefix.giveUpBehind(hosted.log, this.#reach(hosted.log))
      return
    }
    // One of an epoch that is over already may never have had what was committed since.
    if (this.states.get(hosted.partition)!.leaderEpoch !== leader.leaderEpoch) return
    const difference = prefix.differenceTo(hosted.log)
    if (difference !== null)
      throw new Violation(
        'a leader has what is committed',
        `${hosted.partition}: broker ${broker.id} leads in epoch ${leader.leaderEpoch}; ${difference}`,
      )
  }

  /** KIP-207: after a failover no smaller end is told than was told before. */
  #checkLatestOffset(hosted: HostedReplica): void {
    const leader = hosted.replica.leader!
    const atElection = this.#endsAtElection.get(hosted.partition)
    if (atElection === undefined || atElection.epoch !== leader.leaderEpoch) return
    const latest = leader.latestOffset('read_uncommitted')
    if (typeof latest === 'number' && latest < atElection.end)
      throw new Violation(
        'offsets do not go back',
        `${hosted.partition}: the leader of epoch ${leader.leaderEpoch} tells ${latest} as its end, and ${atElection.end} was committed when it was elected`,
      )
  }

  /** A leader has admitted a batch with `acks=all`, or is about to acknowledge one. */
  inSyncSuffice({ partition, replica }: HostedReplica): void {
    const { isr, minInsyncReplicas } = replica.leader!.state
    if (isr.length < minInsyncReplicas)
      throw new Violation(
        'minimum of in-sync replicas',
        `${partition}: ${isr.join(' ')} in sync are enough for a leader where ${minInsyncReplicas} have to be`,
      )
  }

  /** A broker knows that a block of producer ids is its own. */
  producerIdsTaken({ firstProducerId, endProducerId }: ProducerIdBlock): void {
    const overlaps = this.#producerIdBlocks.some(
      (other) => other.firstProducerId < endProducerId && firstProducerId < other.endProducerId,
    )
    if (overlaps)
      throw new Violation(
        'producer ids',
        `the block of ${firstProducerId} up to ${endProducerId} overlaps with another one`,
      )
    this.#producerIdBlocks.push({ firstProducerId, endProducerId })
  }

  /** A leader is about to acknowledge a batch. */
  acknowledged(brokerId: number, hosted: HostedReplica, acks: 1 | -1, batch: SimulatedBatch): void {
    this.#checkReplica(this.#brokers.get(brokerId)!, hosted)
    const { partition, log } = hosted
    const leaderEpoch = hosted.replica.leader!.leaderEpoch
    const end = batch.baseOffset + batch.count
    if (log.durableOffset < end)
      throw new Violation(
        'durability',
        `${partition}: ${describe(batch)} is acknowledged, durable is up to ${log.durableOffset}`,
      )
    if (acks === -1) this.inSyncSuffice(hosted)
    if (acks !== -1 || !this.states.has(partition) || this.#faultModel.isBeyond(partition)) return
    const prefix = this.prefix(partition)
    if (prefix.isOpen || leaderEpoch < prefix.boundFromEpoch) return
    if (prefix.batchAt(batch.baseOffset) !== batch)
      throw new Violation(
        'acknowledged records are committed',
        `${partition}: ${describe(batch)} is acknowledged in epoch ${leaderEpoch}; committed is up to ${prefix.end}, there ${describe(prefix.batchAt(batch.baseOffset))}`,
      )
  }

  /** What a consumer that reads now from a replica in this epoch has to find again; −1 when nothing binds it. */
  generation(partition: string, leaderEpoch: number, isLeader: boolean): number {
    const prefix = this.prefix(partition)
    // A follower has what was given up until it has fetched from the new leader, and so does who it serves.
    const isBound = isLeader || prefix.generation === 0
    return !isBound || prefix.isOpen || leaderEpoch < prefix.boundFromEpoch ? -1 : prefix.generation
  }

  /** A consumer has got these records. */
  consumed(partition: string, batches: readonly SimulatedBatch[], generation: number): void {
    if (!this.states.has(partition) || this.#faultModel.isBeyond(partition)) return
    const prefix = this.prefix(partition)
    if (prefix.isOpen || prefix.generation !== generation) return
    for (const batch of batches) {
      if (prefix.batchAt(batch.baseOffset) !== batch)
        throw new Violation(
          'consumers see what stays',
          `${partition}: a consumer got ${describe(batch)}; committed is up to ${prefix.end}, there ${describe(prefix.batchAt(batch.baseOffset))}`,
        )
    }
  }

  /** Where an in-sync log does not have all that is committed, from first to last; null when each has. */
  differenceInSync(): string | null {
    for (const [partition, state] of this.states) {
      if (this.#faultModel.isBeyond(partition)) continue
      const prefix = this.prefix(partition)
      for (const broker of state.isr) {
        const log = this.#brokers.get(broker)!.logs.get(partition)
        const difference =
          log !== undefined ? prefix.differenceTo(log) : prefix.end > 0 ? 'it has no log' : null
        if (difference !== null) return `${partition}: broker ${broker} is in sync: ${difference}`
      }
    }
    return null
  }
}
