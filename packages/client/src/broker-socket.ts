import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions as TlsConnectionOptions } from 'node:tls'
import { VarveError } from '@varve/records'
import { formatAddress, type BrokerAddress } from './broker-address.js'

/**
 * How to speak TLS with brokers: what `tls.connect` of Node takes, such as `ca`, `cert` and `key` in PEM, `servername` where the
 * certificate names another host. Default of `ca`: the authorities that Node trusts.
 */
export type TlsOptions = Omit<TlsConnectionOptions, 'host' | 'port' | 'path' | 'socket'>

/** Where a socket's bytes go. */
export interface Receiver {
  /** Where the next read goes. */
  nextBuffer(): Uint8Array
  /** Takes what has been read into the last buffer. False pauses the socket. */
  received(count: number): boolean
  /** Takes bytes that were read elsewhere. False pauses the socket. */
  push(bytes: Buffer): boolean
}

/** Dials a broker, with TLS unless `tls` is false. */
export function brokerSocket(
  { host, port }: BrokerAddress,
  tls: boolean | TlsOptions,
  receiver: Receiver,
): Socket {
  if (tls === false) {
    const onread = {
      buffer: () => receiver.nextBuffer(),
      callback: (count: number) => receiver.received(count),
    }
    return connectPlain({ host, port, noDelay: true, keepAlive: true, onread })
  }
  // Node reads TLS into buffers of its own.
  const socket = connectTls({ ...(tls === true ? {} : tls), host, port })
  socket.setNoDelay(true)
  socket.setKeepAlive(true)
  socket.on('data', (bytes: Buffer) => {
    if (!receiver.push(bytes)) socket.pause()
  })
  return socket
}

/** The event that says that requests can be sent. */
export function readyEvent(tls: boolean | TlsOptions): 'connect' | 'secureConnect' {
  return tls === false ? 'connect' : 'secureConnect'
}

/** What is wrong with a certificate or a handshake, which does not pass by waiting; null where it is something else. */
export function tlsFailure(address: BrokerAddress, cause: unknown): VarveError | null {
  const { code = '' } = cause as NodeJS.ErrnoException
  if (!/CERT|LEAF_SIGNATURE|^ERR_TLS|^ERR_SSL|^HOSTNAME_MISMATCH|^EPROTO$/.test(code)) return null
  // What OpenSSL says first is where in its sources it is.
  const { message: whole, reason = whole } = cause as Error & { readonly reason?: string }
  const message = `No TLS connection to ${formatAddress(address)}: ${reason}`
  return new VarveError('VARVE_TLS_FAILED', message, { cause })
}

/** What the system says where nobody could be reached; null where an attempt ended otherwise. */
export function connectFailure(address: BrokerAddress, cause: unknown): VarveError | null {
  if (!(cause instanceof Error) || !('syscall' in cause || systemCode(cause) === 'ECONNRESET')) return null
  const message = `Cannot connect to ${formatAddress(address)}: ${cause.message}`
  return new VarveError('VARVE_CONNECTION_FAILED', message, { cause, retriable: true })
}

function systemCode(error: Error): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
