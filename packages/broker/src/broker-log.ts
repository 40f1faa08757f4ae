import { VarveError } from '@varve/records'

/** How much a line matters. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What a line is about, for whoever looks for lines by it. The line says all of it in words. */
export interface LogFields {
  /** A broker's id, where several share a process. */
  readonly broker?: number
  readonly topic?: string
  readonly partition?: number
  /** A group's id. */
  readonly group?: string
  /** A member's id. */
  readonly member?: string
  /** A client's id. */
  readonly client?: string
  /** A client's address, with its port where it is about a connection. */
  readonly peer?: string
  /** The code of an error: of a VarveError, or the system's, such as `ENOSPC`. */
  readonly code?: string
  /** Of an error that nobody expected. */
  readonly stack?: string
}

/** Where the broker's lines go: one call, one line, without a line end. */
export type BrokerLog = (level: LogLevel, message: string, fields?: LogFields) => void

/** Says nothing; what {@link BrokerOptions.log} defaults to, so that a broker in a test stays quiet. */
export const silentLog: BrokerLog = () => {}

/** The fields of whatever was thrown. */
export function errorFields(error: unknown): Pick<LogFields, 'code' | 'stack'> {
  if (!(error instanceof Error)) return {}
  const { code } = error as { code?: unknown }
  return {
    ...(typeof code === 'string' && { code }),
    ...(!VarveError.is(error) && error.stack !== undefined && { stack: error.stack }),
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
