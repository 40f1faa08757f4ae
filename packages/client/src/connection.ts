import type { Socket } from 'node:net'
import {
  apiVersions,
  ByteBudget,
  decodeResponse,
  encodeRequest,
  fetch,
  FramePool,
  FrameReader,
  type Api,
  type Chunk,
} from '@varve/protocol'
import { VarveError } from '@varve/records'
import { chooseVersion, clientVersion, negotiate, type ServedVersions } from './api-versions.js'
import { formatAddress } from './broker-address.js'
import { brokerSocket, connectFailure, readyEvent, tlsFailure, type TlsOptions } from './broker-socket.js'
import { systemClock, type Clock } from './clock.js'

export interface ConnectionOptions {
  /** Shown in the broker's logs and metrics. Default `'varve'`. */
  clientId?: string | null
  /** Whether and how to speak TLS, with brokers whose listener is of the protocol SSL. Default false. */
  tls?: boolean | TlsOptions
  /** How long dialling and asking for API versions may take, in ms. Default 10 000. */
  connectTimeoutMs?: number
  /** How long a request may wait for its response, in ms, its time in the queue included. Default 30 000. */
  requestTimeoutMs?: number
  /** Requests under way at a time; further ones wait their turn. Default 5. */
  maxInFlight?: number
  /** A response that declares more ends the connection. Default 128 MiB. */
  maxResponseBytes?: number
  /** Ends the attempt to connect. It has no effect on an established connection. */
  signal?: AbortSignal
  /**
   * Where the memory of large responses comes from. By default it is the garbage collector's; with a pool it is used again as
   * soon as {@link Connection.requestFrame} is told that nobody needs the response any more.
   */
  frames?: FramePool
  clock?: Clock
}

/** A response whose records are views of memory that is used again after `release()`. */
export interface FramedResponse<S> {
  readonly body: S
  /** Says that nobody looks at the response any more. Further calls do nothing. */
  release(): void
}

export interface RequestOptions {
  signal?: AbortSignal
  /** Overrides the connection's `requestTimeoutMs`. */
  timeoutMs?: number
  /** The newest version to use, where the caller knows that it cannot use a newer one. */
  maxVersion?: number
}

interface PendingRequest {
  readonly api: Api<unknown, unknown, unknown, unknown>
  readonly version: number
  readonly body: unknown
  correlationId: number
  /** The caller has its outcome; the response, if one comes, only keeps the order. */
  settled: boolean
  /** Whether the response is told together with its frame, which then is its receiver's to release. */
  readonly framed: boolean
  settle(outcome: { body: unknown } | { error: unknown }): void
}

type AnyApi<S, QI> = Api<unknown, S, QI, never>

// All sockets of a process read into one buffer: a read is processed before the next one begins.
let staging: Buffer | undefined
// Records of a response are views of its frame and live as long as their reader likes, so that frames are never
// pooled, and their memory is the garbage collector's to count.
const frames = new FramePool(0)
const budget = new ByteBudget(Number.MAX_SAFE_INTEGER)

/**
 * One connection to one broker: requests are pipelined and their responses matched in order.
 *
 * A connection does not heal. Once anything is wrong with it (it was closed, a response did not come in time, a
 * response came out of order or could not be decoded) everything under way is rejected and it stays closed; dial anew.
 */
export class Connection {
  readonly host: string
  readonly port: number
  /** What the broker serves, by API key. */
  readonly versions: ReadonlyMap<number, ServedVersions>
  private readonly socket: Socket
  private readonly ready: Promise<void>
  private readonly reader: FrameReader
  private readonly clientId: string | null
  private readonly requestTimeoutMs: number
  private readonly maxInFlight: number
  private readonly clock: Clock
  private readonly inFlight: PendingRequest[] = []
  private readonly queue: PendingRequest[] = []
  private readonly closeListeners = new Set<() => void>()
  private nextCorrelationId = 0
  private corked = false
  private failure: VarveError | undefined

