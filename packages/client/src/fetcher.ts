import { errors, fetch, type FetchResponse } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Clock } from './clock.js'
import type { Cluster } from './cluster.js'
import { fetchRequest, type FetchLimits } from './fetch-request.js'
import { FetchedPartition, type AssignedPartition } from './fetched-partition.js'
import { isStaleMetadata, KafkaError } from './kafka-error.js'
import { lookUpOffsets } from './offset-lookup.js'

export interface FetcherOptions extends FetchLimits {
  metadataMaxAgeMs: number
  checkCrcs: boolean
  maxDecompressedBytes: number
  offsetReset: 'earliest' | 'latest' | 'none'
  requestTimeoutMs: number
  retryBackoffMs: number
}

/** Something to hand out: batches of a partition. */
export interface FetchedBatches {
  readonly assigned: AssignedPartition
  readonly batches: FetchedPartition
  readonly from: Response
}

/** Why there are no batches. */
export interface FetchedError {
  readonly assigned: AssignedPartition
  readonly error: unknown
}

export type Fetched = FetchedBatches | FetchedError

/** What the fetcher tells its owner. */
export interface FetcherEvents {
  /** Something has come that `take` will give. */
  wake(): void
  /** The leader has lost records behind `offset` that were fetched of it: that is where to go on, after a batch of `epoch`. */
  truncated(assigned: AssignedPartition, offset: number, epoch: number): void
}

/** What one response brought that has not been handed out yet. */
interface Response {
  readonly node: number
  partitions: number
}

/** A broker that leads partitions, or has them nearby. */
interface Source {
  fetching: boolean
  /** Responses of which something is still to be handed out. */
  buffered: number
  /** What the fetch under way asks for. */
  asked: readonly AssignedPartition[]
  /** Gives the fetch under way up. */
  cancel: (() => void) | null
}

type Endpoints = FetchResponse['nodeEndpoints']
type PartitionData = FetchResponse['responses'][number]['partitions'][number]

const MAX_BACKOFF_MS = 1_000
// A topic may be in the middle of being created; one that stays unknown this long is not.
const UNKNOWN_TOPIC_GRACE_MS = 5_000
// Where fetches wait at the broker; everything else uses another connection.
const LANE = 'fetch'

/**
 * Keeps one fetch under way to each leader, or to a follower that is nearer, as long as no more than one earlier response of it waits to be handed out:
 * that one fetch is the read-ahead, and with `maxBytes` the bound of memory.
 */
export class Fetcher {
  private readonly cluster: Cluster
  private readonly options: FetcherOptions
  private readonly clock: Clock
  private readonly events: FetcherEvents
  private assignment: readonly AssignedPartition[] = []
  private readonly sources = new Map<number, Source>()
  private readonly fetched: Fetched[] = []
  private readonly unknownSince = new Map<string, number>()
  private turn = 0
  private lookingUp = false
  private refreshing = false
  private cancelWakeUp: (() => void) | null = null
  private closed = false

  constructor(cluster: Cluster, options: FetcherOptions, clock: Clock, events: FetcherEvents) {
    this.cluster = cluster
    this.options = options
    this.clock = clock
    this.events = events
  }

  /** A fetch that waits at its broker for partitions that are no longer wanted is given up. */
  assign(assignment: readonly AssignedPartition[]): void {
    this.assignment = assignment
    for (const { asked, cancel } of this.sources.values()) {
      if (asked.some(({ revoked }) => revoked)) cancel?.()
    }
  }

  /** The next thing to hand out; `done` must be called for it. Also asks for more where there is room. */
  take(): Fetched | undefined {
    let next = this.fetched.shift()
    while (next?.assigned.revoked === true) {
      this.done(next)
      next = this.fetched.shift()
    }
    this.pump()
    return next
  }

  done(fetched: Fetched): void {
    if ('error' in fetched) {
      fetched.assigned.failed = false
      return
    }
    if (--fetched.from.partitions === 0) this.sources.get(fetched.from.node)!.buffered--
  }

  close(): void {
    this.closed = true
    this.fetched.length = 0
    this.cancelWakeUp?.()
  }

