import { join } from 'node:path'
import type { AbortedTransaction, Log, ReadOptions, SliceOptions } from '@varve/log'
import { type LogRecord, type RecordBatch, VarveError } from '@varve/records'
import { messageOf } from './broker-log.js'
import { type FetchedRecords, readRecords, type RecordsWanted } from './fetched-records.js'
import { diskHasFailed } from './storage-failure.js'

/** What reading asks of a log. */
export type ReadLog = Pick<
  Log,
  'dir' | 'slice' | 'abortedTransactions' | 'read' | 'readBatches' | 'offsetForTime' | 'maxTimestamp'
>

/**
 * Reads an open log. A log that could not be written knows of it; one that could not be read goes on as if nothing were, so
 * what the disk does not answer is told here.
 */
export class LogReading {
  readonly #log: ReadLog
  readonly #onUnanswered: (failure: VarveError) => void

  constructor(log: ReadLog, onUnanswered: (failure: VarveError) => void) {
    this.#log = log
    this.#onUnanswered = onUnanswered
  }

  slices(
    wanted: RecordsWanted,
    visibility?: SliceOptions['visibility'],
  ): FetchedRecords | Promise<FetchedRecords> {
    try {
      const read = readRecords(this.#log, wanted, this.#unsent, visibility)
      return read instanceof Promise ? read.catch(this.#rethrow) : read
    } catch (error) {
      return this.#rethrow(error)
    }
  }

  abortedTransactions(from: number, to: number): Promise<AbortedTransaction[]> {
    return this.#log.abortedTransactions(from, to).catch(this.#rethrow)
  }

  offsetForTime(timestamp: number): Promise<{ offset: number; timestamp: number } | null> {
    return this.#log.offsetForTime(timestamp).catch(this.#rethrow)
  }

  maxTimestamp(): Promise<{ offset: number; timestamp: number } | null> {
    return this.#log.maxTimestamp().catch(this.#rethrow)
  }

  batches(options?: ReadOptions): AsyncIterable<RecordBatch> {
    return this.#watched(this.#log.readBatches(options))
  }

  records(options: ReadOptions): AsyncIterable<LogRecord> {
    return this.#watched(this.#log.read(options))
  }

  /** When the batch at an offset was appended, in a log that gives its records that time; −1 when it is gone. */
  async appendTime(offset: number): Promise<number> {
    try {
      for await (const batch of this.batches({ from: offset, to: offset + 1 })) return batch.maxTimestamp
    } catch {
      // Deleted, or unreadable: the record was taken all the same.
    }
    return -1
  }

  /** To be called with what has kept something else from being done with the log. */
  readonly failed = (error: unknown): void => {
    if (VarveError.is(error) && diskHasFailed(error)) this.#onUnanswered(error)
  }

  /** Several logs may have a part in a response that could not be sent. The error names the file of one of them. */
  readonly #unsent = (error: unknown): void => {
    if (messageOf(error).includes(join(this.#log.dir, '/'))) this.failed(error)
  }

  readonly #rethrow = (error: unknown): never => {
    this.failed(error)
    throw error
  }

  async *#watched<T>(read: AsyncIterable<T>): AsyncIterableIterator<T> {
    try {
      yield* read
    } catch (error) {
      this.#rethrow(error)
    }
  }
}