  private constructor(host: string, port: number, options: ConnectionOptions) {
    this.host = host
    this.port = port
    this.versions = new Map()
    this.clientId = options.clientId === undefined ? 'varve' : options.clientId
    this.requestTimeoutMs = options.requestTimeoutMs ?? 30_000
    this.maxInFlight = options.maxInFlight ?? 5
    this.clock = options.clock ?? systemClock
    this.reader = new FrameReader({
      staging: (staging ??= Buffer.allocUnsafeSlow(64 * 1024)),
      maxFrameBytes: options.maxResponseBytes ?? 128 * 1024 * 1024,
      budget,
      pool: options.frames ?? frames,
      trusted: true,
      onFrame: (frame, owned) => this.receive(frame, owned),
    })
    const { tls = false } = options
    this.socket = brokerSocket(this, tls, {
      nextBuffer: () => this.reader.nextBuffer(),
      received: (count) => this.guard(() => this.reader.received(count)),
      push: (bytes) => this.guard(() => this.reader.push(bytes)),
    })
    this.ready = new Promise((resolve, reject) => {
      this.socket.once(readyEvent(tls), resolve)
      this.onClose(() => reject(this.connectFailure()))
    })
    // Whoever dials looks at it, if the attempt lasts that long.
    this.ready.catch(() => {})
    this.socket.on('error', (error) => this.fail(tlsFailure(this, error) ?? this.closedError('broke', error)))
    this.socket.on('close', () => this.fail(this.closedError('was closed by the broker')))
  }

  /**
   * Connects and asks the broker for the versions it serves.
   *
   * @throws VarveError `VARVE_CONNECTION_FAILED`, `VARVE_TLS_FAILED`, `VARVE_REQUEST_TIMEOUT`, `VARVE_UNSUPPORTED_VERSION`, or whatever the
   * signal was aborted with.
   */
  static async dial(host: string, port: number, options: ConnectionOptions = {}): Promise<Connection> {
    options.signal?.throwIfAborted()
    const connection = new Connection(host, port, options)
    const where = connection.address
    const timeoutMs = options.connectTimeoutMs ?? 10_000
    const cancel = connection.clock.after(timeoutMs, () => {
      connection.fail(
        new VarveError('VARVE_REQUEST_TIMEOUT', `No connection to ${where} within ${timeoutMs} ms`, {
          retriable: true,
        }),
      )
    })
    const abort = (): void => connection.fail(connection.closedError('was aborted', options.signal!.reason))
    options.signal?.addEventListener('abort', abort, { once: true })
    try {
      await connection.ready
      const served = await negotiate((version) => connection.askVersions(version, timeoutMs), where)
      for (const [key, versions] of served)
        (connection.versions as Map<number, ServedVersions>).set(key, versions)
      return connection
    } catch (error) {
      connection.close()
      options.signal?.throwIfAborted()
      throw connection.closedDuringDial(error, options.tls ?? false)
    } finally {
      cancel()
      options.signal?.removeEventListener('abort', abort)
    }
  }

  get address(): string {
    return formatAddress(this)
  }

  get closed(): boolean {
    return this.failure !== undefined
  }

  /** Requests without a response so far, those that have not been sent included. */
  get pending(): number {
    return this.inFlight.length + this.queue.length
  }

  /** The version that `request` would use. @throws VarveError `VARVE_UNSUPPORTED_VERSION` */
  versionOf(api: AnyApi<unknown, never>, maxVersion = Infinity): number {
    return chooseVersion(api, this.versions.get(api.key), maxVersion, this.address)
  }

