import { errors, type FetchRequest } from '@varve/protocol'
import { randomInt } from 'node:crypto'
import type { Cancellation } from './cancellation.js'
import type { Clock } from './clock.js'
import { type FetchConclusion, FetchSession } from './fetch-session.js'
import {
  type FetchReader,
  type FetchTarget,
  fetchTargets,
  type TargetRead,
  usesTopicIds,
} from './fetch-targets.js'
import type { KafkaError } from './kafka-error.js'
import type { PartitionListener } from './partition.js'
import type { Topics } from './topics.js'

/** Session epochs that mean something else. */
const newSession = 0
const noSession = -1

/** A session younger than this is not given up for another one; one unused for longer always is. */
const evictionMs = 120_000

/**
 * The most partitions that all sessions together keep, some hundred bytes each. Kafka knows no such bound, but memory is
 * bounded here.
 */
const mostPartitions = 250_000

/** A Fetch as it is to be worked off: in a session, as the beginning of one, or without. */
export interface FetchRound {
  readonly reader: FetchReader
  /** What is to be looked at. */
  readonly targets: readonly FetchTarget[]
  /** Whether there are other partitions, of which the client has everything. */
  readonly waitsForMore: boolean
  /**
   * Has a listener told of their changes from here on; they are to be looked at when they have been taken among the targets. Of what
   * is superseded by then nothing is left to look at.
   */
  listen(listener: PartitionListener): void
  takeChanged(): void
  /** Cancelled when a later request of the session makes this one's answer worthless. */
  readonly superseded: Cancellation | null
  /** Called once, with the answers of all targets: tells which of them to send, and as what. */
  conclude(reads: readonly TargetRead[]): FetchConclusion
}

export interface FetchSessionsOptions {
  /** Kafka's `max.incremental.fetch.session.cache.slots`. */
  readonly maxSessions: number
  readonly clock: Clock
  readonly maxPartitions?: number
}

/**
 * The fetch sessions of all connections (KIP-227). Where there is no room for another one its client is told so, by the
 * session id 0, and goes on sending full requests.
 */
export class FetchSessions {
  readonly #maxSessions: number
  readonly #maxPartitions: number
  readonly #clock: Clock
  /** The one that was used last comes last. */
  readonly #sessions = new Map<number, FetchSession>()
  /**
   * Those of brokers, which always have room, and are given up only when they have not been used for long. A broker has one: with
   * another one it has lost it.
   */
  readonly #ofFollowers = new Map<number, FetchSession>()
  #partitions = 0
  #evictions = 0

  constructor({ maxSessions, clock, maxPartitions = mostPartitions }: FetchSessionsOptions) {
    this.#maxSessions = maxSessions
    this.#maxPartitions = maxPartitions
    this.#clock = clock
  }

  /** How many there are. */
  get size(): number {
    return this.#sessions.size
  }

  /** How many partitions they keep. */
  get partitions(): number {
    return this.#partitions
  }

  /** How many were given up for others. */
  get evictions(): number {
    return this.#evictions
  }

  /** Every partition that a request is for, those that its session keeps first. */
  *named({
    sessionId,
    sessionEpoch,
    topics,
  }: FetchRequest): IterableIterator<FetchRequest['topics'][number]> {
    if (sessionEpoch !== newSession && sessionEpoch !== noSession)
      yield* this.#sessions.get(sessionId)?.named() ?? []
    yield* topics
  }

