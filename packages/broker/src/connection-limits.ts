import { isIP } from 'node:net'
import { VarveError } from '@varve/records'
import { formatAddress } from './listener-address.js'

export interface LimitsOptions {
  /** All connections together. */
  readonly max: number
  /** Those of one address. */
  readonly maxPerIp: number
  /** Addresses with another limit than `maxPerIp`. */
  readonly overrides: ReadonlyMap<string, number>
}

/** Gives the place of a connection back; further calls do nothing. */
export type Release = () => void

/** How many connections there may be, from everywhere and from each address; a TLS handshake counts as one. */
export class ConnectionLimits {
  readonly #options: LimitsOptions
  readonly #counts = new Map<string, number>()
  #open = 0

  constructor(options: LimitsOptions) {
    this.#options = options
  }

  /** Counts a connection in, or says why there is no place for it. */
  admit(peerAddress: string): Release | string {
    const { max, maxPerIp, overrides } = this.#options
    if (this.#open >= max) return 'there are as many as maxConnections allows'
    const address = plainAddress(peerAddress)
    const count = this.#counts.get(address) ?? 0
    const most = overrides.get(address) ?? maxPerIp
    if (count >= most) return `there are ${count} of this address, as many as maxConnectionsPerIp allows`
    this.#open++
    this.#counts.set(address, count + 1)
    let released = false
    return () => {
      if (released) return
      released = true
      this.#open--
      const left = this.#counts.get(address)! - 1
      if (left === 0) this.#counts.delete(address)
      else this.#counts.set(address, left)
    }
  }
}

/** An IPv4 client of a socket that takes both kinds comes with an address of the other kind. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

/**
 * Kafka's `max.connections.per.ip.overrides`: `127.0.0.1:200,[::1]:100`, or an object by address.
 *
 * @throws VarveError `VARVE_INVALID_OPTION`
 */
export function parseOverrides(
  overrides: string | Readonly<Record<string, number>> | undefined,
): ReadonlyMap<string, number> {
  const entries =
    typeof overrides === 'string'
      ? overrides
          .split(',')
          .map((text) => text.trim())
          .filter((text) => text !== '')
          .map(parseOverride)
      : Object.entries(overrides ?? {})
  const parsed = new Map<string, number>()
  for (const [address, most] of entries) {
    if (isIP(address) === 0) throw invalid(`'${address}' is not an IP address`)
    if (!Number.isSafeInteger(most) || most < 0) throw invalid(`'${most}' is no number of connections`)
    parsed.set(plainAddress(address), most)
  }
  return parsed
}

/** As {@link parseOverrides} reads them. */
export function writtenOverrides(overrides: ReadonlyMap<string, number>): string {
  return [...overrides].map(([address, most]) => formatAddress(address, most)).join(',')
}

function parseOverride(text: string): [string, number] {
  const match = /^(?:\[([^\]]+)\]|(.+)):(\d+)$/.exec(text)
  if (match === null) throw invalid(`'${text}' is not of the form address:number`)
  return [(match[1] ?? match[2])!, Number(match[3])]
}

function invalid(problem: string): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', `maxConnectionsPerIpOverrides: ${problem}`)
}
