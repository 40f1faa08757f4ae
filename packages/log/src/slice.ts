import type { NativeSlice } from '@varve/native'
import { toError, unwrap } from './failure.js'
import { hold, release } from './keep-alive.js'

export interface SliceOptions {
  /** The first offset wanted. */
  from: number
  /** Exclusive; the durable end when that is lower. */
  upTo?: number
  /** How many bytes the slice may have. Default 1 MiB. */
  maxBytes?: number
  /** Whether the first batch is given even where it is larger than `maxBytes`, so that a reader gets on (KIP-74). Default `true`. */
  minOneBatch?: boolean
}

/**
 * A range of whole batches in a segment file. Making one touches no record; the file stays readable as long as the
 * slice is open, whatever becomes of its segment.
 */
export interface Slice {
  /** The offset that was asked for; the first batch may start before it. */
  readonly from: number
  /** The offset to ask for next. */
  readonly nextOffset: number
  readonly byteLength: number
  /** The bytes: at once when they are in memory, else after a read on a thread. @throws VarveError `VARVE_IO` */
  read(): Buffer | Promise<Buffer>
  /** Lets go of the file. */
  close(): void
}

export class LogSlice implements Slice {
  readonly from: number
  readonly nextOffset: number
  readonly byteLength: number
  readonly #native: NativeSlice

  constructor(native: NativeSlice, from: number) {
    this.#native = native
    this.from = from
    this.nextOffset = native.nextOffset
    this.byteLength = native.bytes
  }

  read(): Buffer | Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(this.byteLength)
    const cached = this.byteLength === 0 ? 0 : this.#native.readCached(buffer, 0)
    return cached === this.byteLength ? buffer : this.#readRest(buffer, cached)
  }

  async #readRest(buffer: Buffer, at: number): Promise<Buffer> {
    hold()
    try {
      unwrap(await this.#native.read(buffer.subarray(at), at))
    } finally {
      release()
    }
    return buffer
  }

  /** Checks what {@link read} gave. @throws VarveError `VARVE_LOG_CORRUPT`; the log is read-only from then on. */
  verify(bytes: Uint8Array): void {
    const failure = this.#native.verify(bytes)
    if (failure !== null) throw toError(failure)
  }

  close(): void {
    this.#native.close()
  }
}
