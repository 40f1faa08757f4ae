import { type Message, message } from './message.js'
import type { Decoded, Encodable, Fields } from './schema.js'
import { type VersionSpec, versionRange } from './versions.js'

/** A request and its response: `Q` and `S` as decoded, `QI` and `SI` as encoders take them. */
export interface Api<Q, S, QI = Q, SI = S> {
  readonly key: number
  /** Kafka's name, e.g. `Produce`. */
  readonly name: string
  /** The versions that are declared here; what a broker advertises is the broker's to say. */
  readonly minVersion: number
  readonly maxVersion: number
  /** The first version with compact lengths and tags, in header and body; Infinity if there is none. */
  readonly flexibleFrom: number
  readonly request: Message<Q, QI>
  readonly response: Message<S, SI>
}

/** Some API: what it decodes to depends on a key that only run time knows. */
// oxlint-disable-next-line typescript/no-explicit-any -- `unknown` would make every user of the table cast twice.
export type AnyApi = Api<any, any>

export interface ApiDeclaration<Q extends Fields, S extends Fields> {
  readonly key: number
  readonly name: string
  readonly versions: VersionSpec
  readonly flexible: VersionSpec | 'none'
  readonly request: Q
  readonly response: S
}

export function api<const Q extends Fields, const S extends Fields>(
  declaration: ApiDeclaration<Q, S>,
): Api<Decoded<Q>, Decoded<S>, Encodable<Q>, Encodable<S>> {
  const { key, name, versions, flexible } = declaration
  const range = versionRange(versions)
  return {
    key,
    name,
    minVersion: range.min,
    maxVersion: range.max,
    flexibleFrom: versionRange(flexible).min,
    request: message({
      name: `${name}Request`,
      role: 'request',
      versions,
      flexible,
      fields: declaration.request,
    }),
    response: message({
      name: `${name}Response`,
      role: 'response',
      versions,
      flexible,
      fields: declaration.response,
    }),
  }
}
