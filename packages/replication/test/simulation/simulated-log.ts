import type { EpochEnd, ReplicaLog } from '@varve/replication'
import { EpochCache } from './epoch-cache.js'
import type { SimulatedNode } from './node.js'
import { ProducerSequences, type SequenceError } from './producer-sequences.js'
import type { Random } from './random.js'
import { nextOffset, type ProducedBatch, type SimulatedBatch } from './simulated-batch.js'
import type { Timer, VirtualTime } from './virtual-time.js'

/** The disk of a broker; its faults are set from outside. */
export interface SimulatedDisk {
  /** Appends are refused. */
  full: boolean
  /** The next flush fails, and with it the log. */
  failFlush: boolean
  /** The mean time of a flush. */
  flushMs: number
  /** The mean time until the system writes back by itself what nobody flushes. */
  writebackMs: number
}

export function healthyDisk(): SimulatedDisk {
  return { full: false, failFlush: false, flushMs: 2, writebackMs: 5000 }
}

export interface SimulatedLogOptions {
  readonly time: VirtualTime
  readonly random: Random
  /** Whose lives it serves. */
  readonly node: SimulatedNode
  readonly disk: SimulatedDisk
  readonly durability: 'os' | 'fsync'
}

export type AppendOutcome =
  | { readonly kind: 'appended' | 'duplicate'; readonly baseOffset: number; readonly endOffset: number }
  | { readonly kind: 'refused'; readonly error: SequenceError | 'KAFKA_STORAGE_ERROR' }

export interface RecoveryReport {
  readonly cleanShutdown: boolean
  /** More than an incomplete last batch is known to be lost. */
  readonly cutWholeBatch: boolean
}

/** What comes back when a job is interrupted by a crash: more of the old log than was asked for, never less. */
interface Truncation {
  /** Of the log, in which it was asked for. */
  readonly life: number
  readonly removed: readonly SimulatedBatch[]
  /** Of a log that starts over: where it started. */
  readonly oldStart: number | null
  readonly done: (ok: boolean) => void
}

interface Deletion {
  readonly life: number
  readonly offset: number
  readonly done: (ok: boolean) => void
}

const storageError: AppendOutcome = { kind: 'refused', error: 'KAFKA_STORAGE_ERROR' }

/**
 * A log as `@varve/log` keeps it, on a disk that loses what was not flushed. The files outlive the processes, so one
 * object serves all lives of a broker: it is opened in each of them.
 */
export class SimulatedLog implements ReplicaLog {
  readonly durability: 'os' | 'fsync'
  /** Its durable offset has moved by a flush, or the log has failed. */
  onChange: ((log: SimulatedLog) => void) | null = null
  readonly #time: VirtualTime
  readonly #random: Random
  readonly #node: SimulatedNode
  readonly #disk: SimulatedDisk
  #state: 'open' | 'failed' | 'closed' = 'closed'
  /** How it was closed. */
  #end: 'cleanly' | 'process crash' | 'power loss' = 'cleanly'
  #hasFailed = false
  #incarnation = 0
  /** Counts how often it was closed: jobs of a former life end without a word. */
  #life = 0
  /** What is written: from the batch that holds the start on. */
  #batches: SimulatedBatch[] = []
  #startOffset = 0
  #endOffset = 0
  /** What a power loss cannot take. */
  #flushedOffset = 0
  #leaderEpoch = 0
  readonly #epochs = new EpochCache()
  readonly #producers = new ProducerSequences()
  #flush: Timer | null = null
  #truncation: Truncation | null = null
  #deletion: Deletion | null = null

  constructor({ time, random, node, disk, durability }: SimulatedLogOptions) {
    this.#time = time
    this.#random = random
    this.#node = node
    this.#disk = disk
    this.durability = durability
  }

  get state(): 'open' | 'failed' | 'closed' {
    return this.#state
  }

  get startOffset(): number {
    return this.#startOffset
  }

  get endOffset(): number {
    return this.#endOffset
  }