  /** Does whatever is due: metadata, offsets to look up, fetches. */
  pump(): void {
    if (this.closed) return
    const now = this.clock.now()
    const byNode = new Map<number, AssignedPartition[]>()
    let leaderless = false
    let unresolved = false
    let retryAt = Infinity
    for (const assigned of this.assignment) {
      if (assigned.failed || assigned.paused || assigned.isFetched) continue
      if (assigned.retryAt > now) {
        retryAt = Math.min(retryAt, assigned.retryAt)
        continue
      }
      const leader = this.cluster.leaderOf(assigned.topic, assigned.partition)
      if (leader === undefined) leaderless = true
      else if (assigned.start !== null) unresolved = true
      else {
        const node = this.nearest(assigned, leader, now)
        byNode.set(node, [...(byNode.get(node) ?? []), assigned])
      }
    }
    this.wakeUpAt(retryAt, now)
    if (leaderless) void this.refresh()
    if (unresolved) void this.lookUp()
    for (const [node, partitions] of byNode) {
      const source = this.source(node)
      if (!source.fetching && source.buffered <= 1) void this.fetch(node, source, partitions)
    }
  }

  /** The leader is asked again from time to time, since what is near changes. */
  private nearest(assigned: AssignedPartition, leader: number, now: number): number {
    const { nearby } = assigned
    if (nearby !== null && nearby.until > now && this.cluster.knows(nearby.nodeId)) return nearby.nodeId
    assigned.nearby = null
    return leader
  }

  private wakeUpAt(time: number, now: number): void {
    this.cancelWakeUp?.()
    this.cancelWakeUp = null
    if (time === Infinity) return
    this.cancelWakeUp = this.clock.after(time - now, () => this.pump())
  }

  private source(nodeId: number): Source {
    const known = this.sources.get(nodeId)
    if (known !== undefined) return known
    const created: Source = { fetching: false, buffered: 0, asked: [], cancel: null }
    this.sources.set(nodeId, created)
    return created
  }

  private async fetch(node: number, source: Source, partitions: AssignedPartition[]): Promise<void> {
    source.fetching = true
    let cancelled = false
    try {
      const connection = await this.cluster.connectionTo(node, LANE)
      const asked = partitions.filter(({ revoked }) => !revoked)
      const { body, maxVersion } = fetchRequest(this.cluster, connection, this.rotate(asked), this.options)
      const { maxWaitMs, requestTimeoutMs } = this.options
      source.asked = asked
      // A broker answers a connection's requests one after another: only a new connection is rid of one that waits.
      source.cancel = () => {
        cancelled = true
        connection.close()
      }
      const response = await connection.request(fetch, body, {
        maxVersion,
        timeoutMs: maxWaitMs + requestTimeoutMs,
      })
      source.asked = []
      if (response.errorCode !== 0)
        throw new KafkaError(response.errorCode, `Fetch from ${connection.address}`)
      this.takeResponse(node, source, asked, response)
    } catch (error) {
      if (!this.closed && !cancelled) this.fetchFailed(partitions, error)
    } finally {
      source.fetching = false
      source.asked = []
      source.cancel = null
      this.pump()
    }
  }

  /** A broker fills its response in the order of the request: everybody is first from time to time. */
  private rotate(partitions: AssignedPartition[]): AssignedPartition[] {
    const first = this.turn++ % Math.max(partitions.length, 1)
    return [...partitions.slice(first), ...partitions.slice(0, first)]
  }

  private takeResponse(
    node: number,
    source: Source,
    asked: AssignedPartition[],
    response: FetchResponse,
  ): void {
    const from: Response = { node, partitions: 0 }
    const missing = new Set(asked)
    const byName = new Map(asked.map((assigned) => [`${assigned.topic}-${assigned.partition}`, assigned]))
    for (const { topic, topicId, partitions } of response.responses) {
      const name = topic === '' ? this.cluster.topicName(topicId) : topic
      for (const data of partitions) {
        const assigned = byName.get(`${name}-${data.partitionIndex}`)
        if (assigned === undefined) continue
        missing.delete(assigned)
        if (assigned.revoked) continue
        if (data.errorCode === 0) this.takePartition(assigned, data, from)
        else this.partitionFailed(assigned, data, response.nodeEndpoints)
      }
    }
    // Asking at once for what was left out would be a loop without a pause.
    for (const assigned of missing) this.backOff(assigned)
    if (from.partitions > 0) source.buffered++
  }

