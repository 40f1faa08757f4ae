import type { Socket } from 'node:net'
import { createServer, type Server, type TlsOptions, type TLSSocket } from 'node:tls'
import type { Clock } from './clock.js'
import { socketBelow } from './receiving-socket.js'

/** A client that has not shown by then that it speaks TLS is given up. */
const handshakeTimeoutMs = 10_000

interface Handshake {
  readonly done: (secure: TLSSocket | null, reason: string) => void
}

/**
 * Makes TLS connections of accepted ones. The server in here listens nowhere; it is handed sockets, so that whoever
 * accepts them can count and refuse them before a key is used for them.
 */
export class TlsHandshakes {
  readonly #server: Server
  readonly #clock: Clock
  readonly #mayBeAnonymous: boolean
  /** Those under way, by the socket below. */
  readonly #under = new Map<Socket, Handshake>()

  constructor(options: TlsOptions, clock: Clock) {
    this.#clock = clock
    this.#mayBeAnonymous = options.requestCert === true && options.rejectUnauthorized === false
    this.#server = createServer({ ...options, handshakeTimeout: 2 * handshakeTimeoutMs })
    this.#server.on('secureConnection', (secure) => this.#end(secure, null))
    this.#server.on('tlsClientError', (error: Error & { reason?: string }, secure) => {
      // What OpenSSL says first is where in its sources it is. Where a certificate is required, Node ends the connection of
      // one that is not trusted, and its error only says that the connection has ended.
      this.#end(secure, distrusted(secure) ?? error.reason ?? error.message)
    })
  }

  /** Calls back once: with the connection, not yet flowing, or with null and the reason, the socket being destroyed. */
  begin(socket: Socket, done: (secure: TLSSocket | null, reason: string) => void): void {
    const timer = this.#clock.setTimeout(() => {
      this.#under.get(socket)?.done(null, `no TLS handshake within ${handshakeTimeoutMs / 1000} s`)
    }, handshakeTimeoutMs)
    const once = (secure: TLSSocket | null, reason: string): void => {
      if (!this.#under.delete(socket)) return
      this.#clock.clearTimeout(timer)
      socket.off('close', onClose)
      if (secure === null) socket.destroy()
      done(secure, reason)
    }
    // Where Node has closed it, for a certificate that is not trusted, it says so right after.
    const onClose = (): void => {
      setImmediate(() => once(null, 'the client left during the TLS handshake'))
    }
    this.#under.set(socket, { done: once })
    socket.once('close', onClose)
    this.#server.emit('connection', socket)
  }

  /** Those that begin from now on use another certificate, key and authorities; the options beside these stay. */
  renew(options: TlsOptions): void {
    this.#server.setSecureContext(options)
  }

  /** Gives up all that are under way. */
  close(): void {
    for (const [, { done }] of this.#under) done(null, 'the broker is closing')
  }

  #end(secure: TLSSocket, failure: string | null): void {
    // Until its new owner listens, a reset would be an unhandled error.
    secure.on('error', () => {})
    const handshake = this.#under.get(socketBelow(secure)!)
    if (handshake === undefined) {
      secure.destroy()
      return
    }
    const refusal = failure ?? this.#untrusted(secure)
    if (refusal !== null) secure.destroy()
    handshake.done(refusal === null ? secure : null, refusal ?? '')
  }

  /** Where certificates are asked for but not required, Node leaves it to us to look at those that came. */
  #untrusted(secure: TLSSocket): string | null {
    if (!this.#mayBeAnonymous || secure.authorized) return null
    return Object.keys(secure.getPeerCertificate()).length === 0 ? null : distrusted(secure)
  }
}

function distrusted({ authorizationError }: TLSSocket): string | null {
  if (!authorizationError) return null
  return `the client's certificate is not trusted: ${String(authorizationError)}`
}
