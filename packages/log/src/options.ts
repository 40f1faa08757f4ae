import { VarveError } from '@varve/records'

/**
 * When an append is acknowledged, and what a reader may see: `'os'` once the page cache has it, so that it survives
 * the process but not the power; `'fsync'` once an fsync covers it.
 */
export type Durability = 'os' | 'fsync'

export interface LogOptions {
  /** Default `'fsync'`. */
  durability?: Durability
  /** A segment is rolled before it grows beyond this many bytes. Default 1 GiB, at most 2^31 − 1 (Kafka's `segment.bytes`). */
  segmentBytes?: number
  /** An index entry is written about every so many bytes. Default 4096 (Kafka's `index.interval.bytes`). */
  indexIntervalBytes?: number
  /** The largest batch accepted, in bytes. Default 1 MiB + 12 (Kafka's `max.message.bytes`). */
  maxBatchBytes?: number
  /**
   * When the appends of a tick are written together: in a microtask, for code that awaits its appends, or in
   * `setImmediate`, for a server that gathers what all its sockets delivered. Default `'microtask'`.
   */
  gather?: 'microtask' | 'immediate'
}

const INT32_MAX = 0x7fff_ffff
const LIMITS = {
  segmentBytes: { min: 256, max: INT32_MAX, default: 1 << 30 },
  indexIntervalBytes: { min: 0, max: INT32_MAX, default: 4096 },
  maxBatchBytes: { min: 61, max: INT32_MAX, default: (1 << 20) + 12 },
} as const

/** @throws VarveError `VARVE_INVALID_OPTION` naming the option and what it may be. */
export function completeOptions(options: LogOptions): Required<LogOptions> {
  const number = (name: keyof typeof LIMITS): number => {
    const { min, max, default: fallback } = LIMITS[name]
    const value = options[name] ?? fallback
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw invalid(name, value, `a whole number from ${min} to ${max}`)
    }
    return value
  }
  const oneOf = <T extends string>(name: keyof LogOptions, value: T, allowed: readonly T[]): T => {
    if (!allowed.includes(value)) throw invalid(name, value, allowed.map((item) => `'${item}'`).join(' or '))
    return value
  }
  return {
    durability: oneOf('durability', options.durability ?? 'fsync', ['os', 'fsync']),
    segmentBytes: number('segmentBytes'),
    indexIntervalBytes: number('indexIntervalBytes'),
    maxBatchBytes: number('maxBatchBytes'),
    gather: oneOf('gather', options.gather ?? 'microtask', ['microtask', 'immediate']),
  }
}

function invalid(name: string, value: unknown, allowed: string): VarveError {
  return new VarveError(
    'VARVE_INVALID_OPTION',
    `the log option ${name} is ${JSON.stringify(value)}; it must be ${allowed}`,
  )
}
