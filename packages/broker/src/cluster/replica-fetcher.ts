import type { Connection } from '@varve/client/connection'
import type { Log } from '@varve/log'
import { errors, fetch, type FetchRequestInput, type FetchResponse } from '@varve/protocol'
import { batchesIn, VarveError } from '@varve/records'
import type { FetchedRecords, FollowerFetch, FollowerStep, PartitionFollower } from '@varve/replication'
import { type BrokerLog, errorFields, type LogFields, messageOf } from '../broker-log.js'
import type { Clock, Timer } from '../clock.js'
import { kafkaErrorNames } from '../kafka-error.js'
import type { Partition } from '../partition.js'

/** What a follower asks of its log beside what a partition does. */
export type FollowerLog = Pick<
  Log,
  | 'startOffset'
  | 'durableOffset'
  | 'appendReplicated'
  | 'truncateTo'
  | 'truncateFullyAndStartAt'
  | 'deleteBefore'
  | 'state'
>

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
/** After an answer that says to ask again. */
const retryBackoffMs = 100

/** A partition that is followed here, in one leader epoch. */
interface Followed {
  readonly partition: Partition
  readonly follower: PartitionFollower
  readonly log: FollowerLog
  /** Its Fetches that no answer has settled, with the number of the request in which each was sent. */
  readonly sent: { readonly fetchId: number; readonly request: number; readonly fetch: FollowerFetch }[]
  isBackingOff: boolean
  isDeleting: boolean
}

interface SentRequest {
  readonly number: number
  readonly followed: readonly Followed[]
}

export interface ReplicaFetcherOptions {
  readonly brokerId: number
  readonly leaderId: number
  readonly limits: ReplicaFetchLimits
  /** Gives a connection that nothing else uses. */
  readonly dial: () => Promise<Connection>
  readonly clock: Clock
  readonly log: BrokerLog
}

/**
 * Fetches everything that this broker follows of one leader (Kafka's ReplicaFetcherThread), in an incremental session
 * (KIP-227): what has nothing new to say or to be told costs nothing.
 */
export class ReplicaFetcher {
  readonly #options: ReplicaFetcherOptions
  readonly #followed = new Map<string, Followed>()
  /** Those that the session has and that are followed no more. */
  #forgotten: { readonly topicId: string; readonly index: number }[] = []
  readonly #sessionHas = new Set<string>()
  #connection: Connection | null = null
  #isDialling = false
  #sessionId = 0
  #sessionEpoch = 0
  readonly #inFlight: SentRequest[] = []
  #requests = 0
  #backoffMs = firstBackoffMs
  #timer: Timer = undefined
  #isClosed = false
  #isPumping = false
  #couldNotReach = false
  #brokerEpoch = -1

  constructor(options: ReplicaFetcherOptions) {
    this.#options = options
  }

  /** How many partitions it fetches. */
  get size(): number {
    return this.#followed.size
  }

