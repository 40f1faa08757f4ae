import { createServer, type Server, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { apis, decodeRequestHeader, encodeResponse } from '@varve/protocol'

export interface ScriptedRequest {
  /** Kafka's name of the API. */
  readonly name: string
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly body: any
  readonly socket: Socket
  /** Sends the response, now or whenever the test likes. */
  answer(body: any): void
  /** The response as a frame, for tests that send it in pieces or not at all as it should be. */
  frame(body: any, correlationId?: number): Buffer
}

/** Gives a response, or undefined to say nothing (yet). */
export type Handler = (request: ScriptedRequest) => any

export interface ScriptedBrokerOptions {
  /** The versions to advertise, by API name; those not named here are advertised as they are declared. */
  versions?: Record<string, [min: number, max: number] | null>
}

/** A broker that answers as a test tells it, over a real socket, in the real protocol. */
export class ScriptedBroker {
  readonly requests: ScriptedRequest[] = []
  readonly sockets = new Set<Socket>()
  port = 0
  private readonly handlers = new Map<string, Handler>()
  private readonly server: Server
  private readonly versions: Record<string, [number, number] | null>
  private arrivals: Array<() => void> = []

  private constructor(options: ScriptedBrokerOptions) {
    this.versions = options.versions ?? {}
    this.server = createServer((socket) => this.serve(socket))
    this.on('ApiVersions', () => this.apiVersions())
  }

  static async start(options: ScriptedBrokerOptions = {}): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker(options)
    await broker.listen(0)
    return broker
  }

  /** Also after `stop`, on the same port: a broker that was restarted. */
  async listen(port = this.port): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen(port, '127.0.0.1', resolve)
    })
    this.port = (this.server.address() as AddressInfo).port
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  on(name: string, handler: Handler): this {
    this.handlers.set(name, handler)
    return this
  }

  /** The n-th request of that name (from 0), once it has come. */
  async received(name: string, index = 0): Promise<ScriptedRequest> {
    for (;;) {
      const found = this.requests.filter((request) => request.name === name)[index]
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.arrivals.push(resolve))
    }
  }

  count(name: string): number {
    return this.requests.filter((request) => request.name === name).length
  }

  apiVersions(): any {
    const apiKeys = [...apis.values()]
      .map(({ key, name, minVersion, maxVersion }) => ({
        apiKey: key,
        range: this.versions[name],
        minVersion,
        maxVersion,
      }))
      .filter(({ range }) => range !== null)
      .map(({ apiKey, range, minVersion, maxVersion }) => ({
        apiKey,
        minVersion: range?.[0] ?? minVersion,
        maxVersion: range?.[1] ?? maxVersion,
      }))
    return { errorCode: 0, apiKeys, throttleTimeMs: 0 }
  }

  dropConnections(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  async stop(): Promise<void> {
    this.dropConnections()
    if (this.server.listening) await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('close', () => this.sockets.delete(socket))
    socket.on('error', () => undefined)
    let bytes = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
        const end = 4 + bytes.readInt32BE(0)
        this.take(socket, bytes.subarray(4, end))
        bytes = bytes.subarray(end)
      }
    })
  }

  private take(socket: Socket, frame: Buffer): void {
    const { apiKey, apiVersion, correlationId, clientId, bodyAt } = decodeRequestHeader(frame)
    const api = apis.get(apiKey)!
    const encode = (body: any, id: number): Buffer =>
      Buffer.concat(encodeResponse(api, apiVersion, id, body) as Buffer[])
    const request: ScriptedRequest = {
      name: api.name,
      version: apiVersion,
      correlationId,
      clientId,
      body: api.request.decode(frame, bodyAt, apiVersion),
      socket,
      answer: (body) => void socket.write(encode(body, correlationId)),
      frame: (body, id = correlationId) => encode(body, id),
    }
    this.requests.push(request)
    for (const arrival of this.arrivals.splice(0)) arrival()
    const body = this.handlers.get(api.name)?.(request)
    if (body !== undefined) request.answer(body)
  }
}
