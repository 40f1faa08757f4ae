import { MAX_DECOMPRESSED_BYTES, VarveError } from '@varve/records'
import { systemClock, type Clock } from './clock.js'
import { Cluster } from './cluster.js'
import type { CommittedOffset, GroupOffset } from './committed-offsets.js'
import { ConsumerGroup, type GroupOptions, type RebalanceListener } from './consumer-group.js'
import type { Assignment, ConsumerOptions, IterateOptions } from './consumer-options.js'
import type { ConsumerRecord } from './consumer-record.js'
import { AssignedPartition, type ConsumerBatch } from './fetched-partition.js'
import { Fetcher, type FetchedBatches, type FetcherOptions } from './fetcher.js'
import { RecordIteration, type DeliveredBatch } from './record-iteration.js'
import type { TopicPartition } from './topic-partition.js'

export type { CommittedOffset, GroupOffset } from './committed-offsets.js'
export type { RebalanceListener } from './consumer-group.js'
export type { Assignment, ConsumerOptions, IterateOptions } from './consumer-options.js'
export { ConsumerRecord } from './consumer-record.js'
export type { ConsumerBatch } from './fetched-partition.js'
export type { AssignorName } from './group-assignors.js'
export type { Isolation } from './offset-lookup.js'
export type { TopicPartition } from './topic-partition.js'

/**
 * Reads partitions that are assigned to it by hand, or as a member of a group topics that it subscribes to. Iterate it for records, or `batches()` for whole batches; one
 * iteration at a time. A new iteration goes on where the last one stopped.
 *
 * Errors that may pass (a broker that went away, a leader that moved) are retried without end once a broker has been
 * reached. Others end the iteration; the position stays before what could not be read, and `seek` gets past it.
 */
export class Consumer {
  private readonly cluster: Cluster
  private readonly fetcher: Fetcher
  private readonly group: ConsumerGroup | null
  private readonly partitions = new Map<string, AssignedPartition>()
  private current: FetchedBatches | null = null
  private wakeUp: (() => void) | null = null
  private closed = false

  /** Connects with the first iteration. @throws VarveError `VARVE_INVALID_OPTION` */
  constructor(options: ConsumerOptions) {
    const clock: Clock = options.clock ?? systemClock
    const {
      brokers,
      clientId,
      tls,
      connectTimeoutMs,
      requestTimeoutMs = 30_000,
      maxBytes = 16 * 1024 * 1024,
    } = options
    this.cluster = new Cluster({
      brokers,
      clientId,
      tls,
      connectTimeoutMs,
      requestTimeoutMs,
      clock: options.clock,
      // A broker may exceed maxBytes by one batch, and a batch has no bound that a client knows.
      maxResponseBytes: Math.max(maxBytes * 2, 128 * 1024 * 1024),
    })
    const fetcherOptions: FetcherOptions = {
      maxWaitMs: options.maxWaitMs ?? 500,
      minBytes: options.minBytes ?? 1,
      maxBytes,
      maxPartitionBytes: options.maxPartitionBytes ?? 1024 * 1024,
      isolation: options.isolation ?? 'read_uncommitted',
      rack: options.rack ?? '',
      metadataMaxAgeMs: options.metadataMaxAgeMs ?? 300_000,
      offsetReset: options.offsetReset ?? (options.groupId === undefined ? 'none' : 'latest'),
      checkCrcs: options.checkCrcs ?? true,
      maxDecompressedBytes: decompressedBytes(options.maxDecompressedBytes),
      requestTimeoutMs,
      retryBackoffMs: options.retryBackoffMs ?? 100,
    }
    this.fetcher = new Fetcher(this.cluster, fetcherOptions, clock, {
      wake: () => this.wake(),
      truncated: (assigned, offset, epoch) => this.rewind(assigned, offset, epoch),
    })
    this.group =
      options.groupId === undefined
        ? null
        : new ConsumerGroup(this.cluster, groupOptions(options, options.groupId, fetcherOptions), clock, {
            positions: () =>
              [...this.partitions.values()].map(({ topic, partition, position }) => ({
                topic,
                partition,
                position: position < 0 ? null : position,
              })),
            take: (assignments) => this.add(assignments),
            drop: (partitions) => this.remove(partitions),
            wake: () => this.wake(),
          })
  }

