import { constants } from 'node:os'
import type { Socket } from 'node:net'
import { openSender, type NativeSender, type NativeSocket } from '@varve/native'
import { toError } from './failure.js'
import { hold, release } from './keep-alive.js'
import { failedSend, refusedSend, stalled } from './send-failure.js'
import { LogSlice, type Slice } from './slice.js'
import { descriptorOf } from './socket-handle.js'
import type { Patience } from './socket-write.js'

/** Bytes are copied for a job, on the event loop, so that one takes no more than this of them. */
const COPIED_BYTES = 1 << 20

const SENT = 0
const LOG_FAILED = -1

type Settle = (status: number) => void

/** Jobs under way, by their ids. */
const jobs = new Map<number, Settle>()
let lastId = 0
let sender: NativeSender | undefined

function senderOfProcess(open: NonNullable<typeof openSender>): NativeSender {
  return (sender ??= open((ends) => {
    for (let at = 0; at < ends.length; at += 2) jobs.get(ends[at]!)?.(ends[at + 1]!)
  }))
}

/** Whether a slice's bytes can go from the file to a socket. */
export function isInFile(part: Uint8Array | Slice): part is Uint8Array | LogSlice {
  return part instanceof Uint8Array || part instanceof LogSlice
}

/**
 * Sends slices of segment files, and bytes between them, to one socket by the sender's own threads. Its second descriptor
 * of the socket is taken once and closed with the socket.
 */
export class SocketSender {
  readonly #native: NativeSocket
  #abandon: ((error: unknown) => void) | null = null

  /** `null` for a socket that must be written to: TLS, no descriptor, another platform, `VARVE_NO_SENDFILE=1`. */
  static on(socket: Socket): SocketSender | null {
    if (openSender === undefined || process.env['VARVE_NO_SENDFILE'] === '1') return null
    const fd = descriptorOf(socket)
    const native = fd === null ? null : senderOfProcess(openSender).connect(fd)
    return native === null ? null : new SocketSender(socket, native)
  }

  private constructor(socket: Socket, native: NativeSocket) {
    this.#native = native
    // The peer would not see the end of a connection that this descriptor still holds.
    socket.once('close', () => this.#end(failedSend('the socket was closed', socket.errored ?? undefined)))
  }

  /** What waits for the peer; 0 when the kernel has all of it. */
  get unsentBytes(): number {
    return this.#native.unsentBytes
  }

  /**
   * Sends everything, in order, while nobody else writes to the socket. The slices may be closed afterwards.
   *
   * @throws VarveError as `send` does; the signal's reason
   */
  async send(parts: readonly (Uint8Array | LogSlice)[], patience: Patience): Promise<void> {
    let room = COPIED_BYTES
    for (const part of parts) {
      if (!(part instanceof Uint8Array)) {
        part.pushTo(this.#native)
        continue
      }
      for (let at = 0; at < part.length;) {
        if (room === 0) {
          await this.#run(patience)
          room = COPIED_BYTES
        }
        const piece = part.subarray(at, at + room)
        this.#native.pushBytes(piece)
        at += piece.length
        room -= piece.length
      }
    }
    await this.#run(patience)
  }

  #run({ signal, stallTimeoutMs }: Patience): Promise<void> | void {
    signal?.throwIfAborted()
    const id = ++lastId
    const status = this.#native.begin(id, stallTimeoutMs)
    if (status === SENT) return
    if (status !== null) throw this.#failure(status, stallTimeoutMs)
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        jobs.delete(id)
        this.#abandon = null
        signal?.removeEventListener('abort', onAbort)
        release()
        settle()
      }
      const onAbort = (): void => this.#end(signal?.reason)
      hold()
      jobs.set(id, (ended) =>
        finish(() => (ended === SENT ? resolve() : reject(this.#failure(ended, stallTimeoutMs)))),
      )
      this.#abandon = (error) => finish(() => reject(error))
      signal?.addEventListener('abort', onAbort)
    })
  }

  #failure(status: number, stallTimeoutMs: number): unknown {
    if (status === LOG_FAILED) return toError(this.#native.failure()!)
    if (status === constants.errno.ETIMEDOUT) return stalled(stallTimeoutMs)
    return refusedSend('the peer is gone', status)
  }

  #end(error: unknown): void {
    this.#native.close()
    this.#abandon?.(error)
  }
}