  /** Begins to fetch a partition, from where its follower says. */
  add(partition: Partition, follower: PartitionFollower, log: FollowerLog): void {
    this.remove(partition)
    const { topicId, partition: index } = partition.state
    this.#followed.set(keyOf(topicId, index), {
      partition,
      follower,
      log,
      sent: [],
      isBackingOff: false,
      isDeleting: false,
    })
    this.#pumpSoon()
  }

  /** Ceases to fetch a partition. What has been asked of its log goes on, and its follower is told how it ends. */
  remove(partition: Partition): void {
    const { topicId, partition: index } = partition.state
    const key = keyOf(topicId, index)
    if (!this.#followed.delete(key)) return
    if (this.#sessionHas.delete(key)) this.#forgotten.push({ topicId, index })
    this.#pumpSoon()
  }

  /** Looks again what there is to fetch: followers wait until their broker has an epoch, which changes with its registration. */
  wake(): void {
    this.#pumpSoon()
  }

  close(): void {
    this.#isClosed = true
    this.#options.clock.clearTimeout(this.#timer)
    this.#connection?.close()
  }

  /** Those of one change of the image go together. */
  #pumpSoon(): void {
    if (this.#isPumping) return
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

  #nextRequest(): { body: FetchRequestInput; followed: Followed[] } | null {
    const { limits } = this.#options
    const isFirst = this.#sessionId === 0
    const asked: Followed[] = []
    const topics = new Map<string, NonNullable<FetchRequestInput['topics']>[number]['partitions'][number][]>()
    for (const followed of this.#followed.values()) {
      const fetched = followed.isBackingOff ? null : followed.follower.fetch()
      if (fetched === null) continue
      const { topicId, partition } = followed.partition.state
      let partitions = topics.get(topicId)
      if (partitions === undefined) topics.set(topicId, (partitions = []))
      ;(partitions as unknown[]).push({
        partition,
        currentLeaderEpoch: fetched.currentLeaderEpoch,
        fetchOffset: fetched.fetchOffset,
        lastFetchedEpoch: fetched.lastFetchedEpoch,
        logStartOffset: fetched.logStartOffset,
        partitionMaxBytes: limits.partitionMaxBytes,
        highWatermark: fetched.highWatermark,
      })
      followed.sent.push({ fetchId: fetched.fetchId, request: this.#requests + 1, fetch: fetched })
      this.#sessionHas.add(keyOf(topicId, partition))
      asked.push(followed)
    }
    const hasNothingToSay = asked.length === 0 && this.#forgotten.length === 0
    if (hasNothingToSay && (isFirst || this.#inFlight.length > 0 || this.#sessionHas.size === 0)) return null
    // What is followed anew the session keeps.
    const forgotten = this.#forgotten.filter(
      ({ topicId, index }) => !this.#sessionHas.has(keyOf(topicId, index)),
    )
    this.#forgotten = []
    if (asked.length > 0) this.#brokerEpoch = asked[0]!.sent.at(-1)!.fetch.replicaEpoch
    const body: FetchRequestInput = {
      replicaState: { replicaId: this.#options.brokerId, replicaEpoch: this.#brokerEpoch },
      maxWaitMs: limits.waitMaxMs,
      minBytes: 1,
      maxBytes: limits.responseMaxBytes,
      sessionId: this.#sessionId,
      sessionEpoch: this.#sessionEpoch,
      topics: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
      forgottenTopicsData: (isFirst ? [] : forgotten).map(({ topicId, index }) => ({
        topicId,
        partitions: [index],
      })),
    }
    return { body, followed: asked }
  }

  #send(connection: Connection, body: FetchRequestInput, followed: readonly Followed[]): void {
    const request: SentRequest = { number: ++this.#requests, followed }
    this.#inFlight.push(request)
    this.#sessionEpoch = body.sessionEpoch === 0 ? 0 : nextSessionEpoch(body.sessionEpoch!)
    connection
      .request(fetch, body, {
        timeoutMs: this.#options.limits.waitMaxMs + answerWithinMs,
      })
      .then(
        (response) => {
          if (connection === this.#connection) this.#take(request, response)
        },
        (error: unknown) => {
          if (connection === this.#connection) this.#lose(error)
        },
      )
  }

  #take(request: SentRequest, response: FetchResponse): void {
    const place = this.#inFlight.indexOf(request)
    // Of a session that has been given up meanwhile.
    if (place < 0) return
    this.#inFlight.splice(place, 1)
    if (response.errorCode !== 0) {
      this.#forgetSession()
      this.#backOff()
      return
    }
    this.#backoffMs = firstBackoffMs
    if (this.#sessionId === 0) {
      this.#sessionId = response.sessionId
      this.#sessionEpoch = response.sessionId === 0 ? 0 : 1
    }
    // Of one that was asked for again since, the earlier Fetch is answered by nobody.
    for (const followed of request.followed) settleBefore(followed, request.number)
    for (const { topicId, partitions } of response.responses) {
      for (const answer of partitions) {
        const followed = this.#followed.get(keyOf(topicId, answer.partitionIndex))
        if (followed !== undefined) this.#answered(followed, request.number, answer)
      }
    }
    // Without a session everything is asked for anew.
    if (this.#sessionId === 0) this.#loseAll()
    this.#pump()
  }

  #answered(followed: Followed, request: number, answer: PartitionAnswer): void {
    const sent = followed.sent.findLast((each) => each.request <= request)
    if (sent === undefined) return
    followed.sent.splice(followed.sent.indexOf(sent), 1)
    const { follower, partition } = followed
    const step = follower.answered(sent.fetchId, answerOf(answer, sent.fetch))
    this.#carryOut(followed, step, answer.records as Buffer | null)
    partition.followed()
    this.#deleteBefore(followed)
  }

  #carryOut(followed: Followed, step: FollowerStep, records: Buffer | null): void {
    const { follower, log, partition } = followed
    switch (step.kind) {
      case 'append': {
        this.#untilDone(followed, log.appendReplicated(records!), () => follower.appended())
        return
      }
      case 'truncate': {
        this.#about(
          partition,
          'info',
          `truncates its log to offset ${step.to}, where it parts from the leader's`,
        )
        this.#untilDone(followed, log.truncateTo(step.to), () => follower.truncated())
        return
      }
      case 'start over': {
        this.#about(
          partition,
          'warn',
          `starts over at offset ${step.at}, since the leader has nothing of its log`,
        )
        this.#untilDone(followed, log.truncateFullyAndStartAt(step.at), () => follower.truncated())
        return
      }
      case 'retry': {
        this.#delay(followed)
        return
      }
      case 'nothing':
    }
  }

  #untilDone(followed: Followed, work: Promise<unknown>, done: () => void): void {
    const { follower, partition } = followed
    const end = (isDone: boolean): void => {
      if (isDone) done()
      else follower.stepFailed()
      // Another role waits until this one's last step has ended.
      if (partition.follower !== follower) partition.reconsider()
      partition.followed()
      this.#deleteBefore(followed)
      this.#pump()
    }
    work.then(
      () => end(true),
      (error: unknown) => {
        this.#about(partition, 'error', `could not follow: ${messageOf(error)}`, errorFields(error))
        this.#delay(followed)
        end(false)
      },
    )
  }

  #delay(followed: Followed): void {
    followed.isBackingOff = true
    this.#options.clock.setTimeout(() => {
      followed.isBackingOff = false
      this.#pump()
    }, retryBackoffMs)
  }

  /** What the leader has deleted goes here, too. */
  #deleteBefore(followed: Followed): void {
    const { follower, log } = followed
    const offset = Math.min(follower.logStartOffset, log.durableOffset)
    if (followed.isDeleting || follower.isBusy || log.state !== 'open' || offset <= log.startOffset) return
    followed.isDeleting = true
    const end = (): void => {
      followed.isDeleting = false
      // The leader waits to hear of it.
      this.#pump()
    }
    log.deleteBefore(offset).then(end, (error: unknown) => {
      end()
      const text = `could not delete what its leader has deleted: ${messageOf(error)}`
      this.#about(followed.partition, 'warn', text, errorFields(error))
    })
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
    this.#sessionHas.clear()
    this.#loseAll()
  }

  #loseAll(): void {
    for (const followed of this.#followed.values()) settleBefore(followed, Infinity)
  }

  #complain(error: unknown): void {
    if (this.#couldNotReach || this.#isClosed || this.#followed.size === 0) return
    if (VarveError.is(error) && error.code === 'VARVE_BROKER_CLOSED') return
    this.#couldNotReach = true
    this.#tell('warn', `cannot follow it: ${messageOf(error)}; it is tried again`, errorFields(error))
  }

  #tell(level: 'info' | 'warn', text: string, fields: LogFields = {}): void {
    const { leaderId, log } = this.#options
    log(level, `leader ${leaderId} of ${this.#followed.size} partitions: ${text}`, fields)
  }

  #about(
    { name, topic, index }: Partition,
    level: 'info' | 'warn' | 'error',
    text: string,
    fields: LogFields = {},
  ): void {
    this.#options.log(level, `${name}: ${text}`, { topic, partition: index, ...fields })
  }
}

