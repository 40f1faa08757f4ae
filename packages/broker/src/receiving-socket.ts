/**
 * This reaches behind Node's public API: a server's sockets cannot be told where to read (`onread`), so the handle of an
 * accepted socket is moved to a new one that can. `VARVE_NO_ONREAD=1` forces the plain way, 'data' events, which costs a
 * copy and is what stays if Node ever takes the handles away. TLS sockets always go the plain way.
 */
import { Socket } from 'node:net'

/** Where a socket's bytes go. */
export interface Receiver {
  /** Where the next read goes; asked again after every read. */
  nextBuffer(): Uint8Array
  /** Takes what has been read into the last buffer. False pauses the socket until `resume()`. */
  received(count: number): boolean
  /** Takes bytes that were read elsewhere and are overwritten later. False pauses the socket until `resume()`. */
  push(bytes: Buffer): boolean
}

interface WithHandle {
  _handle: object | null | undefined
}

/** The accepted socket that a server's TLS socket was made of: what links the two is not public either. */
export function socketBelow(secure: Socket): Socket | undefined {
  return (secure as unknown as { readonly _parent?: Socket })._parent
}

/**
 * Turns a socket that a server with `pauseOnConnect` has just accepted into one that reads straight into its receiver.
 * The caller attaches its listeners and calls `resume()`.
 */
export function receivingSocket(accepted: Socket, receiver: Receiver): Socket {
  const handle = (accepted as unknown as WithHandle)._handle
  const isTls = (accepted as { readonly encrypted?: boolean }).encrypted === true
  if (process.env['VARVE_NO_ONREAD'] === '1' || isTls || handle === null || handle === undefined) {
    accepted.on('data', (bytes: Buffer) => {
      if (!receiver.push(bytes)) accepted.pause()
    })
    return accepted
  }
  ;(accepted as unknown as WithHandle)._handle = null
  // Without its handle it still counts in the server's connections until it is destroyed.
  accepted.destroy()
  const options = {
    handle,
    allowHalfOpen: true,
    readable: true,
    writable: true,
    onread: {
      buffer: () => receiver.nextBuffer(),
      callback: (count: number) => receiver.received(count),
    },
  }
  return new Socket(options as unknown as ConstructorParameters<typeof Socket>[0])
}