  /**
   * Replaces what is read. A partition that was assigned before starts over at its new offset.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_CLIENT_CLOSED`
   */
  assign(assignments: readonly Assignment[]): void {
    this.checkOpen()
    if (this.group?.isSubscribed === true) throw invalid('assign() and subscribe() exclude each other')
    const assigned = assignments.map(({ topic, partition, offset, end }) => {
      checkOffset(offset)
      if (end !== undefined) checkEnd(end)
      return new AssignedPartition(topic, partition, offset, end)
    })
    for (const partition of this.partitions.values()) partition.revoked = true
    this.partitions.clear()
    for (const partition of assigned) this.partitions.set(keyOf(partition), partition)
    this.reassigned()
  }

  /**
   * Becomes a member of the group, with the next iteration, and reads the partitions of these topics that the group gives
   * it. Topics that were subscribed to before are replaced.
   *
   * @throws VarveError `VARVE_INVALID_OPTION` without a `groupId` or after `assign`, `VARVE_CLIENT_CLOSED`
   */
  subscribe(topics: readonly string[], listener: RebalanceListener = {}): void {
    this.checkOpen()
    if (topics.length === 0) throw invalid('subscribe() needs at least one topic')
    const group = this.groupOrThrow()
    if (!group.isSubscribed && this.partitions.size > 0)
      throw invalid('assign() and subscribe() exclude each other')
    group.subscribe(topics, listener)
  }

  /** Commits as configured, gives up what is assigned, and leaves the group. @throws whatever `onRevoked` throws */
  async unsubscribe(): Promise<void> {
    await this.group?.unsubscribe()
  }

  /** What is read now: in a group, what the group gave. */
  get assignment(): TopicPartition[] {
    return [...this.partitions.values()].map(({ topic, partition }) => ({ topic, partition }))
  }

  /**
   * Commits where the group goes on.
   *
   * @param offsets default: the positions of everything that is assigned, which lie behind what has been handed out. In
   * the middle of an iteration that includes the record at hand.
   * @throws KafkaError: UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION or REBALANCE_IN_PROGRESS when the group is going on, or has
   * gone on, without this member; `VARVE_INVALID_OPTION` without a `groupId`
   */
  async commit(offsets?: readonly GroupOffset[]): Promise<void> {
    this.checkOpen()
    for (const { offset } of offsets ?? []) if (!isOffset(offset)) checkOffset(Number.NaN)
    await this.groupOrThrow().commit(offsets)
  }

  /** What the group has committed of these partitions; those without a commit are left out. @throws as `commit` */
  async committed(partitions: readonly TopicPartition[]): Promise<CommittedOffset[]> {
    this.checkOpen()
    return this.groupOrThrow().committedOffsets(partitions)
  }

  /** Hands out nothing more of these, without giving them up, until `resume`. @throws `VARVE_NOT_ASSIGNED` */
  pause(partitions: readonly TopicPartition[]): void {
    this.setPaused(partitions, true)
  }

  /** @throws `VARVE_NOT_ASSIGNED` */
  resume(partitions: readonly TopicPartition[]): void {
    this.setPaused(partitions, false)
  }

  /** What `pause` holds back. A partition that goes to another member and comes back is not paused. */
  get paused(): TopicPartition[] {
    return [...this.partitions.values()]
      .filter(({ paused }) => paused)
      .map(({ topic, partition }) => ({ topic, partition }))
  }

  /**
   * Goes on reading at `offset`, up to the same end; what has been fetched of that partition is dropped.
   *
   * @throws VarveError `VARVE_NOT_ASSIGNED`, `VARVE_INVALID_OPTION`, `VARVE_CLIENT_CLOSED`
   */
  seek(where: TopicPartition, offset: number | 'earliest' | 'latest'): void {
    this.checkOpen()
    checkOffset(offset)
    const before = this.assigned(where)
    this.replace(before, offset, before.paused)
    this.reassigned()
  }

  /**
   * Where reading goes on: no record before it is still to come. It also passes what is no record of anybody's (control
   * batches, what compaction removed), once that has been fetched and an iteration asks for what follows. Null while
   * 'earliest' or 'latest' has not been looked up. @throws as `seek`
   */
  position(where: TopicPartition): number | null {
    const { position } = this.assigned(where)
    return position < 0 ? null : position
  }

