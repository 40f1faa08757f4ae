import type { Socket } from 'node:net'
import { send, sendsFiles, type Slice, unsentBytes } from '@varve/log'
import type { ByteBudget, Chunk } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { messageOf } from './broker-log.js'
import { FetchedRecords } from './fetched-records.js'

/** Above this nothing more is read from the logs for a socket: its peer must take what it has been sent first. */
const highWaterBytes = 1024 * 1024

/**
 * Slices of this size on average go from their files to the socket: from about here on that costs the broker less CPU than
 * to read and write them (measured 0.7 times as much at 32 KiB, 0.4 times at 1 MiB). Many small ones are better gathered.
 */
const sentFromBytes = 16 * 1024

/** A response, of which `chunks` is what has not been given to the socket. */
interface Response {
  readonly chunks: Chunk[]
  /** Whether all of it is sent at once, its records straight from their files. */
  readonly fromFiles: boolean
}

export interface ResponseWriterOptions {
  readonly socket: Socket
  /** Pays for the bytes from when they are in memory until the kernel has them. */
  readonly budget: ByteBudget
  /** Called when a write has ended, so that there may be room again. */
  readonly onProgress: () => void
  /** Called when the rest of a response whose length was already sent cannot be; with null when the peer is gone. */
  readonly onFailure: (reason: string | null) => void
}

/**
 * The only writer of a connection's socket. Responses leave in the order in which they came. Records are sent from their
 * files where that can be done and is worth it, else read from their log, slice by slice, as the socket takes them.
 */
export class ResponseWriter {
  readonly #socket: Socket
  readonly #budget: ByteBudget
  readonly #onProgress: () => void
  readonly #onFailure: (reason: string | null) => void
  #queue: Response[] = []
  /** The next slice of the records at the head of the queue. */
  #nextSlice = 0
  /** A slice is being read, or waits for the budget, or files are being sent. */
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
    this.#queue.push({ chunks: [...chunks], fromFiles: this.#isForFiles(chunks) })
    this.#pump()
  }

  /** Drops what has not been given to the socket. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#leaveBudgetQueue()
    for (const { chunks } of this.#queue) closeChunks(chunks)
    this.#queue = []
    for (const slice of this.#sending) slice.close()
    this.#sending.clear()
    this.#budget.release(this.#charged)
    this.#charged = 0
    this.#settle()
  }

  #isForFiles(chunks: readonly Chunk[]): boolean {
    let bytes = 0
    let slices = 0
    for (const chunk of chunks) {
      if (!(chunk instanceof FetchedRecords)) continue
      bytes += chunk.byteLength
      slices += chunk.slices.length
    }
    if (slices === 0 || bytes / slices < sentFromBytes) return false
    return chunks.every((chunk) => {
      if (chunk instanceof FetchedRecords) return sendsFiles(this.#socket, chunk.slices)
      return Buffer.isBuffer(chunk)
    })
  }

  #pump(): void {
    while (this.#queue.length > 0 && !this.#busy && !this.#closed) {
      const { chunks, fromFiles } = this.#queue[0]!
      const chunk = chunks[0]
      if (chunk === undefined) {
        this.#queue.shift()
      } else if (fromFiles) {
        this.#sendFiles(chunks)
      } else if (Buffer.isBuffer(chunk)) {
        chunks.shift()
        this.#budget.overdraw(chunk.length)
        this.#send(chunk)
      } else if (!(chunk instanceof FetchedRecords)) {
        chunks.shift()
        this.#fail(new TypeError('a response may hold buffers and fetched records only'))
      } else if (this.#nextSlice === chunk.slices.length) {
        chunks.shift()
        this.#nextSlice = 0
      } else if (this.#socket.writableLength > highWaterBytes) {
        return
      } else {
        this.#payForSlice(chunk)
      }
    }
  }

  /** Sends a whole response, which holds no memory for its records. */
  #sendFiles(chunks: Chunk[]): void {
    const parts: (Buffer | Slice)[] = []
    let bytes = 0
    for (const chunk of chunks) {
      if (chunk instanceof FetchedRecords) parts.push(...chunk.slices)
      else if (Buffer.isBuffer(chunk)) {
        parts.push(chunk)
        // The sender has a copy of it.
        bytes += 2 * chunk.length
      }
    }
    this.#budget.overdraw(bytes)
    this.#charged += bytes
    this.#busy = true
    // Whoever watches the connection has its own idea of how long a peer may take nothing.
    send(this.#socket, parts, { stallTimeoutMs: Infinity }).then(
      () => {
        if (this.#closed) return
        this.#busy = false
        this.#queue.shift()
        this.#taken(bytes)
      },
      (error: unknown) => {
        if (!this.#closed) this.#fail(error)
      },
    )
  }

  /** Goes on after the kernel has taken bytes that were paid for. */
  #taken(bytes: number): void {
    this.#charged -= bytes
    this.#budget.release(bytes)
    this.#settle()
    this.#pump()
    this.#onProgress()
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
      this.#fail(error)
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
        if (!this.#closed) this.#fail(error)
      },
    )
  }

  #sendSlice(bytes: Buffer, slice: Slice): void {
    this.#busy = false
    if (bytes.length !== slice.byteLength) {
      this.#fail(new Error(`a slice of ${slice.byteLength} bytes was read as ${bytes.length}`))
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
      this.#taken(bytes.length)
    })
  }

  #fail(error: unknown): void {
    const peerIsGone = VarveError.is(error) && error.code === 'VARVE_SEND_FAILED' && error.cause !== undefined
    this.#onFailure(peerIsGone ? null : `a response could not be read from the log: ${messageOf(error)}`)
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
