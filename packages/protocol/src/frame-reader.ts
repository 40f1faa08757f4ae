import type { ByteBudget } from './byte-budget.js'
import { FramePool } from './frame-pool.js'
import { frameLengthError, MIN_FRAME_BYTES } from './frame-length.js'

/** Less room than this is not worth a read of its own: the bytes come through the staging buffer and are copied. */
const DIRECT_READ_BYTES = 32 * 1024
/** What an unknown peer's partial frame gets at first. */
const FIRST_BUFFER_BYTES = 64 * 1024
/** What a peer that has just completed a frame of that size gets at once for its next one: a 1 MiB batch and its request. */
const MAX_EARNED_BYTES = 1280 * 1024

const NOTHING = Buffer.alloc(0)
const sharedPool = new FramePool()

export interface FrameReaderOptions {
  /** Where sockets read. All readers of one event loop may share it, because a read is processed before the next begins. */
  readonly staging: Buffer
  /** The largest frame that is accepted. */
  readonly maxFrameBytes: number
  /** Pays for partial frames, and for owned ones until they are released. */
  readonly budget: ByteBudget
  /** Where the buffers of large frames come from. By default one pool for the process. */
  readonly pool?: FramePool
  /** Whether a frame gets all its memory at once, since the peer may be believed what it declares. Default false. */
  readonly trusted?: boolean
  /**
   * Takes a complete frame, without its length.
   *
   * Where `owned` is false the frame is a view that is valid during the call only. Where it is true it is the
   * receiver's until it calls `release(frame)`, once. Returning false holds the frames that follow back until `resume`.
   */
  readonly onFrame: (frame: Buffer, owned: boolean) => boolean | void
  /** After a pause for want of budget: the socket may read again. */
  readonly onReady?: () => void
}

/**
 * Cuts a connection's bytes into frames: four bytes of length, then as many bytes.
 *
 * It knows no sockets. Its owner reads into `nextBuffer()` and calls `received(n)`, which is what `onread` of node:net
 * does; or it hands over chunks with `push`. Both return false when the owner must pause the socket, until `onReady`
 * (the budget) or `resume` (the owner's own hold).
 *
 * A small frame is a view of the staging buffer. What a read leaves of a frame moves to a buffer of the frame's own,
 * into which the kernel then copies directly and never reads further than its end. So an idle connection holds nothing.
 * That buffer grows by doubling as bytes arrive, and what it holds is charged to the budget: declaring a length costs
 * the peer nothing and gets it nothing. Peers that complete large frames get their next one's buffer at once, up to
 * 1.25 MiB, and those that are trusted get every frame's.
 *
 * When the budget is exhausted a reader keeps what it has, at most one staging buffer beyond the limit, and pauses. The
 * oldest waiter may always go on (see ByteBudget), so that half frames cannot block one another for ever. A peer that
 * stops in the middle of a frame keeps what it holds: close connections whose `partialBytes` has been above zero for
 * too long without `waiting`.
 */
export class FrameReader {
  readonly #staging: Buffer
  readonly #maxFrameBytes: number
  readonly #budget: ByteBudget
  readonly #pool: FramePool
  readonly #trusted: boolean
  readonly #onFrame: (frame: Buffer, owned: boolean) => boolean | void
  readonly #onReady: (() => void) | undefined

  #prefix = 0
  #prefixBytes = 0

  #open = false
  #declared = 0
  #frame: Buffer = NOTHING
  #filled = 0
  // The last growth took bytes that the budget had refused: no more may be read before it agrees.
  #short = false
  #direct = false
  #earned = 0

  #leaveQueue: (() => void) | null = null
  #mayOverdraw = false
  #overdrawnFrame: ArrayBufferLike | null = null
  readonly #lent = new Set<ArrayBufferLike>()

  #onHold = false
  #heldBack: Buffer | null = null
  #heldBackAt = 0
  #closed = false

  constructor(options: FrameReaderOptions) {
    this.#staging = options.staging
    this.#maxFrameBytes = options.maxFrameBytes
    this.#budget = options.budget
    this.#pool = options.pool ?? sharedPool
    this.#trusted = options.trusted ?? false
    this.#onFrame = options.onFrame
    this.#onReady = options.onReady
  }

  /** Bytes of a frame that has begun and is not complete, its length included; 0 between frames. */
  get partialBytes(): number {
    return this.#open ? 4 + this.#filled : this.#prefixBytes
  }

  /** Whether the reader is paused until the budget has room: the peer is not to blame for a lack of progress. */
  get waiting(): boolean {
    return this.#leaveQueue !== null
  }

