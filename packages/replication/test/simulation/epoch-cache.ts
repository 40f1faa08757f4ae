import type { EpochEnd } from '@varve/replication'

/** The leader epoch cache of the simulated log, written for itself: it has to be right when the one in the package is not. */
export class EpochCache {
  #epochs: number[] = []
  #starts: number[] = []

  /** -1 when there is none. */
  get latest(): number {
    return this.#epochs.at(-1) ?? -1
  }

  /** An epoch without a record goes when a later one starts at the same offset. */
  assign(epoch: number, startOffset: number): void {
    if (epoch <= this.latest) return
    while (this.#starts.length > 0 && this.#starts.at(-1)! >= startOffset) {
      this.#starts.pop()
      this.#epochs.pop()
    }
    this.#epochs.push(epoch)
    this.#starts.push(startOffset)
  }

  /** `current` counts from `logEnd` on even if it has written nothing. */
  endOf(epoch: number, logEnd: number, current: number): EpochEnd | null {
    const latest = this.latest
    if (epoch < 0 || epoch > Math.max(latest, current)) return null
    if (current > latest) {
      if (epoch === current) return { epoch, endOffset: logEnd }
      if (epoch >= latest) {
        // What starts at the end and is empty is not there any more beside an epoch that starts there, too.
        let at = this.#starts.length - 1
        while (at >= 0 && this.#starts[at]! >= logEnd) at--
        return { epoch: at < 0 ? epoch : this.#epochs[at]!, endOffset: logEnd }
      }
    }
    if (epoch === latest) return { epoch, endOffset: logEnd }
    let at = this.#epochs.length - 1
    while (at >= 0 && this.#epochs[at]! > epoch) at--
    return { epoch: at < 0 ? epoch : this.#epochs[at]!, endOffset: this.#starts[at + 1]! }
  }

  truncateTo(endOffset: number): void {
    while (this.#starts.length > 0 && this.#starts.at(-1)! >= endOffset) {
      this.#starts.pop()
      this.#epochs.pop()
    }
  }

  deleteBefore(startOffset: number): void {
    let first = this.#starts.length - 1
    while (first >= 0 && this.#starts[first]! > startOffset) first--
    if (first < 0) return
    this.#epochs = this.#epochs.slice(first)
    this.#starts = this.#starts.slice(first)
    this.#starts[0] = startOffset
  }

  clear(): void {
    this.#epochs = []
    this.#starts = []
  }
}
