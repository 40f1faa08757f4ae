import type { Connection } from '@varve/client/connection'
import { fetch, type FetchRequestInput, type FetchResponse } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { PartitionFollower } from '@varve/replication'
import { type BrokerLog, errorFields, type LogFields, messageOf } from '../broker-log.js'
import type { Clock, Timer } from '../clock.js'
import { nextEpoch } from '../fetch-session.js'
import type { Partition } from '../partition.js'
import type { ReplicationQuota } from '../replication-quota.js'
import { FollowedPartition, type FollowerLog } from './followed-partition.js'

/** How much a follower asks for at once, and for how long. */
export interface ReplicaFetchLimits {
  /** `replica.fetch.wait.max.ms`. */
  readonly waitMaxMs: number
  /** `replica.fetch.response.max.bytes`. */
  readonly responseMaxBytes: number
  /** `replica.fetch.max.bytes`. */
  readonly partitionMaxBytes: number
}

/** How long beyond its wait an answer may take: longer, and the leader counts as gone. */
const answerWithinMs = 10_000
/** A second one ends the wait of the first, when there is something new to say. */
const mostRequestsInFlight = 2
const firstBackoffMs = 50
const longestBackoffMs = 1000

interface SentRequest {
  readonly number: number
  readonly followed: readonly FollowedPartition[]
}

type FetchedPartition = NonNullable<FetchRequestInput['topics']>[number]['partitions'][number]

/** What a fetcher needs of a connection. */
export type FetchConnection = Pick<Connection, 'requestFrame' | 'close'>

export interface ReplicaFetcherOptions {
  readonly brokerId: number
  readonly leaderId: number
  readonly limits: ReplicaFetchLimits
  /** Of what is fetched. */
  readonly quota: ReplicationQuota
  /** Gives a connection that nothing else uses. */
  readonly dial: () => Promise<FetchConnection>
  readonly clock: Clock
  readonly log: BrokerLog
}

/**
 * Fetches everything that this broker follows of one leader (Kafka's ReplicaFetcherThread), in an incremental session
 * (KIP-227): what has nothing new to say or to be told costs nothing. What rests is left out of the session meanwhile: the leader
 * would read the same records again with each request, or answer the same error without a wait.
 */
export class ReplicaFetcher {
  readonly #options: ReplicaFetcherOptions
  readonly #followed = new Map<string, FollowedPartition>()
  /** Those that may have something to say. */
  readonly #ready = new Set<FollowedPartition>()
  /** Those that the leader answers without being asked again. */
  readonly #inSession = new Map<string, FollowedPartition>()
  /** Those that the session has and that are not to be answered. */
  #forgotten: FollowedPartition[] = []
  #connection: FetchConnection | null = null
  #isDialling = false
  #sessionId = 0
  #sessionEpoch = 0
  readonly #inFlight: SentRequest[] = []
  #requests = 0
  #backoffMs = firstBackoffMs
  #timer: Timer = undefined
  #isClosed = false
  #isLeaving = false
  #isPumping = false
  #couldNotReach = false
  #brokerEpoch = -1

  constructor(options: ReplicaFetcherOptions) {
    this.#options = options
  }

  /** Begins to fetch a partition, from where its follower says. */
  add(partition: Partition, follower: PartitionFollower, log: FollowerLog): void {
    this.remove(partition)
    const followed = new FollowedPartition({
      partition,
      follower,
      log,
      brokerId: this.#options.brokerId,
      quota: this.#options.quota,
      clock: this.#options.clock,
      brokerLog: this.#options.log,
      onReady: this.#onReady,
    })
    this.#followed.set(keyOf(followed), followed)
    this.#onReady(followed)
  }

  /** Ceases to fetch a partition. What has been asked of its log goes on, and its follower is told how it ends. */
  remove({ state: { topicId, partition: index } }: Partition): void {
    const key = keyOf({ topicId, index })
    const followed = this.#followed.get(key)
    if (followed === undefined) return
    followed.stop()
    this.#followed.delete(key)
    this.#ready.delete(followed)
    this.#forget(key)
    this.#pumpSoon()
  }