  /** Where the socket must read next. Ask again after every read. */
  nextBuffer(): Buffer {
    if (this.#open && !this.waiting && !this.#onHold && !this.#closed) {
      const end = Math.min(this.#frame.length, this.#declared)
      if (end - this.#filled >= DIRECT_READ_BYTES) {
        this.#direct = true
        return this.#frame.subarray(this.#filled, end)
      }
    }
    this.#direct = false
    return this.#staging
  }

  /**
   * Takes the `count` bytes that were read into the last `nextBuffer()`.
   *
   * @returns false when the socket must be paused.
   * @throws {ProtocolError} VARVE_PROTOCOL_FRAME_TOO_LARGE or _TOO_SMALL: the connection cannot go on, and the reader
   *   is closed.
   */
  received(count: number): boolean {
    if (this.#closed) return false
    if (!this.#direct) return this.push(this.#staging.subarray(0, count))
    this.#filled += count
    return this.#guard(() => {
      if (this.#filled === this.#declared) this.#deliverOwn()
    })
  }

  /**
   * Takes bytes that were read elsewhere ('data' events). They may be overwritten after the call.
   *
   * @returns as `received`.
   * @throws as `received`.
   */
  push(bytes: Buffer): boolean {
    if (this.#closed) return false
    return this.#guard(() => this.#cut(bytes, 0))
  }

  /**
   * Ends a hold: delivers the frames that were held back, until one of them returns false again.
   *
   * @returns as `received`.
   * @throws as `received`.
   */
  resume(): boolean {
    if (this.#closed) return false
    this.#onHold = false
    return this.#guard(() => {
      const bytes = this.#heldBack
      if (bytes === null) return
      const from = this.#heldBackAt
      this.#heldBackAt = bytes.length
      this.#cut(bytes, from)
      if (this.#heldBack !== bytes || this.#heldBackAt < bytes.length) return
      this.#heldBack = null
      this.#budget.release(bytes.length)
    })
  }

  /** Gives an owned frame back. Nobody may look at it, or at views of it, any more. Also after `close`. */
  release(frame: Buffer): void {
    const memory = frame.buffer
    if (!this.#lent.delete(memory))
      throw new TypeError('the frame was not lent by this reader, or was released before')
    this.#pool.give(Buffer.from(memory, 0, memory.byteLength))
    this.#giveBack(memory)
  }

  /** Drops what is incomplete or held back and leaves the budget's queue. Owned frames remain to be released. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#leaveQueue?.()
    this.#leaveQueue = null
    const { length, buffer } = this.#frame
    // A frame into which the socket was told to read is not used again: this may run before the socket is closed.
    if (!this.#direct && length > 0) this.#pool.give(this.#frame)
    this.#open = false
    this.#frame = NOTHING
    if (this.#heldBack !== null) this.#budget.release(this.#heldBack.length)
    this.#heldBack = null
    if (length > 0) {
      if (this.#mayOverdraw) this.#overdrawnFrame = buffer
      this.#giveBack(buffer)
    } else if (this.#mayOverdraw) {
      this.#budget.settle()
    }
    this.#mayOverdraw = false
  }

  #giveBack(memory: ArrayBufferLike): void {
    const settles = memory === this.#overdrawnFrame
    if (settles) this.#overdrawnFrame = null
    this.#budget.release(memory.byteLength)
    if (settles) this.#budget.settle()
  }

  /** Runs a step; whatever it throws ends the connection, because the bytes after it are lost. */
  #guard(step: () => void): boolean {
    let done = false
    try {
      step()
      if (!this.#closed && !this.waiting) this.#makeRoom()
      done = true
    } finally {
      if (!done) this.close()
    }
    return !this.#closed && !this.#onHold && !this.waiting
  }

  #cut(bytes: Buffer, from: number): void {
    let at = from
    while (at < bytes.length && !this.#closed) {
      if (this.#onHold) {
        this.#holdBack(bytes, at)
        return
      }
      if (!this.#open) {
        at = this.#readPrefix(bytes, at)
        if (!this.#open) return
      }
      const count = Math.min(bytes.length - at, this.#declared - this.#filled)
      if (this.#filled === 0 && count === this.#declared) {
        this.#open = false
        this.#deliver(bytes.subarray(at, at + count), false)
      } else if (count > 0) {
        this.#append(bytes, at, count)
      }
      at += count
    }
  }

  #readPrefix(bytes: Buffer, from: number): number {
    let at = from
    while (this.#prefixBytes < 4) {
      if (at === bytes.length) return at
      this.#prefix = (this.#prefix << 8) | bytes[at++]!
      this.#prefixBytes++
    }
    const declared = this.#prefix
    this.#prefix = 0
    this.#prefixBytes = 0
    if (declared < MIN_FRAME_BYTES || declared > this.#maxFrameBytes) {
      throw frameLengthError(declared, this.#maxFrameBytes)
    }
    this.#open = true
    this.#declared = declared
    return at
  }

  #append(bytes: Buffer, at: number, count: number): void {
    const needed = this.#filled + count
    if (needed > this.#frame.length) {
      const wanted = this.#wanted(needed)
      const more = FramePool.sizeFor(wanted) - this.#frame.length
      if (this.#pay(more)) {
        this.#resize(wanted)
      } else {
        // These bytes have been read and nobody else keeps them.
        this.#budget.overdraw(FramePool.sizeFor(needed) - this.#frame.length)
        this.#resize(needed)
        this.#short = true
      }
    }
    bytes.copy(this.#frame, this.#filled, at, at + count)
    this.#filled = needed
    if (this.#filled === this.#declared) this.#deliverOwn()
  }

  /** The next size of the frame's buffer: doubled, or what the peer has earned, but never beyond what it declared. */
  #wanted(needed: number): number {
    if (this.#trusted) return this.#declared
    const first = this.#frame.length === 0 ? Math.max(FIRST_BUFFER_BYTES, this.#earned) : 0
    return Math.min(this.#declared, Math.max(first, 2 * this.#frame.length, needed))
  }

  #pay(bytes: number): boolean {
    if (!this.#mayOverdraw) return this.#budget.reserve(bytes)
    this.#budget.overdraw(bytes)
    return true
  }

  #resize(bytes: number): void {
    const frame = this.#pool.take(bytes)
    this.#frame.copy(frame, 0, 0, this.#filled)
    if (this.#frame.length > 0) this.#pool.give(this.#frame)
    this.#frame = frame
    this.#short = false
  }

  /** After a step: a buffer that is full, or was paid for with an overdraft, needs the budget's consent to go on. */
  #makeRoom(): void {
    if (!this.#open || this.#filled === 0) return
    if (this.#frame.length >= this.#declared) return
    if (!this.#short && this.#filled < this.#frame.length) return
    const wanted = this.#wanted(this.#filled + 1)
    const more = FramePool.sizeFor(wanted) - this.#frame.length
    if (this.#pay(more)) {
      this.#resize(wanted)
      return
    }
    let paused = false
    let granted = false
    const leave = this.#budget.wait(more, (overdrawn) => {
      this.#leaveQueue = null
      granted = true
      if (overdrawn) this.#mayOverdraw = true
      // An owner that did not pause may have pushed bytes meanwhile, and the buffer has grown by overdrafts.
      const surplus = this.#frame.length + more - Math.max(this.#frame.length, FramePool.sizeFor(wanted))
      if (surplus < more) this.#resize(wanted)
      if (surplus > 0) this.#budget.release(surplus)
      if (paused && !this.#onHold) this.#onReady?.()
    })
    paused = true
    if (!granted) this.#leaveQueue = leave
  }

  #holdBack(bytes: Buffer, at: number): void {
    if (bytes === this.#heldBack) {
      this.#heldBackAt = at
      return
    }
    const before = this.#heldBack
    const rest = before === null ? 0 : before.length - this.#heldBackAt
    const kept = Buffer.allocUnsafeSlow(rest + bytes.length - at)
    before?.copy(kept, 0, this.#heldBackAt)
    bytes.copy(kept, rest, at)
    this.#budget.overdraw(kept.length)
    if (before !== null) this.#budget.release(before.length)
    this.#heldBack = kept
    this.#heldBackAt = 0
  }

  #deliverOwn(): void {
    const frame = this.#frame.subarray(0, this.#declared)
    this.#earned = Math.min(this.#declared, MAX_EARNED_BYTES)
    this.#lent.add(frame.buffer)
    if (this.#mayOverdraw) this.#overdrawnFrame = frame.buffer
    this.#mayOverdraw = false
    this.#leaveQueue?.()
    this.#leaveQueue = null
    this.#frame = NOTHING
    this.#filled = 0
    this.#short = false
    this.#open = false
    this.#direct = false
    this.#deliver(frame, true)
  }

  #deliver(frame: Buffer, owned: boolean): void {
    if (this.#onFrame(frame, owned) === false) this.#onHold = true
  }
}
