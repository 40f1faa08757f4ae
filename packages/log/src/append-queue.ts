import { types } from 'node:util'
import type { NativeLog } from '@varve/native'
import { batchByteLength, VarveError, type RecordInput } from '@varve/records'
import { AbortWatch } from './abort-watch.js'
import { AppendGroup } from './append-group.js'
import type { LogWatch } from './diagnostics.js'
import { toError } from './failure.js'
import { Fifo } from './fifo.js'
import { hold, release } from './keep-alive.js'
import type { AppendResult } from './log.js'
import { PendingAppend } from './pending-append.js'
import { giveStagingBack, STAGING_BYTES, takeStaging } from './staging.js'

/** A group goes to the engine in one call, which need not look at more than it can take. */
const GROUP_BYTES = STAGING_BYTES
/**
 * What is pending is written at once when it reaches this. Half of it all, where a thousand callers wait for 1 KB each: the fsync of
 * one half goes on while the other is encoded (measured 0.85 times the time of a whole MiB).
 */
const WRITE_AT_BYTES = 512 << 10
/** After writing so much without a pause, the event loop gets its turn. */
const TICK_BYTES = 4 << 20
/** Appends share a batch up to this, Kafka's `batch.size`: whoever looks for one record has to read its whole batch. */
const SHARED_BATCH_BYTES = 16 << 10
const LAST_OFFSET_DELTA_AT = 23

/** An append that there is no room for yet. */
interface Held {
  append: PendingAppend
  /** To be encoded, with the time of the call. */
  records: readonly RecordInput[] | null
  now: number
  /** Encoded by the caller. */
  batch: Uint8Array | null
  replicated: boolean
}

/** Appends from this number on wait until whoever put it up takes it away. */
interface Barrier {
  number: number
}

export interface AppendQueueOptions {
  maxPendingBytes: number
  gather: 'microtask' | 'immediate'
}

/**
 * Gathers the appends of a tick, hands them to the engine in one call, and settles each when the log's durability
 * covers it. Appends keep their order, whatever their kind. What exceeds `maxPendingBytes` is held as it was handed in,
 * in its turn, until enough before it has settled.
 */
