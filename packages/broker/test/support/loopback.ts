import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/**
 * The machine's connections to itself usually take what is sent within the call that sends it. One that is busy puts that off, in the
 * order in which it was sent: who waits for turns of the event loop alone may look before anything has come.
 */
class Loopback {
  readonly #near: Socket
  readonly #waiters: Array<() => void> = []

  private constructor(near: Socket) {
    this.#near = near
    near.on('data', ({ length }) => {
      for (const arrived of this.#waiters.splice(0, length)) arrived()
    })
  }

  static async open(): Promise<Loopback> {
    const server = createServer((far) =>
      far
        .setNoDelay()
        .on('data', (bytes) => far.write(bytes))
        .unref(),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const near = connect({
      port: (server.address() as { port: number }).port,
      host: '127.0.0.1',
      noDelay: true,
    })
    await once(near, 'connect')
    near.unref()
    server.close()
    return new Loopback(near)
  }

  /** Sends a byte there and back. */
  roundTrip(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve)
      this.#near.write('x')
    })
  }
}

let opened: Promise<Loopback> | undefined

/** Resolves when what the process has sent to itself before has arrived. */
export async function arrival(): Promise<void> {
  const loopback = await (opened ??= Loopback.open())
  await loopback.roundTrip()
}