  /** Finds out what a request asks for; an error where the session that it belongs to is not what its client thinks. */
  begin(request: FetchRequest, reader: FetchReader, topics: Topics): FetchRound | KafkaError {
    const { sessionId, sessionEpoch } = request
    if (sessionEpoch === newSession || sessionEpoch === noSession) {
      this.#remove(this.#sessions.get(sessionId))
      const targets = fetchTargets(request, reader, topics)
      return sessionEpoch === noSession ? withoutSession(reader, targets) : this.#beginning(reader, targets)
    }
    const session = this.#sessions.get(sessionId)
    if (session === undefined) return errors.FETCH_SESSION_ID_NOT_FOUND
    if (session.epoch !== sessionEpoch) return errors.INVALID_FETCH_SESSION_EPOCH
    if (session.usesTopicIds !== usesTopicIds(reader.apiVersion)) return errors.FETCH_SESSION_TOPIC_ID_ERROR
    this.#partitions -= session.size
    session.update(request)
    this.#partitions += session.size
    if (session.size === 0) {
      this.#remove(session)
      return withoutSession(reader, fetchTargets(request, reader, topics))
    }
    if (this.#partitions > this.#maxPartitions && reader.replica === null) {
      // Its client starts over with a full request, and gets a session if there is room by then.
      this.#remove(session)
      return errors.FETCH_SESSION_ID_NOT_FOUND
    }
    this.#touch(session)
    return session.begin(reader, topics)
  }

  #beginning(reader: FetchReader, targets: readonly FetchTarget[]): FetchRound {
    const { apiVersion, replica } = reader
    // Who is a replica of nothing is no broker, whatever it says.
    const isFollower = replica !== null && targets.some(({ partition, refusal }) => partition && !refusal)
    const followerId = isFollower ? replica.id : null
    const conclude = (reads: readonly TargetRead[]): FetchConclusion => {
      const hasRoom = followerId !== null || this.#hasRoomFor(targets.length)
      const sessionId = hasRoom ? this.#create(apiVersion, targets, reads, followerId) : 0
      return { errorCode: 0, sessionId, isSent: () => true }
    }
    return { ...withoutSession(reader, targets), conclude }
  }

  #create(
    apiVersion: number,
    targets: readonly FetchTarget[],
    reads: readonly TargetRead[],
    followerId: number | null,
  ): number {
    let id: number
    do id = randomInt(1, 2 ** 31 - 1)
    while (this.#sessions.has(id))
    const session = new FetchSession(id, apiVersion, this.#clock.now(), targets, reads)
    this.#sessions.set(id, session)
    if (followerId !== null) {
      this.#remove(this.#ofFollowers.get(followerId))
      this.#ofFollowers.set(followerId, session)
    }
    this.#partitions += targets.length
    return id
  }

  #hasRoomFor(partitions: number): boolean {
    if (partitions > this.#maxPartitions || this.#maxSessions === 0) return false
    while (this.#sessions.size >= this.#maxSessions || this.#partitions + partitions > this.#maxPartitions) {
      const evicted = this.#evictableFor(partitions)
      if (evicted === undefined) return false
      this.#remove(evicted)
      this.#evictions++
    }
    return true
  }

  /**
   * By Kafka's rules: the one that was used least recently if that is long ago, else the smallest of those that are not
   * new, if it is smaller than the one to come, and of no follower.
   */
  #evictableFor(partitions: number): FetchSession | undefined {
    const now = this.#clock.now()
    const [oldest] = this.#sessions.values()
    if (oldest !== undefined && now - oldest.lastUsedMs > evictionMs) return oldest
    const followers = new Set(this.#ofFollowers.values())
    let smallest: FetchSession | undefined
    for (const session of this.#sessions.values()) {
      const isNew = now - session.createdMs <= evictionMs
      if (!isNew && !followers.has(session) && session.size < (smallest?.size ?? partitions))
        smallest = session
    }
    return smallest
  }

  #touch(session: FetchSession): void {
    session.lastUsedMs = this.#clock.now()
    this.#sessions.delete(session.id)
    this.#sessions.set(session.id, session)
  }

  #remove(session: FetchSession | undefined): void {
    if (session === undefined || !this.#sessions.delete(session.id)) return
    this.#partitions -= session.size
    session.close()
  }
}

function withoutSession(reader: FetchReader, targets: readonly FetchTarget[]): FetchRound {
  return {
    reader,
    targets,
    waitsForMore: false,
    listen: () => {},
    takeChanged: () => {},
    superseded: null,
    conclude: () => ({ errorCode: 0, sessionId: 0, isSent: () => true }),
  }
}
