/** How much a line matters. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Where the broker's lines go: one call, one line, without a line end. */
export type BrokerLog = (level: LogLevel, message: string) => void

/** Says nothing; what {@link BrokerOptions.log} defaults to, so that a broker in a test stays quiet. */
export const silentLog: BrokerLog = () => {}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
