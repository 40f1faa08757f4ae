import type { Socket } from 'node:net'
import { type Chunk, decodeRequestHeader, FrameReader, type RequestHeader } from '@varve/protocol'
import { errorFields, type LogFields, messageOf } from './broker-log.js'
import type { BrokerState } from './broker-state.js'
import { Cancellation } from './cancellation.js'
import { decodesToLittle, whenDecodable } from './decoding-budget.js'
import { dispatch, overlaps } from './dispatch.js'
import { formatAddress } from './listener-address.js'
import { ReceivedRequest } from './received-request.js'
import { ProgressWatch } from './progress-watch.js'
import { receivingSocket } from './receiving-socket.js'
import { CloseConnection, type Endpoint, type RequestContext } from './request-context.js'
import type { RequestMemory } from './request-memory.js'
import { closeChunks, ResponseWriter } from './response-writer.js'

/** Beyond these no further request of the connection is taken in until earlier ones have been worked off. */
const mostRequestsInFlight = 512
const mostBytesInFlight = 16 * 1024 * 1024

/**
 * The largest request that carries no records: a hundred thousand partitions to fetch. What a small request decodes to
 * may be fifty times its size, so that a large one would be an attack on the heap.
 */
const mostBytesWithoutRecords = 4 * 1024 * 1024

export interface ConnectionOptions {
  readonly broker: BrokerState
  readonly memory: RequestMemory
  /** Where all connections read; see FrameReader. */
  readonly staging: Buffer
  readonly maxRequestBytes: number
  /** Kafka's `connections.max.idle.ms`. */
  readonly maxIdleMs: number
  /** What Metadata tells this connection's client. */
  readonly endpointFor: (localAddress: string) => Endpoint
  readonly onClose: (connection: Connection) => void
}

/** A request that is being worked on, or whose response waits for those before it. */
interface Turn {
  readonly request: ReceivedRequest
  overlaps: boolean
  done: boolean
  response: readonly Chunk[] | null
  /** Nobody is to be answered any more. */
  dropped: boolean
  /** Cancelled when another request has come; null while nobody has asked. */
  followed: Cancellation | null
  /** By the observer's clock. */
  readonly beganAt: number
}

