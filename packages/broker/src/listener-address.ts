import { VarveError } from '@varve/records'

/** A listener as Kafka writes it: `NAME://host:port`. */
export interface ListenerAddress {
  /** In capitals, as Kafka's. Advertised listeners are matched with listeners by it. */
  readonly name: string
  /** Without the brackets of an IPv6 address; empty for all interfaces. */
  readonly host: string
  readonly port: number
}

/**
 * Parses `listeners` or `advertisedListeners`: one string, separated by commas, or an array.
 *
 * @throws VarveError `VARVE_INVALID_LISTENER`
 */
export function parseListeners(option: string, listeners: string | readonly string[]): ListenerAddress[] {
  const texts = (typeof listeners === 'string' ? listeners.split(',') : listeners).map((text) => text.trim())
  const parsed = texts.filter((text) => text !== '').map((text) => parseListener(option, text))
  const names = new Set<string>()
  for (const { name } of parsed) {
    if (names.has(name)) throw invalid(option, name, 'is there twice; give each listener a name of its own')
    names.add(name)
  }
  return parsed
}

function parseListener(option: string, text: string): ListenerAddress {
  const match = /^([\w.-]+):\/\/(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(text)
  if (match === null) throw invalid(option, text, 'is not of the form PLAINTEXT://host:port')
  const name = match[1]!.toUpperCase()
  const port = Number(match[4])
  if (port > 65535) throw invalid(option, text, 'has a port above 65535')
  return { name, host: match[2] ?? match[3]!, port }
}

function invalid(option: string, text: string, problem: string): VarveError {
  return new VarveError('VARVE_INVALID_LISTENER', `${option}: '${text}' ${problem}`)
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether a listener bound to this host takes connections on every interface, so that nobody can connect to the name. */
export function isWildcard(host: string): boolean {
  return host === '' || host === '0.0.0.0' || host === '::'
}
