import { batchesIn, type LogRecord, type RecordBatch } from '@varve/records'
import type { EngineLog } from './log.js'

export interface ReadOptions {
  /** The first offset wanted. Default: the log's start. */
  from?: number
  /** Exclusive. Default: the durable end when the reading starts, or none with `follow`. */
  to?: number
  /** Whether to wait for more at the end. Default `false`. */
  follow?: boolean
  /** Ends the reading with the signal's reason. */
  signal?: AbortSignal
  /** Bytes read at once. Default 256 KiB. */
  maxBytes?: number
}

const READ_BYTES = 256 << 10

/** Batches from an offset on, checked against their checksums. Reads no further than the log's durability reaches. */
export async function* readBatches(
  log: EngineLog,
  options: ReadOptions,
): AsyncGenerator<RecordBatch, void, undefined> {
  const { follow = false, signal, maxBytes = READ_BYTES } = options
  const to = options.to ?? (follow ? Infinity : log.durableOffset)
  let from = options.from ?? log.startOffset
  while (from < to) {
    signal?.throwIfAborted()
    const slice = await log.slice({ from, upTo: to, maxBytes, minOneBatch: true })
    try {
      if (slice.byteLength === 0) {
        if (!follow) return
        await log.durableBeyond(from, signal)
        continue
      }
      const bytes = await slice.read()
      slice.verify(bytes)
      for (const batch of batchesIn(bytes)) {
        yield batch
        signal?.throwIfAborted()
      }
      from = slice.nextOffset
    } finally {
      slice.close()
    }
  }
}

/**
 * Records from an offset on. Written out instead of as a generator because a generator costs several promises a record
 * and this one.
 */
export class RecordReader implements AsyncIterableIterator<LogRecord> {
  readonly #batches: AsyncGenerator<RecordBatch, void, undefined>
  readonly #from: number
  readonly #to: number
  #records: Iterator<LogRecord> | null = null
  /** Calls of `next` are answered in turn, also when the caller does not wait for each. */
  #last: Promise<unknown> = Promise.resolve()
  #busy = 0

  constructor(log: EngineLog, options: ReadOptions) {
    this.#from = options.from ?? log.startOffset
    this.#to = options.to ?? (options.follow ? Infinity : log.durableOffset)
    this.#batches = readBatches(log, options)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<LogRecord, undefined>> {
    if (this.#busy === 0) {
      try {
        const record = this.#nextInBatch()
        if (record !== null) return Promise.resolve({ value: record, done: false })
      } catch (error) {
        return Promise.reject(error)
      }
    }
    this.#busy++
    const result = this.#last.then(() => this.#nextOfLaterBatch())
    this.#last = result.then(
      () => this.#busy--,
      () => this.#busy--,
    )
    return result
  }

  async return(): Promise<IteratorResult<LogRecord, undefined>> {
    this.#records = null
    await this.#batches.return()
    return { value: undefined, done: true }
  }

  #nextInBatch(): LogRecord | null {
    while (this.#records !== null) {
      const { value, done } = this.#records.next()
      if (done === true) this.#records = null
      else if (value.offset >= this.#from && value.offset < this.#to) return value
    }
    return null
  }

  async #nextOfLaterBatch(): Promise<IteratorResult<LogRecord, undefined>> {
    for (;;) {
      const record = this.#nextInBatch()
      if (record !== null) return { value: record, done: false }
      const batch = await this.#batches.next()
      if (batch.done === true) return { value: undefined, done: true }
      if (!batch.value.isControl) this.#records = batch.value.records()
    }
  }
}
