import type { NativeSlice, NativeSocket } from '@varve/native'
import { VarveError } from '@varve/records'
import { toError, unwrap } from './failure.js'
import { checkVisibility, type Visibility } from './isolation.js'
import { checkBound, invalidOption } from './whole-number.js'

/** What a {@link Slice} shall hold. */
export interface SliceOptions {
  /** The first offset wanted; the batch that holds it may start before it. */
  from: number
  /** Exclusive, and the durable end (with `'written'` the log's end) when that is lower. The last batch may reach beyond it. Default: none. */
  upTo?: number
  /** How many bytes the slice may have. Default 1 MiB. */
  maxBytes?: number
  /** Whether the first batch is given even where it is larger than `maxBytes`, so that a reader gets on (KIP-74). Default `true`. */
  minOneBatch?: boolean
  /**
   * `'written'` holds what is written and not durable yet as well, for a follower: a power loss may take it back. Default
   * `'durable'`.
   */
  visibility?: Visibility
}

/**
 * A range of whole batches in a segment file. Making one touches no record; the file stays readable as long as the
 * slice is open, whatever becomes of its segment. A slice that is dropped without {@link close} holds its file until it
 * is collected.
 */
export interface Slice {
  /** The offset that was asked for; the first batch may start before it. */
  readonly from: number
  /** The offset to ask for next. */
  readonly nextOffset: number
  /** How many bytes {@link read} gives. */
  readonly byteLength: number
  /**
   * The bytes, in a buffer of their own: at once when they are in memory, else after a read on a thread. Checksums are
   * not looked at.
   *
   * @throws VarveError `VARVE_IO` when the disk refuses, `VARVE_LOG_CORRUPT` when the file has become shorter,
   * `VARVE_LOG_CLOSED` when the slice is closed.
   */
  read(): Buffer | Promise<Buffer>
  /**
   * Fills a buffer with the bytes from `at` on, for who takes them piece by piece: at once, or after a read on a thread. The
   * buffer reaches no further than the slice.
   *
   * @throws VarveError as {@link read} does
   * @example
   * ```ts
   * import { openLog } from '@varve/log'
   *
   * await using log = await openLog('./orders')
   * await log.append([{ value: 'a'.repeat(1000) }])
   * const slice = await log.slice({ from: 0 })
   * const buffer = Buffer.alloc(256)
   * for (let at = 0; at < slice.byteLength; at += buffer.length) {
   *   const piece = buffer.subarray(0, slice.byteLength - at)
   *   await slice.readInto(piece, at)
   *   console.log(piece.length)
   * }
   * slice.close()
   * ```
   */
  readInto(buffer: Uint8Array, at: number): void | Promise<void>
  /** Lets go of the file; reads under way still end. */
  close(): void
}

export interface CheckedBytes {
  /** Whole batches whose checksums agree. */
  readonly bytes: Buffer
  /** What is wrong with the batch behind them; the log is read-only from now on. */
  readonly failure: VarveError | null
  /** Whether the disk was waited for. */
  readonly isCold: boolean
}

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function checkSliceOptions(options: SliceOptions): void {
  const { from, upTo = 0, maxBytes = 0, visibility = 'durable' } = options
  checkVisibility(visibility)
  // A negative offset passes: the engine says which offsets there are.
  if (!Number.isSafeInteger(from)) throw invalidOption('from', from, 'an offset, a whole number')
  checkBound('upTo', upTo)
  checkBound('maxBytes', maxBytes)
}

/** A {@link Slice} over the native engine. */
export class LogSlice implements Slice {
  readonly from: number
  readonly nextOffset: number
  readonly byteLength: number
  readonly #native: NativeSlice
  #closed = false

  constructor(native: NativeSlice, from: number) {
    this.#native = native
    this.from = from
    this.nextOffset = native.nextOffset
    this.byteLength = native.bytes
  }

  /** @throws VarveError `VARVE_LOG_CLOSED` */
  assertOpen(): void {
    if (!this.#closed) return
    throw new VarveError('VARVE_LOG_CLOSED', `the slice from offset ${this.from} on is closed; take another`)
  }

  /** `buffer` has {@link byteLength} bytes. */
  read(buffer: Buffer = Buffer.allocUnsafeSlow(this.byteLength)): Buffer | Promise<Buffer> {
    this.assertOpen()
    const cached = this.byteLength === 0 ? 0 : this.#native.readCached(buffer, 0)
    if (cached === this.byteLength) return buffer
    return this.#readRest(buffer.subarray(cached), cached).then(() => buffer)
  }

  async #readRest(rest: Uint8Array, at: number): Promise<void> {
    unwrap(await this.#native.read(rest, at))
  }

  readInto(buffer: Uint8Array, at: number): void | Promise<void> {
    this.assertOpen()
    const cached = this.#native.readCached(buffer, at)
    if (cached < buffer.length) return this.#readRest(buffer.subarray(cached), at + cached)
  }

  /** Makes the slice a part of the next thing that is sent from files to a socket. @throws VarveError `VARVE_LOG_CLOSED` */
  pushTo(socket: NativeSocket): void {
    this.assertOpen()
    socket.pushSlice(this.#native)
  }

  /** What {@link read} gives up to the first bad batch. Closes the slice. */
  async readChecked(buffer?: Buffer): Promise<CheckedBytes> {
    try {
      const read = this.read(buffer)
      const isCold = !Buffer.isBuffer(read)
      const bytes = isCold ? await read : read
      const { good, failure } = this.#native.verify(bytes)
      return { bytes: bytes.subarray(0, good), failure: failure == null ? null : toError(failure), isCold }
    } finally {
      this.close()
    }
  }

  close(): void {
    this.#closed = true
    this.#native.close()
  }
}
