import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { RecordBatch } from '@varve/records'
import { Failure } from './failure.js'
import { segmentPath, segmentsIn } from './log-directory.js'

const READ_BYTES = 1 << 20
const POLL_MS = 100
/** Offset, length and what lies before the magic byte: enough to know how long a batch is. */
const PREFIX_BYTES = 17
const LENGTH_AT = 8
const MAGIC_AT = 16

/**
 * Reads the segment files of a log that another process writes, as they grow. It takes no lock and changes nothing, and it sees
 * what is written before the log's durability covers it, as whoever looks at files does.
 */
export class SegmentFollower {
  readonly #dir: string
  #base: number
  #position = 0
  #file: FileHandle | null = null
  #buffer = Buffer.allocUnsafeSlow(READ_BYTES)

  /** Starts with the segment that `baseOffset` names. */
  constructor(dir: string, baseOffset: number) {
    this.#dir = dir
    this.#base = baseOffset
  }

  get path(): string {
    return segmentPath(this.#dir, this.#base)
  }

  /** Whole batches that are there now and have not been given yet. Their bytes are good until the next call. */
  async read(): Promise<RecordBatch[]> {
    for (;;) {
      const batches = await this.#readSegment()
      if (batches.length > 0) return batches
      const next = (await segmentsIn(this.#dir)).find((base) => base > this.#base)
      if (next === undefined) return []
      // What was written before the roll may have come after the look at the segment.
      const last = await this.#readSegment()
      if (last.length > 0) return last
      await this.close()
      this.#base = next
      this.#position = 0
    }
  }

  /** As {@link read}, and waits for some. @throws the signal's reason */
  async *batches(signal: AbortSignal): AsyncGenerator<RecordBatch[], void, undefined> {
    for (;;) {
      const batches = await this.read()
      if (batches.length > 0) yield batches
      else await pause(POLL_MS, undefined, { signal })
      signal.throwIfAborted()
    }
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = null
  }

  async #readSegment(): Promise<RecordBatch[]> {
    this.#file ??= await open(this.path, 'r')
    const { size } = await this.#file.stat()
    if (size < this.#position) {
      throw new Failure(`${this.path} has become shorter than what was read of it: the log was truncated`)
    }
    for (;;) {
      const { bytesRead } = await this.#file.read(this.#buffer, 0, this.#buffer.length, this.#position)
      const { batches, bytes, missing } = this.#parse(bytesRead)
      this.#position += bytes
      if (bytes > 0 || bytesRead + missing > size - this.#position) return batches
      if (missing === 0) return batches
      this.#buffer = Buffer.allocUnsafeSlow(bytesRead + missing)
    }
  }

  /** The batches at the start of the buffer, their bytes, and how many are missing for one more. */
  #parse(bytesRead: number): { batches: RecordBatch[]; bytes: number; missing: number } {
    const batches: RecordBatch[] = []
    let at = 0
    // Preallocated space is zeros, which are no batch yet.
    while (bytesRead - at >= PREFIX_BYTES && this.#buffer[at + MAGIC_AT] !== 0) {
      const missing = this.#buffer.readInt32BE(at + LENGTH_AT) + 12 - (bytesRead - at)
      if (missing > 0) return { batches, bytes: at, missing }
      const batch = RecordBatch.parse(this.#buffer, at)
      if (!batch.verifyCrc()) {
        throw new Failure(
          `${this.path} is damaged at byte ${this.#position + at}, offset ${batch.baseOffset}: its CRC-32C does not match`,
        )
      }
      batches.push(batch)
      at += batch.byteLength
    }
    return { batches, bytes: at, missing: 0 }
  }
}
