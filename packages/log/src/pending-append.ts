import type { AppendResult } from './log.js'

/** What an append costs beside its bytes, about: the objects that wait for its result. */
const OVERHEAD_BYTES = 256

/** One append, from its call to its result. */
export class PendingAppend {
  readonly promise: Promise<AppendResult>
  /** Appends of the queue before it. */
  readonly number: number
  /** How often the log had been truncated when it was written. */
  truncations = 0
  /** Records that it has, as far as is known. */
  recordsCount = 0
  /** Of its batch: the records before its own, and the next append that shares it. */
  rank = 0
  next: PendingAppend | null = null
  /** Where it was written; null before. */
  result: AppendResult | null = null
  /** Why it has failed; null if it has not. */
  failure: unknown = null
  /** Bytes that it counts for against `maxPendingBytes`. */
  cost = 0
  /** Whether it must have a batch of its own, so that it can be taken back without the others. */
  isAlone = false
  /** Whoever aborts it takes the append back; null when nobody can. */
  signal: AbortSignal | null = null
  #resolve!: (result: AppendResult) => void
  #reject!: (reason: unknown) => void

  constructor(number: number) {
    this.number = number
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  countFor(bytes: number): void {
    this.cost = bytes + OVERHEAD_BYTES
  }

  /** Its batch was written at `baseOffset`. */
  written(baseOffset: number): void {
    const own = baseOffset + this.rank
    this.result = { baseOffset: own, lastOffset: own + this.recordsCount - 1 }
  }

  resolve(): void {
    this.#resolve(this.result!)
  }

  reject(reason: unknown): void {
    this.failure = reason
    this.#reject(reason)
  }
}
