import { mkdir, readdir } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import {
  send,
  type AbortedTransaction,
  type AppendResult,
  type DataDirectory,
  type Distribution,
  type Durability,
  type EpochEnd,
  type Log,
  type LogOptions,
  type LogSettings,
  type LogStats,
  type ReadOptions,
  type SendToOptions,
  type SentRange,
  type Slice,
} from '@varve/log'
import {
  batchesIn,
  encodeBatch,
  type LogRecord,
  RecordBatch,
  type RecordInput,
  VarveError,
} from '@varve/records'

interface StoredBatch {
  readonly nextOffset: number
  /** The caller's buffer until it is flushed: one that is used again too early shows in what is read back. */
  bytes: Buffer
}

/** What a log leaves behind when it is closed, or crashes. */
interface Stored {
  batches: StoredBatch[]
  durableOffset: number
}

interface Pending {
  readonly result: AppendResult
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: unknown) => void
}

/** What a broker asks of a log. */
type BrokersLog = Pick<
  Log,
  | 'dir'
  | 'durability'
  | 'recovered'
  | 'startOffset'
  | 'endOffset'
  | 'durableOffset'
  | 'lastStableOffset'
  | 'state'
  | 'failure'
  | 'leaderEpoch'
  | 'setLeaderEpoch'
  | 'setHighWatermark'
  | 'endOffsetForEpoch'
  | 'append'
  | 'appendBatches'
  | 'read'
  | 'readBatches'
  | 'slice'
  | 'abortedTransactions'
  | 'producers'
  | 'offsetForTime'
  | 'maxTimestamp'
  | 'subscribe'
  | 'flush'
  | 'configure'
  | 'deleteBefore'
  | 'appendReplicated'
  | 'truncateTo'
  | 'truncateFullyAndStartAt'
  | 'close'
> &
  AsyncDisposable

/**
 * A log in memory: the contract of @varve/log, as far as a broker goes, without files, and with failures on command. What it holds survives
 * close() and crash() in its MemoryDisk.
 */
export class MemoryLog implements BrokersLog {
  readonly dir: string
  readonly durability: Durability
  readonly recovered = null
  startOffset = 0
  /** What it was opened with, and configured to be since. */
  settings: LogSettings
  readonly #stored: Stored
  readonly #listeners = new Set<() => void>()
  readonly #pending: Pending[] = []
  #endOffset: number
  #state: Log['state'] = 'open'
  #failure: VarveError | null = null
  #held = false
  #scheduled = false
  #unanswered: VarveError | null = null
  #damaged: { readonly from: number; readonly to: number } | null = null
  leaderEpoch = 0
  /** What it was told; null before. */
  highWatermark: number | null = null
  /** What records of a leader are refused with. */
  refusal: VarveError | null = null
  readonly pendingBytes = 0
  /** Slices that nobody has closed yet. */
  openSlices = 0
  /** Slices that have ever been made: what reading costs. */
  slicesMade = 0
  /** Batches of each call of appendBatches since the last flush: how appends were grouped. */
  readonly groups: number[] = []
  /** What reading all of it waits for. */
  readable: Promise<void> = Promise.resolve()
  /** Makes slices that are read one turn of the event loop later, as those of a cold file are. */
  cold = false

  constructor(dir: string, stored: Stored, options: LogOptions) {
    const { durability = 'fsync' } = options
    this.settings = options
    this.dir = dir
    this.durability = durability
    this.#stored = stored
    stored.batches = stored.batches.filter(({ nextOffset }) => nextOffset <= stored.durableOffset)
    this.#endOffset = stored.durableOffset
  }

  get endOffset(): number {
    return this.#endOffset
  }

  get durableOffset(): number {
    return this.#stored.durableOffset
  }

  /** There are no transactions in memory. */
  get lastStableOffset(): number {
    return this.durableOffset
  }

  abortedTransactions(): Promise<AbortedTransaction[]> {
    return Promise.resolve([])
  }

  producers(): [] {
    return []
  }

