import { VarveError, type LogRecord } from '@varve/records'
import { sightOf, visibleOffset, type Isolation, type Sight, type Visibility } from './isolation.js'
import { holdWorker } from './keep-alive.js'
import type { Log } from './log.js'
import type { ReadStart } from './read-start.js'

/** A record of a topic and the partition that it is in. */
export interface TopicRecord extends LogRecord {
  /** Its number, from 0 on. */
  readonly partition: number
}

const inspect = Symbol.for('nodejs.util.inspect.custom')

class PartitionRecord implements TopicRecord {
  readonly partition: number
  readonly #record: LogRecord

  constructor(partition: number, record: LogRecord) {
    this.partition = partition
    this.#record = record
  }

  get offset(): number {
    return this.#record.offset
  }

  get timestamp(): number {
    return this.#record.timestamp
  }

  get timestampBigInt(): bigint {
    return this.#record.timestampBigInt
  }

  get key(): Buffer | null {
    return this.#record.key
  }

  get value(): Buffer | null {
    return this.#record.value
  }

  get headers(): LogRecord['headers'] {
    return this.#record.headers
  }

  toJSON(): object {
    const { partition, offset, key, value, headers } = this
    const time = this.timestampBigInt
    const timestamp = Number.isSafeInteger(Number(time)) ? Number(time) : String(time)
    return { partition, offset, timestamp, key, value, headers }
  }

  [inspect](): object {
    return this.toJSON()
  }
}

export interface MergeOptions {
  follow: boolean
  signal: AbortSignal | undefined
  maxBytes: number | undefined
  isolation: Isolation
  visibility: Visibility
}

/** One partition's records in their order, with the next of them at hand. */
class Source {
  readonly partition: number
  readonly log: Log
  /** The next record; null at the end, and before {@link fill}. */
  head: LogRecord | null = null
  headTime = 0
  readonly #options: MergeOptions
  readonly #sight: Sight
  /** What has been read so far lies before it. */
  #position: ReadStart
  #end: number
  #started = false
  #reader: AsyncIterableIterator<LogRecord> | null = null

  constructor(partition: number, log: Log, from: ReadStart, options: MergeOptions) {
    this.partition = partition
    this.log = log
    this.#options = options
    this.#sight = sightOf(options.isolation, options.visibility)
    this.#end = visibleOffset(log, this.#sight)
    // The end is the one of now, not the one of the first record asked for.
    this.#position = from === 'end' ? this.#end : from
  }

  /** Whether {@link fill} would find something. */
  get lacks(): boolean {
    if (this.head !== null) return false
    if (this.#reader !== null || !this.#started) return true
    if (this.#options.follow) this.#end = visibleOffset(this.log, this.#sight)
    return (this.#position as number) < this.#end
  }

  async fill(): Promise<void> {
    while (this.lacks) {
      this.#started = true
      const { signal, maxBytes, isolation, visibility } = this.#options
      const [from, to] = [this.#position, this.#end]
      this.#reader ??= this.log.read({ from, to, signal, maxBytes, isolation, visibility })
      const { value, done } = await this.#reader.next()
      if (done === true) {
        // There may be markers and holes at the end, which are no records.
        this.#position = Math.max(this.#end, typeof this.#position === 'number' ? this.#position : 0)
        this.#reader = null
      } else {
        this.head = value
        this.headTime = Number(value.timestampBigInt)
        this.#position = value.offset + 1
      }
    }
  }

  take(): TopicRecord {
    const record = new PartitionRecord(this.partition, this.head!)
    this.head = null
    return record
  }

  close(): void {
    void this.#reader?.return?.()
  }
}

async function* merged(
  sources: readonly Source[],
  { follow, signal, visibility }: MergeOptions,
  stopped: AbortSignal,
): AsyncGenerator<TopicRecord, void, undefined> {
  try {
    for (;;) {
      signal?.throwIfAborted()
      const lacking = sources.filter((source) => source.lacks)
      if (lacking.length > 0) await Promise.all(lacking.map((source) => source.fill()))
      const next = earliest(sources)
      if (next !== null) yield next.take()
      else if (!follow) return
      else await somethingNew(sources, visibility, signal, stopped)
      if (stopped.aborted) return
    }
  } finally {
    for (const source of sources) source.close()
  }
}

/** Of equal times, the one of the lowest partition. */
function earliest(sources: readonly Source[]): Source | null {
  let first: Source | null = null
  for (const source of sources) {
    if (source.head !== null && (first === null || source.headTime < first.headTime)) first = source
  }
  return first
}

/** Resolves when a partition has more, or when nobody waits any longer. @throws VarveError when none can have more. */
function somethingNew(
  sources: readonly Source[],
  visibility: Visibility,
  signal: AbortSignal | undefined,
  stopped: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const unsubscribe: Array<() => void> = []
    const letGo = holdWorker()
    const finish = (settle: () => void): void => {
      letGo()
      for (const stop of unsubscribe) stop()
      for (const each of [signal, stopped]) each?.removeEventListener('abort', ask)
      settle()
    }
    const ask = (): void => {
      if (stopped.aborted || signal?.aborted === true || sources.some((source) => source.lacks)) {
        finish(resolve)
        return
      }
      const ended = sources.find(({ log }) => log.state !== 'open')
      if (ended !== undefined) finish(() => reject(whyNoMore(ended.log)))
    }
    for (const { log } of sources) unsubscribe.push(log.subscribe(ask, { visibility }))
    for (const each of [signal, stopped]) each?.addEventListener('abort', ask)
    ask()
  })
}

function whyNoMore({ dir, failure }: Log): VarveError {
  return failure ?? new VarveError('VARVE_LOG_CLOSED', `the log ${dir} is closed; open it again`)
}

/**
 * The records of several partitions as one sequence: of those that come next in their partitions always the one with the
 * smallest time. So it is in the order of time wherever each partition is, and each partition's own order is kept in
 * any case. A partition that waits for more at its end holds nobody back.
 */
export class MergedReader implements AsyncIterableIterator<TopicRecord> {
  readonly #records: AsyncGenerator<TopicRecord, void, undefined>
  readonly #stop = new AbortController()

  /** `from` says where to start in each partition. */
  constructor(logs: readonly Log[], from: (partition: number) => ReadStart, options: MergeOptions) {
    const sources = logs.map((log, partition) => new Source(partition, log, from(partition), options))
    this.#records = merged(sources, options, this.#stop.signal)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<TopicRecord, undefined>> {
    return this.#records.next() as Promise<IteratorResult<TopicRecord, undefined>>
  }

  /** Also ends a `next` that is waiting for more, behind which a generator's own `return` would queue. */
  async return(): Promise<IteratorResult<TopicRecord, undefined>> {
    this.#stop.abort()
    await this.#records.return()
    return { value: undefined, done: true }
  }
}
