import type { Socket } from 'node:net'
import { failedSend } from './send-failure.js'
import { LogSlice, type Slice } from './slice.js'
import { isDrained, unwrittenBytes } from './socket-handle.js'
import { isInFile, SocketSender } from './socket-sender.js'
import { write, type Patience } from './socket-write.js'
import { invalidOption } from './whole-number.js'
import { writeParts } from './written-send.js'

/** How long a send may take, and for whom it is. */
export interface SendOptions {
  /** Gives up with the signal's reason. What has been sent by then cannot be taken back: the socket is destroyed. */
  signal?: AbortSignal
  /** How many ms the peer may take nothing before it is given up; `Infinity` for ever. Default 30 000. */
  stallTimeoutMs?: number
}

const STALL_TIMEOUT_MS = 30_000

/**
 * Sends bytes and slices of logs to a socket, in order and behind everything written to it before, and resolves when the
 * kernel has taken all of it. Slices go from the page cache to the socket without being read (`sendfile`), by threads
 * that serve the whole process; for a TLS socket, on other platforms than Linux and with `VARVE_NO_SENDFILE=1` in the
 * environment they are read and written instead, chunk by chunk.
 *
 * Several sends to a socket leave in the order of their calls. Until the promise settles the socket, and the bytes that
 * were given, belong to the send: whoever writes to the socket meanwhile spoils the stream, which is noticed at the end
 * and destroys the connection. The slices are closed in any case. What was sent does not count in `socket.bytesWritten`,
 * nor as activity for `socket.setTimeout`.
 *
 * A failure is this call's alone, without an `'error'` event that nobody expects, and destroys the socket, because its peer
 * has been promised more than it gets.
 *
 * @throws VarveError (as a rejection, as everything here) `VARVE_SEND_FAILED` when the connection ends or its peer takes
 * nothing (`cause.code` says how: `ECONNRESET`, `EPIPE`, `ETIMEDOUT` …) or when somebody else wrote; `VARVE_TRUNCATED` when
 * the log is cut below the end of a slice, `VARVE_LOG_CORRUPT` when its file is, `VARVE_IO`; and with nothing sent and the socket as it was `VARVE_LOG_CLOSED` for
 * a closed slice and `VARVE_INVALID_OPTION`. The signal's reason.
 * @example
 * ```ts
 * import { once } from 'node:events'
 * import { connect, createServer, type AddressInfo } from 'node:net'
 * import { openLog, send, sendsFiles, unsentBytes } from '@varve/log'
 *
 * await using log = await openLog('./orders')
 * await log.append([{ value: 'a' }])
 * const server = createServer(async (socket) => {
 *   const slice = await log.slice({ from: 0 })
 *   const header = Buffer.alloc(4)
 *   header.writeUInt32BE(slice.byteLength)
 *   console.log(sendsFiles(socket, [slice]) ? 'by sendfile' : 'read and written')
 *   await send(socket, [header, slice], { stallTimeoutMs: 10_000 })
 *   console.log(unsentBytes(socket)) // 0
 *   socket.end()
 * })
 * await once(server.listen(0), 'listening')
 * for await (const chunk of connect((server.address() as AddressInfo).port)) console.log(chunk.length)
 * server.close()
 * ```
 */
export async function send(
  socket: Socket,
  parts: readonly (Uint8Array | Slice)[],
  options: SendOptions = {},
): Promise<void> {
  const { signal, stallTimeoutMs = STALL_TIMEOUT_MS } = options
  checkParts(parts)
  try {
    if (!(stallTimeoutMs >= 1))
      throw invalidOption('stallTimeoutMs', stallTimeoutMs, 'a number of ms from 1 on')
    for (const part of parts) if (part instanceof LogSlice) part.assertOpen()
    signal?.throwIfAborted()
    await outgoingOf(socket).send(parts, { signal, stallTimeoutMs })
  } finally {
    for (const part of parts) if (!(part instanceof Uint8Array)) part.close()
  }
}

/**
 * Whether {@link send} will give these slices to this socket without reading them. It then holds no memory for them.
 */
