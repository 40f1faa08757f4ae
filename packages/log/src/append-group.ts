import type { NativeLog } from '@varve/native'
import type { PendingAppend } from './pending-append.js'

/** Batches that go to the engine in one call: written by us one behind the other, or encoded by the caller. */
export class AppendGroup {
  /** Where our own batches lie; null for a group of the caller's. */
  readonly staging: Buffer | null
  /** Whether its batches keep the offsets that they have. */
  readonly replicated: boolean
  /** Bytes of all batches. */
  bytes = 0
  #batches: Uint8Array[] = []
  #lengths: number[] = []
  #appends: PendingAppend[] = []
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

  /** Adds a batch that was written at the end of the staging buffer, or is the caller's. */
  add(append: PendingAppend, bytes: number, batch: Uint8Array | null): void {
    if (batch !== null) this.#batches.push(batch)
    this.#lengths.push(bytes)
    this.#appends.push(append)
    this.bytes += bytes
  }

  /** One call of the engine, for as many batches as there is room for results; returns how many of them it took. */
  handOver(native: NativeLog, results: Float64Array): number {
    const [taken, end] = [this.#taken, this.#taken + results.length]
    const some = <T>(all: T[]): T[] => (taken === 0 && end === all.length ? all : all.slice(taken, end))
    if (this.staging === null) return native.appendBatches(some(this.#batches), this.replicated, results)
    const bytes = this.staging.subarray(this.#takenBytes, this.bytes)
    return native.appendStaged(bytes, new Uint32Array(some(this.#lengths)), results)
  }

  /** Counts the next waiting batch as taken. */
  take(): { append: PendingAppend; bytes: number } {
    const append = this.#appends[this.#taken]!
    const bytes = this.#lengths[this.#taken]!
    this.#taken++
    this.#takenBytes += bytes
    return { append, bytes }
  }

  /** Leaves out the waiting batches that were taken back, and closes up. Returns how many they were, and their bytes. */
  leaveOut(isTakenBack: (append: PendingAppend) => boolean): { count: number; bytes: number } {
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
