import { batchesIn, VarveError, type DecodeOptions, type LogRecord, type RecordBatch } from '@varve/records'
import { ConsumerRecord } from './consumer-record.js'

/** A partition that a consumer reads, from one `assign` or `seek` to the next. */
export class AssignedPartition {
  readonly topic: string
  readonly partition: number
  /** Records from this offset on are not read; Infinity to go on and on. */
  readonly end: number
  /** Where to begin, while that has to be looked up. */
  start: 'earliest' | 'latest' | null
  /** The offset of the next record to hand out; −1 while it is being looked up. */
  position: number
  /** The offset to fetch from next, which runs ahead of the position. */
  fetchOffset: number
  /** The leader epoch of the last batch that was fetched; −1 where none was, or it has none. */
  lastEpoch = -1
  /** A follower to read from instead of the leader, as that has said (KIP-392), and until when. */
  nearby: { readonly nodeId: number; readonly until: number } | null = null
  /** The offset after the last record that a consumer may see, as of the last response; −1 before the first. */
  highWatermark = -1
  /** Nothing is asked for this partition before this time. */
  retryAt = 0
  failures = 0
  /** An error waits to be handed out; until then nothing more is fetched. */
  failed = false
  /** Nothing is asked for it until it is resumed. */
  paused = false
  /** It was assigned anew or taken away: what is still under way for it must not be handed out. */
  revoked = false

  constructor(topic: string, partition: number, offset: number | 'earliest' | 'latest', end = Infinity) {
    this.topic = topic
    this.partition = partition
    this.end = end
    this.start = typeof offset === 'number' ? null : offset
    this.position = typeof offset === 'number' ? offset : -1
    this.fetchOffset = this.position
  }

  /** Whether nothing is left to hand out. */
  get isFinished(): boolean {
    return this.position >= this.end
  }

  /** Whether nothing is left to fetch. */
  get isFetched(): boolean {
    return this.fetchOffset >= this.end
  }

  /** Everything before `offset` has been handed out, or is nothing that a consumer would see. */
  advanceTo(offset: number): void {
    this.position = Math.max(this.position, Math.min(offset, this.end))
  }

  begin(offset: number): void {
    this.start = null
    this.position = offset
    this.fetchOffset = offset
    this.lastEpoch = -1
    this.failures = 0
  }
}

/** A batch with at least one record that the consumer has not had yet. */
export interface ConsumerBatch {
  readonly topic: string
  readonly partition: number
  /** The offset after the last record in the partition, as of this fetch. */
  readonly highWatermark: number
  /** The batch as the broker stores it; its first records may lie before the position. */
  readonly batch: RecordBatch
  /**
   * The records from the consumer's position on, up to the end of the assignment.
   *
   * @throws VarveError `VARVE_UNSUPPORTED_CODEC`, `VARVE_DECOMPRESSION_LIMIT` or `VARVE_BATCH_INVALID`, naming topic,
   * partition and offset
   */
  records(): IterableIterator<ConsumerRecord>
}

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

const ABORT_MARKER = 0

/**
 * What one response brought for one partition, handed out batch by batch. Control batches, empty ones, those of
 * aborted transactions (where the broker named those), before the position and behind the end are passed over.
 */
export class FetchedPartition {
  readonly assigned: AssignedPartition
  private readonly batches: RecordBatch[] = []
  private readonly failure: VarveError | null = null
  private readonly highWatermark: number
  private readonly checkCrcs: boolean
  private readonly decoding: DecodeOptions
  private readonly aborted: AbortedTransaction[]
  private readonly abortedProducers = new Set<number | bigint>()
  private index = 0
  private examined = -1
  private visible = false

  constructor(
    assigned: AssignedPartition,
    records: Buffer,
    options: {
      highWatermark: number
      aborted: readonly AbortedTransaction[]
      checkCrcs: boolean
      maxDecompressedBytes: number
    },
  ) {
    this.assigned = assigned
    this.highWatermark = options.highWatermark
    this.checkCrcs = options.checkCrcs
    this.decoding = { maxDecompressedBytes: options.maxDecompressedBytes }
    this.aborted = [...options.aborted].sort((a, b) => a.firstOffset - b.firstOffset)
    try {
      for (const batch of batchesIn(records)) this.batches.push(batch)
    } catch (error) {
      this.failure = this.locate(error, this.nextOffset)
    }
  }

