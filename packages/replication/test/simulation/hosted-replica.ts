import type {
  FetchedRecords,
  FollowerFetch,
  FollowerStep,
  InSyncChange,
  PartitionFollower,
  PartitionLeader,
  PartitionReplica,
  PartitionState,
} from '@varve/replication'
import type { BrokerLife } from './broker-life.js'
import { describe } from './committed-prefix.js'
import type { Message } from './messages.js'
import type { Packet } from './network.js'
import type { SimulatedBatch } from './simulated-batch.js'
import type { SimulatedLog } from './simulated-log.js'
import type { EntryKind } from './timeline.js'
import type { Timer } from './virtual-time.js'

type MessageOf<Kind extends Message['kind']> = Message & { readonly kind: Kind }

interface WaitingProduce {
  readonly packet: Packet<Message>
  readonly requestId: number
  readonly acks: 1 | -1
  readonly batch: SimulatedBatch
}

interface WaitingFetch {
  readonly packet: Packet<Message>
  readonly fetch: FollowerFetch
  readonly timer: Timer
}

/** How long a Fetch waits at the leader when there is nothing new (`replica.fetch.wait.max.ms`). */
const fetchWaitMs = 500
const fetchTimeoutMs = 1500
const retryBackoffMs = 100
/** Small, so that a follower that has to catch up needs several. */
const batchesPerFetch = 8
const batchesPerConsume = 20

/** A replica on a live broker: its state machine, its log, and whoever waits for it. What a broker does around the rules, and no rule. */
export class HostedReplica {
  readonly partition: string
  readonly replica: PartitionReplica
  readonly log: SimulatedLog
  /** What the invariants have seen of it. */
  readonly checked: { role: PartitionLeader | PartitionFollower | null; highWatermark: number } = {
    role: null,
    highWatermark: 0,
  }
  readonly #life: BrokerLife
  #role: PartitionLeader | PartitionFollower | null = null
  #produces: WaitingProduce[] = []
  readonly #fetches = new Map<number, WaitingFetch>()
  readonly #sent = new Map<number, Timer>()
  #isBackingOff = false
  #isDeleting = false
  #removed = false

  constructor(life: BrokerLife, partition: string, replica: PartitionReplica, log: SimulatedLog) {
    this.#life = life
    this.partition = partition
    this.replica = replica
    this.log = log
  }