export function sendsFiles(socket: Socket, slices: readonly Slice[]): boolean {
  return !socket.connecting && slices.every(isInFile) && outgoingOf(socket).sender !== null
}

/**
 * How many bytes written or sent to the socket wait for the peer: 0 when the kernel has taken all of them, before that
 * falling as the peer reads.
 */
export function unsentBytes(socket: Socket): number {
  return unwrittenBytes(socket) + (outgoings.get(socket)?.unsentBytes ?? 0)
}

function checkParts(parts: readonly (Uint8Array | Slice)[]): void {
  const isPart = (part: unknown): boolean =>
    part instanceof Uint8Array || typeof (part as Partial<Slice> | null)?.read === 'function'
  if (!Array.isArray(parts) || !parts.every(isPart)) {
    throw invalidOption('parts', parts, 'an array of Uint8Arrays and slices')
  }
}

const outgoings = new WeakMap<Socket, Outgoing>()

function outgoingOf(socket: Socket): Outgoing {
  let outgoing = outgoings.get(socket)
  if (outgoing === undefined) outgoings.set(socket, (outgoing = new Outgoing(socket)))
  return outgoing
}

/** The sends of one socket, one after the other. */
class Outgoing {
  readonly #socket: Socket
  #sender: SocketSender | null | undefined
  /** Settles when the last of them has. It says nothing more, or each would remember all that were before it. */
  #last: Promise<void> = Promise.resolve()
  #pending = 0
  #letGo: () => void = () => {}

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Whoever sends files to the socket; asked for when it is connected. */
  get sender(): SocketSender | null {
    if (this.#sender === undefined) this.#sender = SocketSender.on(this.#socket)
    return this.#sender
  }

  get unsentBytes(): number {
    return this.#sender?.unsentBytes ?? 0
  }

  async send(parts: readonly (Uint8Array | Slice)[], patience: Patience): Promise<void> {
    if (this.#pending++ === 0) this.#letGo = keepForSending(this.#socket)
    const turn = this.#last
    const sent = unlessAborted(turn, patience.signal).then(() => this.#send(parts, patience))
    this.#last = sent.then(undefined, () => turn)
    try {
      await sent
    } finally {
      if (--this.#pending === 0) this.#letGo()
    }
  }

  async #send(parts: readonly (Uint8Array | Slice)[], patience: Patience): Promise<void> {
    const socket = this.#socket
    patience.signal?.throwIfAborted()
    if (!socket.writable) throw failedSend('the socket is closed', socket.errored ?? undefined)
    try {
      while (!isDrained(socket)) await write(socket, [], patience)
    } catch (error) {
      // Nothing of this send is on its way yet: whoever gives it up may still write something else.
      if (!patience.signal?.aborted) socket.destroy()
      throw error
    }
    try {
      let written = socket.bytesWritten
      if (parts.every(isInFile) && this.sender !== null) await this.sender.send(parts, patience)
      else {
        await writeParts(socket, parts, patience)
        for (const { byteLength } of parts) written += byteLength
      }
      if (socket.bytesWritten !== written) {
        throw failedSend('somebody else wrote to the socket before the send had ended')
      }
    } catch (error) {
      socket.destroy()
      throw error
    }
  }
}

/** What `turn` comes to, which never is an error, or the signal's reason if that comes first. */
function unlessAborted(turn: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return turn
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort)
    void turn.then(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
  })
}

/**
 * Keeps a socket from ending, or its process from crashing, before a send does: a peer that has said its last word may
 * still listen, and an error is the send's to tell. Returns how to let go of it.
 */
function keepForSending(socket: Socket): () => void {
  const ignore = (): void => {}
  socket.on('error', ignore)
  const { allowHalfOpen } = socket
  socket.allowHalfOpen = true
  return () => {
    // The event may still be to come for a socket that failed.
    if (socket.destroyed) return
    socket.off('error', ignore)
    socket.allowHalfOpen = allowHalfOpen
    if (!allowHalfOpen && socket.readableEnded && !socket.writableEnded) socket.end()
  }
}