  /** Where to fetch next; the position itself where not even one whole batch came. */
  get nextOffset(): number {
    return this.batches.at(-1)?.nextOffset ?? this.assigned.fetchOffset
  }

  /** Of the last batch; of what was fetched before where not even one whole batch came. */
  get lastEpoch(): number {
    return this.batches.at(-1)?.partitionLeaderEpoch ?? this.assigned.lastEpoch
  }

  get isEmpty(): boolean {
    return this.batches.length === 0 && this.failure === null
  }

  /** Whether the bytes ended in an error, so that there is nothing to fetch after them. */
  get isDamaged(): boolean {
    return this.failure !== null
  }

  /**
   * The next batch, the same again while the position lies within it, or null when there are no more.
   *
   * @throws VarveError `VARVE_BATCH_CORRUPT`, `VARVE_BATCH_MAGIC` or `VARVE_BATCH_INVALID`, naming topic, partition and
   * offset; the position stays before the damaged batch.
   */
  next(): ConsumerBatch | null {
    const { assigned } = this
    for (; this.index < this.batches.length; this.index++) {
      const batch = this.batches[this.index]!
      if (batch.baseOffset >= assigned.end) assigned.advanceTo(assigned.end)
      // The position of a partition that is finished may lie within a batch.
      if (assigned.isFinished) return null
      if (this.examined < this.index) {
        this.visible = this.examine(batch)
        this.examined = this.index
      }
      if (batch.nextOffset <= assigned.position) continue
      if (this.visible) return this.consumerBatch(batch)
      assigned.advanceTo(batch.nextOffset)
    }
    if (this.failure !== null && !assigned.isFinished) throw this.failure
    return null
  }

  private examine(batch: RecordBatch): boolean {
    if (this.checkCrcs && batch.nextOffset > this.assigned.position && !batch.verifyCrc()) {
      const { topic, partition } = this.assigned
      throw new VarveError(
        'VARVE_BATCH_CORRUPT',
        `The batch at offset ${batch.baseOffset} of ${topic}-${partition} is damaged: its CRC does not match; seek past offset ${batch.lastOffset} to leave it out`,
      )
    }
    while (this.aborted.length > 0 && this.aborted[0]!.firstOffset <= batch.lastOffset) {
      this.abortedProducers.add(this.aborted.shift()!.producerId)
    }
    if (batch.isControl) {
      if (this.abortedProducers.size > 0 && markerType(batch, this.decoding) === ABORT_MARKER) {
        this.abortedProducers.delete(batch.producerId)
      }
      return false
    }
    return batch.recordsCount > 0 && !(batch.isTransactional && this.abortedProducers.has(batch.producerId))
  }

  private consumerBatch(batch: RecordBatch): ConsumerBatch {
    const { assigned, highWatermark } = this
    const { topic, partition } = assigned
    return { topic, partition, highWatermark, batch, records: () => this.records(batch, assigned.position) }
  }

  private *records(batch: RecordBatch, from: number): Generator<ConsumerRecord, undefined, undefined> {
    const { topic, partition } = this.assigned
    let records: IterableIterator<LogRecord>
    try {
      records = batch.records(this.decoding)
    } catch (error) {
      throw this.locate(error, batch.baseOffset)
    }
    for (;;) {
      let result: IteratorResult<LogRecord>
      try {
        result = records.next()
      } catch (error) {
        throw this.locate(error, batch.baseOffset)
      }
      if (result.done === true || result.value.offset >= this.assigned.end) return
      if (result.value.offset >= from) yield new ConsumerRecord(topic, partition, result.value)
    }
  }

  private locate(error: unknown, offset: number): VarveError {
    if (!VarveError.is(error)) throw error
    const { topic, partition } = this.assigned
    return new VarveError(
      error.code,
      `Cannot read ${topic}-${partition} at offset ${offset}: ${error.message}`,
      {
        cause: error,
      },
    )
  }
}

/** A control record's key is a version and a type; a batch that does not even hold that ends no transaction. */
function markerType(batch: RecordBatch, decoding: DecodeOptions): number {
  try {
    for (const { key } of batch.records(decoding))
      return key !== null && key.length >= 4 ? key.readInt16BE(2) : -1
  } catch (error) {
    if (!VarveError.is(error)) throw error
  }
  return -1
}
