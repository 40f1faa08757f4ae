import { VarveError } from '@varve/records'

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

const DEFAULT_PORT = 9092

/** `'host:port'`, `'host'` (port 9092) or `'[::1]:port'`. @throws VarveError `VARVE_INVALID_OPTION` */
export function parseAddress(text: string): BrokerAddress {
  const match = typeof text === 'string' ? /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text.trim()) : null
  const host = match?.[1] ?? match?.[2]
  const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3])
  if (host === undefined || port < 1 || port > 65_535) {
    throw new VarveError('VARVE_INVALID_OPTION', `'${text}' is not a broker address; write host:port`)
  }
  return { host, port }
}

export function parseAddresses(brokers: readonly string[]): BrokerAddress[] {
  if (!Array.isArray(brokers) || brokers.length === 0) {
    throw new VarveError('VARVE_INVALID_OPTION', "'brokers' must be a list with at least one host:port")
  }
  return brokers.map(parseAddress)
}

export function formatAddress({ host, port }: BrokerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
