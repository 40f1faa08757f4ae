import type { BrokerLog, LogLevel } from '@varve/broker'

export type LogFormat = 'plain' | 'json'

const order: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** Where the lines of a broker go: to standard error, at once, so that the last one before an end is there too. */
export async function serveLog(format: LogFormat, level: LogLevel): Promise<BrokerLog> {
  if (format === 'plain') {
    const least = order.indexOf(level)
    return (lineLevel, message, { broker } = {}) => {
      if (order.indexOf(lineLevel) < least) return
      process.stderr.write(`${broker === undefined ? '' : `broker ${broker}: `}${lineLevel}: ${message}\n`)
    }
  }
  // Loaded here, because most brokers do without it.
  const { pino, stdTimeFunctions } = await import('pino')
  const logger = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    process.stderr,
  )
  return (lineLevel, message, fields = {}) => logger[lineLevel](fields, message)
}