  /**
   * The offset after the last record that can be read, as of the last response; null before the first. The position
   * has reached it: everything has been read. @throws as `seek`
   */
  highWatermark(where: TopicPartition): number | null {
    const { highWatermark } = this.assigned(where)
    return highWatermark < 0 ? null : highWatermark
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumerRecord> {
    return this.records()
  }

  /**
   * Records as they come, in order within each partition. Ends when the consumer is closed, or when every partition
   * has come to the end that it was assigned with.
   *
   * @throws VarveError (from the iteration) `VARVE_KAFKA_ERROR`, `VARVE_NO_BROKER`, `VARVE_UNSUPPORTED_CODEC`,
   * `VARVE_BATCH_CORRUPT` and the other codes of `@varve/records`, `VARVE_LOG_TRUNCATED`, `VARVE_UNKNOWN_PARTITION`, `VARVE_NOT_ASSIGNED`,
   * `VARVE_CONSUMER_BUSY`.
   */
  records(options: IterateOptions = {}): AsyncIterableIterator<ConsumerRecord> {
    return new RecordIteration(
      () => this.nextBatch(options.signal),
      options.signal,
      () => this.group?.asked() === true,
    )
  }

  /** Whole batches as they come. One counts as read when the next is asked for. @throws as `records` */
  async *batches(options: IterateOptions = {}): AsyncGenerator<ConsumerBatch, void, undefined> {
    for (;;) {
      const next = await this.nextBatch(options.signal)
      if (next === null) return
      yield next.batch
      next.assigned.advanceTo(next.batch.batch.nextOffset)
    }
  }

  /**
   * Ends iterations and closes the connections. A member of a group commits as configured and leaves first.
   *
   * @throws whatever `onRevoked` throws
   */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    // A member takes leave while it still has connections.
    try {
      await this.group?.close()
    } finally {
      this.end()
    }
  }

