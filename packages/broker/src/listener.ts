import { createServer, type Server, type Socket } from 'node:net'
import { bind } from './bind.js'
import { type BrokerLog, errorFields, type LogFields } from './broker-log.js'
import type { Clock } from './clock.js'
import type { Release } from './connection-limits.js'
import { formatAddress, isWildcard, type ListenerAddress } from './listener-address.js'
import type { Endpoint } from './request-context.js'
import type { TlsHandshakes } from './tls-handshakes.js'

/** Refused connections are worth a line, but a flood of them is not worth a flood of lines. */
const refusalLineEveryMs = 10_000

export interface ListenerOptions {
  readonly address: ListenerAddress
  /** Where clients are told to connect, if somewhere else; port 0 stands for the port that is listened on. */
  readonly advertised: ListenerAddress | null
  readonly clock: Clock
  readonly log: BrokerLog
  /** Where it speaks TLS. */
  readonly tls: TlsHandshakes | null
  /** Counts an accepted socket in, or says why it is refused. */
  readonly admit: (socket: Socket) => Release | string
  /** Takes a socket that Kafka's protocol can be spoken on, and whose reading has not begun. */
  readonly onSocket: (socket: Socket, listener: Listener, release: Release) => void
}

/** One bound address. */
export class Listener {
  readonly #options: ListenerOptions
  readonly #server: Server
  #port = 0
  #lastRefusalLine = -Infinity

  private constructor(options: ListenerOptions) {
    this.#options = options
    // A handshake reads at once, and ends with the peer's last word; nobody but Node listens for it meanwhile.
    const isPlain = options.tls === null
    const serverOptions = { pauseOnConnect: isPlain, allowHalfOpen: isPlain, noDelay: true }
    this.#server = createServer(serverOptions, (socket) => this.#accept(socket))
  }

  /**
   * Binds and listens.
   *
   * @throws VarveError `VARVE_PORT_IN_USE`, `VARVE_PORT_NOT_PERMITTED` or `VARVE_ADDRESS_NOT_AVAILABLE`
   */
  static async open(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options)
    const { port } = options.address
    const server = listener.#server
    await bind(server, options.address)
    // Errors of accept(), such as too many open files, cost the connection that was not accepted and nothing else.
    server.on('error', (error) =>
      listener.#complain(`could not accept a connection: ${error.message}`, errorFields(error)),
    )
    const bound = server.address()
    listener.#port = typeof bound === 'object' && bound !== null ? bound.port : port
    return listener
  }

  get port(): number {
    return this.#port
  }

  get host(): string {
    return this.#options.address.host
  }

  /**
   * Where a client that came in here is told to connect. A listener on all interfaces that advertises nothing names the
   * local address that the client has just reached.
   */
  endpointFor(localAddress: string): Endpoint {
    const { address, advertised } = this.#options
    const port = advertised === null || advertised.port === 0 ? this.#port : advertised.port
    if (advertised !== null && advertised.host !== '')
      return { listener: address.name, host: advertised.host, port }
    const host = isWildcard(address.host)
      ? localAddress.replace(/^::ffff:(?=\d)/, '') || '127.0.0.1'
      : address.host
    return { listener: address.name, host, port }
  }

  /** Stops listening. Connections are their owner's to end. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
    })
  }

  #accept(socket: Socket): void {
    // Until its new owner listens, a reset would be an unhandled error.
    socket.on('error', () => {})
    // The address of a socket that has been destroyed is no longer known.
    const peer = formatAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0)
    const { admit, onSocket, tls } = this.#options
    const admitted = admit(socket)
    if (typeof admitted === 'string') {
      socket.destroy()
      this.#complain(`refused a connection from ${peer}: ${admitted}`, { peer })
    } else if (tls === null) {
      onSocket(socket, this, admitted)
    } else {
      tls.begin(socket, (secure, reason) => {
        if (secure !== null) {
          secure.allowHalfOpen = true
          onSocket(secure, this, admitted)
          return
        }
        admitted()
        this.#complain(`no TLS connection with ${peer} on ${this.#options.address.name}: ${reason}`, { peer })
      })
    }
  }

  #complain(line: string, fields: LogFields): void {
    const now = this.#options.clock.now()
    if (now - this.#lastRefusalLine < refusalLineEveryMs) return
    this.#lastRefusalLine = now
    this.#options.log('warn', line, fields)
  }
}

/**
 * Makes sure that all addresses can be bound, and lets go of them again: a start that fails for a port should not have
 * created anything, and clients should not be able to connect to a broker that still recovers its logs.
 *
 * @throws VarveError as {@link Listener.open} does
 */
export async function checkBindable(addresses: readonly ListenerAddress[]): Promise<void> {
  const servers: Server[] = []
  try {
    for (const address of addresses) {
      const server = createServer((socket) => socket.destroy())
      await bind(server, address)
      servers.push(server)
    }
  } finally {
    for (const server of servers) await new Promise((resolve) => server.close(resolve))
  }
}
