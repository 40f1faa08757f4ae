import { errors, produce, type ProduceRequestInput, type ProduceResponse } from '@varve/protocol'
import { VarveError, type CompressionOptions } from '@varve/records'
import type { Clock } from './clock.js'
import type { Cluster } from './cluster.js'
import { isStaleMetadata, KafkaError } from './kafka-error.js'
import type { PartitionQueue, ProducerBatch } from './producer-batch.js'
import { ProducerIdentity } from './producer-identity.js'

// The last version that names topics; later ones know them by id alone.
const LAST_WITH_NAMES = 12
// So many batches of a producer does a broker remember for each partition, to know a retry again.
const BATCHES_REMEMBERED = 5
// The broker misses a batch before this one, or knows a later epoch: it has not written this one.
const outOfSequence: ReadonlySet<number> = new Set(
  [errors.OUT_OF_ORDER_SEQUENCE_NUMBER, errors.UNKNOWN_PRODUCER_ID, errors.INVALID_PRODUCER_EPOCH].map(
    ({ code }) => code,
  ),
)

// Followers do not follow: they may have another leader by now, and this one does not know of it.
const cutOff: ReadonlySet<number> = new Set(
  [errors.NOT_ENOUGH_REPLICAS, errors.NOT_ENOUGH_REPLICAS_AFTER_APPEND, errors.REQUEST_TIMED_OUT].map(
    ({ code }) => code,
  ),
)

export interface SenderOptions {
  acks: -1 | 0 | 1
  compression: CompressionOptions
  idempotence: boolean
  maxInFlight: number
  maxRequestBytes: number
  requestTimeoutMs: number
  retries: number
  retryBackoffMs: number
  deliveryTimeoutMs: number
}

/** What the sender tells its owner. */
export interface SenderEvents {
  /** The batch has its outcome, and its memory is free. */
  settled(batch: ProducerBatch): void
  /** A leader is missing or was the wrong one: call `schedule` when metadata has come. */
  staleMetadata(): void
}

type PartitionOutcome = ProduceResponse['responses'][number]['partitionResponses'][number]

interface Sent {
  readonly queue: PartitionQueue
  readonly batch: ProducerBatch
}

/**
 * Takes ready batches to the leaders of their partitions: one request per leader with a batch of each of its
 * partitions, several requests under way at once.
 *
 * A partition's batches stay in order. Without retries they may follow one another without waiting, because a
 * connection is served in order. So may those of an idempotent producer, up to five counted from the oldest without an answer, once its
 * first has been acknowledged: their numbers let the broker refuse what comes behind a batch that is missing. With retries and without numbers a partition waits for each outcome, as a
 * batch that has to be sent again must not find its successors already written.
 */
export class ProduceSender {
  private readonly cluster: Cluster
  private readonly options: SenderOptions
  private readonly clock: Clock
  private readonly events: SenderEvents
  private readonly identity: ProducerIdentity | null
  private readonly ready = new Set<PartitionQueue>()
  private readonly requestsTo = new Map<number, number>()
  /** The connections to leaders that are waited for. */
  private readonly dials = new Map<number, Promise<unknown>>()
  private scheduled = false
  private cancelWakeUp: (() => void) | null = null

  constructor(cluster: Cluster, options: SenderOptions, clock: Clock, events: SenderEvents) {
    this.cluster = cluster
    this.options = options
    this.clock = clock
    this.events = events
    this.identity = options.idempotence
      ? new ProducerIdentity(cluster, clock, options.retryBackoffMs, {
          known: () => this.schedule(),
          failed: (error) => this.discardWhere(error, () => true),
        })
      : null
  }

  /** Whether a batch waits for a partition whose leader is not known, or may be another one by now. */
  get lacksLeaders(): boolean {
    for (const { topic, partition } of this.ready) {
      const leader = this.cluster.leaderOf(topic, partition)
      if (leader === undefined || this.isMissed(leader)) return true
    }
    return false
  }

  /** One that was lost may take a connection and answer nothing, and lead no more before anybody says so here. */
  private isMissed(leader: number): boolean {
    return !this.cluster.isConnectedTo(leader) && this.cluster.hasLost(leader)
  }

