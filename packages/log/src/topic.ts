import { batchByteLength, VarveError, type RecordInput } from '@varve/records'
import type { Isolation, Visibility } from './isolation.js'
import type { AppendOptions, Log } from './log.js'
import { MergedReader, type TopicRecord } from './merged-reader.js'
import { checkNames } from './option-names.js'
import type { LogSettings } from './options.js'
import { checkStart, type ReadStart } from './read-start.js'
import type { PartitionChoice } from './topic-partitioner.js'
import { checkBound, checkWholeNumber, invalidOption } from './whole-number.js'

/** Where a record of a topic is. */
export interface RecordPosition {
  /** The number of its partition, from 0 on. */
  partition: number
  /** Its offset there. */
  offset: number
}

/** How to append to a topic. */
export interface TopicAppendOptions extends AppendOptions {
  /** Puts all records into this partition. Default: wherever the topic's partitioner says. */
  partition?: number
}

/** What to read of a topic, and how long. */
export interface TopicReadOptions {
  /**
   * Where to start in every partition, or an array with an offset for each, by the partition's number; those without
   * one start at their start. Default `'start'`.
   */
  from?: Exclude<ReadStart, number> | readonly number[]
  /** Whether to wait for more at the end. Default `false`: the reading ends where the partitions end when it is asked for. */
  follow?: boolean
  /**
   * `'readCommitted'` leaves out what belongs to an aborted transaction, and of each partition sees no further than the
   * first one that is open. Records of one transaction in several partitions need not come together. Default
   * `'readUncommitted'`.
   */
  isolation?: Isolation
  /** `'written'` sees what is written and not durable yet as well, which a power loss may take back. Default `'durable'`. */
  visibility?: Visibility
  /** Ends the reading with the signal's reason. */
  signal?: AbortSignal
  /** Bytes read at once of each partition, at least one batch. Default 256 KiB. */
  maxBytes?: number
}

/**
 * A topic on disk: a {@link Log} for each partition, in directories named as Kafka names them. A key's records are in
 * one partition, in their order; between partitions there is none but that of time.
 *
 * @example
 * ```ts
 * import { openTopic } from '@varve/log'
 *
 * const topic = await openTopic('./data', 'orders', { partitions: 3, durability: 'os' })
 * await topic.append([{ value: 'to any' }], { partition: 2 })
 * await topic.append([{ key: 'order-1', value: 'created' }])
 * await topic.configure({ retentionMs: 24 * 60 * 60 * 1000 })
 * await topic.flush()
 * for await (const { value } of topic.partition(2).read()) console.log(String(value))
 * for await (const record of topic.read({ from: [0, 0, 1] })) console.log(record.partition, record.offset)
 * await topic.close()
 * ```
 */
export interface Topic extends AsyncDisposable {
  /** As it was opened by. */
  readonly name: string
  /** Its id, as every partition's `partition.metadata` has it: 22 characters of base64url. */
  readonly id: string
  /** How many partitions it has. They are numbered from 0. */
  readonly partitions: number
  /** The log of a partition; its `dir` tells where it lies. @throws VarveError `VARVE_INVALID_OPTION` */
  partition(index: number): Log

  /**
   * Appends records and resolves, when the topic's durability covers all of them, with the position of each. Those that
   * go to one partition are one batch, stored as a whole or not at all; a failure of one partition leaves what went to
   * the others where it is. A record that cannot be encoded keeps all of them from being stored.
   *
   * @throws VarveError (as a rejection) as {@link Log.append}, once all partitions have settled; `VARVE_INVALID_OPTION` for a
   * partition that the topic does not have. What a partitioner of the caller's throws.
   */
  append(records: readonly RecordInput[], options?: TopicAppendOptions): Promise<RecordPosition[]>

  /**
   * Reads all partitions as one sequence. Of the records that come next in their partitions it always gives the one with
   * the smallest timestamp, and of equal ones that of the lowest partition; so offsets ascend in each partition, and times
   * do in all of them if they do in each. With `follow`, a partition that has nothing new does not hold up the others.
   * For one partition alone use {@link partition} and {@link Log.read}.
   *
   * @throws VarveError at once `VARVE_INVALID_OPTION`; from the iterator as {@link Log.read}.
   */
  read(options?: TopicReadOptions): AsyncIterableIterator<TopicRecord>

  /**
   * Changes how all partitions are written and kept, as {@link Log.configure} does for one.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`, with nothing changed; as {@link Log.configure}, once every partition was tried.
   */
  configure(settings: LogSettings): Promise<void>
  /** Makes everything appended so far durable. @throws VarveError as {@link Log.flush}, once every partition was tried. */
  flush(): Promise<void>
  /**
   * Closes all partitions, and lets go of the data directories that no other topic of this process uses. Calling it
   * again gives the same promise.
   *
   * @throws VarveError what kept a partition from being closed in good order; of several the first, with all of them in
   * the message and as `cause.errors`. Everything is closed nevertheless.
   */
  close(): Promise<void>
}

/** A {@link Topic} over its logs. */
export class LogTopic implements Topic {
  readonly name: string
  readonly id: string
  readonly #logs: readonly Log[]
  readonly #choice: PartitionChoice
  readonly #release: () => Promise<void>
  #closing: Promise<void> | null = null