  /**
   * Sends a request and gives its response, whatever error codes are in there.
   *
   * @throws VarveError `VARVE_CONNECTION_CLOSED` (the broker may or may not have acted on the request),
   * `VARVE_REQUEST_TIMEOUT` (the same, and the connection is closed), `VARVE_UNSUPPORTED_VERSION`; a ProtocolError for
   * a body that cannot be encoded or a response that cannot be decoded; what the signal was aborted with.
   */
  request<S, QI>(api: AnyApi<S, QI>, body: QI, options: RequestOptions = {}): Promise<S> {
    try {
      return this.submit(api, this.versionOf(api, options.maxVersion), body, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * The same for a response whose memory is to be used again: its receiver says when it may be. For responses with many
   * records, which whoever dialled has a pool for.
   *
   * @throws as {@link request}
   */
  requestFrame<S, QI>(
    api: AnyApi<S, QI>,
    body: QI,
    options: RequestOptions = {},
  ): Promise<FramedResponse<S>> {
    try {
      const version = this.versionOf(api, options.maxVersion)
      return this.submit<FramedResponse<S>, QI>(api as AnyApi<never, QI>, version, body, options, true)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Sends a request that has no response: Produce with acks 0. Resolves when the operating system has taken it.
   *
   * @throws as `request`
   */
  async send<QI>(api: AnyApi<unknown, QI>, body: QI, options: { maxVersion?: number } = {}): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    const version = this.versionOf(api, options.maxVersion)
    const chunks = encodeRequest(api, version, this.correlationId(), this.clientId, body)
    await new Promise<void>((resolve, reject) => {
      this.write(chunks, (error) => {
        if (error === undefined || error === null) resolve()
        else reject(this.failure ?? this.closedError('broke', error))
      })
    })
  }

  /** Calls `listener` once, when the connection has closed for whatever reason; at once if it has. */
  onClose(listener: () => void): void {
    if (this.failure === undefined) this.closeListeners.add(listener)
    else listener()
  }

  /** Closes the connection and rejects what is under way with `VARVE_CONNECTION_CLOSED`. */
  close(): void {
    this.fail(this.closedError('was closed by this client'))
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** A broker that speaks TLS ends the connection of a client that does not, without a word. */
  private closedDuringDial(error: unknown, tls: boolean | TlsOptions): unknown {
    if (tls !== false || !VarveError.is(error) || error.code !== 'VARVE_CONNECTION_CLOSED') return error
    const message = `${error.message}, before it had said anything. If that listener speaks TLS, connect with tls`
    return new VarveError(error.code, message, { cause: error.cause, retriable: true })
  }

  private connectFailure(): VarveError {
    const { code, cause } = this.failure!
    return code === 'VARVE_TLS_FAILED' ? this.failure! : (connectFailure(this, cause) ?? this.failure!)
  }

  private askVersions(version: number, timeoutMs: number): ReturnType<Parameters<typeof negotiate>[0]> {
    const body = { clientSoftwareName: 'varve', clientSoftwareVersion: clientVersion }
    return this.submit(apiVersions as AnyApi<never, typeof body>, version, body, { timeoutMs })
  }

  private submit<S, QI>(
    api: AnyApi<S, QI>,
    version: number,
    body: QI,
    options: RequestOptions,
    framed = false,
  ): Promise<S> {
    const { signal } = options
    if (this.failure !== undefined) return Promise.reject(this.failure)
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)
    return new Promise<S>((resolve, reject) => {
      const timeoutMs = options.timeoutMs ?? this.requestTimeoutMs
      const request: PendingRequest = {
        api: api as unknown as PendingRequest['api'],
        version,
        body,
        correlationId: -1,
        settled: false,
        framed,
        settle: (outcome) => {
          if (request.settled) return
          request.settled = true
          cancelTimer()
          signal?.removeEventListener('abort', abort)
          if ('error' in outcome) reject(outcome.error as Error)
          else resolve(outcome.body as S)
        },
      }
      const cancelTimer = this.clock.after(timeoutMs, () => this.expire(request, timeoutMs))
      const abort = (): void => {
        request.settle({ error: signal!.reason })
        this.forgetQueued(request)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.queue.push(request)
      this.pump()
    })
  }

  private pump(): void {
    while (this.failure === undefined && this.queue.length > 0 && this.inFlight.length < this.maxInFlight) {
      const request = this.queue.shift()!
      request.correlationId = this.correlationId()
      let chunks: Chunk[]
      try {
        chunks = encodeRequest(
          request.api,
          request.version,
          request.correlationId,
          this.clientId,
          request.body,
        )
      } catch (error) {
        request.settle({ error })
        continue
      }
      this.inFlight.push(request)
      this.write(chunks)
    }
  }

  // Requests of the same tick leave in one system call.
  private write(chunks: readonly Chunk[], done?: (error?: Error | null) => void): void {
    if (!this.corked) {
      this.corked = true
      this.socket.cork()
      process.nextTick(() => {
        this.corked = false
        this.socket.uncork()
      })
    }
    const last = chunks.length - 1
    chunks.forEach((chunk, index) => this.socket.write(chunk as Buffer, index === last ? done : undefined))
  }

  private receive(frame: Buffer, owned: boolean): void {
    const request = this.inFlight[0]
    const correlationId = frame.readInt32BE(0)
    if (request === undefined || request.correlationId !== correlationId) {
      const expected = request === undefined ? 'none was expected' : `${request.correlationId} was due`
      throw new VarveError(
        'VARVE_CORRELATION_MISMATCH',
        `The broker at ${this.address} sent a response with correlation id ${correlationId} where ${expected}`,
      )
    }
    this.inFlight.shift()
    let held = owned
    const release = (): void => {
      if (held) this.reader.release(frame)
      held = false
    }
    // Without a pool the memory stays as it is for as long as somebody refers to it.
    if (!request.framed) release()
    const bytes = !owned && request.api.key === fetch.key ? Buffer.from(frame) : frame
    if (request.settled) release()
    else {
      try {
        const { body } = decodeResponse(request.api, request.version, bytes)
        request.settle({ body: request.framed ? { body, release } : body })
      } catch (error) {
        release()
        request.settle({ error })
        throw error
      }
    }
    this.pump()
  }

  /** Runs a step of reading. An error would otherwise be thrown into the event loop, where nobody can catch it. */
  private guard(step: () => boolean): boolean {
    try {
      return step()
    } catch (error) {
      this.fail(this.closedError('cannot be read any further', error))
      return false
    }
  }

  private expire(request: PendingRequest, timeoutMs: number): void {
    const sent = request.correlationId >= 0
    const what = `${request.api.name} request to ${this.address}`
    const outcome = sent
      ? `No response to the ${what} within ${timeoutMs} ms`
      : `The ${what} could not be sent for ${timeoutMs} ms`
    request.settle({ error: new VarveError('VARVE_REQUEST_TIMEOUT', outcome, { retriable: true }) })
    // Responses come in order: behind one that does not come, no other does.
    if (sent) this.fail(this.closedError('was given up', new Error(outcome)))
    else this.forgetQueued(request)
  }

  private forgetQueued(request: PendingRequest): void {
    const at = this.queue.indexOf(request)
    if (at >= 0) this.queue.splice(at, 1)
  }

  private fail(failure: VarveError): void {
    if (this.failure !== undefined) return
    this.failure = failure
    this.socket.destroy()
    this.reader.close()
    for (const request of [...this.inFlight.splice(0), ...this.queue.splice(0)])
      request.settle({ error: failure })
    for (const listener of this.closeListeners) listener()
    this.closeListeners.clear()
  }

  private closedError(how: string, cause?: unknown): VarveError {
    const reason = cause instanceof Error ? `: ${cause.message}` : ''
    return new VarveError('VARVE_CONNECTION_CLOSED', `The connection to ${this.address} ${how}${reason}`, {
      cause,
      retriable: true,
    })
  }

  private correlationId(): number {
    const id = this.nextCorrelationId
    this.nextCorrelationId = (id + 1) & 0x7fff_ffff
    return id
  }
}
