import type { Socket } from 'node:net'
import type { Slice } from '@varve/log'
import type { ByteBudget, Chunk } from '@varve/protocol'
import { FetchedRecords } from './fetched-records.js'
import { unsentBytes } from './receiving-socket.js'

/** Above this nothing more is read from the logs for a socket: its peer must take what it has been sent first. */
const highWaterBytes = 1024 * 1024

export interface ResponseWriterOptions {
  readonly socket: Socket
  /** Pays for the bytes from when they are in memory until the kernel has them. */
  readonly budget: ByteBudget
  /** Called when a write has ended, so that there may be room again. */
  readonly onProgress: () => void
  /** Called when the rest of a response whose length was already sent cannot be read. */
  readonly onFailure: (error: unknown) => void
}

/**
 * The only writer of a connection's socket. Chunks leave in the order in which they came; records are read from their
 * log, slice by slice, as the socket takes them.
 */
export class ResponseWriter {
  readonly #socket: Socket
  readonly #budget: ByteBudget
  readonly #onProgress: () => void
  readonly #onFailure: (error: unknown) => void
  #queue: Chunk[] = []
  /** The next slice of the records at the head of the queue. */
  #nextSlice = 0
  /** A slice is being read, or waits for the budget. */
  #busy = false
  #leaveBudgetQueue: () => void = () => {}
  #charged = 0
  /** Slices whose bytes the socket still looks at. */
  readonly #sending = new Set<Slice>()
  #corked = false
  #overdrawn = false
  #closed = false

  constructor(options: ResponseWriterOptions) {
    this.#socket = options.socket
    this.#budget = options.budget
    this.#onProgress = options.onProgress
    this.#onFailure = options.onFailure
  }

  /** Whether everything has been given to the kernel. */
  get idle(): boolean {
    return this.#queue.length === 0 && this.#socket.writableLength === 0
  }

  /** Whether so much waits for the peer to read that no further request should be begun. */
  get congested(): boolean {
    return this.#queue.length > 0 || this.#socket.writableLength > highWaterBytes
  }

  /** Bytes that wait for nothing but the peer. */
  get unsentBytes(): number {
    return unsentBytes(this.#socket)
  }

  /** Sends a response after all earlier ones; its records are closed in any case. */
  write(chunks: readonly Chunk[]): void {
    if (this.#closed) {
      closeChunks(chunks)
      return
    }
    for (const chunk of chunks) this.#queue.push(chunk)
    this.#pump()
  }

  /** Drops what has not been given to the socket. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#leaveBudgetQueue()
    closeChunks(this.#queue)
    this.#queue = []
    for (const slice of this.#sending) slice.close()
    this.#sending.clear()
    this.#budget.release(this.#charged)
    this.#charged = 0
    this.#settle()
  }

  #pump(): void {
    while (this.#queue.length > 0 && !this.#busy && !this.#closed) {
      const chunk = this.#queue[0]!
      if (Buffer.isBuffer(chunk)) {
        this.#queue.shift()
        this.#budget.overdraw(chunk.length)
        this.#send(chunk)
      } else if (!(chunk instanceof FetchedRecords)) {
        this.#queue.shift()
        this.#onFailure(new TypeError('a response may hold buffers and fetched records only'))
      } else if (this.#nextSlice === chunk.slices.length) {
        this.#queue.shift()
        this.#nextSlice = 0
      } else if (this.#socket.writableLength > highWaterBytes) {
        return
      } else {
        this.#payForSlice(chunk)
      }
    }
  }

  #payForSlice(records: FetchedRecords): void {
    const { byteLength } = records.slices[this.#nextSlice]!
    this.#busy = true
    if (this.#budget.reserve(byteLength)) {
      this.#readSlice(records)
      return
    }
    let granted = false
    const leave = this.#budget.wait(byteLength, (overdrawn) => {
      granted = true
      this.#leaveBudgetQueue = () => {}
      if (overdrawn) this.#overdrawn = true
      this.#readSlice(records)
      this.#pump()
    })
    if (!granted) this.#leaveBudgetQueue = leave
  }

  /** Reads the slice that has been paid for. */
  #readSlice(records: FetchedRecords): void {
    const slice = records.slices[this.#nextSlice]!
    this.#charged += slice.byteLength
    let bytes: Buffer | Promise<Buffer>
    try {
      bytes = slice.read()
    } catch (error) {
      this.#onFailure(error)
      return
    }
    if (!(bytes instanceof Promise)) {
      this.#sendSlice(bytes, slice)
      return
    }
    bytes.then(
      (read) => {
        if (this.#closed) return
        this.#sendSlice(read, slice)
        this.#pump()
      },
      (error: unknown) => {
        if (!this.#closed) this.#onFailure(error)
      },
    )
  }

  #sendSlice(bytes: Buffer, slice: Slice): void {
    this.#busy = false
    if (bytes.length !== slice.byteLength) {
      this.#onFailure(new Error(`a slice of ${slice.byteLength} bytes was read as ${bytes.length}`))
      return
    }
    this.#nextSlice++
    this.#charged -= bytes.length
    this.#sending.add(slice)
    this.#send(bytes, slice)
  }

  /** Hands paid bytes to the socket. */
  #send(bytes: Buffer, slice?: Slice): void {
    this.#charged += bytes.length
    if (!this.#corked) {
      // What is answered in one turn of the event loop leaves in one system call.
      this.#corked = true
      this.#socket.cork()
      process.nextTick(() => {
        this.#corked = false
        this.#socket.uncork()
      })
    }
    this.#socket.write(bytes, () => {
      if (this.#closed) return
      if (slice !== undefined && this.#sending.delete(slice)) slice.close()
      this.#charged -= bytes.length
      this.#budget.release(bytes.length)
      this.#settle()
      this.#pump()
      this.#onProgress()
    })
  }

  #settle(): void {
    if (!this.#overdrawn) return
    this.#overdrawn = false
    this.#budget.settle()
  }
}

/** Gives back what a response pins, where it will not be sent. */
export function closeChunks(chunks: readonly Chunk[]): void {
  for (const chunk of chunks) if (chunk instanceof FetchedRecords) chunk.close()
}
