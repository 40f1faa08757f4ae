import type { Server } from 'node:net'
import { VarveError } from '@varve/records'
import { formatAddress } from './listener-address.js'

/**
 * Binds a server and lets it listen.
 *
 * @throws VarveError `VARVE_PORT_IN_USE`, `VARVE_PORT_NOT_PERMITTED` or `VARVE_ADDRESS_NOT_AVAILABLE`
 */
export async function bind(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, host, port)))
    server.listen({ port, ...(host !== '' && { host }) }, resolve)
  })
  server.removeAllListeners('error')
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): VarveError {
  const address = formatAddress(host === '' ? '*' : host, port)
  switch (error.code) {
    case 'EADDRINUSE':
      return new VarveError(
        'VARVE_PORT_IN_USE',
        `${address} is in use by another program; stop that one, or choose another port (0 takes any free one)`,
        { cause: error },
      )
    case 'EACCES':
      return new VarveError(
        'VARVE_PORT_NOT_PERMITTED',
        `this user may not listen on ${address}; choose a port above 1023`,
        { cause: error },
      )
    default:
      return new VarveError(
        'VARVE_ADDRESS_NOT_AVAILABLE',
        `cannot listen on ${address}: ${error.message}; use an address of this machine, or 0.0.0.0 for all of them`,
        { cause: error },
      )
  }
}
