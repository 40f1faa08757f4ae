import { LeaderEpochs, type EpochEnd, type ReplicaLog } from '@varve/replication'

/** Immutable: logs that hold the same one hold the same records. */
export interface Batch {
  readonly baseOffset: number
  readonly endOffset: number
  readonly leaderEpoch: number
}

/** A log of batches in memory that does all that replication does to one. */
export class BatchLog implements ReplicaLog {
  readonly durability: 'os' | 'fsync'
  startOffset = 0
  endOffset = 0
  batches: Batch[] = []
  #epochs = new LeaderEpochs()
  #leaderEpoch = -1
  #flushedOffset = 0

  constructor(durability: 'os' | 'fsync' = 'os') {
    this.durability = durability
  }

  get durableOffset(): number {
    return this.durability === 'os' ? this.endOffset : this.#flushedOffset
  }

  get lastStableOffset(): number {
    return this.endOffset
  }

  get leaderEpoch(): number {
    return Math.max(this.#leaderEpoch, this.#epochs.latest)
  }

  endOffsetForEpoch(epoch: number): EpochEnd | null {
    const epochs = new LeaderEpochs()
    for (const entry of this.#epochs.entries) {
      epochs.assign(entry.epoch, entry.startOffset)
    }
    epochs.assign(this.leaderEpoch, this.endOffset)
    return epochs.endOf(epoch, this.endOffset)
  }

  setLeaderEpoch(epoch: number): void {
    this.#leaderEpoch = epoch
  }

  append(count: number, leaderEpoch = this.leaderEpoch): Batch {
    const batch = { baseOffset: this.endOffset, endOffset: this.endOffset + count, leaderEpoch }
    this.replicate([batch])
    return batch
  }

  replicate(batches: readonly Batch[]): void {
    for (const batch of batches) {
      if (batch.baseOffset < this.endOffset) {
        throw new Error(`batch at ${batch.baseOffset} appended to a log that ends at ${this.endOffset}`)
      }
      this.#epochs.assign(batch.leaderEpoch, batch.baseOffset)
      this.batches.push(batch)
      this.endOffset = batch.endOffset
    }
  }

  read(from: number, upTo: number): Batch[] {
    return this.batches.filter((batch) => batch.endOffset > from && batch.baseOffset < upTo)
  }

  flush(): void {
    this.#flushedOffset = this.endOffset
  }

  /** As the engine: the leader epoch that was set stays. */
  truncate(to: number): void {
    while ((this.batches.at(-1)?.endOffset ?? -1) > to) {
      this.batches.pop()
    }
    this.endOffset = Math.min(this.endOffset, to)
    this.#flushedOffset = Math.min(this.#flushedOffset, this.endOffset)
    this.#epochs.truncateFromEnd(this.endOffset)
  }

  /** What a power loss leaves, or a restart that forgets which epoch had been set. */
  reopen(upTo = this.endOffset): void {
    this.truncate(upTo)
    this.#flushedOffset = this.endOffset
    this.#leaderEpoch = -1
  }

  startOver(at: number): void {
    this.batches = []
    this.#epochs = new LeaderEpochs()
    this.startOffset = at
    this.endOffset = at
    this.#flushedOffset = at
  }

  deleteBefore(offset: number): void {
    this.batches = this.batches.filter((batch) => batch.endOffset > offset)
    this.startOffset = offset
    this.#epochs.truncateFromStart(offset)
  }
}
