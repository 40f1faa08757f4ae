import { HEADER_BYTES } from './batch-format.js'
import { tooSmall, writeBatchHeader } from './batch-writer.js'
import { timestampOf, writeRecord } from './record-writer.js'
import type { RecordInput } from './record.js'

/**
 * An uncompressed batch at the end of what a buffer holds, which further records may still join. Its header is written last,
 * as {@link writeBatch} writes it.
 *
 * @example
 * ```ts
 * import { OpenBatch, RecordBatch, sealBatch } from '@varve/records'
 *
 * const target = Buffer.alloc(4096)
 * const batch = new OpenBatch(target, 0)
 * batch.add([{ value: 'first' }], Date.now(), target.length)
 * batch.add([{ value: 'second' }], Date.now(), target.length)
 * batch.writeHeader()
 * sealBatch(target, batch.at, batch.end)
 * console.log(RecordBatch.parse(target).recordsCount) // 2
 * ```
 */
export class OpenBatch {
  /** Where it starts. */
  readonly at: number
  private readonly target: Buffer
  private position: number
  private count = 0
  private baseTimestamp = 0
  private maxTimestamp = 0

  /** @throws VarveError `VARVE_BUFFER_TOO_SMALL` when not even a header fits */
  constructor(target: Buffer, at: number) {
    if (at + HEADER_BYTES > target.length) throw tooSmall(target, at)
    this.target = target
    this.at = at
    this.position = at + HEADER_BYTES
  }

  /** The position behind its last record. */
  get end(): number {
    return this.position
  }

  /** Records that have been added. */
  get recordsCount(): number {
    return this.count
  }

  /**
   * Adds all of the records, one at least; or none of them, and returns false, when they would reach beyond the position
   * `limit` or the end of the buffer. `now` is the timestamp of those that bring none.
   *
   * @throws VarveError `VARVE_RECORD_INVALID`; the batch is as it was before.
   */
  add(records: readonly RecordInput[], now: number, limit: number): boolean {
    const first = timestampOf(records[0]!, now)
    const base = this.count === 0 ? first : this.baseTimestamp
    let max = this.count === 0 ? first : this.maxTimestamp
    let position = this.position
    for (let index = 0; index < records.length; index++) {
      const record = records[index]!
      const timestamp = timestampOf(record, now)
      if (timestamp > max) max = timestamp
      position = writeRecord(this.target, position, record, timestamp - base, this.count + index, limit)
      if (position < 0) return false
    }
    this.position = position
    this.count += records.length
    this.baseTimestamp = base
    this.maxTimestamp = max
    return true
  }

  /** Makes a batch of what has been added, the CRC left 0. @throws VarveError `VARVE_BATCH_TOO_LARGE` */
  writeHeader(): void {
    writeBatchHeader(this.target, this.at, this.position, this.count, this.baseTimestamp, this.maxTimestamp)
  }
}
