import { errors, type FetchRequest } from '@varve/protocol'
import { Cancellation } from './cancellation.js'
import {
  type FetchReader,
  type FetchTarget,
  fetchTarget,
  type LastRead,
  type PartitionRequest,
  type TargetRead,
  usesTopicIds,
} from './fetch-targets.js'
import type { Partition } from './partition.js'
import type { Topics } from './topics.js'

/** The largest epoch; the next one is 1, since 0 means a new session. */
const lastEpoch = 2 ** 31 - 1

/** The epoch of the request that follows one of this epoch. */
export function nextEpoch(epoch: number): number {
  return epoch === lastEpoch ? 1 : epoch + 1
}

/** A partition that a session keeps, with what its client asked for last and what it was told last. */
class SessionPartition {
  topic: string
  readonly topicId: string
  asked: PartitionRequest
  /** Where nothing of it was news to a follower. */
  last: (LastRead & { readonly partition: Partition; readonly asked: PartitionRequest }) | null = null
  #highWatermark = -1
  #logStartOffset = -1

  constructor(topic: string, topicId: string, asked: PartitionRequest) {
    this.topic = topic
    this.topicId = topicId
    this.asked = asked
  }

  /**
   * Takes what its client asks for now. A follower says what it knows, and that may be less than it was told: it asks again after
   * one answer, and does not take another one that was on its way by then.
   */
  ask(asked: PartitionRequest): void {
    this.asked = asked
    this.#highWatermark = Math.min(this.#highWatermark, asked.highWatermark)
    if (asked.logStartOffset >= 0) this.#logStartOffset = Math.min(this.#logStartOffset, asked.logStartOffset)
  }

  /** Notes what the client is told, and says whether any of it is news to it. */
  isNews(read: TargetRead): boolean {
    const { error, divergingEpoch, preferredReadReplica, records, highWatermark, logStartOffset } = read
    const news =
      error !== null ||
      divergingEpoch !== null ||
      preferredReadReplica >= 0 ||
      records.byteLength > 0 ||
      highWatermark !== this.#highWatermark ||
      logStartOffset !== this.#logStartOffset ||
      // A follower says what it has taken in, which need not be all that it was told.
      highWatermark > this.asked.highWatermark
    // Behind an error both are -1, so that the partition is told of again when the error is over.
    this.#highWatermark = highWatermark
    this.#logStartOffset = logStartOffset
    return news
  }
}

/**
 * What a client need not say again with each Fetch, and is not told again (KIP-227): its partitions in the order in which
 * they are read, and what it knows of each.
 */
export class FetchSession {
  readonly id: number
  readonly usesTopicIds: boolean
  readonly createdMs: number
  lastUsedMs: number
  /** That of the next request. */
  epoch = 1
  readonly #byTopic = new Map<string, Map<number, SessionPartition>>()
  /** In the order in which they are read: one that had records goes behind all others, so that none of them starves. */
  readonly #order = new Set<SessionPartition>()
  #underWay: Cancellation | null = null

  /** A session of what has just been answered in full. */
  constructor(
    id: number,
    apiVersion: number,
    now: number,
    targets: readonly FetchTarget[],
    reads: readonly TargetRead[],
  ) {
    this.id = id
    this.usesTopicIds = usesTopicIds(apiVersion)
    this.createdMs = now
    this.lastUsedMs = now
    for (const [index, { topic, topicId, asked }] of targets.entries()) {
      this.#put(topic, topicId, asked).isNews(reads[index]!)
    }
  }

  /** How many partitions it keeps. */
  get size(): number {
    return this.#order.size
  }

