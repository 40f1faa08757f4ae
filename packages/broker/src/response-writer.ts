import type { Socket } from 'node:net'
import { send, sendsFiles, type Slice, unsentBytes } from '@varve/log'
import type { ByteBudget, Chunk } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { messageOf } from './broker-log.js'
import { FetchedRecords } from './fetched-records.js'

/** Above this no further request of a connection is begun: its peer must take what it has been sent first. */
const highWaterBytes = 1024 * 1024

/** What is read from a log at once, for a socket that takes no files. */
const chunkBytes = 64 * 1024

/** How much of what was read may wait for a peer; while memory is short, no more than one chunk. */
const readAheadBytes = 2 * chunkBytes

/** Chunks that are kept for the next reads, of all connections together. */
const mostIdle = 16
const idle: Buffer[] = []

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
 * files where that can be done and is worth it, else read from their log, chunk by chunk, as the socket takes them: so much,
 * and no more, can a peer that does not read make the broker hold.
 */
export class ResponseWriter {
  readonly #socket: Socket
  readonly #budget: ByteBudget
  readonly #onProgress: () => void
  readonly #onFailure: (reason: string | null) => void
  #queue: Response[] = []
  /** The next slice of the records at the head of the queue, and how much of it has been read. */
  #nextSlice = 0
  #position = 0
  /** A chunk is being read, or waits for the budget, or files are being sent. */
  #busy = false
  #leaveBudgetQueue: () => void = () => {}
  #charged = 0
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
      } else if (this.#socket.writableLength >= this.#readAhead) {
        return
      } else {
        this.#payForChunk(chunk)
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

  get #readAhead(): number {
    const { usedBytes, limitBytes } = this.#budget
    return usedBytes < limitBytes / 2 ? readAheadBytes : 1
  }

  #payForChunk(records: FetchedRecords): void {
    const bytes = Math.min(chunkBytes, records.slices[this.#nextSlice]!.byteLength - this.#position)
    this.#busy = true
    if (this.#budget.reserve(bytes)) {
      this.#readChunk(records, bytes)
      return
    }
    let granted = false
    const leave = this.#budget.wait(bytes, (overdrawn) => {
      granted = true
      this.#leaveBudgetQueue = () => {}
      if (overdrawn) this.#overdrawn = true
      this.#readChunk(records, bytes)
      this.#pump()
    })
    if (!granted) this.#leaveBudgetQueue = leave
  }

  /** Reads the chunk that has been paid for. */
  #readChunk(records: FetchedRecords, bytes: number): void {
    this.#charged += bytes
    const buffer = idle.pop() ?? Buffer.allocUnsafeSlow(chunkBytes)
    let reading: void | Promise<void>
    try {
      reading = records.slices[this.#nextSlice]!.readInto(buffer.subarray(0, bytes), this.#position)
    } catch (error) {
      this.#fail(error)
      return
    }
    if (!(reading instanceof Promise)) {
      this.#sendChunk(records, buffer, bytes)
      return
    }
    reading.then(
      () => {
        if (this.#closed) return
        this.#sendChunk(records, buffer, bytes)
        this.#pump()
      },
      (error: unknown) => {
        if (!this.#closed) this.#fail(error)
      },
    )
  }

  #sendChunk(records: FetchedRecords, buffer: Buffer, bytes: number): void {
    this.#busy = false
    const slice = records.slices[this.#nextSlice]!
    this.#position += bytes
    if (this.#position === slice.byteLength) {
      slice.close()
      this.#nextSlice++
      this.#position = 0
    }
    this.#charged -= bytes
    this.#send(buffer.subarray(0, bytes), () => {
      if (idle.length < mostIdle) idle.push(buffer)
    })
  }

  /** Hands paid bytes to the socket. */
  #send(bytes: Buffer, onTaken: () => void = () => {}): void {
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
    this.#socket.write(bytes, (error) => {
      // A write that has failed may still look at its bytes.
      if (error == null) onTaken()
      if (!this.#closed) this.#taken(bytes.length)
    })
  }

  #fail(error: unknown): void {
    for (const chunk of this.#queue[0]?.chunks ?? []) if (chunk instanceof FetchedRecords) chunk.failed(error)
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
