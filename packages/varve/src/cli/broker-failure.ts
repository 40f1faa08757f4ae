import { Failure, systemCode } from './failure.js'

/** Turns what a client says when nobody answers into what the user can do about it. */
export function brokerFailure(error: unknown, brokers: readonly string[]): unknown {
  const where = brokers.join(', ')
  switch (systemCode(error)) {
    case 'ECONNREFUSED':
      return new Failure(
        `no broker answers at ${where}. Start one with: varve serve, or name another with --broker HOST:PORT`,
        { cause: error },
      )
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new Failure(`the host of ${where} has no address. Check --broker HOST:PORT`, { cause: error })
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new Failure(`${where} cannot be reached. Check the network and --broker HOST:PORT`, {
        cause: error,
      })
    default:
      return error
  }
}
