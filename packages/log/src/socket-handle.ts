/**
 * The one file of this package that reaches behind Node's public API: which descriptor a socket has, and what libuv still
 * holds of what was written. Where Node should ever take these away, sockets are written to as any other.
 */
import type { Socket } from 'node:net'

interface Handle {
  readonly fd?: number
  readonly writeQueueSize?: number
}

function handleOf(socket: Socket): Handle | null {
  return (socket as unknown as { readonly _handle?: Handle | null })._handle ?? null
}

/** The descriptor whose bytes are the peer's bytes; `null` where there is none, or where TLS lies between. */
export function descriptorOf(socket: Socket): number | null {
  if ((socket as { readonly encrypted?: boolean }).encrypted === true) return null
  const fd = handleOf(socket)?.fd
  return fd === undefined || fd < 0 ? null : fd
}

/** How many bytes written to the socket the kernel has not taken yet; it falls as the peer reads. */
export function unwrittenBytes(socket: Socket): number {
  // Bytes that libuv holds are part of writableLength until their write has ended as a whole.
  const inLibuv = handleOf(socket)?.writeQueueSize ?? 0
  return inLibuv === 0 ? socket.writableLength : Math.min(inLibuv, socket.writableLength)
}

/** Whether the kernel has all that was written, so that somebody else may send on the descriptor. */
export function isDrained(socket: Socket): boolean {
  return !socket.connecting && socket.writableLength === 0 && (handleOf(socket)?.writeQueueSize ?? 0) === 0
}
