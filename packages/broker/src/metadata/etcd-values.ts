import type { MetadataEntry, MetadataEvent, MetadataTransaction } from '@varve/replication'

/** Part of a message of etcd's JSON gateway: 64-bit integers are strings, bytes base64, and what is zero or empty is left out. */
export type Json = Readonly<Record<string, unknown>>

/** From the first key of a prefix on, up to the first behind it; base64. */
export type KeyRange = Readonly<Record<'key' | 'range_end', string>>

/** @throws Error where it is none */
export function objectIn(value: unknown): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  throw new Error(`answered what etcd never does: ${JSON.stringify(value)?.slice(0, 100)}`)
}

export function listIn(value: unknown): Json[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value.map(objectIn)
  throw new Error(`answered what etcd never does: ${JSON.stringify(value)?.slice(0, 100)}`)
}

/** @throws Error where it is no whole number, or one that JavaScript cannot count to */
export function integerIn(value: unknown): number {
  const number = value === undefined ? 0 : Number(value)
  if (Number.isSafeInteger(number)) return number
  throw new Error(`answered with the number ${JSON.stringify(value)}, which is none from 0 to 2^53 − 1`)
}

/** The revision of the store at which an answer was given. */
export function revisionOf(answer: Json): number {
  const revision = integerIn(objectIn(answer['header'])['revision'])
  if (revision > 0) return revision
  throw new Error('answered without a revision')
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

function textIn(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return Buffer.from(value, 'base64').toString('utf8')
  throw new Error(`answered with ${JSON.stringify(value)} for bytes`)
}

/** Keys of metadata as etcd has them, behind the prefix that a cluster's keys have there. */
export class EtcdKeys {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  rangeOf(prefix: string): KeyRange {
    // Another cluster's prefix may begin as this one's does; keys begin with a slash.
    const first = Buffer.from(this.#prefix + (prefix === '' && this.#prefix !== '' ? '/' : prefix))
    // A byte of 0 stands for the first key of all, and as an end for none.
    if (first.length === 0) return { key: 'AA==', range_end: 'AA==' }
    const end = Buffer.from(first)
    // No byte of UTF-8 is 255, so that the last one can be counted up.
    end[end.length - 1]!++
    return { key: first.toString('base64'), range_end: end.toString('base64') }
  }

  /** What is behind a key in a range. */
  rangeBehind(key: string, { range_end }: KeyRange): KeyRange {
    return { key: base64(`${this.#prefix}${key}\0`), range_end }
  }

  transaction({ compares = [], puts = [], deletes = [] }: MetadataTransaction): Json {
    return {
      compare: compares.map(({ key, revision }) => ({
        target: 'MOD',
        result: 'EQUAL',
        key: this.#encode(key),
        mod_revision: String(revision),
      })),
      success: [
        ...puts.map(({ key, value, lease }) => ({
          request_put: {
            key: this.#encode(key),
            value: base64(value),
            ...(lease === 'kept' ? { ignore_lease: true } : lease !== undefined && { lease }),
          },
        })),
        ...deletes.map((key) => ({ request_delete_range: { key: this.#encode(key) } })),
      ],
    }
  }

  entry(pair: Json): MetadataEntry {
    const lease = pair['lease']
    const entry = {
      key: this.#keyOf(pair),
      value: textIn(pair['value']),
      revision: integerIn(pair['mod_revision']),
    }
    return typeof lease === 'string' && lease !== '0' ? { ...entry, lease } : entry
  }

  event(event: Json): MetadataEvent {
    const pair = objectIn(event['kv'])
    return event['type'] === 'DELETE'
      ? { kind: 'delete', key: this.#keyOf(pair), revision: integerIn(pair['mod_revision']) }
      : { kind: 'put', ...this.entry(pair) }
  }

  #encode(key: string): string {
    return base64(this.#prefix + key)
  }

  #keyOf(pair: Json): string {
    return textIn(pair['key']).slice(this.#prefix.length)
  }
}