type PartitionAnswer = FetchResponse['responses'][number]['partitions'][number]

function keyOf(topicId: string, index: number): string {
  return `${topicId}/${index}`
}

/** Takes back the Fetches that were sent before a request. */
function settleBefore({ sent, follower }: Followed, request: number): void {
  while (sent.length > 0 && sent[0]!.request < request) follower.lost(sent.shift()!.fetchId)
}

function nextSessionEpoch(epoch: number): number {
  return epoch === 2 ** 31 - 1 ? 1 : epoch + 1
}

/** An answer as the rules take it. A leader answers in the epoch that was asked for, or says that it is in another one. */
function answerOf(answer: PartitionAnswer, { currentLeaderEpoch }: FollowerFetch): FetchedRecords {
  const { errorCode, highWatermark, logStartOffset, divergingEpoch } = answer
  const records = answer.records as Buffer | null
  const isOfAnotherEpoch =
    errorCode === errors.FENCED_LEADER_EPOCH.code || errorCode === errors.UNKNOWN_LEADER_EPOCH.code
  return {
    error: errorCode === 0 ? null : (kafkaErrorNames.get(errorCode) as FetchedRecords['error']),
    leaderEpoch: isOfAnotherEpoch ? -1 : currentLeaderEpoch,
    highWatermark,
    logStartOffset,
    diverging: divergingEpoch.epoch < 0 ? null : divergingEpoch,
    records: records === null || records.length === 0 ? null : rangeOf(records),
  }
}

function rangeOf(records: Buffer): FetchedRecords['records'] {
  let baseOffset = -1
  let endOffset = -1
  for (const batch of batchesIn(records)) {
    if (baseOffset < 0) baseOffset = batch.baseOffset
    endOffset = batch.nextOffset
  }
  return baseOffset < 0 ? null : { baseOffset, endOffset }
}