  /** `release` is called when the logs have closed. */
  constructor(
    name: string,
    id: string,
    logs: readonly Log[],
    choice: PartitionChoice,
    release: () => Promise<void>,
  ) {
    this.name = name
    this.id = id
    this.#logs = logs
    this.#choice = choice
    this.#release = release
  }

  get partitions(): number {
    return this.#logs.length
  }

  partition(index: number): Log {
    checkWholeNumber('partition', index, 0, this.#logs.length - 1)
    return this.#logs[index]!
  }

  async append(records: readonly RecordInput[], options: TopicAppendOptions = {}): Promise<RecordPosition[]> {
    checkNames(options, { partition: 1, signal: 1 })
    const { partition, signal } = options
    if (partition !== undefined || !Array.isArray(records)) {
      const only = partition ?? 0
      const result = await this.partition(only).append(records, { signal })
      return records.map((_, rank) => ({ partition: only, offset: result.baseOffset + rank }))
    }
    const placed = this.#place(records)
    const batches = new Map<number, RecordInput[]>()
    // Without records there is still an append, which the log refuses.
    if (records.length === 0) batches.set(0, [])
    for (const [index, partition] of placed.entries()) {
      const batch = batches.get(partition)
      if (batch === undefined) batches.set(partition, [records[index]!])
      else batch.push(records[index]!)
    }
    signal?.throwIfAborted()
    if (batches.size > 1) for (const batch of batches.values()) batchByteLength(batch, 0)
    const appends = Array.from(batches, ([partition, batch]) =>
      this.#logs[partition]!.append(batch, { signal }),
    )
    const results = await allOf(appends, 'partitions did not take their records')
    const nextOffsets = new Map(
      Array.from(batches.keys(), (partition, n) => [partition, results[n]!.baseOffset]),
    )
    return placed.map((partition) => {
      const offset = nextOffsets.get(partition)!
      nextOffsets.set(partition, offset + 1)
      return { partition, offset }
    })
  }

  /** The partition of each record. */
  #place(records: readonly RecordInput[]): number[] {
    const count = this.#logs.length
    const open = this.#logs.flatMap(({ state }, partition) => (state === 'open' ? [partition] : []))
    const available = open.length === count ? undefined : open
    const placed = records.map((record) => {
      // What is no record is refused as such by the log.
      if (typeof record !== 'object' || record === null) return 0
      const partition = this.#choice.choose(record, count, available)
      if (Number.isSafeInteger(partition) && partition >= 0 && partition < count) return partition
      throw invalidOption('partitioner', partition, `a function that gives a number from 0 to ${count - 1}`)
    })
    this.#choice.placed()
    return placed
  }

  read(options: TopicReadOptions = {}): AsyncIterableIterator<TopicRecord> {
    checkNames(options, { from: 1, follow: 1, isolation: 1, visibility: 1, signal: 1, maxBytes: 1 })
    const { from = 'start', follow = false, signal, maxBytes } = options
    const { isolation = 'readUncommitted', visibility = 'durable' } = options
    const offsets = Array.isArray(from) ? (from as readonly number[]) : null
    if (offsets !== null) for (const offset of offsets) if (offset !== undefined) checkStart(offset)
    if (offsets === null) checkStart(from as ReadStart)
    if (typeof from === 'number')
      throw invalidOption('from', from, 'an array with an offset for each partition')
    if (maxBytes !== undefined) checkBound('maxBytes', maxBytes)
    const start = (partition: number): ReadStart =>
      offsets === null ? (from as ReadStart) : (offsets[partition] ?? 'start')
    return new MergedReader(this.#logs, start, { follow, signal, maxBytes, isolation, visibility })
  }

  async configure(settings: LogSettings): Promise<void> {
    await allOf(
      this.#logs.map((log) => log.configure(settings)),
      'partitions could not be configured',
    )
  }

  async flush(): Promise<void> {
    await allOf(
      this.#logs.map((log) => log.flush()),
      'partitions could not be flushed',
    )
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    try {
      await closeAll(this.#logs)
    } finally {
      await this.#release()
    }
  }
}

/** @throws VarveError as {@link Topic.close} */
export async function closeAll(logs: readonly Log[]): Promise<void> {
  await allOf(
    logs.map((log) => log.close()),
    'partitions could not be closed in good order',
  )
}

/** All results, when everything has settled. Several failures are thrown as one. */
async function allOf<T>(work: ReadonlyArray<Promise<T>>, problem: string): Promise<T[]> {
  const settled = await Promise.allSettled(work)
  const failures: unknown[] = []
  const results: T[] = []
  for (const result of settled) {
    if (result.status === 'fulfilled') results.push(result.value)
    else failures.push(result.reason)
  }
  const [first] = failures
  if (failures.length === 0) return results
  if (failures.length === 1 || !VarveError.is(first)) throw first
  const reasons = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure)))
  throw new VarveError(first.code, `${failures.length} ${problem}: ${reasons.join('; ')}`, {
    cause: new AggregateError(failures),
  })
}
