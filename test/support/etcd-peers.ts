import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

interface Connection {
  readonly near: Socket
  readonly far: Socket
  /** Which member has opened it; null until it has said so. */
  from: string | null
}

/** The way to a member of an etcd cluster for the other members, which can be cut. */
export class PeerLink {
  readonly url: string
  /** Nobody gets through. */
  isCut = false
  /** Who does not get through, by member id. */
  readonly cutFrom = new Set<string>()
  readonly #server: Server
  readonly #connections = new Set<Connection>()

  private constructor(server: Server, url: string) {
    this.#server = server
    this.url = url
  }

  static async open(host: string, peerPort: number): Promise<PeerLink> {
    const server = createServer().listen(0, host)
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const link = new PeerLink(server, `http://${host}:${port}`)
    server.on('connection', (near) => link.#take(near, connect(peerPort, host)))
    return link
  }

  /** Ends the connections that are cut now. */
  apply(): void {
    for (const connection of this.#connections) if (this.#refuses(connection)) end(connection)
  }

  async close(): Promise<void> {
    this.isCut = true
    this.apply()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #refuses({ from }: Connection): boolean {
    return this.isCut || (from !== null && this.cutFrom.has(from))
  }

  #take(near: Socket, far: Socket): void {
    const connection: Connection = { near, far, from: null }
    this.#connections.add(connection)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.on('error', () => end(connection))
      socket.on('end', () => other.end())
      socket.on('close', () => {
        end(connection)
        this.#connections.delete(connection)
      })
    }
    far.pipe(near)
    near.on('data', (chunk: Buffer) => {
      // A member says who it is in the header of each request that it opens a connection with.
      connection.from ??= memberIn(chunk)
      if (this.#refuses(connection)) end(connection)
      else far.write(chunk)
    })
    if (this.#refuses(connection)) end(connection)
  }
}

function end({ near, far }: Connection): void {
  near.destroy()
  far.destroy()
}

/** As clients are told it, in decimal. */
function memberIn(chunk: Buffer): string | null {
  const id = /x-server-from: ([0-9a-f]+)/i.exec(chunk.toString('latin1'))?.[1]
  return id === undefined ? null : BigInt(`0x${id}`).toString()
}
