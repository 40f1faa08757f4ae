import { Failure } from './failure.js'
import { clusterFailure } from './serve-cluster.js'
import type { ServeOptions } from './serve-options.js'

/** The broker says what is wrong; here it is said in terms of this command's options. */
export function startFailure(error: unknown, options: ServeOptions): unknown {
  const admin = `${options.adminHost}:${options.adminPort}`
  // What the broker says of the admin port needs no other words.
  if (error instanceof Error && error.message.startsWith(`${admin} `)) return error
  const at = options.listeners ?? `${options.host}:${options.port}`
  switch ((error as { code?: unknown } | null)?.code) {
    case 'VARVE_PORT_IN_USE':
      return new Failure(
        `${at} is in use by another process. Stop that one, or choose another port: --port ${options.port < 65_000 ? options.port + 100 : 9092}`,
        {
          cause: error,
        },
      )
    case 'VARVE_PORT_NOT_PERMITTED':
      return new Failure(`this user may not listen on ${at}. Choose a port from 1024 on: --port 9092`, {
        cause: error,
      })
    case 'VARVE_ADDRESS_NOT_AVAILABLE':
      return new Failure(
        `${at} is not an address of this machine. Choose one with --host, such as 127.0.0.1 or 0.0.0.0`,
        {
          cause: error,
        },
      )
    default:
      return clusterFailure(error, options)
  }
}
