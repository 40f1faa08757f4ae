import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A request as an etcd's gateway gets it, and what the test answers. */
export class ScriptedCall {
  readonly path: string
  readonly body: Record<string, unknown>
  readonly headers: IncomingHttpHeaders
  readonly #response: ServerResponse

  constructor(path: string, body: string, headers: IncomingHttpHeaders, response: ServerResponse) {
    this.path = path
    this.body = JSON.parse(body) as Record<string, unknown>
    this.headers = headers
    this.#response = response
  }

  /** The revision from which a watch is asked for. */
  get startRevision(): string {
    return (this.body['create_request'] as { start_revision: string }).start_revision
  }

  reply(answer: object): void {
    this.#response.end(JSON.stringify(answer))
  }

  refuse(httpStatus: number, text: string): void {
    this.#response.writeHead(httpStatus).end(text)
  }

  /** Part of an answer, as it is. */
  write(part: string | Buffer): void {
    this.#response.write(part)
  }

  /** A message of a stream. */
  send(message: object): void {
    this.write(`${JSON.stringify({ result: message })}\n`)
  }

  end(): void {
    this.#response.end()
  }

  /** Breaks the connection. */
  drop(): void {
    this.#response.socket?.destroy()
  }
}

/** Speaks as a test tells it to where an etcd is expected. */
export class ScriptedEtcd {
  readonly address: string
  readonly calls: ScriptedCall[] = []
  /** Connections that there have been. */
  connections = 0
  /** Connections that there are. */
  readonly open: ReadonlySet<Socket>

  private constructor(address: string, open: ReadonlySet<Socket>) {
    this.address = address
    this.open = open
  }

  /** It is closed at the end of the test. */
  static async start(answer: (call: ScriptedCall) => void): Promise<ScriptedEtcd> {
    const sockets = new Set<Socket>()
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { url = '', headers } = request
        const call = new ScriptedCall(url, Buffer.concat(chunks).toString(), headers, response)
        etcd.calls.push(call)
        answer(call)
      })
    })
    // As etcd, it leaves idle connections open.
    server.keepAliveTimeout = 0
    server.on('connection', (socket) => {
      etcd.connections++
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const etcd = new ScriptedEtcd(`127.0.0.1:${(server.address() as { port: number }).port}`, sockets)
    onTestFinished(async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    })
    return etcd
  }

  get url(): string {
    return `etcd://${this.address}`
  }

  /** The calls of one path. */
  of(path: string): ScriptedCall[] {
    return this.calls.filter((call) => call.path === path)
  }
}

/** The header of an answer. */
export const header = (revision: number | string) => ({
  cluster_id: '1',
  member_id: '1',
  revision: String(revision),
  raft_term: '1',
})

/** A key as etcd has it. */
export const pair = (key: string, value: string, revision: number) => ({
  key: Buffer.from(key).toString('base64'),
  value: Buffer.from(value).toString('base64'),
  mod_revision: String(revision),
})
