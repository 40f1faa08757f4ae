import { getSystemErrorName } from 'node:util'
import { VarveError } from '@varve/records'

/** @param what what happened, as the message goes on behind "could not be sent: " */
export function failedSend(what: string, cause?: unknown): VarveError {
  const reason = cause instanceof Error ? `${what} (${cause.message})` : what
  const message = `not everything could be sent: ${reason}. The connection is of no use any more; the peer has to connect again`
  return new VarveError('VARVE_SEND_FAILED', message, { ...(cause !== undefined && { cause }) })
}

/** What the system answered, as Node would say it. */
export function refusedSend(what: string, errno: number): VarveError {
  const code = getSystemErrorName(-errno)
  return failedSend(what, Object.assign(new Error(code), { errno: -errno, code, syscall: 'sendfile' }))
}

export function stalled(timeoutMs: number): VarveError {
  const cause = Object.assign(new Error('ETIMEDOUT'), { code: 'ETIMEDOUT' })
  return failedSend(`the peer took nothing for ${timeoutMs / 1000} s`, cause)
}
