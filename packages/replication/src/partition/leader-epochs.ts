import type { EpochEnd } from '../replica-log.js'

/**
 * Which leader epoch wrote from which offset on: Kafka's leader epoch cache (KIP-101, KIP-279), for logs that keep none of
 * their own.
 */
export class LeaderEpochs {
  readonly #entries: { readonly epoch: number; startOffset: number }[] = []

  /** The largest epoch so far, -1 when there is none. */
  get latest(): number {
    return this.#entries.at(-1)?.epoch ?? -1
  }

  /** Epochs and the offsets from which they were written, both ascending. */
  get entries(): readonly { readonly epoch: number; readonly startOffset: number }[] {
    return this.#entries
  }

  /**
   * Notes that `epoch` writes from `startOffset` on; says whether that was news. An epoch that wrote nothing is forgotten when
   * a larger one starts at the same offset.
   */
  assign(epoch: number, startOffset: number): boolean {
    if (epoch <= this.latest) {
      return false
    }
    this.truncateFromEnd(startOffset)
    this.#entries.push({ epoch, startOffset })
    return true
  }

  /**
   * The end of `epoch` in a log that ends at `logEnd`; `null` for an epoch larger than any the log has seen. For one that it
   * skipped the largest smaller one is answered, for one before its first the start of the first (KIP-279).
   */
  endOf(epoch: number, logEnd: number): EpochEnd | null {
    if (epoch < 0 || epoch > this.latest) {
      return null
    }
    const next = this.#entries.findIndex((entry) => entry.epoch > epoch)
    if (next === -1) {
      return { epoch, endOffset: logEnd }
    }
    return { epoch: this.#entries[next - 1]?.epoch ?? epoch, endOffset: this.#entries[next]!.startOffset }
  }

  /** The epoch that wrote `offset`, -1 when it is not known. */
  epochAt(offset: number): number {
    return this.#entries.findLast(({ startOffset }) => startOffset <= offset)?.epoch ?? -1
  }

  /** Forgets what starts at or behind the end of a log that was cut; says whether anything did. */
  truncateFromEnd(endOffset: number): boolean {
    const before = this.#entries.length
    while ((this.#entries.at(-1)?.startOffset ?? -1) >= endOffset) {
      this.#entries.pop()
    }
    return this.#entries.length < before
  }

  /** Forgets what lies before the log's start; the epoch that wrote the first record left starts there. */
  truncateFromStart(startOffset: number): boolean {
    const first = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset)
    if (first === -1 || this.#entries[0]!.startOffset === startOffset) {
      return false
    }
    this.#entries.splice(0, first)
    this.#entries[0]!.startOffset = startOffset
    return true
  }
}
