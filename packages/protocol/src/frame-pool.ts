const SMALLEST_CLASS = 64 * 1024
const LARGEST_CLASS = 4 * 1024 * 1024
const DEFAULT_POOLED_BYTES = 16 * 1024 * 1024

/**
 * Buffers of large frames, used again. A fresh megabyte costs more in page faults than the kernel's copy into it does,
 * and the garbage collector is late to return it.
 *
 * A buffer is given back by who knows that nobody looks at it any more; the pool cannot know.
 */
export class FramePool {
  readonly #maxPooledBytes: number
  readonly #free = new Map<number, Buffer[]>()
  #pooledBytes = 0

  /** @param maxPooledBytes how much may lie idle; beyond it buffers go to the garbage collector. Default 16 MiB. */
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
    const buffer = this.#free.get(size)?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(size)
    this.#pooledBytes -= size
    return buffer
  }

  give(buffer: Buffer): void {
    const size = buffer.length
    if (size < SMALLEST_CLASS || size > LARGEST_CLASS || size !== FramePool.sizeFor(size)) return
    if (this.#pooledBytes + size > this.#maxPooledBytes) return
    this.#pooledBytes += size
    const free = this.#free.get(size)
    if (free === undefined) this.#free.set(size, [buffer])
    else free.push(buffer)
  }

  /** Four sizes per power of two from 64 KiB to 4 MiB, so that at most a quarter is wasted; outside it the size itself. */
  static sizeFor(bytes: number): number {
    if (bytes <= SMALLEST_CLASS) return bytes
    if (bytes > LARGEST_CLASS) return bytes
    const step = 2 ** Math.floor(Math.log2(bytes - 1)) / 4
    return Math.ceil(bytes / step) * step
  }
}