  get flushedOffset(): number {
    return this.#flushedOffset
  }

  get durableOffset(): number {
    return this.durability === 'os' ? this.#endOffset : this.#flushedOffset
  }

  get lastStableOffset(): number {
    return this.#endOffset
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  get batches(): readonly SimulatedBatch[] {
    return this.#batches
  }

  /** Until a truncation is durable nothing can be appended. */
  get isTruncating(): boolean {
    return this.#truncation !== null
  }

  endOffsetForEpoch(epoch: number): EpochEnd | null {
    return this.#epochs.endOf(epoch, this.#endOffset, this.#leaderEpoch)
  }

  /** In a life of its node. What a crash has left is made durable, and said. */
  open(): RecoveryReport {
    if (this.#state !== 'closed') throw new Error('the log is open')
    const cleanShutdown = this.#end === 'cleanly'
    const lost = this.#recover()
    this.#state = 'open'
    this.#incarnation = this.#node.incarnation
    this.#hasFailed = false
    this.#leaderEpoch = Math.max(0, this.#epochs.latest)
    // After a power loss what is missing may leave no trace: the file is as long as it was before.
    const isSeen = this.#end === 'process crash' || this.#random.chance(0.5)
    return { cleanShutdown, cutWholeBatch: lost > 0 && isSeen }
  }

  close(): void {
    if (this.#state === 'failed' || this.#truncation !== null || this.#deletion !== null)
      return this.processCrash()
    this.#flushedOffset = this.#endOffset
    this.#stop('cleanly')
  }

  /** What is written stays. */
  processCrash(): void {
    this.#stop('process crash')
  }

  powerLoss(): void {
    this.#stop('power loss')
  }

  /** As a leader. */
  setLeaderEpoch(epoch: number): void {
    if (epoch < this.#epochs.latest) throw new Error(`epoch ${epoch} in a log with ${this.#epochs.latest}`)
    this.#leaderEpoch = epoch
  }

  /** As a leader. */
  append(batch: ProducedBatch): AppendOutcome {
    if (!this.#takesWrites()) return storageError
    const judged = this.#producers.check(batch)
    if (typeof judged === 'string') return { kind: 'refused', error: judged }
    if (judged !== null) {
      return { kind: 'duplicate', baseOffset: judged.baseOffset, endOffset: nextOffset(judged) }
    }
    const baseOffset = this.#endOffset
    const { producerId, producerEpoch, baseSequence, values } = batch
    this.#write({
      baseOffset,
      count: values.length,
      leaderEpoch: this.#leaderEpoch,
      producerId,
      producerEpoch,
      baseSequence,
      values,
    })
    return { kind: 'appended', baseOffset, endOffset: this.#endOffset }
  }

  /** What a leader sent. null: all of it is appended; else what came before the one that does not fit. */
  appendReplicated(batches: readonly SimulatedBatch[]): null | 'refused' | 'KAFKA_STORAGE_ERROR' {
    if (!this.#takesWrites()) return 'KAFKA_STORAGE_ERROR'
    for (const batch of batches) {
      if (batch.baseOffset < this.#endOffset || batch.leaderEpoch < this.#epochs.latest) return 'refused'
      this.#write(batch)
    }
    return null
  }

  /**
   * Cuts off the batch that holds `offset` and everything behind it; to be seen at once, durable when it is done. False: the
   * log has failed.
   */
  truncateTo(offset: number, done: (ok: boolean) => void): void {
    if (offset < this.#startOffset)
      throw new RangeError(`offset ${offset} of a log that starts at ${this.#startOffset}`)
    if (this.#state !== 'open') return this.#refuse(done)
    const removed = this.#batches.splice(this.indexOf(offset))
    this.#truncate({ life: this.#life, removed, oldStart: null, done })
    this.#endAt(this.#lastEnd())
    this.#epochs.truncateTo(this.#endOffset)
    if (removed.length > 0) this.#producers.rebuild(this.#batches)
  }

  /** Deletes everything and starts, empty, at `offset`. */
  truncateFullyAndStartAt(offset: number, done: (ok: boolean) => void): void {
    if (this.#state !== 'open') return this.#refuse(done)
    this.#truncate({ life: this.#life, removed: this.#batches, oldStart: this.#startOffset, done })
    this.#batches = []
    this.#startOffset = offset
    this.#deletion = null
    this.#endAt(offset)
    this.#epochs.clear()
    this.#producers.clear()
  }

  /** The log starts there once it is done. False: the log has failed, or it is not durable that far. */
  deleteBefore(offset: number, done: (ok: boolean) => void): void {
    if (this.#deletion !== null) throw new Error('one deletion at a time')
    const deletion: Deletion = { life: this.#life, offset, done }
    const isPossible = this.#state === 'open' && offset <= this.durableOffset
    if (isPossible) this.#deletion = deletion
    this.#time.after(isPossible ? this.#random.exponential(this.#disk.flushMs) : 0, deleted, this, deletion)
  }

  /** Whole batches, from the one that holds `from` on, none that ends behind `upTo`. */
  read(from: number, upTo: number, maxBatches = Infinity): SimulatedBatch[] {
    const first = this.indexOf(from)
    let end = first
    while (end < this.#batches.length && end - first < maxBatches && nextOffset(this.#batches[end]!) <= upTo)
      end++
    return this.#batches.slice(first, end)
  }

  /** The batch that holds `offset`, or the first one behind it. */
  batchAt(offset: number): SimulatedBatch | undefined {
    return this.#batches[this.indexOf(offset)]
  }

  /** Of {@link batchAt} in {@link batches}; their number where there is none. */
  indexOf(offset: number): number {
    let low = 0
    let high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (nextOffset(this.#batches[middle]!) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #takesWrites(): boolean {
    return this.#state === 'open' && this.#truncation === null && !this.#disk.full
  }

  #write(batch: SimulatedBatch): void {
    this.#batches.push(batch)
    this.#endOffset = nextOffset(batch)
    this.#epochs.assign(batch.leaderEpoch, batch.baseOffset)
    this.#leaderEpoch = Math.max(this.#leaderEpoch, batch.leaderEpoch)
    this.#producers.appended(batch)
    this.#planFlush()
  }

  /** One at a time; what is written meanwhile is flushed together by the next. */
  #planFlush(): void {
    if (this.#flush !== null || this.#flushedOffset >= this.#endOffset) return
    const { flushMs, writebackMs } = this.#disk
    const wait = this.#random.exponential(this.durability === 'os' ? writebackMs : flushMs)
    this.#flush = this.#time.after(wait, flushed, this, this.#endOffset)
  }

  /** For {@link flushed}. */
  flushEnded(endOffset: number): void {
    this.#flush = null
    if (this.#state !== 'open' || this.#failed()) return
    this.#flushedOffset = endOffset
    this.#planFlush()
    if (this.durability === 'fsync') this.#tell()
  }

  /** As when a flush fails. */
  fail(): void {
    if (this.#state !== 'open') return
    this.#flush?.cancel()
    this.#flush = null
    this.#stopWrites()
  }

  #failed(): boolean {
    if (!this.#disk.failFlush) return false
    this.#stopWrites()
    return true
  }

  #stopWrites(): void {
    this.#state = 'failed'
    this.#hasFailed = true
    this.#tell()
  }

  #tell(): void {
    this.#node.deliver(this.#incarnation, changed, this, undefined)
  }

  #truncate(truncation: Truncation): void {
    if (this.#truncation !== null) throw new Error('one truncation at a time')
    this.#truncation = truncation
    this.#time.after(this.#random.exponential(2 * this.#disk.flushMs), truncated, this, truncation)
  }

  #refuse(done: (ok: boolean) => void): void {
    this.#node.after(0, done, false)
  }

  /** For {@link truncated}. */
  truncationEnded({ life, done }: Truncation): void {
    if (life !== this.#life) return
    this.#truncation = null
    const ok = this.#state === 'open' && !this.#failed()
    if (ok) this.#flushedOffset = this.#endOffset
    this.#node.deliver(this.#incarnation, done, ok, undefined)
  }

  /** For {@link deleted}. */
  deletionEnded(deletion: Deletion): void {
    if (deletion.life !== this.#life) return
    const ok = this.#state === 'open' && this.#deletion === deletion
    if (this.#deletion === deletion) this.#deletion = null
    if (ok) this.#startAt(Math.min(deletion.offset, this.#endOffset))
    this.#node.deliver(this.#incarnation, deletion.done, ok, undefined)
  }

  /** Without a batch the log ends where it starts. */
  #lastEnd(): number {
    const last = this.#batches.at(-1)
    return last === undefined ? this.#startOffset : nextOffset(last)
  }

  #startAt(offset: number): void {
    if (offset <= this.#startOffset) return
    this.#startOffset = offset
    this.#producers.deleted(this.#batches.splice(0, this.indexOf(offset)))
    this.#epochs.deleteBefore(offset)
  }

  /** Of a log that was cut; a flush that is under way says nothing about what comes behind. */
  #endAt(endOffset: number): void {
    this.#endOffset = endOffset
    this.#flushedOffset = Math.min(this.#flushedOffset, endOffset)
    this.#flush?.cancel()
    this.#flush = null
  }

  #stop(end: 'cleanly' | 'process crash' | 'power loss'): void {
    if (this.#state === 'closed') return this.#stopped(end)
    this.#state = 'closed'
    this.#end = end
    this.#life++
    this.#flush?.cancel()
    this.#flush = null
  }

  /** A machine may lose its power when the process has ended already. */
  #stopped(end: 'cleanly' | 'process crash' | 'power loss'): void {
    if (end === 'power loss') this.#end = this.#end === 'cleanly' ? 'cleanly' : end
  }

  /** Brings the log to what the disk has, and answers how many batches of it are lost. */
  #recover(): number {
    if (this.#end === 'cleanly') return 0
    const lost = this.#lose()
    this.#undoJobs(lost > 0)
    this.#endOffset = this.#lastEnd()
    this.#epochs.clear()
    for (const { leaderEpoch, baseOffset } of this.#batches) this.#epochs.assign(leaderEpoch, baseOffset)
    this.#epochs.deleteBefore(this.#startOffset)
    this.#producers.rebuild(this.#batches)
    // Recovery makes durable what it keeps before anybody sees it.
    this.#flushedOffset = this.#endOffset
    return lost
  }

  /** Of what was not flushed a prefix is left; the pages of a failed flush may be gone without a power loss, too. */
  #lose(): number {
    if (this.#end === 'process crash' && !this.#hasFailed) return 0
    const flushed = this.indexOf(this.#flushedOffset)
    const kept = this.#random.int(flushed, this.#batches.length)
    return this.#batches.splice(kept).length
  }

  #undoJobs(hasLost: boolean): void {
    const { oldStart = null, removed = [] } = this.#truncation ?? {}
    this.#truncation = null
    if (oldStart !== null && this.#random.chance(0.5)) {
      this.#startOffset = oldStart
      this.#batches = []
    }
    const comesBack = oldStart === null ? !hasLost : this.#startOffset === oldStart
    if (comesBack) this.#batches.push(...removed.slice(0, this.#random.int(0, removed.length)))
    const deletion = this.#deletion
    this.#deletion = null
    if (deletion !== null && this.#random.chance(0.5))
      this.#startAt(Math.min(deletion.offset, this.#lastEnd()))
  }
}

function flushed(log: SimulatedLog, endOffset: number): void {
  log.flushEnded(endOffset)
}

function truncated(log: SimulatedLog, truncation: Truncation): void {
  log.truncationEnded(truncation)
}

function deleted(log: SimulatedLog, deletion: Deletion): void {
  log.deletionEnded(deletion)
}

function changed(log: SimulatedLog): void {
  log.onChange?.(log)
}
