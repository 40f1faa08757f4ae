import type { NativeLog } from '@varve/native'
import { batchByteLength, VarveError, writeBatch, type RecordInput } from '@varve/records'
import { toError } from './failure.js'
import { hold, release } from './keep-alive.js'
import type { AppendResult } from './log.js'
import type { Durability } from './options.js'

const STAGING_BYTES = 1 << 20
/** What is pending is written at once when it reaches this. */
const WRITE_AT_BYTES = 1 << 20
/** After writing so much without a pause, the event loop gets its turn. */
const TICK_BYTES = 4 << 20
const PHASE_ROLLING = 1

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

/**
 * Gathers the appends of a tick, hands them to the engine in one call, and settles each when the log's durability
 * covers it. Appends keep their order, whatever their kind.
 */
export class AppendQueue {
  readonly #native: NativeLog
  readonly #durability: Durability
  readonly #maxBatchBytes: number
  readonly #schedule: (write: () => void) => void
  readonly #appended: () => void
  readonly #groups: Group[] = []
  /** Written and waiting for an fsync, in the order of their offsets. */
  #undurable: Array<{ waiter: Waiter; result: AppendResult }> = []
  #undurableHead = 0
  #pendingBytes = 0
  #tickBytes = 0
  #scheduled = false
  #yielding = false
  #holding = false
  #spareStaging: Buffer | null = null
  #drained: Array<() => void> = []

  constructor(
    native: NativeLog,
    options: { durability: Durability; maxBatchBytes: number; gather: 'microtask' | 'immediate' },
    appended: () => void,
  ) {
    this.#native = native
    this.#durability = options.durability
    this.#maxBatchBytes = options.maxBatchBytes
    this.#schedule = options.gather === 'immediate' ? setImmediate : queueMicrotask
    this.#appended = appended
  }

  /** Whether nothing is waiting to be written or to become durable. */
  get isEmpty(): boolean {
    return this.#groups.length === 0 && this.#undurableHead === this.#undurable.length
  }

  appendRecords(records: readonly RecordInput[]): Promise<AppendResult> {
    const now = Date.now()
    const bytes = batchByteLength(records, now)
    if (bytes > this.#maxBatchBytes) {
      throw new VarveError(
        'VARVE_BATCH_TOO_LARGE',
        `these records make a batch of ${bytes} bytes; the log accepts at most ${this.#maxBatchBytes} (maxBatchBytes)`,
      )
    }
    let group = this.#groups.at(-1)
    if (group?.staging == null || group.bytes + bytes > group.staging.length) {
      group = this.#addGroup(this.#takeStaging(bytes))
    }
    writeBatch(group.staging!, group.bytes, records, now)
    return this.#add(group, bytes, records.length)
  }

  appendBatch(batch: Uint8Array): Promise<AppendResult> {
    let group = this.#groups.at(-1)
    if (group === undefined || group.staging !== null) group = this.#addGroup(null)
    group.batches.push(batch)
    const count = batch.length < 27 ? 1 : 1 + new DataView(batch.buffer, batch.byteOffset).getInt32(23)
    return this.#add(group, batch.length, count)
  }

  /** Resolves when everything appended so far has been handed to the engine, or refused by it. */
  written(): Promise<void> {
    this.write()
    if (this.#groups.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  /** Hands pending batches to the engine. Called again when it could not take all of them. */
  write = (): void => {
    this.#scheduled = false
    let wrote = false
    for (let group = this.#groups[0]; group !== undefined; group = this.#groups[0]) {
      if (this.#tickBytes >= TICK_BYTES) {
        this.#yield()
        break
      }
      if (!this.#writeSome(group)) break
      wrote = true
      if (group.taken === group.lengths.length) {
        this.#groups.shift()
        if (group.staging?.length === STAGING_BYTES) this.#spareStaging = group.staging
      }
    }
    if (this.#groups.length === 0) for (const resolve of this.#drained.splice(0)) resolve()
    this.#holdWhileWaiting()
    if (wrote) this.#appended()
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
      for (const { waiter } of waiting.slice(head)) waiter.reject(toError(failure))
      head = waiting.length
    }
    if (head === waiting.length) {
      this.#undurable = []
      head = 0
    } else if (head > 1024 && head * 2 > waiting.length) {
      this.#undurable = waiting.slice(head)
      head = 0
    }
    this.#undurableHead = head
    if (this.#groups.length > 0) this.write()
    this.#holdWhileWaiting()
  }

  #add(group: Group, bytes: number, recordsCount: number): Promise<AppendResult> {
    group.lengths.push(bytes)
    group.bytes += bytes
    this.#pendingBytes += bytes
    const promise = new Promise<AppendResult>((resolve, reject) => {
      group.waiters.push({ resolve, reject, recordsCount })
    })
    if (!this.#scheduled) {
      this.#scheduled = true
      this.#schedule(this.write)
    }
    if (this.#pendingBytes >= WRITE_AT_BYTES && this.#tickBytes < TICK_BYTES) this.write()
    return promise
  }

  #addGroup(staging: Buffer | null): Group {
    const group: Group = {
      staging,
      batches: [],
      lengths: [],
      waiters: [],
      taken: 0,
      takenBytes: 0,
      bytes: 0,
    }
    this.#groups.push(group)
    return group
  }

  #takeStaging(bytes: number): Buffer {
    if (bytes > STAGING_BYTES) return Buffer.allocUnsafeSlow(bytes)
    const spare = this.#spareStaging
    this.#spareStaging = null
    return spare ?? Buffer.allocUnsafeSlow(STAGING_BYTES)
  }

  /** One call of the engine; false when it can take no more for now. */
  #writeSome(group: Group): boolean {
    const { staging, lengths, taken } = group
    const results = new Float64Array(lengths.length - taken)
    const count =
      staging === null
        ? this.#native.appendBatches(taken === 0 ? group.batches : group.batches.slice(taken), results)
        : this.#native.appendStaged(
            staging.subarray(group.takenBytes, group.bytes),
            Uint32Array.from(taken === 0 ? lengths : lengths.slice(taken)),
            results,
          )
    const refusals = count > 0 && results.some((result) => result < 0) ? this.#native.refusals() : null
    for (let i = 0; i < count; i++) {
      this.#settleWritten(group.waiters[taken + i]!, results[i]!, refusals)
      group.takenBytes += lengths[taken + i]!
      this.#pendingBytes -= lengths[taken + i]!
      this.#tickBytes += lengths[taken + i]!
    }
    group.taken += count
    return count > 0 && (group.taken === lengths.length || this.#native.phase !== PHASE_ROLLING)
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

  #holdWhileWaiting(): void {
    const waiting = !this.isEmpty
    if (waiting === this.#holding) return
    this.#holding = waiting
    if (waiting) hold()
    else release()
  }
}