  /** The partitions that it keeps, as a request would name them. */
  *named(): IterableIterator<FetchRequest['topics'][number]> {
    for (const { topic, topicId, asked } of this.#order) yield { topic, topicId, partitions: [asked] }
  }

  /** Takes in what a request adds, changes and forgets. */
  update({ topics, forgottenTopicsData }: FetchRequest): void {
    for (const { topic, topicId, partitions } of topics) {
      for (const asked of partitions) this.#put(topic, topicId, asked)
    }
    for (const { topic, topicId, partitions } of forgottenTopicsData) {
      const key = this.usesTopicIds ? topicId : topic
      const known = this.#byTopic.get(key)
      if (known === undefined) continue
      for (const index of partitions) {
        const forgotten = known.get(index)
        if (forgotten === undefined) continue
        known.delete(index)
        this.#order.delete(forgotten)
      }
      if (known.size === 0) this.#byTopic.delete(key)
    }
  }

  /**
   * Begins a request of the session. One that is still waiting for records is given up: its client has gone on without
   * its answer.
   */
  begin(reader: FetchReader, topics: Topics): SessionFetch {
    this.epoch = nextEpoch(this.epoch)
    this.#underWay?.cancel()
    const superseded = (this.#underWay = new Cancellation())
    const partitions: SessionPartition[] = []
    const targets: FetchTarget[] = []
    for (const partition of this.#order) {
      const { asked, last } = partition
      const target = fetchTarget(partition.topic, partition.topicId, asked, reader, topics)
      partition.topic = target.topic
      partitions.push(partition)
      const holds = last !== null && last.partition === target.partition && last.asked === asked
      targets.push(holds && target.refusal === null ? { ...target, last } : target)
    }
    return new SessionFetch(this, partitions, targets, superseded)
  }

  /** Puts a partition behind all others. */
  moveToEnd(partition: SessionPartition): void {
    if (this.#order.delete(partition)) this.#order.add(partition)
  }

  #put(topic: string, topicId: string, asked: PartitionRequest): SessionPartition {
    const key = this.usesTopicIds ? topicId : topic
    let known = this.#byTopic.get(key)
    if (known === undefined) this.#byTopic.set(key, (known = new Map()))
    let partition = known.get(asked.partition)
    if (partition === undefined) {
      partition = new SessionPartition(topic, topicId, asked)
      known.set(asked.partition, partition)
      this.#order.add(partition)
    } else {
      partition.ask(asked)
    }
    return partition
  }
}

/** One request of a session, from when it has come until it is answered. */
export class SessionFetch {
  readonly targets: readonly FetchTarget[]
  /** The client has sent another request of the session. */
  readonly superseded: Cancellation
  readonly #session: FetchSession
  /** Of the targets, before they are read. */
  readonly #changes: readonly number[]
  readonly #partitions: readonly SessionPartition[]

  constructor(
    session: FetchSession,
    partitions: readonly SessionPartition[],
    targets: readonly FetchTarget[],
    superseded: Cancellation,
  ) {
    this.#session = session
    this.#partitions = partitions
    this.targets = targets
    this.#changes = targets.map(({ partition }) => partition?.changes ?? 0)
    this.superseded = superseded
  }

  /** What of the answer is sent. */
  conclude(reads: readonly TargetRead[]): FetchConclusion {
    const { id } = this.#session
    if (this.superseded.cancelled)
      return { errorCode: errors.INVALID_FETCH_SESSION_EPOCH.code, sessionId: id, isSent: () => false }
    const sent = this.#partitions.map((partition, index) => {
      const read = reads[index]!
      const target = this.targets[index]!
      if (target.last?.read === read) return false
      const news = partition.isNews(read)
      const changes = this.#changes[index]!
      const holds = !news && target.reader.replica !== null && target.partition?.changes === changes
      partition.last = holds ? { read, changes, partition: target.partition, asked: target.asked } : null
      if (read.records.byteLength > 0) this.#session.moveToEnd(partition)
      return news
    })
    return { errorCode: 0, sessionId: id, isSent: (index) => sent[index]! }
  }
}

/** How a Fetch is answered. */
export interface FetchConclusion {
  readonly errorCode: number
  readonly sessionId: number
  /** Whether the answer of the target of this index is sent. */
  isSent(index: number): boolean
}
