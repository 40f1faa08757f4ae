import { types } from 'node:util'
import type { NativeLog } from '@varve/native'
import { batchByteLength, VarveError, writeBatch, type RecordInput } from '@varve/records'
import { toError } from './failure.js'
import { hold, release } from './keep-alive.js'
import type { AppendResult } from './log.js'
import type { Durability } from './options.js'

/** A group goes to the engine in one call, which need not look at more than it can take. */
const GROUP_BYTES = 1 << 20
/** What is pending is written at once when it reaches this. */
const WRITE_AT_BYTES = 1 << 20
/** After writing so much without a pause, the event loop gets its turn. */
const TICK_BYTES = 4 << 20
const LAST_OFFSET_DELTA_AT = 23

interface Waiter {
  resolve(result: AppendResult): void
  reject(error: VarveError): void
  recordsCount: number
}

/** Batches that go to the engine in one call: written by us one behind the other, or encoded by the caller. */
interface Group {
  staging: Buffer | null
  batches: Uint8Array[]
  lengths: number[]
  waiters: Waiter[]
  /** Batches the engine has taken, and their bytes. */
  taken: number
  takenBytes: number
  bytes: number
}

export interface AppendQueueOptions {
  durability: Durability
  maxBatchBytes: number
  gather: 'microtask' | 'immediate'
}

/**
 * Gathers the appends of a tick, hands them to the engine in one call, and settles each when the log's durability
 * covers it. Appends keep their order, whatever their kind.
 */
export class AppendQueue {
  readonly #native: NativeLog
  readonly #durability: Durability
  readonly #maxBatchBytes: number
  readonly #schedule: () => void
  readonly #changed: () => void
  readonly #groups: Group[] = []
  /** Written and waiting for an fsync, in the order of their offsets. */
  #undurable: Array<{ waiter: Waiter; result: AppendResult }> = []
  #undurableHead = 0
  #pendingBytes = 0
  #tickBytes = 0
  /** Batches so far: appended, and of those the ones that the engine took or refused. */
  #appended = 0
  #handedOver = 0
  #scheduled = false
  #yielding = false
  #holding = false
  #news = false
  #spareStaging: Buffer | null = null
  #waiting: Array<{ condition: () => boolean; resolve: () => void }> = []

