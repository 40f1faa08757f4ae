import { VarveError } from '@varve/records'
import { Failure, systemCode } from './failure.js'

const kafkaName = (error: VarveError): string | undefined => (error as { kafkaName?: string }).kafkaName

/** What a client says about a connection that came about and then was of no use, with what to do about it. */
function tlsRefusal(error: VarveError): string | undefined {
  const { cause } = error
  if (!VarveError.is(cause)) return undefined
  if (cause.code === 'VARVE_CONNECTION_CLOSED')
    return `${cause.message.replace(/ with tls$/, ' with --tls')}.`
  if (cause.code !== 'VARVE_TLS_FAILED') return undefined
  return `${cause.message}. Check --ca, and --cert and --key if the broker asks for a certificate`
}

/** Turns what a client says when nobody answers, or when a topic is not there, into what the user can do about it. */
export function brokerFailure(error: unknown, brokers: readonly string[], topic?: string): unknown {
  if (!VarveError.is(error)) return error
  const where = brokers.join(', ')
  if (error.code === 'VARVE_NO_BROKER') {
    const refusal = tlsRefusal(error)
    if (refusal !== undefined) return new Failure(refusal, { cause: error })
    const code = systemCode(error)
    const remedy =
      code === 'ENOTFOUND' || code === 'EAI_AGAIN'
        ? 'That host has no address; check --broker HOST:PORT'
        : 'Start one with: varve serve, or name another with --broker HOST:PORT'
    return new Failure(`no broker answers at ${where}. ${remedy}`, { cause: error })
  }
  if (kafkaName(error) === 'UNKNOWN_TOPIC_OR_PARTITION' && topic !== undefined) {
    return new Failure(
      `there is no topic ${topic} at ${where}. Create it with: varve topic create ${topic}`,
      { cause: error },
    )
  }
  return error
}
