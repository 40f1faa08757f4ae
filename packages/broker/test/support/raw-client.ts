import { connect, type Socket } from 'node:net'
import { type Api, decodeResponse, encodeRequest } from '@varve/protocol'

interface Waiter {
  readonly resolve: (frame: Buffer) => void
  readonly reject: (error: Error) => void
}

/** A client with no manners: it sends what it is told to, and expects responses in the order of its requests. */
export class RawClient {
  readonly socket: Socket
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  readonly #waiters: Waiter[] = []
  #received: Buffer[] = []
  #receivedBytes = 0
  /** How many bytes there must be before it is worth looking at them, so that a long response is not copied for each piece. */
  #neededBytes = 4
  #nextCorrelationId = 1
  #isClosed = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => this.#onData(bytes))
    // How the end came about makes no difference to these tests.
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true
        for (const { reject } of this.#waiters.splice(0)) reject(new Error('the connection was closed'))
        resolve()
      })
    })
  }

  static connect(port: number, host = '127.0.0.1'): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host, noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new RawClient(socket))
      })
    })
  }

  /** Sends a request and decodes its response. */
  async request<Q, S>(api: Api<any, S, Q, any>, version: number, body: Q, clientId = 'raw'): Promise<S> {
    const correlationId = this.send(api, version, body, clientId)
    const response = decodeResponse(api, version, await this.nextFrame())
    if (response.correlationId !== correlationId) {
      throw new Error(`expected the response to ${correlationId}, got the one to ${response.correlationId}`)
    }
    return response.body
  }

  /** Sends a request and does not wait; returns its correlation id. */
  send<Q>(api: Api<any, any, Q, any>, version: number, body: Q, clientId: string | null = 'raw'): number {
    const correlationId = this.#nextCorrelationId++
    this.write(Buffer.concat(encodeRequest(api, version, correlationId, clientId, body) as Buffer[]))
    return correlationId
  }

  write(bytes: Buffer): void {
    this.socket.write(bytes)
  }

  /** The next response's frame, without its length. */
  nextFrame(): Promise<Buffer> {
    if (this.#isClosed) return Promise.reject(new Error('the connection was closed'))
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#deliver()
    })
  }

  /** Whether a response has come that nobody has asked for. */
  get hasUnread(): boolean {
    return this.#receivedBytes > 0
  }

  async close(): Promise<void> {
    this.socket.destroy()
    await this.closed
  }

  #onData(bytes: Buffer): void {
    this.#received.push(bytes)
    this.#receivedBytes += bytes.length
    this.#deliver()
  }

  #deliver(): void {
    while (this.#waiters.length > 0 && this.#receivedBytes >= this.#neededBytes) {
      const received = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received)
      const end = 4 + received.readInt32BE(0)
      const isWhole = received.length >= end
      const rest = isWhole ? received.subarray(end) : received
      this.#received = [rest]
      this.#receivedBytes = rest.length
      this.#neededBytes = isWhole ? 4 : end
      if (isWhole) this.#waiters.shift()!.resolve(received.subarray(4, end))
    }
  }
}