/**
 * One client's connection.
 *
 * Kafka works on one request of a connection at a time. So does this, with one exception that changes nothing for the
 * client: consecutive Produce requests are begun as they come, so that their appends share a flush. Responses leave in
 * the order of the requests, through one queue that alone writes to the socket.
 */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #socket: Socket
  readonly #clientHost: string
  readonly #peer: string
  readonly #endpoint: Endpoint
  readonly #reader: FrameReader
  readonly #writer: ResponseWriter
  readonly #gone = new Cancellation()
  /** Received and not begun. */
  readonly #waiting: ReceivedRequest[] = []
  /** Begun, in order; the first one's response is the next to leave. */
  readonly #turns: Turn[] = []
  #bytesInFlight = 0
  #clientId: string | null = null
  /** The frame reader was told to hold back what follows. */
  #held = false
  #leaveBudgetQueue: (() => void) | null = null
  #leaveDecoding: () => void = () => {}
  #overdrawn = false
  /** The peer has sent everything that it will. */
  #ended = false
  #draining = false
  #closed = false
  #onIdle: (() => void) | null = null
  readonly #watch: ProgressWatch

  constructor(accepted: Socket, options: ConnectionOptions) {
    this.#options = options
    const { broker, memory, staging, maxRequestBytes, maxIdleMs } = options
    this.#watch = new ProgressWatch(broker.connectionClock.now(), maxIdleMs)
    this.#clientHost = accepted.remoteAddress ?? 'unknown'
    this.#peer = formatAddress(this.#clientHost, accepted.remotePort ?? 0)
    this.#endpoint = options.endpointFor(accepted.localAddress ?? '')
    this.#reader = new FrameReader({
      staging,
      maxFrameBytes: maxRequestBytes,
      budget: memory.frames,
      onFrame: (frame, owned) => this.#onFrame(frame, owned),
      onReady: () => this.#resumeSocket(),
    })
    this.#socket = receivingSocket(accepted, {
      nextBuffer: () => this.#reader.nextBuffer(),
      received: (count) => this.#receive(count, () => this.#reader.received(count)),
      push: (bytes) => this.#receive(bytes.length, () => this.#reader.push(bytes)),
    })
    this.#writer = new ResponseWriter({
      socket: this.#socket,
      budget: memory.flow,
      onProgress: () => this.#proceed(),
      onFailure: (reason) => this.#close(reason),
    })
    this.#socket.on('error', () => this.#close(null))
    this.#socket.on('close', () => this.#close(null))
    this.#socket.on('end', () => this.#onEnd())
    this.#socket.resume()
  }

  /** Gives up a peer that makes no progress; called about once a second. */
  checkProgress(now: number): void {
    if (this.#closed) return
    const progress = {
      unsentBytes: this.#writer.unsentBytes,
      partialBytes: this.#reader.partialBytes,
      paused: this.#held || this.#reader.waiting,
      working: this.#turns.length > 0 || this.#waiting.length > 0,
      memoryShort: this.#options.memory.frames.waiting > 0,
    }
    const verdict = this.#watch.verdict(progress, now)
    if (verdict !== null) this.#close(verdict === '' ? null : verdict)
  }

  /** Takes in nothing more, and ends the connection as soon as every request that has been received is answered. */
  drain(): Promise<void> {
    this.#stopReceiving()
    return new Promise((resolve) => {
      this.#onIdle = resolve
      this.#endIfIdle()
    })
  }

  /** Ends the connection now, whatever is under way. */
  destroy(): void {
    this.#close(null)
  }

  /** Nothing may be thrown into the socket's callback: it would end the process, not the connection. */
  #receive(count: number, step: () => boolean): boolean {
    this.#watch.received(count, this.#options.broker.connectionClock.now())
    try {
      return step()
    } catch (error) {
      this.#fail(null, messageOf(error))
      return false
    }
  }

  #onFrame(frame: Buffer, owned: boolean): boolean {
    if (this.#closed || this.#draining) {
      if (owned) this.#reader.release(frame)
      return false
    }
    let header: RequestHeader
    try {
      header = decodeRequestHeader(frame)
    } catch (error) {
      if (owned) this.#reader.release(frame)
      throw error
    }
    this.#clientId = header.clientId
    this.#options.broker.observer?.received(frame.length)
    const overlap = overlaps(header.apiKey)
    if (!overlap && frame.length > mostBytesWithoutRecords) {
      if (owned) this.#reader.release(frame)
      throw new CloseConnection(`a request of ${frame.length} bytes that is not a Produce`)
    }
    const now = this.#mayBegin(overlap) && decodesToLittle(frame)
    this.#waiting.push(
      owned || (now && !overlap) ? this.#take(header, frame, owned) : this.#copy(header, frame),
    )
    this.#begin()
    if (this.#waiting.length > 0) this.#turns.at(-1)?.followed?.cancel()
    this.#held = !this.#mayReceive()
    return !this.#held
  }

  /** A request on a frame as it is: one that is ours, or one that is needed during this call only. */
  #take(header: RequestHeader, frame: Buffer, owned: boolean): ReceivedRequest {
    this.#bytesInFlight += frame.length
    return new ReceivedRequest(header, frame, () => {
      this.#bytesInFlight -= frame.length
      if (owned) this.#reader.release(frame)
    })
  }

  /** The frame lies in the staging buffer, which the next read overwrites; this is the only copy made of it. */
  #copy(header: RequestHeader, frame: Buffer): ReceivedRequest {
    const { flow } = this.#options.memory
    const { length } = frame
    flow.overdraw(length)
    this.#bytesInFlight += length
    return new ReceivedRequest(header, Buffer.from(frame), () => {
      this.#bytesInFlight -= length
      flow.release(length)
    })
  }

  #mayBegin(overlap: boolean): boolean {
    if (this.#waiting.length > 0 || this.#writer.congested) return false
    return this.#mayJoin(overlap)
  }

  /** Whether a request may run beside those that do; one that may not is always alone, so the last tells of all. */
  #mayJoin(overlap: boolean): boolean {
    const last = this.#turns.at(-1)
    return last === undefined || (overlap && last.overlaps)
  }

  #mayReceive(): boolean {
    if (this.#draining || this.#closed) return false
    if (this.#waiting.length + this.#turns.length >= mostRequestsInFlight) return false
    if (this.#bytesInFlight >= mostBytesInFlight || this.#writer.congested) return false
    return this.#awaitBudget()
  }

  /** Small frames are taken in whatever the budget says, because they have been read already; the next ones wait. */
  #awaitBudget(): boolean {
    const { flow } = this.#options.memory
    if (this.#overdrawn || flow.reserve(0)) return true
    if (this.#leaveBudgetQueue !== null) return false
    let granted = false
    const leave = flow.wait(0, (overdrawn) => {
      this.#leaveBudgetQueue = null
      granted = true
      this.#overdrawn = overdrawn
      if (this.#held) this.#resumeReader()
      // Not at once: the next in the queue would be granted, and settle, inside this call.
      if (overdrawn) queueMicrotask(() => this.#settleWhenDone())
    })
    if (!granted) this.#leaveBudgetQueue = leave
    return granted
  }

  #begin(): void {
    while (this.#waiting.length > 0 && !this.#closed) {
      const request = this.#waiting[0]!
      const overlap = overlaps(request.header.apiKey)
      if (this.#writer.congested) return
      if (!this.#mayJoin(overlap)) return
      this.#waiting.shift()
      this.#run({
        request,
        overlaps: overlap,
        done: false,
        response: null,
        dropped: false,
        followed: null,
        beganAt: this.#options.broker.observer?.now() ?? 0,
      })
    }
  }

  #run(turn: Turn): void {
    const { request } = turn
    this.#turns.push(turn)
    if (turn.overlaps || decodesToLittle(request.frame)) this.#work(turn, false)
    else
      this.#leaveDecoding = whenDecodable(request, this.#options.memory.decoded, () => this.#work(turn, true))
  }

  /** @param deferred whether this is called from the event loop, and nobody goes on with the next request */
  #work(turn: Turn, deferred: boolean): void {
    const { request } = turn
    const context: RequestContext = {
      broker: this.#options.broker,
      apiVersion: request.header.apiVersion,
      clientId: request.header.clientId,
      clientHost: this.#clientHost,
      endpoint: this.#endpoint,
      gone: this.#gone,
      retain: (until) => request.retain(until),
      goAlone: () => {
        turn.overlaps = false
      },
      followed: () => {
        turn.followed ??= new Cancellation()
        if (this.#waiting.length > 0) turn.followed.cancel()
        return turn.followed
      },
      fetchError: null,
      settleDecoded: () => request.settleDecoded(),
    }
    let response: Chunk[] | null | Promise<Chunk[] | null>
    try {
      response = dispatch(request.header, request.frame, context)
    } catch (error) {
      request.done()
      this.#failTurn(turn, error)
      return
    }
    if (!(response instanceof Promise)) {
      this.#finish(turn, response)
      if (deferred) this.#proceed()
      return
    }
    response
      .then(
        (chunks) => {
          this.#finish(turn, chunks)
          this.#proceed()
        },
        (error: unknown) => {
          request.done()
          throw error
        },
      )
      .catch((error: unknown) => this.#failTurn(turn, error))
  }

  #finish(turn: Turn, response: readonly Chunk[] | null): void {
    turn.request.done()
    if (this.#closed || turn.dropped) {
      if (response !== null) closeChunks(response)
      return
    }
    turn.done = true
    turn.response = response
    while (this.#turns.length > 0 && this.#turns[0]!.done) {
      const first = this.#turns.shift()!
      this.#observe(first)
      if (first.response !== null) this.#writer.write(first.response)
    }
  }

  #observe({ request, response, beganAt }: Turn): void {
    const { observer } = this.#options.broker
    if (observer === null) return
    let bytes = 0
    for (const chunk of response ?? []) bytes += chunk.byteLength
    observer.answered(request.header, beganAt, bytes)
  }

  #failTurn(turn: Turn, error: unknown): void {
    const { apiKey, apiVersion } = turn.request.header
    const expected = error instanceof CloseConnection || (error as Error)?.name === 'ProtocolError'
    const where = expected ? '' : `, while working on API key ${apiKey} version ${apiVersion}`
    this.#fail(turn, messageOf(error) + where, expected ? {} : errorFields(error))
  }

  /** Ends the connection for a reason, after what came before it has been answered. */
  #fail(turn: Turn | null, reason: string, fields: LogFields = {}): void {
    if (this.#closed) return
    this.#logEnd(reason, fields)
    this.#stopReceiving()
    for (const request of this.#waiting.splice(0)) request.done()
    if (turn !== null) this.#drop(this.#turns.splice(this.#turns.indexOf(turn)))
    this.#endIfIdle()
  }

  #drop(turns: readonly Turn[]): void {
    for (const turn of turns) {
      turn.dropped = true
      if (turn.done && turn.response !== null) closeChunks(turn.response)
    }
  }

  #stopReceiving(): void {
    this.#draining = true
    this.#held = true
    this.#socket.pause()
  }

  /** Goes on with whatever has become possible. */
  #proceed(): void {
    if (this.#closed) return
    this.#begin()
    if (this.#held && this.#mayReceive()) this.#resumeReader()
    this.#settleWhenDone()
    this.#endIfIdle()
  }

  #resumeReader(): void {
    if (this.#closed || this.#draining) return
    this.#held = false
    if (this.#receive(0, () => this.#reader.resume())) this.#socket.resume()
  }

  #resumeSocket(): void {
    if (!this.#closed && !this.#held) this.#socket.resume()
  }

  #onEnd(): void {
    this.#ended = true
    // Nobody waits for records any more; what was produced before the end is still appended.
    this.#gone.cancel()
    this.#endIfIdle()
  }

  #endIfIdle(): void {
    if (this.#closed || !(this.#ended || this.#draining)) return
    if (this.#turns.length > 0 || this.#waiting.length > 0) return
    if (this.#held && !this.#draining) return
    if (this.#writer.idle) this.#close(null)
  }

  /** Ends a grant beyond the budget when what it was given for has been worked off. */
  #settleWhenDone(): void {
    if (!this.#overdrawn || (!this.#closed && this.#turns.length + this.#waiting.length > 0)) return
    this.#overdrawn = false
    this.#options.memory.flow.settle()
  }

  /** @param reason what the log says about it, in one line; null for what is nobody's fault */
  #close(reason: string | null): void {
    if (this.#closed) return
    this.#closed = true
    if (reason !== null) this.#logEnd(reason)
    this.#socket.destroy()
    this.#reader.close()
    this.#writer.close()
    this.#gone.cancel()
    this.#leaveDecoding()
    this.#leaveBudgetQueue?.()
    this.#leaveBudgetQueue = null
    for (const request of this.#waiting.splice(0)) request.done()
    for (const turn of this.#turns.splice(0))
      if (turn.done && turn.response !== null) closeChunks(turn.response)
    this.#settleWhenDone()
    this.#options.onClose(this)
    this.#onIdle?.()
  }

  #logEnd(reason: string, fields: LogFields = {}): void {
    const clientId = this.#clientId?.slice(0, 100)
    const client = clientId === undefined ? '' : ` (client id '${clientId}')`
    const line = `closed the connection of ${this.#peer}${client}: ${reason.slice(0, 500)}`
    // Client ids and topic names are the peer's words: they may not break a line, or colour a terminal.
    this.#options.broker.limitedLog.write('warn', reason, line.replaceAll(/\p{Cc}/gu, '?'), {
      peer: this.#peer,
      ...(clientId !== undefined && { client: clientId }),
      ...fields,
    })
  }
}