  #tell(kind: EntryKind, text: () => string): void {
    this.#life.tell(kind, text, this.partition)
  }

  stateChanged(state: PartitionState): void {
    this.replica.stateChanged(state, this.#life.now())
    this.pump()
  }

  /** What a role waited for may have happened: the end of a truncation, the broker's registration. */
  reconsider(): void {
    if (this.#removed) return
    this.replica.reconsider(this.#life.now())
    this.pump()
  }

  /** The partition is no longer this broker's: whoever waits is told so. */
  remove(): void {
    this.#removed = true
    this.#letGo()
  }

  logChanged(): void {
    const { leader } = this.replica
    if (this.log.state === 'failed') this.replica.logFailed(this.#life.now())
    else if (leader !== null) leader.logChanged()
    this.pump()
  }

  /** Does everything that can be done now. */
  pump(): void {
    if (this.#removed) return
    const { leader, follower } = this.replica
    const role = leader ?? follower
    if (role !== this.#role) this.#changeRole(role)
    if (leader !== null) this.#pumpLeader(leader)
    else if (follower !== null) this.#pumpFollower(follower)
  }

  #changeRole(role: PartitionLeader | PartitionFollower | null): void {
    this.#letGo()
    this.#role = role
    const { leader, follower } = this.replica
    if (leader !== null) {
      this.log.setLeaderEpoch(leader.leaderEpoch)
      this.#tell(
        'roles',
        () =>
          `leads in epoch ${leader.leaderEpoch} from offset ${this.log.endOffset}, in sync ${leader.state.isr.join(' ')}`,
      )
    } else if (follower !== null) {
      this.#tell(
        'roles',
        () => `follows ${follower.leader} in epoch ${follower.leaderEpoch} from offset ${this.log.endOffset}`,
      )
    } else {
      this.#tell('roles', () => 'neither leads nor follows')
    }
  }

  #letGo(): void {
    for (const { packet, requestId } of this.#produces)
      this.#produced(packet, requestId, 'NOT_LEADER_OR_FOLLOWER', -1)
    this.#produces = []
    for (const waiting of this.#fetches.values()) waiting.timer.cancel()
    this.#fetches.clear()
    for (const timer of this.#sent.values()) timer.cancel()
    this.#sent.clear()
  }

  // Leading

  #pumpLeader(leader: PartitionLeader): void {
    const now = this.#life.now()
    const change = leader.change(now)
    if (change !== null) this.#putChange(leader, change)
    if (this.#produces.length > 0) this.#answerProduces(leader)
    for (const [replicaId, waiting] of this.#fetches) {
      if (leader.hasNewsFor(replicaId) && !this.#isThrottled(leader, replicaId))
        this.#answerFetch(replicaId, waiting)
    }
  }

  #putChange(leader: PartitionLeader, change: InSyncChange): void {
    const { isr, eligibleLeaderReplicas } = change.state
    this.#tell(
      'in-sync',
      () =>
        `asks for in sync ${isr.join(' ')}${eligibleLeaderReplicas.length > 0 ? `, eligible ${eligibleLeaderReplicas.join(' ')}` : ''}`,
    )
    this.#life.changesInSync()
    this.#life.store.transaction(change.transaction, (outcome) => {
      this.#tell('in-sync', () => `in sync ${isr.join(' ')}: ${outcome.kind}`)
      leader.changeSettled(change, outcome, this.#life.now())
      if (this.replica.leader === leader) this.pump()
    })
  }

  #answerProduces(leader: PartitionLeader): void {
    this.#produces = this.#produces.filter(({ packet, requestId, acks, batch }) => {
      const outcome = leader.acknowledges(batch.baseOffset + batch.count, acks)
      if (outcome === 'waiting') {
        if (this.log.state === 'open') return true
        this.#produced(packet, requestId, 'KAFKA_STORAGE_ERROR', -1)
        return false
      }
      if (outcome === 'acknowledged') {
        this.#life.invariants.acknowledged(this.#life.id, this, acks, batch)
        this.#produced(packet, requestId, null, batch.baseOffset)
      } else {
        this.#produced(packet, requestId, outcome, -1)
      }
      return false
    })
  }

  #produced(packet: Packet<Message>, requestId: number, error: string | null, baseOffset: number): void {
    this.#life.reply(packet, { kind: 'produced', requestId, error, baseOffset })
  }

  produce(packet: Packet<Message>, { requestId, acks, batch }: MessageOf<'produce'>): void {
    const { leader } = this.replica
    const refuse = (error: string): void => {
      if (acks !== 0) this.#produced(packet, requestId, error, -1)
    }
    if (leader === null) return refuse('NOT_LEADER_OR_FOLLOWER')
    const error = leader.admits(acks)
    if (error !== null) return refuse(error)
    if (acks === -1) this.#life.invariants.inSyncSuffice(this)
    const result = this.log.append(batch)
    if (result.kind === 'refused') return refuse(result.error)
    const appended = this.log.batchAt(result.baseOffset)!
    this.#tell('log', () => `${result.kind} ${describe(appended)}`)
    if (acks !== 0) this.#produces.push({ packet, requestId, acks, batch: appended })
    leader.logChanged()
    this.pump()
  }

  fetch(packet: Packet<Message>, fetch: FollowerFetch): void {
    const { leader } = this.replica
    if (leader === null) {
      this.#fetched(packet, fetch, { ...nothing, error: 'NOT_LEADER_OR_FOLLOWER' }, [])
      return
    }
    const older = this.#fetches.get(fetch.replicaId)
    if (older !== undefined) this.#answerFetch(fetch.replicaId, older)
    this.#serve(packet, fetch, leader, true)
    this.pump()
  }

  #answerFetch(replicaId: number, { packet, fetch, timer }: WaitingFetch): void {
    timer.cancel()
    this.#fetches.delete(replicaId)
    const { leader } = this.replica
    if (leader !== null) this.#serve(packet, fetch, leader, false)
  }

  #serve(packet: Packet<Message>, fetch: FollowerFetch, leader: PartitionLeader, mayWait: boolean): void {
    const answer = leader.fetch(fetch, this.#life.now())
    if (answer.kind === 'error') {
      this.#fetched(
        packet,
        fetch,
        {
          ...nothing,
          error: answer.error,
          leaderEpoch: leader.leaderEpoch,
          logStartOffset: answer.logStartOffset ?? -1,
        },
        [],
      )
      return
    }
    const { highWatermark, logStartOffset } = answer
    const known = { error: null, leaderEpoch: leader.leaderEpoch, highWatermark, logStartOffset }
    if (answer.kind === 'diverging') {
      const { epoch, endOffset } = answer
      this.#fetched(packet, fetch, { ...known, diverging: { epoch, endOffset }, records: null }, [])
      return
    }
    const isThrottled = this.#isThrottled(leader, fetch.replicaId)
    const batches = isThrottled ? [] : this.log.read(answer.from, answer.upTo, batchesPerFetch)
    if (batches.length === 0 && mayWait && (isThrottled || !leader.hasNewsFor(fetch.replicaId))) {
      const timer = this.#life.after(fetchWaitMs, () => {
        const waiting = this.#fetches.get(fetch.replicaId)
        if (waiting?.fetch === fetch) this.#answerFetch(fetch.replicaId, waiting)
      })
      this.#fetches.set(fetch.replicaId, { packet, fetch, timer })
      return
    }
    const last = batches.at(-1)
    if (last !== undefined && !leader.isInSync(fetch.replicaId))
      this.#life.throttle.record(last.baseOffset + last.count - answer.from, this.#life.now())
    const records =
      last === undefined
        ? null
        : { baseOffset: batches[0]!.baseOffset, endOffset: last.baseOffset + last.count }
    this.#fetched(packet, fetch, { ...known, diverging: null, records }, batches)
  }

  /** KIP-73: who is in sync must not fall behind, whatever the rest has to be copied. */
  #isThrottled(leader: PartitionLeader, replicaId: number): boolean {
    return !leader.isInSync(replicaId) && this.#life.throttle.exceeded(this.#life.now())
  }

  #fetched(
    packet: Packet<Message>,
    { fetchId }: FollowerFetch,
    answer: FetchedRecords,
    batches: readonly SimulatedBatch[],
  ): void {
    this.#life.reply(packet, { kind: 'fetched', partition: this.partition, fetchId, answer, batches })
  }

  consume(packet: Packet<Message>, { requestId, offset, rack, fromLeader }: MessageOf<'consume'>): void {
    const { leader, follower } = this.replica
    const answer = (
      error: string | null,
      batches: readonly SimulatedBatch[] = [],
      preferredReadReplica: number | null = null,
    ): void => {
      const generation = this.#life.invariants.generation(
        this.partition,
        (leader ?? follower)?.leaderEpoch ?? -1,
        leader !== null,
      )
      const logStartOffset = this.log.startOffset
      this.#life.reply(packet, {
        kind: 'consumed',
        requestId,
        error,
        preferredReadReplica,
        logStartOffset,
        batches,
        generation,
      })
    }
    const served = leader ?? (fromLeader ? null : follower)
    if (served === null) return answer('NOT_LEADER_OR_FOLLOWER')
    const error = served.consumerFetchError(offset)
    if (error !== null) return answer(error)
    if (leader !== null) {
      const preferred = leader.readReplica({ rack, fetchOffset: offset })
      if (preferred !== null && preferred !== this.#life.id) return answer(null, [], preferred)
    }
    const upTo = served.readableEnd('read_uncommitted')
    answer(null, offset < upTo ? this.log.read(offset, upTo, batchesPerConsume) : [])
  }

  /** Deletes the records of a share of what is committed. */
  deleteRecords(share: number): void {
    const { leader } = this.replica
    if (leader === null) return
    const { startOffset } = this.log
    const wanted = startOffset + Math.floor((leader.highWatermark - startOffset) * share)
    const batch = this.log.batchAt(wanted)
    this.#deleteBefore(batch?.baseOffset ?? wanted)
  }

  #deleteBefore(offset: number): void {
    const { startOffset, durableOffset, state } = this.log
    if (this.#isDeleting || state !== 'open' || offset <= startOffset || offset > durableOffset) return
    this.#tell('log', () => `deletes what is before ${offset}`)
    this.#isDeleting = true
    this.log.deleteBefore(offset, () => {
      this.#isDeleting = false
      this.pump()
    })
  }

  // Following

  #pumpFollower(follower: PartitionFollower): void {
    if (!follower.isBusy) this.#deleteBefore(follower.logStartOffset)
    if (this.#isBackingOff) return
    for (;;) {
      const fetch = follower.fetch()
      if (fetch === null) return
      this.#life.send(follower.leader, { kind: 'fetch', partition: this.partition, fetch })
      this.#sent.set(
        fetch.fetchId,
        this.#life.after(fetchTimeoutMs, () => {
          this.#sent.delete(fetch.fetchId)
          follower.lost(fetch.fetchId)
          this.pump()
        }),
      )
    }
  }

  fetched({ fetchId, answer, batches }: MessageOf<'fetched'>): void {
    const { follower } = this.replica
    const timer = this.#sent.get(fetchId)
    if (follower === null || timer === undefined) return
    timer.cancel()
    this.#sent.delete(fetchId)
    this.#take(follower, follower.answered(fetchId, answer), batches)
    this.pump()
  }

  #take(follower: PartitionFollower, step: FollowerStep, batches: readonly SimulatedBatch[]): void {
    switch (step.kind) {
      case 'append': {
        const refusal = this.log.appendReplicated(batches)
        if (refusal !== null) this.#tell('log', () => `cannot append ${describe(batches[0])}: ${refusal}`)
        if (refusal === null) follower.appended()
        else {
          follower.stepFailed()
          this.#backOff()
        }
        return
      }
      case 'truncate': {
        this.#tell('log', () => `truncates from ${this.log.endOffset} to ${step.to}`)
        this.log.truncateTo(step.to, this.#stepEnds(follower))
        this.#life.invariants.truncated(this.partition, this.log)
        return
      }
      case 'start over': {
        this.#life.invariants.prefix(this.partition).hasForgotten = true
        this.#tell('log', () => `starts over at ${step.at}`)
        this.log.truncateFullyAndStartAt(step.at, this.#stepEnds(follower))
        return
      }
      case 'retry': {
        this.#backOff()
        return
      }
      case 'nothing':
    }
  }

  #stepEnds(follower: PartitionFollower): (isDone: boolean) => void {
    return (isDone) => {
      if (isDone) follower.truncated()
      else follower.stepFailed()
      if (!isDone) this.#backOff()
      this.reconsider()
    }
  }

  #backOff(): void {
    this.#isBackingOff = true
    this.#life.after(retryBackoffMs, () => {
      this.#isBackingOff = false
      this.pump()
    })
  }

  /** The connection to a broker was reset: no Fetch sent to it will be answered. */
  connectionReset(peer: number): void {
    const { follower } = this.replica
    if (follower === null || follower.leader !== peer || this.#sent.size === 0) return
    for (const [fetchId, timer] of this.#sent) {
      timer.cancel()
      follower.lost(fetchId)
    }
    this.#sent.clear()
    this.#backOff()
  }
}

const nothing = { leaderEpoch: -1, highWatermark: -1, logStartOffset: -1, diverging: null, records: null }
