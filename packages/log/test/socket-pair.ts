import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type ListenOptions, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** Both ends of a connection. */
export interface SocketPair {
  /** The end that sends. */
  readonly near: Socket
  readonly far: Socket
}

/** Connects two sockets, which are gone at the end of the test. */
export async function socketPair(
  where: ListenOptions = { port: 0 },
  allowHalfOpen = false,
): Promise<SocketPair> {
  const server = createServer({ allowHalfOpen }).listen(where)
  await once(server, 'listening')
  const address = server.address()
  const far = typeof address === 'string' ? connect(address) : connect(address!.port, '127.0.0.1')
  far.on('error', () => {})
  const [near] = (await once(server, 'connection')) as [Socket]
  server.close()
  onTestFinished(() => {
    near.destroy()
    far.destroy()
  })
  return { near, far }
}

/** How many bytes a socket receives until its peer has said the last, and their hash. */
export async function received(socket: Socket): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
  return { bytes, hash: hash.digest('hex') }
}

export function hashOf(...chunks: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}
