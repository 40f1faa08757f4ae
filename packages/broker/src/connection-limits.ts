import { isIP } from 'node:net'
import { VarveError } from '@varve/records'
import type { BrokerConfigs } from './configs/broker-configs.js'
import { formatAddress } from './listener-address.js'

export interface Limits {
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
  #limits: Limits
  readonly #counts = new Map<string, number>()
  #open = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Those that are open stay, however many there may be from now on. */
  set limits(limits: Limits) {
    this.#limits = limits
  }

  /** Counts a connection in, or says why there is no place for it. */
  admit(peerAddress: string): Release | string {
    const { max, maxPerIp, overrides } = this.#limits
    if (this.#open >= max)
      return `there are ${this.#open}, as many as max.connections or the limit on open files allows`
    const address = plainAddress(peerAddress)
    const count = this.#counts.get(address) ?? 0
    const most = overrides.get(address) ?? maxPerIp
    if (count >= most) return `there are ${count} of this address, as many as max.connections.per.ip allows`
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

/** The default of `max.connections`: as many as leave the logs their share of the files that the process may have open. */
const noLimit = 2 ** 31 - 1

/** The limits in force in a process that may have so many files open, of which the logs may have half. */
export function limitsIn(configs: BrokerConfigs, filesLimit: number): Limits {
  const max = configs.number('max.connections')
  return {
    max: max < noLimit ? max : Math.ceil(filesLimit / 2),
    maxPerIp: configs.number('max.connections.per.ip'),
    overrides: parseOverrides(configs.value('max.connections.per.ip.overrides') ?? ''),
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