  private end(): void {
    for (const partition of this.partitions.values()) partition.revoked = true
    this.fetcher.close()
    this.cluster.close()
    this.wake()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private async nextBatch(signal: AbortSignal | undefined): Promise<DeliveredBatch | null> {
    for (;;) {
      signal?.throwIfAborted()
      if (this.closed) return null
      const { group } = this
      const isMember = group?.isSubscribed === true
      if (isMember) {
        await group.poll()
        signal?.throwIfAborted()
        if (this.closed) return null
      }
      if (this.partitions.size === 0 && !isMember) {
        throw new VarveError(
          'VARVE_NOT_ASSIGNED',
          'The consumer has no partitions to read; call assign() or subscribe() first',
        )
      }
      if (!isMember && this.isFinished) {
        if (this.current !== null) this.finishCurrent()
        return null
      }
      this.current ??= this.take()
      if (this.current === null) {
        // What came up meanwhile has woken nobody.
        if (!isMember || !group.isDue) await this.sleep(signal)
        continue
      }
      const { assigned, batches } = this.current
      const batch = assigned.revoked ? null : batches.next()
      if (batch !== null) return { batch, assigned }
      this.finishCurrent()
    }
  }

  private get isFinished(): boolean {
    for (const partition of this.partitions.values()) if (!partition.isFinished) return false
    return true
  }

  private take(): FetchedBatches | null {
    const fetched = this.fetcher.take()
    if (fetched === undefined) return null
    if ('batches' in fetched) return fetched
    this.fetcher.done(fetched)
    throw fetched.error
  }

  private finishCurrent(): void {
    this.fetcher.done(this.current!)
    this.current = null
  }

  private async sleep(signal: AbortSignal | undefined): Promise<void> {
    if (this.wakeUp !== null) {
      throw new VarveError('VARVE_CONSUMER_BUSY', 'Another iteration of this consumer is waiting for records')
    }
    const wake = (): void => this.wake()
    signal?.addEventListener('abort', wake, { once: true })
    if (this.group !== null) this.group.isWaiting = true
    await new Promise<void>((resolve) => (this.wakeUp = resolve))
    if (this.group !== null) this.group.isWaiting = false
    signal?.removeEventListener('abort', wake)
  }

  private wake(): void {
    this.wakeUp?.()
    this.wakeUp = null
  }

  private add(assignments: readonly Assignment[]): void {
    for (const { topic, partition, offset } of assignments)
      this.partitions.set(keyOf({ topic, partition }), new AssignedPartition(topic, partition, offset))
    this.reassigned()
  }

  private remove(partitions: readonly TopicPartition[]): void {
    for (const where of partitions) {
      const assigned = this.partitions.get(keyOf(where))
      if (assigned !== undefined) assigned.revoked = true
      this.partitions.delete(keyOf(where))
    }
    this.reassigned()
  }

  private setPaused(partitions: readonly TopicPartition[], paused: boolean): void {
    this.checkOpen()
    for (const assigned of partitions.map((where) => this.assigned(where))) {
      if (assigned.paused === paused) continue
      const { position, start } = assigned
      // What has been fetched is dropped: it would take memory for as long as the partition rests.
      this.replace(assigned, start ?? position, paused)
    }
    this.reassigned()
  }

  /** What was fetched from that offset on is there no more; what has been handed out of it cannot be taken back. */
  private rewind(before: AssignedPartition, offset: number, epoch: number): void {
    const { position, paused } = before
    this.replace(before, Math.min(position, offset), paused).lastEpoch = epoch
    this.reassigned()
  }

  private replace(
    before: AssignedPartition,
    offset: number | 'earliest' | 'latest',
    paused: boolean,
  ): AssignedPartition {
    const { topic, partition, end } = before
    before.revoked = true
    const after = new AssignedPartition(topic, partition, offset, end)
    after.paused = paused
    this.partitions.set(keyOf(before), after)
    return after
  }

  private groupOrThrow(): ConsumerGroup {
    if (this.group !== null) return this.group
    throw invalid("The consumer has no 'groupId'")
  }

  private reassigned(): void {
    this.fetcher.assign([...this.partitions.values()])
    // Somebody may be waiting for records of what was assigned before.
    this.wake()
  }

  private assigned(where: TopicPartition): AssignedPartition {
    const assigned = this.partitions.get(keyOf(where))
    if (assigned !== undefined) return assigned
    throw new VarveError(
      'VARVE_NOT_ASSIGNED',
      `${where.topic}-${where.partition} is not assigned to this consumer`,
    )
  }

  private checkOpen(): void {
    if (this.closed) throw new VarveError('VARVE_CLIENT_CLOSED', 'The consumer has been closed')
  }
}

/** What Java's consumer has by default, as far as it is not this consumer's own. */
function groupOptions(options: ConsumerOptions, groupId: string, fetching: FetcherOptions): GroupOptions {
  const { autoCommit = true, sessionTimeoutMs = 45_000, heartbeatIntervalMs = 3_000 } = options
  if (groupId === '') throw invalid("'groupId' must not be empty")
  if (heartbeatIntervalMs >= sessionTimeoutMs)
    throw invalid("'heartbeatIntervalMs' must be less than 'sessionTimeoutMs'")
  return {
    groupId,
    groupInstanceId: options.groupInstanceId ?? null,
    assignors: options.assignors ?? ['range', 'cooperative-sticky'],
    sessionTimeoutMs,
    heartbeatIntervalMs,
    maxPollIntervalMs: options.maxPollIntervalMs ?? 300_000,
    autoCommitIntervalMs: autoCommit ? (options.autoCommitIntervalMs ?? 5_000) : null,
    offsetReset: fetching.offsetReset,
    requireStable: fetching.isolation === 'read_committed',
    metadataMaxAgeMs: fetching.metadataMaxAgeMs,
    requestTimeoutMs: fetching.requestTimeoutMs,
    retryBackoffMs: fetching.retryBackoffMs,
    onCommitError: options.onCommitError ?? warn,
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error.message : String(error), { code: 'VARVE_COMMIT_FAILED' })
}

function invalid(message: string): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', message)
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

const isOffset = (offset: unknown): boolean => Number.isSafeInteger(offset) && (offset as number) >= 0

function decompressedBytes(bytes = MAX_DECOMPRESSED_BYTES): number {
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes
  throw invalid(`maxDecompressedBytes must be a whole number from 1 on, not ${String(bytes)}`)
}

function checkEnd(end: unknown): void {
  if (isOffset(end)) return
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `The end of an assignment must be a whole number from 0 on, not ${String(end)}`,
  )
}

function checkOffset(offset: unknown): void {
  if (offset === 'earliest' || offset === 'latest' || isOffset(offset)) return
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `An offset must be a whole number from 0 on, 'earliest' or 'latest', not ${String(offset)}`,
  )
}
