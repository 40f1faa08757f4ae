import type { Socket } from 'node:net'
import { failedSend, stalled } from './send-failure.js'
import { unwrittenBytes } from './socket-handle.js'

/** How long, and for whom, something is sent. */
export interface Patience {
  /** In ms, how long the peer may take nothing; `Infinity` for ever. */
  readonly stallTimeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** The longest time that a timer of Node can wait. */
const LONGEST_TIMER_MS = 0x7fff_ffff

/**
 * Writes chunks and resolves when the kernel has them.
 *
 * @throws VarveError `VARVE_SEND_FAILED` when the socket fails or its peer takes nothing; the signal's reason. What has
 * been written cannot be taken back: the socket is of no use then.
 */
export function write(socket: Socket, chunks: readonly Uint8Array[], patience: Patience): Promise<void> {
  const { signal, stallTimeoutMs } = patience
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const finish = (settle: () => void): void => {
      watch.stop()
      signal?.removeEventListener('abort', onAbort)
      settle()
    }
    const onAbort = (): void => finish(() => reject(signal?.reason))
    signal?.addEventListener('abort', onAbort)
    socket.cork()
    for (const chunk of chunks.slice(0, -1)) socket.write(chunk)
    socket.write(chunks.at(-1) ?? '', (error) =>
      finish(() =>
        error == null ? resolve() : reject(failedSend('the socket failed', socket.errored ?? error)),
      ),
    )
    socket.uncork()
    const watch = new StallWatch(socket, stallTimeoutMs, () => finish(() => reject(stalled(stallTimeoutMs))))
  })
}

/** Notices when a socket takes nothing of what it was given. */
class StallWatch {
  readonly #socket: Socket
  readonly #onStall: () => void
  #timer: NodeJS.Timeout | undefined
  #left: number

  constructor(socket: Socket, timeoutMs: number, onStall: () => void) {
    this.#socket = socket
    this.#onStall = onStall
    this.#left = unwrittenBytes(socket)
    if (timeoutMs > LONGEST_TIMER_MS) return
    this.#timer = setInterval(() => this.#look(), timeoutMs).unref()
  }

  #look(): void {
    const left = unwrittenBytes(this.#socket)
    if (this.#left !== left) {
      this.#left = left
      return
    }
    // After a long turn of the event loop timers come before the sockets, which may have got on meanwhile.
    setImmediate(() => {
      setImmediate(() => {
        if (this.#timer !== undefined && unwrittenBytes(this.#socket) === left) this.#onStall()
      })
    })
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
