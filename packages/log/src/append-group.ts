import type { NativeLog } from '@varve/native'
import { OpenBatch, RecordBatch, VarveError, type LogRecord, type RecordInput } from '@varve/records'
import type { PendingAppend } from './pending-append.js'

/**
 * Batches that go to the engine in one call: written by us one behind the other, or encoded by the caller. Appends of
 * records share batches where they can: a batch costs as much as several small records, to write and to read.
 */
export class AppendGroup {
  /** Where our own batches lie; null for a group of the caller's. */
  readonly staging: Buffer | null
  /** Whether its batches keep the offsets that they have. */
  readonly replicated: boolean
  /** Bytes of all batches. */
  bytes = 0
  #batches: Uint8Array[] = []
  #lengths: number[] = []
  /** The first append of each batch, behind which come those that share it. */
  #appends: PendingAppend[] = []
  /** The last batch, while others may join it: those whose records have keys if its own have, and else those without. */
  #open: OpenBatch | null = null
  #isKeyed = false
  #last: PendingAppend | null = null
  /** Batches the engine has taken, and their bytes. */
  #taken = 0
  #takenBytes = 0

  constructor(staging: Buffer | null, replicated = false) {
    this.staging = staging
    this.replicated = replicated
  }

  /** Batches that the engine has not taken yet. */
  get waiting(): number {
    return this.#appends.length - this.#taken
  }

  /** The number of the first batch that the engine has not taken yet. */
  get firstNumber(): number {
    return this.#appends[this.#taken]?.number ?? Infinity
  }

  /** How many of those come before the append of that number. */
  waitingBefore(number: number): number {
    let end = this.#taken
    while (end < this.#appends.length && this.#appends[end]!.number < number) end++
    return end - this.#taken
  }

  /** Adds a batch of the caller's. */
  add(append: PendingAppend, batch: Uint8Array): void {
    this.#batches.push(batch)
    this.#start(append, batch.length)
  }

  /**
   * Encodes records into the last batch, if others may join it and it stays within `sharedBytes`. Returns by how many bytes
   * the group has grown: 0 when it has not.
   *
   * @throws what keeps a record from being encoded; the group is as it was before.
   */
  join(append: PendingAppend, records: readonly RecordInput[], now: number, sharedBytes: number): number {
    const open = this.#open
    if (open === null || append.isAlone || !Array.isArray(records) || records.length === 0) return 0
    if (this.#isKeyed !== haveKeys(records) || !open.add(records, now, open.at + sharedBytes)) return 0
    append.recordsCount = records.length
    append.rank = open.recordsCount - records.length
    const bytes = open.end - this.bytes
    this.bytes += bytes
    this.#lengths[this.#lengths.length - 1]! += bytes
    this.#last!.next = append
    this.#last = append
    return bytes
  }

  /**
   * Encodes records as a batch at the end of the staging buffer, where there has to be room for it. Returns by how many
   * bytes the group has grown.
   *
   * @throws what keeps a record from being encoded; the group is as it was before.
   */
  encode(append: PendingAppend, records: readonly RecordInput[], now: number): number {
    const before = this.bytes
    const isKeyed = haveKeys(records)
    append.recordsCount = records.length
    const batch = new OpenBatch(this.staging!, before)
    if (!batch.add(records, now, this.staging!.length)) {
      throw new VarveError('VARVE_BUFFER_TOO_SMALL', 'a record has grown while it was encoded')
    }
    this.#close()
    this.#start(append, batch.end - before)
    this.#open = batch
    this.#isKeyed = isKeyed
    if (append.isAlone) this.#close()
    return this.bytes - before
  }

  #start(append: PendingAppend, bytes: number): void {
    this.#lengths.push(bytes)
    this.#appends.push(append)
    this.#last = append
    this.bytes += bytes
  }

  /** Completes the last batch: nobody can join it any more. */
  #close(): void {
    this.#open?.writeHeader()
    this.#open = null
  }

  /** One call of the engine, for as many batches as there is room for results; returns how many of them it took. */
  handOver(native: NativeLog, results: Float64Array): number {
    this.#close()
    const [taken, end] = [this.#taken, this.#taken + results.length]
    const some = <T>(all: T[]): T[] => (taken === 0 && end === all.length ? all : all.slice(taken, end))
    if (this.staging === null) return native.appendBatches(some(this.#batches), this.replicated, results)
    const bytes = this.staging.subarray(this.#takenBytes, this.bytes)
    return native.appendStaged(bytes, new Uint32Array(some(this.#lengths)), results)
  }

  /** Counts the next waiting batch as taken; `append` is the first that it holds. */
  take(): { append: PendingAppend; bytes: number } {
    const append = this.#appends[this.#taken]!
    const bytes = this.#lengths[this.#taken]!
    this.#taken++
    this.#takenBytes += bytes
    return { append, bytes }
  }

  /** Whether several appends share the next waiting batch. */
  get isShared(): boolean {
    return this.#appends[this.#taken]!.next !== null
  }

  /**
   * Takes the next waiting batch, and encodes anew what its appends have, in batches of one append, or within `sharedBytes`
   * and half of what it was: the more often it is parted, the sooner each is alone. Returns them, and by how many bytes
   * they are more.
   */
  part(staging: Buffer, sharedBytes: number): { parted: AppendGroup; growth: number } {
    const parted = new AppendGroup(staging)
    const records = RecordBatch.parse(this.staging!, this.#takenBytes).records()
    const { append: first, bytes } = this.take()
    const limit = Math.min(sharedBytes, bytes / 2)
    for (let append: PendingAppend | null = first, next; append !== null; append = next) {
      next = append.next
      append.next = null
      append.rank = 0
      const own = Array.from({ length: append.recordsCount }, () => records.next().value as LogRecord)
      if (parted.join(append, own, 0, limit) === 0) parted.encode(append, own, 0)
    }
    return { parted, growth: parted.bytes - bytes }
  }

  /** Leaves out the waiting batches that were taken back, and closes up. Returns how many they were, and their bytes. */
  leaveOut(isTakenBack: (append: PendingAppend) => boolean): { count: number; bytes: number } {
    this.#close()
    let [to, toBytes, fromBytes] = [this.#taken, this.#takenBytes, this.#takenBytes]
    for (let from = to; from < this.#appends.length; from++) {
      const [append, length] = [this.#appends[from]!, this.#lengths[from]!]
      if (!isTakenBack(append)) {
        this.staging?.copyWithin(toBytes, fromBytes, fromBytes + length)
        if (this.staging === null) this.#batches[to] = this.#batches[from]!
        this.#lengths[to] = length
        this.#appends[to++] = append
        toBytes += length
      }
      fromBytes += length
    }
    const left = { count: this.#appends.length - to, bytes: this.bytes - toBytes }
    this.#appends.length = to
    this.#lengths.length = to
    if (this.staging === null) this.#batches.length = to
    this.bytes = toBytes
    return left
  }
}

/** Whether all of them have one. */
function haveKeys(records: readonly RecordInput[]): boolean {
  for (let index = 0; index < records.length; index++) {
    const key = records[index]?.key
    if (key === null || key === undefined) return false
  }
  return true
}