  add(queue: PartitionQueue): void {
    this.ready.add(queue)
    this.schedule()
  }

  /** Sends what can be sent, after what runs now, so that everything that becomes ready at once leaves together. */
  schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    queueMicrotask(() => {
      this.scheduled = false
      this.drain()
    })
  }

  /** Rejects every batch of the topic that is not under way. */
  discard(error: unknown, topic: string): void {
    this.discardWhere(error, (queue) => queue.topic === topic)
  }

  /** Rejects the batches of partitions without a known leader. */
  discardLeaderless(error: unknown): void {
    this.discardWhere(error, ({ topic, partition }) => this.cluster.leaderOf(topic, partition) === undefined)
  }

  private discardWhere(error: unknown, which: (queue: PartitionQueue) => boolean): void {
    for (const queue of this.ready) {
      if (!which(queue)) continue
      this.ready.delete(queue)
      for (const batch of queue.ready.splice(0)) this.fail(batch, error)
    }
  }

  private drain(): void {
    const now = this.clock.now()
    let leaderless = false
    let retryAt = Infinity
    const byLeader = new Map<number, PartitionQueue[]>()
    for (const queue of this.ready) {
      this.expire(queue, now)
      const first = queue.ready[0]
      if (first === undefined) {
        this.ready.delete(queue)
        continue
      }
      if (this.mustWait(queue)) continue
      if (first.retryAt > now) {
        retryAt = Math.min(retryAt, first.retryAt)
        continue
      }
      const leader = this.cluster.leaderOf(queue.topic, queue.partition)
      if (leader === undefined) {
        leaderless = true
        continue
      }
      if (this.identity !== null && (queue.identity ??= this.identity.get()) === null) continue
      const queues = byLeader.get(leader)
      if (queues === undefined) byLeader.set(leader, [queue])
      else queues.push(queue)
    }
    for (const [leader, queues] of byLeader) {
      if (this.cluster.isConnectedTo(leader)) this.drainTo(leader, queues)
      else {
        leaderless ||= this.isMissed(leader)
        this.dial(leader)
      }
    }
    if (leaderless) this.events.staleMetadata()
    this.wakeUpAt(retryAt, now)
  }

  private mustWait(queue: PartitionQueue): boolean {
    const { ready, underWay, retriesInFlight, isKnown } = queue
    if (underWay.size === 0) return false
    if (this.identity === null) return this.options.retries > 0
    // What is sent again goes alone, so that its outcome says what has been written. So does the first batch of all: a leader
    // that knows nothing of the producer takes any number for the first, and would write the second where the first got lost.
    if (ready[0]!.attempts > 0 || retriesInFlight > 0 || !isKnown) return true
    // One that an old leader has, and does not answer for, must not be forgotten by the new one while that acknowledges others: it
    // would take it for out of sequence, and have it twice once it is numbered anew.
    return queue.reach >= BATCHES_REMEMBERED
  }

  private wakeUpAt(time: number, now: number): void {
    this.cancelWakeUp?.()
    this.cancelWakeUp = null
    if (time === Infinity) return
    this.cancelWakeUp = this.clock.after(time - now, () => this.schedule())
  }

  /** Until a leader is reached its batches stay where they are, so that they go to the next one as soon as there is one. */
  private dial(leader: number): void {
    const dial = this.cluster.connectionTo(leader)
    if (this.dials.get(leader) === dial) return
    this.dials.set(leader, dial)
    const ended = (error: unknown): void => {
      if (this.dials.get(leader) !== dial) return
      this.dials.delete(leader)
      if (error !== null) this.notReached(leader, error)
      this.schedule()
    }
    dial.then(() => ended(null), ended)
  }

  /** It is an attempt to send the first batch of each partition. */
  private notReached(leader: number, error: unknown): void {
    const now = this.clock.now()
    for (const queue of this.ready) {
      const first = queue.ready[0]
      if (first === undefined || first.retryAt > now || this.mustWait(queue)) continue
      if (this.cluster.leaderOf(queue.topic, queue.partition) !== leader) continue
      this.begin(queue)
      this.failed({ queue, batch: first }, error, true)
    }
  }

  /** Takes the first batch of a partition, which is about to be sent. */
  private begin(queue: PartitionQueue): ProducerBatch {
    const batch = queue.ready.shift()!
    queue.underWay.add(batch)
    if (++batch.attempts > 1) queue.retriesInFlight++
    return batch
  }

  private drainTo(leader: number, queues: PartitionQueue[]): void {
    let waiting = queues
    while (waiting.length > 0 && (this.requestsTo.get(leader) ?? 0) < this.options.maxInFlight) {
      const request: Sent[] = []
      const next: PartitionQueue[] = []
      let bytes = 0
      for (const queue of waiting) {
        const batch = queue.ready[0]!
        queue.number(batch)
        const size = batch.bytes(this.options.compression).length
        if (request.length > 0 && bytes + size > this.options.maxRequestBytes) {
          next.push(queue)
          continue
        }
        bytes += size
        request.push({ queue, batch: this.begin(queue) })
        // Behind the partitions that were passed over, so that those come first in the next request.
        this.ready.delete(queue)
        if (queue.ready.length > 0) this.ready.add(queue)
      }
      void this.send(leader, request)
      const more = request.map(({ queue }) => queue)
      next.push(...more.filter((queue) => queue.ready.length > 0 && !this.mustWait(queue)))
      waiting = next
    }
  }

  private async send(leader: number, request: readonly Sent[]): Promise<void> {
    this.requestsTo.set(leader, (this.requestsTo.get(leader) ?? 0) + 1)
    const { acks } = this.options
    try {
      const connection = await this.cluster.connectionTo(leader)
      const { topicData, hasIds } = this.topicData(request)
      const brokerMs = this.patienceWith(request)
      const body: ProduceRequestInput = { acks, timeoutMs: brokerMs, topicData }
      const maxVersion = hasIds ? undefined : LAST_WITH_NAMES
      if (acks === 0) {
        await connection.send(produce, body, { maxVersion })
        for (const sent of request) this.complete(sent, -1)
      } else {
        // The broker may take all of its own timeout before it answers that replicas were too slow.
        const timeoutMs = brokerMs + 5_000
        this.take(request, await connection.request(produce, body, { maxVersion, timeoutMs }))
      }
    } catch (error) {
      for (const sent of request) this.failed(sent, error, true)
    } finally {
      this.requestsTo.set(leader, this.requestsTo.get(leader)! - 1)
      this.schedule()
    }
  }

  /** How long a broker may take: no longer than anybody still waits for one of the batches. */
  private patienceWith(request: readonly Sent[]): number {
    const { requestTimeoutMs, deliveryTimeoutMs } = this.options
    const youngest = Math.max(...request.map(({ batch }) => batch.createdAt))
    return Math.max(1, Math.min(requestTimeoutMs, youngest + deliveryTimeoutMs - this.clock.now()))
  }

  private topicData(request: readonly Sent[]): {
    topicData: ProduceRequestInput['topicData']
    hasIds: boolean
  } {
    const partitions = new Map<string, Array<{ index: number; records: Buffer }>>()
    for (const { batch } of request) {
      const records = batch.bytes(this.options.compression)
      const data = { index: batch.partition, records }
      const known = partitions.get(batch.topic)
      if (known === undefined) partitions.set(batch.topic, [data])
      else known.push(data)
    }
    let hasIds = true
    const topicData = [...partitions].map(([name, partitionData]) => {
      const topicId = this.cluster.topic(name)?.topicId
      if (topicId === undefined || topicId === null) {
        hasIds = false
        return { name, partitionData }
      }
      return { name, topicId, partitionData }
    })
    return { topicData, hasIds }
  }

  private take(request: readonly Sent[], response: ProduceResponse): void {
    const outcomes = new Map<string, PartitionOutcome>()
    for (const topic of response.responses) {
      const name = topic.name === '' ? this.cluster.topicName(topic.topicId) : topic.name
      for (const partition of topic.partitionResponses) outcomes.set(`${name}-${partition.index}`, partition)
    }
    for (const sent of request) {
      const { topic, partition } = sent.batch
      const outcome = outcomes.get(`${topic}-${partition}`)
      if (outcome === undefined) {
        const problem = `The broker's response to Produce says nothing about ${topic}-${partition}`
        this.failed(sent, new VarveError('VARVE_INVALID_RESPONSE', problem), false)
      } else if (outcome.errorCode === 0 || outcome.errorCode === errors.DUPLICATE_SEQUENCE_NUMBER.code) {
        // The broker has written a duplicate's original, and may no longer know where.
        this.complete(sent, outcome.baseOffset)
      } else {
        const why = outcome.errorMessage ?? outcome.recordErrors[0]?.batchIndexErrorMessage
        const error = new KafkaError(outcome.errorCode, `Produce to ${topic}-${partition}`, why)
        this.refused(sent, error, outcome, response.nodeEndpoints)
      }
    }
  }

  /** A leader that is none may know who is: then there is nothing to wait for. */
  private refused(
    sent: Sent,
    error: KafkaError,
    { errorCode, currentLeader }: PartitionOutcome,
    endpoints: ProduceResponse['nodeEndpoints'],
  ): void {
    const isStale = isStaleMetadata(errorCode)
    const knowsLeader = isStale && this.cluster.learnLeader(sent.batch, currentLeader, endpoints)
    if (isStale && !knowsLeader) this.cluster.forgetLeader(sent.batch.topic, sent.batch.partition)
    this.failed(sent, error, (isStale && !knowsLeader) || cutOff.has(errorCode), knowsLeader)
  }

  private arrived({ queue, batch }: Sent): void {
    queue.underWay.delete(batch)
    if (batch.attempts > 1) queue.retriesInFlight--
  }

  private complete(sent: Sent, baseOffset: number): void {
    const { batch } = sent
    this.arrived(sent)
    sent.queue.acknowledged(batch)
    batch.complete(baseOffset)
    this.events.settled(batch)
  }

  private failed(sent: Sent, error: unknown, metadataIsStale: boolean, mayRetryAtOnce = false): void {
    const { queue, batch } = sent
    this.arrived(sent)
    if (metadataIsStale) this.events.staleMetadata()
    const { retries, retryBackoffMs, deliveryTimeoutMs } = this.options
    const isOutOfSequence =
      this.identity !== null && error instanceof KafkaError && outOfSequence.has(error.kafkaCode)
    const retriable = isOutOfSequence || (VarveError.is(error) && error.retriable)
    const now = this.clock.now()
    const backoff = Math.min(
      retryBackoffMs * 2 ** Math.min(batch.attempts - 1, 10),
      Math.max(retryBackoffMs, 1_000),
    )
    if (!retriable || batch.attempts > retries || now + backoff - batch.createdAt >= deliveryTimeoutMs) {
      this.fail(batch, error)
      return
    }
    batch.retryAt = mayRetryAtOnce ? now : now + backoff
    queue.putBack(batch)
    // With nothing before it that could still arrive, the gap will not close: none of what follows has been written.
    if (isOutOfSequence && queue.underWay.size === 0 && queue.ready[0] === batch)
      queue.renumber(this.identity!.after(queue.identity!))
    this.add(queue)
  }

  private expire(queue: PartitionQueue, now: number): void {
    const { deliveryTimeoutMs } = this.options
    while (queue.ready.length > 0 && now - queue.ready[0]!.createdAt >= deliveryTimeoutMs) {
      const what = `${queue.ready[0]!.recordsCount} record(s) for ${queue.topic}-${queue.partition}`
      const error = new VarveError(
        'VARVE_DELIVERY_TIMEOUT',
        `${what} could not be delivered within ${deliveryTimeoutMs} ms`,
      )
      this.fail(queue.ready.shift()!, error)
    }
  }

  private fail(batch: ProducerBatch, error: unknown): void {
    batch.fail(error)
    this.events.settled(batch)
  }
}
