import { getSystemErrorName } from 'node:util'
import type { Failure } from '@varve/native'
import { VarveError } from '@varve/records'

/** What may succeed when it is tried again, without anybody opening the log anew. */
const RETRIABLE = new Set(['VARVE_LOW_DISK'])

/** The engine's error as the one that is thrown. Where the system refused something, `cause` names its errno. */
export function toError(failure: Failure): VarveError {
  const { code, message, errno } = failure
  const retriable = RETRIABLE.has(code)
  if (errno === undefined || errno === null) return new VarveError(code, message, { retriable })
  const name = getSystemErrorName(-errno)
  const cause = Object.assign(new Error(name), { errno: -errno, code: name })
  return new VarveError(code, message, { cause })
}

export function isFailure(result: unknown): result is Failure {
  return typeof result === 'object' && result !== null && 'code' in result && 'message' in result
}

/** The result of the engine, or its failure thrown. */
export function unwrap<T>(result: T | Failure): T {
  if (isFailure(result)) throw toError(result)
  return result
}
