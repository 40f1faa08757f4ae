const SMALLEST_CLASS = 64 * 1024
/** What a follower fetches at once is within it. */
const LARGEST_CLASS = 16 * 1024 * 1024
const DEFAULT_POOLED_BYTES = 64 * 1024 * 1024
/** What nobody has needed for so long goes. */
const LOOK_EVERY_MS = 5_000

/** Idle buffers of one size. */
interface Idle {
  readonly buffers: Buffer[]
  /** The fewest that there were since the last look. */
  least: number
}

/**
 * Buffers of large frames, used again. A fresh megabyte costs more in page faults than the kernel's copy into it does,
 * and the garbage collector is late to return it.
 *
 * A buffer is given back by who knows that nobody looks at it any more; the pool cannot know. Buffers that lay idle for five
 * seconds go to the garbage collector.
 */
export class FramePool {
  readonly #maxPooledBytes: number
  readonly #free = new Map<number, Idle>()
  #pooledBytes = 0
  #looking = false

  /** @param maxPooledBytes how much may lie idle; beyond it buffers go to the garbage collector. Default 64 MiB. */
  constructor(maxPooledBytes: number = DEFAULT_POOLED_BYTES) {
    this.#maxPooledBytes = maxPooledBytes
  }

  /** Bytes that lie idle. */
  get pooledBytes(): number {
    return this.#pooledBytes
  }

  /** A buffer of `FramePool.sizeFor(bytes)` bytes with undefined content and an ArrayBuffer of its own. */
  take(bytes: number): Buffer {
    const size = FramePool.sizeFor(bytes)
    const idle = this.#free.get(size)
    const buffer = idle?.buffers.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(size)
    idle!.least = Math.min(idle!.least, idle!.buffers.length)
    this.#pooledBytes -= size
    return buffer
  }

  give(buffer: Buffer): void {
    const size = buffer.length
    if (size < SMALLEST_CLASS || size > LARGEST_CLASS || size !== FramePool.sizeFor(size)) return
    if (this.#pooledBytes + size > this.#maxPooledBytes) return
    this.#pooledBytes += size
    const idle = this.#free.get(size)
    if (idle === undefined) this.#free.set(size, { buffers: [buffer], least: 0 })
    else idle.buffers.push(buffer)
    this.#look()
  }

  /** Lets go, as long as anything lies idle, of what nobody has needed since the last look. */
  #look(): void {
    if (this.#looking) return
    this.#looking = true
    setTimeout(() => {
      this.#looking = false
      for (const [size, idle] of this.#free) {
        idle.buffers.splice(0, idle.least)
        this.#pooledBytes -= idle.least * size
        idle.least = idle.buffers.length
      }
      if (this.#pooledBytes > 0) this.#look()
    }, LOOK_EVERY_MS).unref()
  }

  /** Four sizes per power of two from 64 KiB to 16 MiB, so that at most a quarter is wasted; outside it the size itself. */
  static sizeFor(bytes: number): number {
    if (bytes <= SMALLEST_CLASS) return bytes
    if (bytes > LARGEST_CLASS) return bytes
    const step = 2 ** Math.floor(Math.log2(bytes - 1)) / 4
    return Math.ceil(bytes / step) * step
  }
}
