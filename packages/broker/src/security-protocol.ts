import { VarveError } from '@varve/records'

/** What a listener speaks below Kafka's protocol: nothing, or TLS, which Kafka calls SSL. */
export type SecurityProtocol = 'PLAINTEXT' | 'SSL'

const served: ReadonlySet<string> = new Set<SecurityProtocol>(['PLAINTEXT', 'SSL'])
/** The security protocols of Kafka that would promise what this broker does not do. */
const unserved: ReadonlySet<string> = new Set(['SASL_PLAINTEXT', 'SASL_SSL'])

/** Kafka's `listener.security.protocol.map`: `NAME:PROTOCOL`, several with commas, or an object. */
export type ProtocolMap = string | Readonly<Record<string, string>>

/**
 * Which protocol a listener of a name speaks: the one that the map gives it, else the one that it is called after. A
 * listener of any other name is plaintext where there is no map, and an error where there is one, as in Kafka.
 *
 * @throws VarveError `VARVE_INVALID_LISTENER`
 */
export function protocolOf(
  name: string,
  map: ReadonlyMap<string, SecurityProtocol> | null,
): SecurityProtocol {
  const mapped = map?.get(name)
  if (mapped !== undefined) return mapped
  if (unserved.has(name)) throw unspoken(`listeners: ${name}`)
  if (served.has(name)) return name as SecurityProtocol
  if (map === null) return 'PLAINTEXT'
  throw new VarveError(
    'VARVE_INVALID_LISTENER',
    `listenerSecurityProtocolMap names no protocol for the listener ${name}; add ${name}:PLAINTEXT or ${name}:SSL`,
  )
}

/** @throws VarveError `VARVE_INVALID_LISTENER` */
export function parseProtocolMap(map: ProtocolMap | undefined): Map<string, SecurityProtocol> | null {
  if (map === undefined) return null
  const entries = typeof map === 'string' ? textEntries(map) : Object.entries(map)
  const parsed = new Map<string, SecurityProtocol>()
  for (const [listener, protocol] of entries) {
    const wanted = protocol.toUpperCase()
    if (unserved.has(wanted)) throw unspoken(`listenerSecurityProtocolMap: ${listener}`)
    if (!served.has(wanted)) {
      throw new VarveError(
        'VARVE_INVALID_LISTENER',
        `listenerSecurityProtocolMap: ${listener} cannot speak '${protocol}'; there are PLAINTEXT and SSL`,
      )
    }
    parsed.set(listener.toUpperCase(), wanted as SecurityProtocol)
  }
  return parsed
}

function textEntries(map: string): [string, string][] {
  const texts = map.split(',').map((text) => text.trim())
  return texts
    .filter((text) => text !== '')
    .map((text) => {
      const match = /^([\w.-]+):([A-Za-z_]+)$/.exec(text)
      if (match !== null) return [match[1]!, match[2]!]
      throw new VarveError(
        'VARVE_INVALID_LISTENER',
        `listenerSecurityProtocolMap: '${text}' is not of the form NAME:PROTOCOL`,
      )
    })
}

function unspoken(what: string): VarveError {
  return new VarveError(
    'VARVE_INVALID_LISTENER',
    `${what} asks for a security protocol that this broker does not speak; use PLAINTEXT or SSL`,
  )
}
