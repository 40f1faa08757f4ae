import { errors, type FetchRequest } from '@varve/protocol'
import type { Attendance } from '@varve/replication'
import { Cancellation } from './cancellation.js'
import {
  type FetchReader,
  type FetchTarget,
  fetchTarget,
  type PartitionRequest,
  type TargetRead,
  usesTopicIds,
} from './fetch-targets.js'
import type { Partition, PartitionListener } from './partition.js'
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
  /** Where it rests: what is listened to. */
  restsAt: Partition | null = null
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
 *
 * A partition of which a follower has everything rests: it is not looked at until it changes or is asked for anew, and the
 * follower's Fetches are noted for all that rest at once. So it is the changes that cost something, not the thousands of an idle broker.
 */
export class FetchSession {
  readonly id: number
  readonly usesTopicIds: boolean
  readonly createdMs: number
  lastUsedMs: number
  /** That of the next request. */
  epoch = 1
  readonly #byTopic = new Map<string, Map<number, SessionPartition>>()
  /** Those to look at, in the order in which they are read: one that had records goes behind all others, so that none of them starves. */
  readonly #order = new Set<SessionPartition>()
  readonly #resting = new Map<Partition, SessionPartition>()
  #attendance: Attendance | null = null
  #underWay: SessionFetch | null = null

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
    return this.#order.size + this.#resting.size
  }

  /** Whether any partition rests. */
  get hasResting(): boolean {
    return this.#resting.size > 0
  }

  /** The partitions that it keeps, as a request would name them. */
  *named(): IterableIterator<FetchRequest['topics'][number]> {
    for (const kept of [this.#order, this.#resting.values()])
      for (const { topic, topicId, asked } of kept) yield { topic, topicId, partitions: [asked] }
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
        this.#wake(forgotten)
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
    this.#underWay?.superseded.cancel()
    this.#attend(reader)
    this.#underWay = new SessionFetch(this, reader, topics, this.#order)
    return this.#underWay
  }

  /** A request has been answered. */
  ended(fetch: SessionFetch): void {
    if (this.#underWay === fetch) this.#underWay = null
  }

  /**
   * To be called when nobody uses it any more. A follower's Fetch that still waits is given up: it has gone on to another session, and
   * what it said before is not to be noted behind what it says there.
   */
  close(): void {
    if (this.#attendance !== null) this.#underWay?.superseded.cancel()
    this.#wakeAll()
  }

  /** Puts a partition behind all others. */
  moveToEnd(partition: SessionPartition): void {
    if (this.#order.delete(partition)) this.#order.add(partition)
  }

  /** Lets a partition rest that a follower was told nothing new of, if it has everything. */
  rest(kept: SessionPartition, partition: Partition): void {
    const attendance = this.#attendance
    if (attendance === null || this.#resting.has(partition) || !this.#order.has(kept)) return
    if (!partition.leader?.attend(attendance)) return
    this.#order.delete(kept)
    kept.restsAt = partition
    this.#resting.set(partition, kept)
    partition.listen(this.#onChange)
  }

  /** Notes a Fetch for what rests, or has everything looked at where it is not of the broker's same life as the one before. */
  #attend({ replica }: FetchReader): void {
    const attendance = this.#attendance
    const isSame = attendance?.replicaId === replica?.id && attendance?.replicaEpoch === replica?.epoch
    const [resting] = this.#resting.keys()
    if (isSame && (resting === undefined || resting.leader?.noteAttendance(attendance!, this.lastUsedMs)))
      return
    this.#wakeAll()
    this.#attendance =
      replica === null ? null : { replicaId: replica.id, replicaEpoch: replica.epoch, time: -Infinity }
  }

  readonly #onChange: PartitionListener = (partition) => {
    const kept = this.#resting.get(partition)!
    this.#wake(kept)
    this.#underWay?.changed(kept, partition)
  }

  #wake(kept: SessionPartition): void {
    const partition = kept.restsAt
    if (partition === null) return
    kept.restsAt = null
    partition.unlisten(this.#onChange)
    partition.leader?.leave(this.#attendance!)
    this.#resting.delete(partition)
    this.#order.add(kept)
  }

  #wakeAll(): void {
    for (const kept of this.#resting.values()) this.#wake(kept)
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
      this.#wake(partition)
      partition.ask(asked)
    }
    return partition
  }
}

/** One request of a session, from when it has come until it is answered. */
export class SessionFetch {
  readonly reader: FetchReader
  readonly targets: FetchTarget[] = []
  /** The client has sent another request, and takes no answer to this one. */
  readonly superseded = new Cancellation()
  readonly #session: FetchSession
  readonly #topics: Topics
  /** What the targets are of, and how often each had changed before it was read. */
  readonly #kept: SessionPartition[] = []
  readonly #changes: number[] = []
  /** Of those that rested, and have changed since. */
  #woken: SessionPartition[] = []
  #listener: PartitionListener | null = null

  constructor(session: FetchSession, reader: FetchReader, topics: Topics, kept: Iterable<SessionPartition>) {
    this.#session = session
    this.#topics = topics
    this.reader = reader
    for (const each of kept) this.#take(each)
  }

  get waitsForMore(): boolean {
    return this.#session.hasResting || this.#woken.length > 0
  }

  listen(listener: PartitionListener): void {
    this.#listener = listener
  }

  /** A partition that rested has changed. */
  changed(kept: SessionPartition, partition: Partition): void {
    this.#woken.push(kept)
    this.#listener?.(partition)
  }

  takeChanged(): void {
    const woken = this.#woken
    this.#woken = []
    // To look would end the rest of what rests since.
    if (this.superseded.cancelled) this.targets.length = 0
    else for (const each of woken) this.#take(each)
  }

  #take(kept: SessionPartition): void {
    const target = fetchTarget(kept.topic, kept.topicId, kept.asked, this.reader, this.#topics)
    kept.topic = target.topic
    this.#kept.push(kept)
    this.#changes.push(target.partition?.changes ?? 0)
    this.targets.push(target)
  }

  /** What of the answer is sent. */
  conclude(reads: readonly TargetRead[]): FetchConclusion {
    const { id } = this.#session
    if (this.superseded.cancelled)
      return { errorCode: errors.INVALID_FETCH_SESSION_EPOCH.code, sessionId: id, isSent: () => false }
    this.#session.ended(this)
    const sent = this.#kept.map((kept, index) => {
      const read = reads[index]!
      const { partition } = this.targets[index]!
      const news = kept.isNews(read)
      if (read.records.byteLength > 0) this.#session.moveToEnd(kept)
      else if (!news && partition !== null && partition.changes === this.#changes[index]!)
        this.#session.rest(kept, partition)
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