  /** Looks again what there is to fetch: followers wait until their broker has an epoch, which changes with its registration. */
  wake(): void {
    for (const followed of this.#followed.values()) this.#ready.add(followed)
    this.#pumpSoon()
  }

  /** What leads may be ended together with this broker, and is missed no more. */
  leave(): void {
    this.#isLeaving = true
  }

  close(): void {
    this.#isClosed = true
    this.#options.clock.clearTimeout(this.#timer)
    for (const followed of this.#followed.values()) followed.stop()
    this.#connection?.close()
  }

  readonly #onReady = (followed: FollowedPartition): void => {
    if (this.#followed.get(keyOf(followed)) !== followed) return
    this.#ready.add(followed)
    this.#pumpSoon()
  }

  /** Those of one change of the image, and of one answer, go together. */
  #pumpSoon(): void {
    if (this.#isPumping || this.#isClosed) return
    this.#isPumping = true
    setImmediate(() => {
      this.#isPumping = false
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#isClosed) return
    if (this.#connection === null) {
      if (this.#followed.size > 0) this.#dial()
      return
    }
    const most = this.#sessionId === 0 ? 1 : mostRequestsInFlight
    while (this.#inFlight.length < most) {
      const request = this.#nextRequest()
      if (request === null) return
      this.#send(this.#connection, request.body, request.followed)
    }
  }

  #dial(): void {
    if (this.#isDialling) return
    this.#isDialling = true
    this.#options.dial().then(
      (connection) => {
        this.#isDialling = false
        if (this.#isClosed) return connection.close()
        this.#connection = connection
        if (this.#couldNotReach) this.#tell('info', 'follows it again')
        this.#couldNotReach = false
        this.#pump()
      },
      (error: unknown) => {
        this.#isDialling = false
        this.#complain(error)
        this.#backOff()
      },
    )
  }

  #backOff(): void {
    if (this.#isClosed) return
    this.#options.clock.clearTimeout(this.#timer)
    this.#timer = this.#options.clock.setTimeout(() => this.#pump(), this.#backoffMs)
    this.#backoffMs = Math.min(this.#backoffMs * 2, longestBackoffMs)
  }

  #nextRequest(): { body: FetchRequestInput; followed: FollowedPartition[] } | null {
    const { waitMaxMs, responseMaxBytes, partitionMaxBytes } = this.#options.limits
    const isFirst = this.#sessionId === 0
    const asked: FollowedPartition[] = []
    const topics = new Map<string, FetchedPartition[]>()
    for (const followed of this.#ready) {
      const fetched = followed.fetch(this.#requests + 1)
      if (fetched === null) {
        if (followed.isResting) this.#forget(keyOf(followed))
        continue
      }
      const { topicId, index: partition } = followed
      let partitions = topics.get(topicId)
      if (partitions === undefined) topics.set(topicId, (partitions = []))
      partitions.push({
        partition,
        currentLeaderEpoch: fetched.currentLeaderEpoch,
        fetchOffset: fetched.fetchOffset,
        lastFetchedEpoch: fetched.lastFetchedEpoch,
        logStartOffset: fetched.logStartOffset,
        partitionMaxBytes,
        highWatermark: fetched.highWatermark,
      })
      this.#brokerEpoch = fetched.replicaEpoch
      this.#inSession.set(keyOf(followed), followed)
      asked.push(followed)
    }
    this.#ready.clear()
    // A session without partitions would be none any more; one with nothing new to say needs one request, which waits.
    const keepsAlive = !isFirst && this.#inSession.size > 0 && this.#inFlight.length === 0
    if (asked.length === 0 && !keepsAlive) return null
    const body: FetchRequestInput = {
      replicaState: { replicaId: this.#options.brokerId, replicaEpoch: this.#brokerEpoch },
      // The first answer makes the session, in which what is followed later need not wait for it.
      maxWaitMs: isFirst ? 0 : waitMaxMs,
      minBytes: 1,
      maxBytes: responseMaxBytes,
      sessionId: this.#sessionId,
      sessionEpoch: this.#sessionEpoch,
      topics: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
      forgottenTopicsData: this.#takeForgotten(),
    }
    return { body, followed: asked }
  }

  #takeForgotten(): NonNullable<FetchRequestInput['forgottenTopicsData']> {
    // What is asked for anew the session keeps.
    const forgotten = this.#forgotten.filter((followed) => !this.#inSession.has(keyOf(followed)))
    this.#forgotten = []
    return forgotten.map(({ topicId, index }) => ({ topicId, partitions: [index] }))
  }

  #forget(key: string): void {
    const followed = this.#inSession.get(key)
    if (followed === undefined) return
    this.#inSession.delete(key)
    this.#forgotten.push(followed)
  }

  #send(connection: FetchConnection, body: FetchRequestInput, followed: readonly FollowedPartition[]): void {
    const request: SentRequest = { number: ++this.#requests, followed }
    this.#inFlight.push(request)
    this.#sessionEpoch = body.sessionEpoch === 0 ? 0 : nextEpoch(body.sessionEpoch!)
    const timeoutMs = this.#options.limits.waitMaxMs + answerWithinMs
    connection.requestFrame(fetch, body, { timeoutMs }).then(
      ({ body: response, release }) => {
        const inUse = connection === this.#connection ? this.#take(request, response) : []
        if (inUse.length === 0) release()
        else void Promise.allSettled(inUse).then(release)
      },
      (error: unknown) => {
        if (connection === this.#connection) this.#lose(error)
      },
    )
  }

  /** Takes an answer. Its records are in use until what is returned has ended. */
  #take(request: SentRequest, response: FetchResponse): Promise<unknown>[] {
    const place = this.#inFlight.indexOf(request)
    // Of a session that has been given up meanwhile.
    if (place < 0) return []
    this.#inFlight.splice(place, 1)
    if (response.errorCode !== 0) {
      this.#forgetSession()
      this.#backOff()
      return []
    }
    this.#backoffMs = firstBackoffMs
    if (this.#sessionId === 0) {
      this.#sessionId = response.sessionId
      this.#sessionEpoch = response.sessionId === 0 ? 0 : 1
    }
    // Of one that was asked for again since, the earlier Fetch is answered by nobody.
    for (const followed of request.followed) {
      followed.lostBefore(request.number)
      this.#onReady(followed)
    }
    const inUse: Promise<unknown>[] = []
    for (const { topicId, partitions } of response.responses) {
      for (const answer of partitions) {
        const key = keyOf({ topicId, index: answer.partitionIndex })
        const followed = this.#followed.get(key)
        if (followed === undefined) continue
        const appending = followed.answered(request.number, answer)
        if (appending !== null) inUse.push(appending)
        if (followed.isResting) this.#forget(key)
        else this.#ready.add(followed)
      }
    }
    // Without a session everything is asked for anew.
    if (this.#sessionId === 0) this.#forgetSession()
    this.#pumpSoon()
    return inUse
  }

  /** The connection is gone, and every request on it. */
  #lose(error: unknown): void {
    this.#connection?.close()
    this.#connection = null
    if (!this.#isClosed) this.#complain(error)
    this.#forgetSession()
    this.#backOff()
  }

  #forgetSession(): void {
    this.#sessionId = 0
    this.#sessionEpoch = 0
    this.#inFlight.length = 0
    this.#forgotten = []
    this.#inSession.clear()
    for (const followed of this.#followed.values()) {
      followed.lostBefore(Infinity)
      this.#ready.add(followed)
    }
  }

  #complain(error: unknown): void {
    if (this.#couldNotReach || this.#isLeaving || this.#isClosed || this.#followed.size === 0) return
    if (VarveError.is(error) && error.code === 'VARVE_BROKER_CLOSED') return
    this.#couldNotReach = true
    this.#tell('warn', `cannot follow it: ${messageOf(error)}; it is tried again`, errorFields(error))
  }

  #tell(level: 'info' | 'warn', text: string, fields: LogFields = {}): void {
    const { leaderId, log } = this.#options
    log(level, `leader ${leaderId} of ${this.#followed.size} partitions: ${text}`, fields)
  }
}

function keyOf({ topicId, index }: { readonly topicId: string; readonly index: number }): string {
  return `${topicId}/${index}`
}
