import { VarveError } from '@varve/records'
import { systemClock, type Clock } from './clock.js'
import { Cluster, type ClusterOptions } from './cluster.js'
import type { ConsumerRecord } from './consumer-record.js'
import { AssignedPartition, type ConsumerBatch } from './fetched-partition.js'
import { Fetcher, type FetchedBatches } from './fetcher.js'
import type { Isolation } from './offset-lookup.js'
import type { TopicPartition } from './topic-partition.js'

export { ConsumerRecord } from './consumer-record.js'
export type { ConsumerBatch } from './fetched-partition.js'
export type { Isolation } from './offset-lookup.js'
export type { TopicPartition } from './topic-partition.js'

export interface ConsumerOptions extends Pick<
  ClusterOptions,
  'brokers' | 'clientId' | 'tls' | 'connectTimeoutMs' | 'clock'
> {
  /** How long a broker may wait for `minBytes` to be there, in ms. Default 500. */
  maxWaitMs?: number
  /** Default 1: whatever is there comes at once. */
  minBytes?: number
  /** Of one response, in bytes; at most two per broker are held at a time. Default 16 777 216 (16 MiB). */
  maxBytes?: number
  /** Of one partition in a response, in bytes; a larger batch comes alone. Default 1 048 576 (1 MiB). */
  maxPartitionBytes?: number
  /** Whether records of unfinished and aborted transactions are read. Default `'read_uncommitted'`, as Kafka's. */
  isolation?: Isolation
  /**
   * Where to go on when the offset asked for is not, or no longer, in the log. Default `'none'`: the iteration ends
   * with OFFSET_OUT_OF_RANGE, because going on elsewhere would leave records out, or read them twice, in silence.
   */
  offsetReset?: 'earliest' | 'latest' | 'none'
  /** Whether batches are checked for damage. Default true. */
  checkCrcs?: boolean
  /** How long a broker may take to answer beyond `maxWaitMs`, in ms. Default 30 000. */
  requestTimeoutMs?: number
  /** Pause before the first retry, in ms; it doubles with each up to one second. Default 100. */
  retryBackoffMs?: number
}

export interface Assignment extends TopicPartition {
  /** An offset, the first record that is there, or the next one to come. */
  readonly offset: number | 'earliest' | 'latest'
  /**
   * Records from this offset on are not read. Once every assigned partition has come to its end, iterations end.
   * Default: there is no end.
   */
  readonly end?: number
}

export interface IterateOptions {
  /** Ends the iteration with the signal's reason. The consumer can be iterated again. */
  signal?: AbortSignal
}

/**
 * Reads partitions that are assigned to it by hand. Iterate it for records, or `batches()` for whole batches; one
 * iteration at a time. A new iteration goes on where the last one stopped.
 *
 * Errors that may pass (a broker that went away, a leader that moved) are retried without end once a broker has been
 * reached. Others end the iteration; the position stays before what could not be read, and `seek` gets past it.
 */
export class Consumer {
  private readonly cluster: Cluster
  private readonly fetcher: Fetcher
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
    const fetcherOptions = {
      maxWaitMs: options.maxWaitMs ?? 500,
      minBytes: options.minBytes ?? 1,
      maxBytes,
      maxPartitionBytes: options.maxPartitionBytes ?? 1024 * 1024,
      isolation: options.isolation ?? 'read_uncommitted',
      offsetReset: options.offsetReset ?? 'none',
      checkCrcs: options.checkCrcs ?? true,
      requestTimeoutMs,
      retryBackoffMs: options.retryBackoffMs ?? 100,
    }
    this.fetcher = new Fetcher(this.cluster, fetcherOptions, clock, () => this.wake())
  }

  /**
   * Replaces what is read. A partition that was assigned before starts over at its new offset.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, `VARVE_CLIENT_CLOSED`
   */
  assign(assignments: readonly Assignment[]): void {
    this.checkOpen()
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
   * Goes on reading at `offset`, up to the same end; what has been fetched of that partition is dropped.
   *
   * @throws VarveError `VARVE_NOT_ASSIGNED`, `VARVE_INVALID_OPTION`, `VARVE_CLIENT_CLOSED`
   */
  seek(where: TopicPartition, offset: number | 'earliest' | 'latest'): void {
    this.checkOpen()
    checkOffset(offset)
    const before = this.assigned(where)
    before.revoked = true
    this.partitions.set(
      keyOf(where),
      new AssignedPartition(before.topic, before.partition, offset, before.end),
    )
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
   * `VARVE_BATCH_CORRUPT` and the other codes of `@varve/records`, `VARVE_UNKNOWN_PARTITION`, `VARVE_NOT_ASSIGNED`,
   * `VARVE_CONSUMER_BUSY`.
   */
  records(options: IterateOptions = {}): AsyncIterableIterator<ConsumerRecord> {
    return new RecordIteration(() => this.nextBatch(options.signal), options.signal)
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

  /** Ends iterations and closes the connections. */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
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
      if (this.partitions.size === 0) {
        throw new VarveError(
          'VARVE_NOT_ASSIGNED',
          'The consumer has no partitions to read; call assign() first',
        )
      }
      if (this.isFinished) {
        if (this.current !== null) this.finishCurrent()
        return null
      }
      this.current ??= this.take()
      if (this.current === null) {
        await this.sleep(signal)
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
    await new Promise<void>((resolve) => (this.wakeUp = resolve))
    signal?.removeEventListener('abort', wake)
  }

  private wake(): void {
    this.wakeUp?.()
    this.wakeUp = null
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

interface DeliveredBatch {
  readonly batch: ConsumerBatch
  readonly assigned: AssignedPartition
}

/** Walks records batch by batch; within a batch nothing is awaited. */
class RecordIteration implements AsyncIterableIterator<ConsumerRecord> {
  private readonly nextBatch: () => Promise<DeliveredBatch | null>
  private readonly signal: AbortSignal | undefined
  private delivered: DeliveredBatch | null = null
  private records: IterableIterator<ConsumerRecord> | null = null
  private ended = false

  constructor(nextBatch: () => Promise<DeliveredBatch | null>, signal: AbortSignal | undefined) {
    this.nextBatch = nextBatch
    this.signal = signal
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<ConsumerRecord, undefined>> {
    try {
      const result = this.nextInBatch()
      return result === undefined ? this.fromNextBatch() : Promise.resolve(result)
    } catch (error) {
      this.ended = true
      return Promise.reject(error)
    }
  }

  return(): Promise<IteratorResult<ConsumerRecord, undefined>> {
    this.ended = true
    this.records = null
    return Promise.resolve({ done: true, value: undefined })
  }

  private nextInBatch(): IteratorResult<ConsumerRecord, undefined> | undefined {
    if (this.ended) return { done: true, value: undefined }
    this.signal?.throwIfAborted()
    if (this.records === null) return undefined
    const { assigned, batch } = this.delivered!
    if (!assigned.revoked) {
      const result = this.records.next()
      if (result.done !== true) {
        assigned.position = result.value.offset + 1
        return result
      }
      assigned.advanceTo(batch.batch.nextOffset)
    }
    this.records = null
    return undefined
  }

  private async fromNextBatch(): Promise<IteratorResult<ConsumerRecord, undefined>> {
    for (;;) {
      try {
        this.delivered = await this.nextBatch()
      } catch (error) {
        this.ended = true
        throw error
      }
      if (this.delivered === null) this.ended = true
      else this.records = this.delivered.batch.records()
      const result = this.nextInBatch()
      if (result !== undefined) return result
    }
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

const isOffset = (offset: unknown): boolean => Number.isSafeInteger(offset) && (offset as number) >= 0

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