  private takePartition(assigned: AssignedPartition, data: PartitionData, from: Response): void {
    const { isolation, checkCrcs, maxDecompressedBytes, metadataMaxAgeMs } = this.options
    assigned.failures = 0
    assigned.highWatermark = isolation === 'read_committed' ? data.lastStableOffset : data.highWatermark
    if (data.divergingEpoch.endOffset >= 0) {
      this.diverged(assigned, data.divergingEpoch)
      return
    }
    if (data.preferredReadReplica >= 0) {
      const nodeId = data.preferredReadReplica
      assigned.nearby = { nodeId, until: this.clock.now() + metadataMaxAgeMs }
      if (!this.cluster.knows(nodeId)) {
        this.backOff(assigned)
        void this.refresh()
      }
    }
    if (data.records === null || data.records.length === 0) return
    const aborted = isolation === 'read_committed' ? (data.abortedTransactions ?? []) : []
    const batches = new FetchedPartition(assigned, data.records, {
      highWatermark: assigned.highWatermark,
      aborted,
      checkCrcs,
      maxDecompressedBytes,
    })
    if (batches.isEmpty) {
      const { topic, partition, fetchOffset } = assigned
      const problem = `The batch at offset ${fetchOffset} of ${topic}-${partition} did not come whole; raise maxPartitionBytes`
      this.hand(assigned, new VarveError('VARVE_BATCH_TOO_LARGE', problem))
      return
    }
    assigned.fetchOffset = Math.max(assigned.fetchOffset, batches.nextOffset)
    assigned.lastEpoch = batches.lastEpoch
    // Nothing is fetched beyond damage: handing it out is what ends the iteration.
    if (batches.isDamaged) assigned.failed = true
    from.partitions++
    this.fetched.push({ assigned, batches, from })
    this.events.wake()
  }

  /** An unclean election has taken records that were read, as the leader tells from the epoch of the last of them. */
  private diverged(assigned: AssignedPartition, { epoch, endOffset }: PartitionData['divergingEpoch']): void {
    const { topic, partition, fetchOffset } = assigned
    if (this.options.offsetReset !== 'none') {
      this.events.truncated(assigned, Math.min(endOffset, fetchOffset), epoch)
      return
    }
    const problem = `The log of ${topic}-${partition} has been truncated: records from offset ${endOffset} up to ${fetchOffset} that were fetched are lost, and others may be there now; seek to ${endOffset} to read those`
    this.hand(assigned, new VarveError('VARVE_LOG_TRUNCATED', problem))
  }

  private partitionFailed(assigned: AssignedPartition, data: PartitionData, endpoints: Endpoints): void {
    const { topic, partition, fetchOffset, nearby } = assigned
    const { errorCode } = data
    const { offsetReset } = this.options
    assigned.nearby = null
    if (errorCode === errors.OFFSET_OUT_OF_RANGE.code) {
      // A follower lags behind, or has other records deleted: the leader decides whether there is such an offset.
      if (nearby !== null) {
        this.backOff(assigned)
        return
      }
      if (offsetReset !== 'none') {
        assigned.start = offsetReset
        return
      }
    }
    const error = new KafkaError(errorCode, `Fetch from ${topic}-${partition} at offset ${fetchOffset}`)
    if (isStaleMetadata(errorCode)) {
      if (this.cluster.learnLeader(assigned, data.currentLeader, endpoints)) return
      this.backOff(assigned)
      void this.refresh()
    } else if (error.retriable && errorCode !== errors.CORRUPT_MESSAGE.code) {
      this.backOff(assigned)
    } else {
      this.hand(assigned, error)
    }
  }