  /** `changed` is called when a write moved what readers may see, or when the engine refused something. */
  constructor(native: NativeLog, options: AppendQueueOptions, changed: () => void) {
    this.#native = native
    this.#durability = options.durability
    this.#maxBatchBytes = options.maxBatchBytes
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

  appendRecords(records: readonly RecordInput[]): Promise<AppendResult> {
    const now = Date.now()
    const expected = batchByteLength(records, now)
    if (expected > this.#maxBatchBytes) {
      throw new VarveError(
        'VARVE_BATCH_TOO_LARGE',
        `these records make a batch of ${expected} bytes; the log accepts at most ${this.#maxBatchBytes} (maxBatchBytes)`,
      )
    }
    let group = this.#groups.at(-1)
    if (group?.staging == null || group.bytes + expected > group.staging.length) {
      group = newGroup(this.#takeStaging(expected))
    }
    // Records whose getters throw, or grow, must leave the queue as it was.
    const end = writeBatch(group.staging!, group.bytes, records, now)
    return this.#add(group, end - group.bytes, records.length)
  }

  appendBatch(batch: Uint8Array): Promise<AppendResult> {
    if (!types.isUint8Array(batch)) {
      return Promise.reject(
        new VarveError('VARVE_BATCH_INVALID', `a record batch must be a Uint8Array, got ${typeof batch}`),
      )
    }
    let group = this.#groups.at(-1)
    if (group === undefined || group.staging !== null || group.bytes >= GROUP_BYTES) group = newGroup(null)
    group.batches.push(batch)
    return this.#add(group, batch.length, recordsCountOf(batch))
  }

  /** Resolves when everything appended so far has been handed to the engine, or refused by it. */
  written(): Promise<void> {
    const target = this.#appended
    this.write()
    return this.#when(() => this.#handedOver >= target)
  }

  /** Resolves when nothing waits to be written or to become durable. */
  settled(): Promise<void> {
    this.write()
    return this.#when(() => this.#isEmpty)
  }

  /** Hands pending batches to the engine, as far as it takes them: it calls back after a roll. */
  write(): void {
    this.#scheduled = false
    for (let group = this.#groups[0]; group !== undefined; group = this.#groups[0]) {
      if (this.#tickBytes >= TICK_BYTES) {
        this.#yield()
        break
      }
      if (this.#writeSome(group) === 0) break
      if (group.taken === group.lengths.length) {
        this.#groups.shift()
        if (group.staging?.length === GROUP_BYTES) this.#spareStaging = group.staging
      }
    }
    this.#afterwards()
    if (this.#news) {
      this.#news = false
      this.#changed()
    }
  }

  /** Settles what has become durable, or everything that waits when the log has failed. */
  settle(): void {
    const durable = this.#native.durableOffset
    const waiting = this.#undurable
    let head = this.#undurableHead
    while (head < waiting.length && waiting[head]!.result.lastOffset < durable) {
      const { waiter, result } = waiting[head++]!
      waiter.resolve(result)
    }
    const failure = this.#native.failure
    if (failure !== null) {
      for (; head < waiting.length; head++) waiting[head]!.waiter.reject(toError(failure))
    }
    if (head === waiting.length) {
      this.#undurable = []
      head = 0
    } else if (head > 1024 && head * 2 > waiting.length) {
      this.#undurable = waiting.slice(head)
      head = 0
    }
    this.#undurableHead = head
    this.write()
  }

  get #isEmpty(): boolean {
    return this.#groups.length === 0 && this.#undurableHead === this.#undurable.length
  }

  #add(group: Group, bytes: number, recordsCount: number): Promise<AppendResult> {
    if (group !== this.#groups.at(-1)) this.#groups.push(group)
    group.lengths.push(bytes)
    group.bytes += bytes
    this.#pendingBytes += bytes
    this.#appended++
    const promise = new Promise<AppendResult>((resolve, reject) => {
      group.waiters.push({ resolve, reject, recordsCount })
    })
    if (!this.#scheduled) {
      this.#scheduled = true
      this.#schedule()
    }
    if (this.#pendingBytes >= WRITE_AT_BYTES && this.#tickBytes < TICK_BYTES) this.write()
    return promise
  }

  #takeStaging(bytes: number): Buffer {
    if (bytes > GROUP_BYTES) return Buffer.allocUnsafeSlow(bytes)
    const spare = this.#spareStaging
    this.#spareStaging = null
    return spare ?? Buffer.allocUnsafeSlow(GROUP_BYTES)
  }

  /** One call of the engine; returns how many batches it took: 0 while it rolls. */
  #writeSome(group: Group): number {
    const { taken } = group
    const results = new Float64Array(group.lengths.length - taken)
    let count: number
    try {
      count = this.#handOver(group, results)
    } catch (error) {
      return this.#refuseRest(group, error)
    }
    const refusals = results.subarray(0, count).some((result) => result < 0) ? this.#native.refusals() : null
    if (refusals !== null || (count > 0 && this.#durability === 'os')) this.#news = true
    for (let i = 0; i < count; i++) {
      this.#settleWritten(group.waiters[taken + i]!, results[i]!, refusals)
      this.#count(group, group.lengths[taken + i]!)
    }
    return count
  }

  #handOver(group: Group, results: Float64Array): number {
    const { staging, batches, lengths, taken } = group
    if (staging === null) {
      return this.#native.appendBatches(taken === 0 ? batches : batches.slice(taken), results)
    }
    const bytes = staging.subarray(group.takenBytes, group.bytes)
    return this.#native.appendStaged(
      bytes,
      new Uint32Array(taken === 0 ? lengths : lengths.slice(taken)),
      results,
    )
  }

  /** The engine threw instead of answering, which is a defect of it; nobody may be left waiting for its answer. */
  #refuseRest(group: Group, cause: unknown): number {
    const message = `the native engine broke down during an append: ${String(cause)}. Open the log again to recover`
    const { taken } = group
    for (let i = taken; i < group.lengths.length; i++) {
      group.waiters[i]!.reject(new VarveError('VARVE_LOG_FAILED', message, { cause }))
      this.#count(group, group.lengths[i]!)
    }
    return group.taken - taken
  }

  #count(group: Group, bytes: number): void {
    group.taken++
    group.takenBytes += bytes
    this.#handedOver++
    this.#pendingBytes -= bytes
    this.#tickBytes += bytes
  }

  #settleWritten(waiter: Waiter, result: number, refusals: ReturnType<NativeLog['refusals']> | null): void {
    if (result < 0) {
      waiter.reject(toError(refusals![-result - 1]!))
      return
    }
    const appended = { baseOffset: result, lastOffset: result + waiter.recordsCount - 1 }
    if (this.#durability === 'os') waiter.resolve(appended)
    else this.#undurable.push({ waiter, result: appended })
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

function newGroup(staging: Buffer | null): Group {
  return { staging, batches: [], lengths: [], waiters: [], taken: 0, takenBytes: 0, bytes: 0 }
}

/** As the header has it, which the engine checks. */
function recordsCountOf(batch: Uint8Array): number {
  const end = LAST_OFFSET_DELTA_AT + 4
  if (batch.length < end) return 1
  return 1 + new DataView(batch.buffer, batch.byteOffset, end).getInt32(LAST_OFFSET_DELTA_AT)
}
