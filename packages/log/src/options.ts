import { checkBound, checkWholeNumber, invalidOption } from './whole-number.js'

/**
 * When an append is acknowledged, and what a reader may see: `'os'` once the page cache has it, so that it survives
 * the process but not the power; `'fsync'` once an fsync covers it.
 */
export type Durability = 'os' | 'fsync'

/** How a log is written. Nothing of it is stored: a log may be opened with other options than the last time. */
export interface LogOptions {
  /** Default `'fsync'`. */
  durability?: Durability
  /**
   * A segment is rolled before it grows beyond this many bytes. Default 1 GiB, from 256 to 2^31 − 1 (Kafka's
   * `segment.bytes`).
   */
  segmentBytes?: number
  /** An index entry is written about every so many bytes. Default 4096 (Kafka's `index.interval.bytes`). */
  indexIntervalBytes?: number
  /** The largest batch accepted, in bytes. Default 1 MiB + 12 (Kafka's `max.message.bytes`). */
  maxBatchBytes?: number
  /**
   * How closely an encoded batch is looked at before it is stored: `'full'` checks every record, of compressed batches
   * too, as Kafka does; `'header'` believes what the header says of them, for batches whose writer is trusted. Default
   * `'full'`.
   */
  batchValidation?: 'full' | 'header'
  /**
   * How many bytes of appends may be on their way, encoded and without a result. Further ones are held as they were
   * handed in and get their turn when there is room; one alone always has. Default 64 MiB; `Infinity` for no limit.
   */
  maxPendingBytes?: number
  /**
   * When the appends of a tick are written together: in a microtask, for code that awaits its appends, or in
   * `setImmediate`, for a server that gathers what all its sockets delivered. Default `'microtask'`.
   */
  gather?: 'microtask' | 'immediate'
}

const INT32_MAX = 0x7fff_ffff
const MAX_PENDING_BYTES = 64 << 20
const LIMITS = {
  segmentBytes: { min: 256, default: 1 << 30 },
  indexIntervalBytes: { min: 0, default: 4096 },
  maxBatchBytes: { min: 61, default: (1 << 20) + 12 },
} as const

/** @throws VarveError `VARVE_INVALID_OPTION` naming the option and what it may be. */
export function completeOptions(options: LogOptions): Required<LogOptions> {
  const number = (name: keyof typeof LIMITS): number => {
    const value = options[name] ?? LIMITS[name].default
    checkWholeNumber(name, value, LIMITS[name].min, INT32_MAX)
    return value
  }
  const oneOf = <T extends string>(name: keyof LogOptions, value: T, allowed: readonly T[]): T => {
    if (allowed.includes(value)) return value
    throw invalidOption(name, value, allowed.map((item) => `'${item}'`).join(' or '))
  }
  const maxPendingBytes = options.maxPendingBytes ?? MAX_PENDING_BYTES
  checkBound('maxPendingBytes', maxPendingBytes)
  return {
    durability: oneOf('durability', options.durability ?? 'fsync', ['os', 'fsync']),
    segmentBytes: number('segmentBytes'),
    indexIntervalBytes: number('indexIntervalBytes'),
    maxBatchBytes: number('maxBatchBytes'),
    batchValidation: oneOf('batchValidation', options.batchValidation ?? 'full', ['full', 'header']),
    maxPendingBytes,
    gather: oneOf('gather', options.gather ?? 'microtask', ['microtask', 'immediate']),
  }
}