  private fetchFailed(partitions: AssignedPartition[], error: unknown): void {
    for (const assigned of partitions) {
      assigned.nearby = null
      if (VarveError.is(error) && error.retriable) this.backOff(assigned)
      else this.hand(assigned, error)
    }
    void this.refresh()
  }

  private hand(assigned: AssignedPartition, error: unknown): void {
    if (assigned.revoked || assigned.failed || assigned.isFetched) return
    assigned.failed = true
    this.fetched.push({ assigned, error })
    this.events.wake()
  }

  private backOff(assigned: AssignedPartition): void {
    const backoff = Math.min(
      this.options.retryBackoffMs * 2 ** Math.min(assigned.failures++, 10),
      MAX_BACKOFF_MS,
    )
    // Whoever calls this pumps afterwards, which sets the timer.
    assigned.retryAt = this.clock.now() + backoff
  }

  private async lookUp(): Promise<void> {
    if (this.lookingUp) return
    this.lookingUp = true
    const now = this.clock.now()
    const asked = this.assignment.filter(
      ({ start, retryAt, failed }) => start !== null && retryAt <= now && !failed,
    )
    try {
      const queries = asked.map(({ topic, partition, start }) => ({ topic, partition, timestamp: start! }))
      const outcomes = await lookUpOffsets(this.cluster, queries, { isolation: this.options.isolation })
      outcomes.forEach((outcome, index) => this.takeOffset(asked[index]!, outcome))
    } catch (error) {
      for (const assigned of asked) this.hand(assigned, error)
    } finally {
      this.lookingUp = false
      this.pump()
    }
  }

  private takeOffset(assigned: AssignedPartition, outcome: { offset: number } | VarveError): void {
    if (this.closed || assigned.revoked) return
    if (!VarveError.is(outcome)) {
      assigned.begin(outcome.offset)
    } else if (outcome.retriable) {
      this.backOff(assigned)
      void this.refresh()
    } else {
      this.hand(assigned, outcome)
    }
  }

  /** One at a time; what it finds out decides about every partition that has no leader. */
  private async refresh(): Promise<void> {
    if (this.refreshing || this.closed) return
    this.refreshing = true
    try {
      await Promise.resolve()
      const topics = [...new Set(this.assignment.map(({ topic }) => topic))]
      const refreshed = await this.cluster.refresh(topics)
      for (const topic of refreshed.topics.keys()) this.unknownSince.delete(topic)
      for (const assigned of this.assignment) this.checkLeader(assigned, refreshed.errors.get(assigned.topic))
    } catch (error) {
      if (!this.closed) this.refreshFailed(error)
    } finally {
      this.refreshing = false
      this.pump()
    }
  }

  private checkLeader(assigned: AssignedPartition, errorCode: number | undefined): void {
    const { topic, partition } = assigned
    if (errorCode !== undefined) {
      const error = new KafkaError(errorCode, `Finding the leaders of topic '${topic}'`)
      const now = this.clock.now()
      const since = this.unknownSince.get(topic) ?? now
      this.unknownSince.set(topic, since)
      const isLost =
        errorCode === errors.UNKNOWN_TOPIC_OR_PARTITION.code && now - since >= UNKNOWN_TOPIC_GRACE_MS
      if (!error.retriable || isLost) this.hand(assigned, error)
    } else if (this.cluster.partition(topic, partition) === undefined) {
      const count = this.cluster.topic(topic)?.partitions.length ?? 0
      const problem = `Topic '${topic}' has no partition ${partition}: it has ${count}, numbered from 0`
      this.hand(assigned, new VarveError('VARVE_UNKNOWN_PARTITION', problem))
    }
    if (!assigned.failed && this.cluster.leaderOf(topic, partition) === undefined) this.backOff(assigned)
  }

  private refreshFailed(error: unknown): void {
    // Whoever could never reach a broker has the wrong address; a cluster that was there, for a group too, will be there again.
    const wasThere = this.cluster.metadataAgeMs < Infinity
    for (const assigned of this.assignment) {
      if (wasThere && VarveError.is(error) && error.retriable) this.backOff(assigned)
      else this.hand(assigned, error)
    }
  }
}
