import type { Socket } from 'node:net'
import type { Slice } from './slice.js'
import { write, type Patience } from './socket-write.js'

/** What is read and written at once. */
const CHUNK_BYTES = 256 << 10
/** Chunks that are kept for the next send, all sockets together. */
const MOST_IDLE = 16

const idle: Buffer[] = []

/**
 * Sends by reading and writing: for sockets that cannot be sent files. Holds one chunk at a time, whatever is sent.
 *
 * @throws VarveError as `send` does; the signal's reason
 */
export async function writeParts(
  socket: Socket,
  parts: readonly (Uint8Array | Slice)[],
  patience: Patience,
): Promise<void> {
  // Small parts in front of a chunk, as the header of a response is, leave together with it.
  let gathered: Uint8Array[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    const chunks = gathered
    gathered = []
    bytes = 0
    if (chunks.length > 0) await write(socket, chunks, patience)
  }
  const add = async (chunk: Uint8Array): Promise<void> => {
    if (chunk.length === 0) return
    gathered.push(chunk)
    bytes += chunk.length
    if (bytes >= CHUNK_BYTES) await flush()
  }
  for (const part of parts) {
    if (part instanceof Uint8Array) await add(part)
    else {
      for (let at = 0; at < part.byteLength;) {
        const buffer = idle.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
        const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, part.byteLength - at))
        await part.readInto(chunk, at)
        at += chunk.length
        await add(chunk)
        await flush()
        // Only here, since a write that has failed may still look at it.
        if (idle.length < MOST_IDLE) idle.push(buffer)
      }
    }
  }
  await flush()
}