  endOffsetForEpoch(epoch: number): EpochEnd | null {
    if (epoch > this.leaderEpoch) return null
    if (epoch === this.leaderEpoch) return { epoch, endOffset: this.#endOffset }
    const batches = this.#stored.batches.map(({ bytes }) => RecordBatch.parse(bytes))
    const known = batches.findLast(({ partitionLeaderEpoch }) => partitionLeaderEpoch <= epoch)
    const next = batches.find(({ partitionLeaderEpoch }) => partitionLeaderEpoch > epoch)
    return { epoch: known?.partitionLeaderEpoch ?? epoch, endOffset: next?.baseOffset ?? this.#endOffset }
  }

  get state(): Log['state'] {
    return this.#state
  }

  get failure(): VarveError | null {
    return this.#failure
  }

  setLeaderEpoch(epoch: number): void {
    this.leaderEpoch = epoch
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  appendSync(): AppendResult {
    throw new Error('a broker never blocks its event loop')
  }

  append(records: readonly RecordInput[]): Promise<AppendResult> {
    return this.appendBatches([encodeBatch(records)])[0]!
  }

  appendBatches(batches: readonly Uint8Array[]): Promise<AppendResult>[] {
    return batches.map((bytes) =>
      this.#appendBatch(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    )
  }

  /** Appends become durable only when `flush` says so. */
  holdDurability(): void {
    this.#held = true
  }

  /** Appends become durable by themselves again. */
  releaseDurability(): void {
    this.#held = false
    void this.flush()
  }

  /** The disk is gone: rejects what is not durable and takes nothing any more. */
  fail(errno?: string): void {
    const cause = errno === undefined ? undefined : Object.assign(new Error(errno), { code: errno })
    const what = `${this.dir}: the disk said no; reopen the log`
    this.#end('failed', new VarveError('VARVE_LOG_FAILED', what, { cause }))
  }

  /** The disk does not answer who reads, of which the log itself knows nothing. */
  failReads(errno: string): void {
    const cause = Object.assign(new Error(errno), { code: errno })
    this.#unanswered = new VarveError('VARVE_IO', `could not read ${this.dir}/0.log: ${errno}`, { cause })
  }

  /** Offsets from `from` to below `to` cannot be read any more, and the log takes no writes. */
  damage(from: number, to: number): void {
    this.#damaged = { from, to }
    this.#end(
      'corrupt',
      new VarveError('VARVE_LOG_CORRUPT', `${this.dir}: offsets ${from} to ${to - 1} are damaged`),
    )
  }

  slice({
    from,
    upTo = Infinity,
    maxBytes = Infinity,
    minOneBatch = false,
  }: {
    from: number
    upTo?: number
    maxBytes?: number
    minOneBatch?: boolean
  }): Slice | Promise<Slice> {
    if (from < 0 || from > this.durableOffset) {
      throw new VarveError('VARVE_OFFSET_OUT_OF_RANGE', `${from} is outside 0 to ${this.durableOffset}`)
    }
    if (this.#unanswered !== null) throw this.#unanswered
    if (this.#damaged !== null && from >= this.#damaged.from && from < this.#damaged.to) throw this.#failure!
    const end = Math.min(
      upTo,
      this.durableOffset,
      this.#damaged !== null && from < this.#damaged.from ? this.#damaged.from : Infinity,
    )
    const chosen: Buffer[] = []
    let bytes = 0
    let nextOffset = from
    for (const batch of this.#stored.batches) {
      if (batch.nextOffset <= from) continue
      const fits = bytes + batch.bytes.length <= maxBytes || (minOneBatch && chosen.length === 0)
      if (batch.nextOffset > end || !fits) break
      chosen.push(batch.bytes)
      bytes += batch.bytes.length
      nextOffset = batch.nextOffset
    }
    this.openSlices++
    this.slicesMade++
    let closed = false
    const slice: Slice = {
      from,
      nextOffset,
      byteLength: bytes,
      read: () => {
        const read = Buffer.alloc(bytes)
        const reading = slice.readInto(read, 0)
        return reading instanceof Promise ? reading.then(() => read) : read
      },
      readInto: (buffer, at) => {
        if (closed) throw new Error('a closed slice was read')
        if (this.#unanswered !== null) throw this.#unanswered
        Buffer.concat(chosen).copy(buffer, 0, at, at + buffer.length)
        if (this.cold) return new Promise((resolve) => setImmediate(resolve))
      },
      close: () => {
        if (!closed) this.openSlices--
        closed = true
      },
    }
    return this.cold ? new Promise((resolve) => setImmediate(() => resolve(slice))) : slice
  }

  async sendTo(socket: Socket, options: SendToOptions): Promise<SentRange> {
    const slice = await this.slice(options)
    await send(socket, [slice], options)
    return { bytes: slice.byteLength, nextOffset: slice.nextOffset }
  }

  async *readBatches({ from = 0 }: ReadOptions = {}): AsyncIterableIterator<RecordBatch> {
    await this.readable
    if (typeof from !== 'number') throw new Error(`no broker starts to read at ${JSON.stringify(from)}`)
    if (this.#unanswered !== null) throw this.#unanswered
    for (const { nextOffset, bytes } of this.#stored.batches) {
      if (this.#damaged !== null && nextOffset > this.#damaged.from) throw this.#failure!
      if (nextOffset > from && nextOffset <= this.durableOffset) yield RecordBatch.parse(bytes)
    }
  }

  async *read(options: ReadOptions = {}): AsyncIterableIterator<LogRecord> {
    for await (const batch of this.readBatches(options)) yield* batch.records()
  }

  async offsetForTime(timestamp: number): Promise<{ offset: number; timestamp: number } | null> {
    for await (const record of this.read())
      if (record.timestamp >= timestamp) return { offset: record.offset, timestamp: record.timestamp }
    return null
  }

  async maxTimestamp(): Promise<{ offset: number; timestamp: number } | null> {
    let found: LogRecord | null = null
    for await (const record of this.read())
      if (found === null || record.timestamp > found.timestamp) found = record
    return found === null ? null : { offset: found.offset, timestamp: found.timestamp }
  }

  /** What it has been given; no flush takes any time here. */
  stats(): LogStats {
    const none: Distribution = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 }
    const batches = this.#stored.batches.length
    const bytes = this.#stored.batches.reduce((sum, batch) => sum + batch.bytes.length, 0)
    return {
      append: {
        batches,
        records: this.#endOffset,
        bytes,
        refusedBatches: 0,
        writeMs: none,
        acknowledgeMs: none,
      },
      flush: { flushMs: none, groupRecords: none },
      read: {
        records: 0,
        cachedReads: 0,
        cachedBytes: 0,
        coldReads: 0,
        coldBytes: 0,
        sentSlices: 0,
        sentBytes: 0,
        hitRatio: null,
      },
      compaction: { completed: 0, failed: 0, replacedBytes: 0, keptBytes: 0 },
      segments: { count: 1, bytes, rolled: 0 },
    }
  }

  /** Makes everything durable that has been appended, also while durability is held. */
  flush(): Promise<number> {
    for (const batch of this.#stored.batches) {
      if (batch.nextOffset > this.#stored.durableOffset) batch.bytes = Buffer.from(batch.bytes)
    }
    this.#stored.durableOffset = this.#endOffset
    this.groups.push(this.#pending.length)
    const pending = this.#pending.splice(0)
    this.#notify()
    for (const { result, resolve } of pending) resolve(result)
    return Promise.resolve(this.durableOffset)
  }

  async configure(settings: LogSettings): Promise<void> {
    this.settings = { ...this.settings, ...settings }
  }

  async deleteBefore(offset: number): Promise<number> {
    this.startOffset = Math.max(this.startOffset, offset)
    this.#notify()
    return this.startOffset
  }

  setHighWatermark(offset: number): void {
    this.highWatermark = offset
  }

  async appendReplicated(bytes: Uint8Array): Promise<AppendResult> {
    if (this.#state !== 'open')
      throw this.#failure ?? new VarveError('VARVE_LOG_CLOSED', `${this.dir} is closed`)
    if (this.refusal !== null) throw this.refusal
    const batches = [...batchesIn(Buffer.from(bytes))]
    for (const batch of batches) {
      if (batch.baseOffset < this.#endOffset) throw new VarveError('VARVE_BATCH_INVALID', 'it goes backwards')
      this.#endOffset = batch.nextOffset
      this.leaderEpoch = batch.partitionLeaderEpoch
      this.#stored.batches.push({ nextOffset: batch.nextOffset, bytes: batch.buffer })
    }
    const result = { baseOffset: batches[0]!.baseOffset, lastOffset: this.#endOffset - 1 }
    return await this.#untilDurable(result)
  }

  async truncateTo(offset: number): Promise<number> {
    const stored = this.#stored
    stored.batches = stored.batches.filter(({ nextOffset }) => nextOffset <= offset)
    this.#endOffset = stored.batches.at(-1)?.nextOffset ?? this.startOffset
    stored.durableOffset = Math.min(stored.durableOffset, this.#endOffset)
    this.#notify()
    return this.#endOffset
  }

  async truncateFullyAndStartAt(offset: number): Promise<number> {
    this.#stored.batches = []
    this.#stored.durableOffset = this.#endOffset = this.startOffset = offset
    this.#notify()
    return offset
  }

  close(): Promise<void> {
    if (this.#state !== 'closed') {
      if (this.#state === 'open') void this.flush()
      this.#end('closed', null)
    }
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #appendBatch(bytes: Buffer): Promise<AppendResult> {
    if (this.#state !== 'open') {
      return Promise.reject(this.#failure ?? new VarveError('VARVE_LOG_CLOSED', `${this.dir} is closed`))
    }
    let batch: RecordBatch
    try {
      batch = RecordBatch.parse(bytes)
    } catch (error) {
      return Promise.reject(error)
    }
    if (bytes.length > (this.settings.maxBatchBytes ?? 1024 * 1024 + 12)) {
      return Promise.reject(new VarveError('VARVE_BATCH_TOO_LARGE', `${bytes.length} bytes are too many`))
    }
    if (!batch.verifyCrc())
      return Promise.reject(new VarveError('VARVE_BATCH_CORRUPT', 'the CRC does not match'))
    const count = batch.lastOffset - batch.baseOffset + 1
    const baseOffset = this.#endOffset
    bytes.writeBigInt64BE(BigInt(baseOffset), 0)
    bytes.writeInt32BE(this.leaderEpoch, 12)
    this.#endOffset += count
    this.#stored.batches.push({ nextOffset: this.#endOffset, bytes })
    return this.#untilDurable({ baseOffset, lastOffset: this.#endOffset - 1 })
  }

  #untilDurable(result: AppendResult): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ result, resolve, reject })
      if (this.#held || this.#scheduled) return
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        if (this.#state === 'open' && !this.#held) void this.flush()
      })
    })
  }

  #end(state: 'failed' | 'corrupt' | 'closed', failure: VarveError | null): void {
    this.#state = state
    this.#failure = failure
    const error = failure ?? new VarveError('VARVE_LOG_CLOSED', `${this.dir} was closed`)
    const pending = this.#pending.splice(0)
    this.#notify()
    for (const { reject } of pending) reject(error)
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** The logs of data directories, kept from one opening to the next. */
export class MemoryDisk {
  readonly #stored = new Map<string, Stored>()
  readonly #openErrors = new Map<string, VarveError>()
  readonly #held = new Map<string, Promise<void>>()
  readonly #locked = new Set<string>()
  /** The open logs by the name of their directory. */
  readonly logs = new Map<string, MemoryLog>()

  /** How often all logs of a directory were listed. */
  listings = 0

  /** Makes the next opening of a log fail. */
  failOpen(name: string, error: VarveError): void {
    this.#openErrors.set(name, error)
  }

  /** Lets those who read all of a log, which is not open yet, wait. */
  holdReading(name: string, until: Promise<void>): void {
    this.#held.set(name, until)
  }

  log(name: string): MemoryLog {
    const log = this.logs.get(name)
    if (log === undefined)
      throw new Error(`${name} is not open; there are ${[...this.logs.keys()].join(', ')}`)
    return log
  }

  /** Loses what is not durable and lets go of all locks, as the end of the process would. */
  crash(): void {
    for (const log of this.logs.values()) log.fail()
    this.logs.clear()
    this.#locked.clear()
  }

  /** Changes a byte of the last batch of a log that is not open. */
  flipByte(name: string, at: number): void {
    for (const [dir, { batches }] of this.#stored) {
      if (dir.endsWith(`/${name}`)) batches.at(-1)!.bytes[at]! ^= 0xff
    }
  }

  readonly openDataDirectory = async (
    dir: string,
    { clusterId = 'memory-cluster-0000000', nodeId = 0 }: { clusterId?: string; nodeId?: number } = {},
  ): Promise<DataDirectory> => {
    await mkdir(dir, { recursive: true })
    if (this.#locked.has(dir)) throw new VarveError('VARVE_LOCKED', `${dir} is in use by another process`)
    this.#locked.add(dir)
    const close = async (): Promise<void> => {
      this.#locked.delete(dir)
      for (const log of this.logs.values()) await log.close()
      this.logs.clear()
    }
    return {
      dir,
      clusterId,
      nodeId,
      directoryId: 'memory-directory-00000',
      cleanShutdown: true,
      // Nothing in memory depends on the time.
      turnClockTo: () => Promise.resolve(),
      openLog: (name, options = {}) => this.#openLog(join(dir, name), name, options),
      logs: async () => {
        this.listings++
        const entries = await readdir(dir, { withFileTypes: true })
        return entries
          .filter((entry) => entry.isDirectory() && /-\d+$/.test(entry.name))
          .map((entry) => entry.name)
      },
      close,
      [Symbol.asyncDispose]: close,
    }
  }

  async #openLog(dir: string, name: string, options: LogOptions): Promise<Log> {
    const error = this.#openErrors.get(name)
    this.#openErrors.delete(name)
    if (error !== undefined) throw error
    await mkdir(dir, { recursive: true })
    let stored = this.#stored.get(dir)
    if (stored === undefined) this.#stored.set(dir, (stored = { batches: [], durableOffset: 0 }))
    const log = new MemoryLog(dir, stored, options)
    log.readable = this.#held.get(name) ?? log.readable
    this.logs.set(name, log)
    return log as BrokersLog as Log
  }
}

/** The records of a Fetch response's bytes. */
export function recordsIn(bytes: Buffer | null): LogRecord[] {
  return [...batchesIn(bytes ?? Buffer.alloc(0))].flatMap((batch) => [...batch.records()])
}