export class AppendQueue {
  readonly #native: NativeLog
  readonly #schedule: () => void
  readonly #watch: LogWatch
  readonly #changed: () => void
  readonly #groups: AppendGroup[] = []
  readonly #held = new Fifo<Held>()
  /** Written and waiting for an fsync, in the order of their offsets. */
  readonly #undurable = new Fifo<PendingAppend>()
  /** What was taken back and still has its place in a group or among the held. */
  readonly #takenBack = new Set<PendingAppend>()
  readonly #aborts = new AbortWatch((append, reason) => {
    append.reject(reason)
    this.#takenBack.add(append)
    this.#scheduleWrite()
  })
  /** Bytes that wait to be written, and all that is encoded here and has no result yet. */
  #unwrittenBytes = 0
  #pendingBytes = 0
  #maxPendingBytes: number
  /** The engine's, of which another thread may have changed them. */
  #maxBatchBytes = 0
  #segmentBytes = 0
  #tickBytes = 0
  /** Batches so far: appended, and of those the ones that the engine took or refused, or that were taken back. */
  #appended = 0
  #handedOver = 0
  /** Of each only what comes before the first is handed over. */
  readonly #barriers: Barrier[] = []
  #scheduled = false
  #yielding = false
  #holding = false
  #news = false
  /** Whether somebody wants to be told of what is written and not durable yet. */
  tellsWrites = false
  #waiting: Array<{ condition: () => boolean; resolve: () => void }> = []

  /** `changed` is called when a write resolved an append at once, or when the engine refused something. */
  constructor(native: NativeLog, options: AppendQueueOptions, watch: LogWatch, changed: () => void) {
    this.#native = native
    this.#maxPendingBytes = options.maxPendingBytes
    this.takeLimits()
    this.#watch = watch
    this.#changed = changed
    const writeInTurn = (): void => {
      this.#tickBytes = 0
      this.write()
    }
    this.#schedule =
      options.gather === 'immediate'
        ? () => void setImmediate(writeInTurn)
        : () => queueMicrotask(() => this.write())
  }

  set maxPendingBytes(bytes: number) {
    this.#maxPendingBytes = bytes
  }

  /** Takes over the limits that are in force. */
  takeLimits(): void {
    this.#maxBatchBytes = this.#native.maxBatchBytes
    this.#segmentBytes = this.#native.segmentBytes
  }

  /** Bytes of the appends that have been encoded and have no result yet. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  appendRecords(records: readonly RecordInput[], signal?: AbortSignal): Promise<AppendResult> {
    const now = Date.now()
    const append = new PendingAppend(this.#appended)
    append.isAlone = signal !== undefined
    if (!this.#hasRoomForShared || !this.#join(append, records, now)) {
      const expected = this.#checkedLength(records, now)
      append.countFor(expected)
      if (this.#isFull(append)) this.#held.push({ append, records, now, batch: null, replicated: false })
      else this.#encode(append, records, now, expected)
    }
    return this.#accepted(append, signal)
  }

  appendBatch(
    batch: Uint8Array,
    { replicated = false, signal }: { replicated?: boolean; signal?: AbortSignal | undefined },
  ): Promise<AppendResult> {
    if (!types.isUint8Array(batch)) {
      return Promise.reject(
        new VarveError('VARVE_BATCH_INVALID', `a record batch must be a Uint8Array, got ${typeof batch}`),
      )
    }
    const append = new PendingAppend(this.#appended)
    append.countFor(batch.length)
    if (this.#isFull(append)) this.#held.push({ append, records: null, now: 0, batch, replicated })
    else this.#addBatch(append, batch, replicated)
    return this.#accepted(append, signal)
  }

  /**
   * Appends behind everything that was appended before, and blocks the thread until the log's durability covers it.
   *
   * @throws VarveError what the promise of an append would have been rejected with
   */
  appendSync(records: readonly RecordInput[]): AppendResult {
    const now = Date.now()
    const expected = this.#checkedLength(records, now)
    for (let held = this.#held.shift(); held !== undefined; held = this.#held.shift()) this.#admit(held)
    const append = new PendingAppend(this.#appended)
    append.promise.catch(() => {})
    append.countFor(expected)
    if (!this.#join(append, records, now)) this.#encode(append, records, now, expected)
    this.#appended++
    for (let group = this.#groups[0]; group !== undefined; group = this.#groups[0]) {
      if (!this.#writeGroup(group)) this.#native.waitUntilRolled()
    }
    if (append.failure === null) {
      this.#native.waitUntilDurable(append.result!.lastOffset + 1)
    }
    this.settle()
    if (append.failure !== null) throw append.failure
    return append.result!
  }

  /** Resolves when everything appended so far has been handed to the engine, or refused by it. */
  written(): Promise<void> {
    const target = this.#appended
    this.write()
    return this.#when(() => this.#handedOver >= target)
  }

  /**
   * Resolves when everything appended so far has been handed over, and keeps what is appended from now on until the
   * function that it resolves with is called. Calls have their turn one after the other.
   */
  async hold(): Promise<() => void> {
    const barrier = { number: this.#appended }
    this.#barriers.push(barrier)
    this.write()
    await this.#when(() => this.#barriers[0] === barrier && this.#firstNumber >= barrier.number)
    return () => {
      this.#barriers.shift()
      this.write()
    }
  }

  /** Of the appends that have not been handed over yet. */
  get #firstNumber(): number {
    return this.#groups[0]?.firstNumber ?? this.#held.peek()?.append.number ?? Infinity
  }

  /** Resolves when nothing waits to be written or to become durable. */
  settled(): Promise<void> {
    this.write()
    return this.#when(() => this.#isEmpty)
  }

  /** Hands pending batches to the engine, as far as it takes them: it calls back after a roll. */
  write(): void {
    this.#scheduled = false
    while (this.#writeGroups() && this.#admitHeld()) continue
    this.#afterwards()
    if (this.#news) {
      this.#news = false
      this.#changed()
    }
  }

  /** Settles what has become durable, or everything that waits when the log has failed. */
  settle(): void {
    const { durableOffset: durable, truncations } = this.#native
    for (let next = this.#undurable.peek(); next !== undefined; next = this.#undurable.peek()) {
      // What was appended before a truncation was durable before it.
      if (next.result!.lastOffset >= durable && next.truncations === truncations) break
      this.#resolve(this.#undurable.shift()!)
    }
    const failure = this.#native.failure
    if (failure !== null) {
      for (let next = this.#undurable.shift(); next !== undefined; next = this.#undurable.shift()) {
        this.#reject(next, toError(failure))
      }
    }
    this.write()
  }

  get #isEmpty(): boolean {
    return this.#groups.length === 0 && this.#undurable.size === 0 && this.#held.size === 0
  }

  /** How large a batch of several appends may become. None, where one of them may have to wait behind a barrier. */
  get #sharedBytes(): number {
    return this.#barriers.length > 0 ? 0 : this.#allowedBytes
  }

  get #allowedBytes(): number {
    return Math.min(SHARED_BATCH_BYTES, this.#maxBatchBytes, this.#segmentBytes)
  }

  /** @throws VarveError `VARVE_BATCH_TOO_LARGE`, and for what is no record or cannot be encoded */
  #checkedLength(records: readonly RecordInput[], now: number): number {
    const expected = batchByteLength(records, now)
    const maxBatchBytes = this.#maxBatchBytes
    if (expected <= maxBatchBytes) return expected
    throw new VarveError(
      'VARVE_BATCH_TOO_LARGE',
      `these records make a batch of ${expected} bytes; the log accepts at most ${maxBatchBytes} (maxBatchBytes)`,
    )
  }

  /** Whether there is room, whatever its size, for an append that shares a batch. */
  get #hasRoomForShared(): boolean {
    return this.#held.size === 0 && this.#pendingBytes + SHARED_BATCH_BYTES <= this.#maxPendingBytes
  }

  /** Whether the append has to wait for others; one alone always has room. */
  #isFull({ cost }: PendingAppend): boolean {
    if (this.#held.size > 0) return true
    return this.#pendingBytes > 0 && this.#pendingBytes + cost > this.#maxPendingBytes
  }

  #accepted(append: PendingAppend, signal?: AbortSignal): Promise<AppendResult> {
    this.#appended++
    const isOpen = append.result === null && append.failure === null
    if (signal !== undefined && isOpen) this.#aborts.add(append, signal)
    return append.promise
  }

  /** Encodes records into the last batch, where they fit and may share it. */
  #join(append: PendingAppend, records: readonly RecordInput[], now: number): boolean {
    const group = this.#groups.at(-1)
    const bytes = group?.join(append, records, now, this.#sharedBytes) ?? 0
    if (bytes === 0) return false
    append.countFor(bytes)
    this.#added(group!, append, bytes)
    return true
  }

  #encode(append: PendingAppend, records: readonly RecordInput[], now: number, expected: number): void {
    let group = this.#groups.at(-1)
    if (group?.staging == null || group.bytes + expected > group.staging.length) {
      group = new AppendGroup(takeStaging(expected))
    }
    // Records whose getters throw, or grow, must leave the queue as it was.
    const bytes = group.encode(append, records, now)
    this.#added(group, append, bytes)
  }

  #addBatch(append: PendingAppend, batch: Uint8Array, replicated: boolean): void {
    let group = this.#groups.at(-1)
    const joins = group !== undefined && group.staging === null && group.replicated === replicated
    if (!joins || group!.bytes >= GROUP_BYTES) group = new AppendGroup(null, replicated)
    append.recordsCount = recordsCountOf(batch)
    group!.add(append, batch)
    this.#added(group!, append, batch.length)
  }

  #added(group: AppendGroup, append: PendingAppend, bytes: number): void {
    if (group !== this.#groups.at(-1)) this.#groups.push(group)
    this.#unwrittenBytes += bytes
    this.#pendingBytes += append.cost
    this.#scheduleWrite()
    if (this.#unwrittenBytes >= WRITE_AT_BYTES && this.#tickBytes < TICK_BYTES) this.write()
  }

  /** Takes held appends in their order as far as there is room; returns whether there was any. */
  #admitHeld(): boolean {
    let admitted = false
    for (let next = this.#held.peek(); next !== undefined; next = this.#held.peek()) {
      const fits = this.#pendingBytes + next.append.cost <= this.#maxPendingBytes
      if (!fits && this.#pendingBytes > 0 && !this.#takenBack.has(next.append)) break
      this.#admit(this.#held.shift()!)
      admitted = true
    }
    return admitted
  }

  #admit({ append, records, now, batch, replicated }: Held): void {
    if (this.#takenBack.delete(append)) {
      this.#handedOver++
      return
    }
    try {
      if (batch !== null) this.#addBatch(append, batch, replicated)
      else if (!this.#join(append, records!, now)) {
        this.#encode(append, records!, now, this.#checkedLength(records!, now))
      }
    } catch (error) {
      // Whoever changes records that are still held must not stop those behind them.
      this.#handedOver++
      this.#aborts.delete(append)
      append.reject(error)
    }
  }

  #scheduleWrite(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule()
  }

  /** Returns whether all of them were written: not while the log rolls, nor when the event loop has to have its turn. */
  #writeGroups(): boolean {
    for (let group = this.#groups[0]; group !== undefined; group = this.#groups[0]) {
      if (this.#tickBytes >= TICK_BYTES) {
        this.#yield()
        return false
      }
      if (!this.#writeGroup(group, this.#barriers[0]?.number)) return false
    }
    return true
  }

  /** One call of the engine, which takes what it can; returns whether that was anything. */
  #writeGroup(group: AppendGroup, before = Infinity): boolean {
    if (this.#takenBack.size > 0) this.#leaveOut(group)
    const isEmpty = group.waiting === 0
    const some = isEmpty || this.#writeSome(group, before) > 0
    if (group.waiting === 0) {
      this.#groups.splice(this.#groups.indexOf(group), 1)
      if (group.staging !== null) giveStagingBack(group.staging)
    }
    return some
  }

  #leaveOut(group: AppendGroup): void {
    const { count, bytes } = group.leaveOut((append) => {
      if (!this.#takenBack.delete(append)) return false
      this.#pendingBytes -= append.cost
      return true
    })
    this.#handedOver += count
    this.#unwrittenBytes -= bytes
  }

  /** Returns how many batches the engine took: 0 while it rolls. */
  #writeSome(group: AppendGroup, before: number): number {
    const wanted = before === Infinity ? group.waiting : group.waitingBefore(before)
    if (wanted === 0) return 0
    const results = new Float64Array(wanted)
    let count: number
    try {
      count = group.handOver(this.#native, results)
    } catch (error) {
      return this.#refuseRest(group, error)
    }
    const refusals = results.subarray(0, count).some((result) => result < 0) ? this.#native.refusals() : null
    if (refusals !== null || (this.tellsWrites && count > 0)) this.#news = true
    const { truncations } = this.#native
    const durable = this.#native.durableOffset
    for (let i = 0; i < count; i++) {
      if (
        results[i]! < 0 &&
        group.isShared &&
        refusals![-results[i]! - 1]!.code === 'VARVE_BATCH_TOO_LARGE'
      ) {
        this.#part(group)
        continue
      }
      for (let append: PendingAppend | null = this.#takeNext(group); append !== null; append = append.next) {
        append.truncations = truncations
        this.#settleWritten(append, results[i]!, refusals, durable)
      }
    }
    return count
  }

  /**
   * None of those that share a batch may be refused for the others' sake, because another thread has lowered the limit
   * meanwhile, or the log's codec has made the batch larger. The engine has taken nothing of what comes behind it.
   */
  #part(group: AppendGroup): void {
    this.takeLimits()
    const { parted, growth } = group.part(takeStaging(STAGING_BYTES), this.#allowedBytes)
    this.#unwrittenBytes += growth
    this.#groups.unshift(parted)
  }

  /** The engine threw instead of answering, which is a defect of it; nobody may be left waiting for its answer. */
  #refuseRest(group: AppendGroup, cause: unknown): number {
    const message = `the native engine broke down during an append: ${String(cause)}. Open the log again to recover`
    const { waiting } = group
    while (group.waiting > 0) {
      for (let append: PendingAppend | null = this.#takeNext(group); append !== null; append = append.next) {
        this.#reject(append, new VarveError('VARVE_LOG_FAILED', message, { cause }))
      }
    }
    return waiting
  }

  /** The first append of the next batch, which others may share. */
  #takeNext(group: AppendGroup): PendingAppend {
    const { append, bytes } = group.take()
    for (let each: PendingAppend | null = append; each !== null; each = each.next) {
      this.#aborts.delete(each)
      this.#handedOver++
    }
    this.#unwrittenBytes -= bytes
    this.#tickBytes += bytes
    return append
  }

  #settleWritten(
    append: PendingAppend,
    result: number,
    refusals: ReturnType<NativeLog['refusals']> | null,
    durable: number,
  ): void {
    if (result < 0) {
      this.#reject(append, toError(refusals![-result - 1]!))
      return
    }
    append.written(result)
    // Under 'os' it mostly is, unless a thread writes it because the disk is slow. A producer's retry has the offsets of the
    // original, which nothing may be left to become durable of.
    const isDurable = this.#undurable.size === 0 && append.result!.lastOffset < durable
    if (isDurable) {
      this.#news = true
      this.#resolve(append)
    } else {
      this.#undurable.push(append)
    }
  }

  #resolve(append: PendingAppend): void {
    this.#pendingBytes -= append.cost
    append.resolve()
  }

  #reject(append: PendingAppend, reason: VarveError): void {
    this.#pendingBytes -= append.cost
    this.#watch.appendFailed(reason, append.recordsCount)
    append.reject(reason)
  }

  #yield(): void {
    if (this.#yielding) return
    this.#yielding = true
    setImmediate(() => {
      this.#yielding = false
      this.#tickBytes = 0
      this.write()
    })
  }

  #when(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }))
  }

  #afterwards(): void {
    if (this.#waiting.length > 0) {
      const met = this.#waiting.filter(({ condition }) => condition())
      this.#waiting = this.#waiting.filter((waiting) => !met.includes(waiting))
      for (const { resolve } of met) resolve()
    }
    const waits = !this.#isEmpty
    if (waits === this.#holding) return
    this.#holding = waits
    if (waits) hold()
    else release()
  }
}

/** As the header has it, which the engine checks. */
function recordsCountOf(batch: Uint8Array): number {
  const end = LAST_OFFSET_DELTA_AT + 4
  if (batch.length < end) return 1
  return 1 + new DataView(batch.buffer, batch.byteOffset, end).getInt32(LAST_OFFSET_DELTA_AT)
}
