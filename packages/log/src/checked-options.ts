import type { NativeLogConfig } from '@varve/native'
import { compressionLevels, type Compression } from '@varve/records'
import { checkNames } from './option-names.js'
import type { LogOptions, LogSettings } from './options.js'
import { checkBound, checkWholeNumber, invalidOption } from './whole-number.js'

/** In the order of Kafka's codec numbers. */
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const satisfies readonly Compression[]

const INT32_MAX = 0x7fff_ffff

/** What an option is unless told otherwise, and what it may be. */
interface Rule<T> {
  readonly default: T
  check(name: string, value: T): void
}

const oneOf = <T extends string | boolean>(...allowed: readonly [T, ...T[]]): Rule<T> => ({
  default: allowed[0],
  check(name, value) {
    if (allowed.includes(value)) return
    const shown = allowed.map((item) => (typeof item === 'string' ? `'${item}'` : `${item}`))
    throw invalidOption(name, value, shown.join(' or '))
  },
})

const wholeNumber = (min: number, byDefault: number, max = INT32_MAX): Rule<number> => ({
  default: byDefault,
  check: (name, value) => checkWholeNumber(name, value, min, max),
})

/** What may be `Infinity`. */
const bound = (min: number, byDefault = Infinity): Rule<number> => ({
  default: byDefault,
  check(name, value) {
    if (value !== Infinity) checkWholeNumber(name, value, min, Number.MAX_SAFE_INTEGER)
  },
})

const ratio = (byDefault: number): Rule<number> => ({
  default: byDefault,
  check(name, value) {
    if (typeof value !== 'number' || !(value >= 0 && value <= 1))
      throw invalidOption(name, value, 'a number from 0 to 1')
  },
})

const levelOf = (codec: keyof typeof compressionLevels): Rule<number> => {
  const { least, most, default: byDefault } = compressionLevels[codec]
  const orDefault = byDefault < least ? `, or ${byDefault}` : ''
  return {
    default: byDefault,
    check(name, value) {
      if (value === byDefault || (Number.isInteger(value) && value >= least && value <= most)) return
      throw invalidOption(name, value, `a whole number from ${least} to ${most}${orDefault}`)
    },
  }
}

const RULES: { readonly [Name in keyof Required<LogOptions>]: Rule<Required<LogOptions>[Name]> } = {
  durability: oneOf('fsync', 'os'),
  segmentBytes: wholeNumber(256, 1 << 30),
  segmentMs: bound(1),
  segmentJitterMs: wholeNumber(0, 0, Number.MAX_SAFE_INTEGER),
  indexIntervalBytes: wholeNumber(0, 4096),
  segmentIndexBytes: wholeNumber(12, 10 << 20),
  maxBatchBytes: wholeNumber(61, (1 << 20) + 12),
  maxDecompressedMessageBytes: bound(1),
  batchValidation: oneOf('full', 'header'),
  compression: oneOf('producer', ...CODECS),
  compressionGzipLevel: levelOf('gzip'),
  compressionLz4Level: levelOf('lz4'),
  compressionZstdLevel: levelOf('zstd'),
  timestampType: oneOf('CreateTime', 'LogAppendTime'),
  timestampBeforeMaxMs: bound(0),
  timestampAfterMaxMs: bound(0),
  maxPendingBytes: { default: 64 << 20, check: checkBound },
  flushIntervalMs: bound(1),
  flushIntervalBytes: bound(1),
  flushIntervalRecords: bound(1),
  cleanupPolicy: oneOf('delete', 'compact', 'compact,delete'),
  minCleanableDirtyRatio: ratio(0.5),
  minCompactionLagMs: wholeNumber(0, 0, Number.MAX_SAFE_INTEGER),
  maxCompactionLagMs: bound(1),
  deleteRetentionMs: wholeNumber(0, 86_400_000, Number.MAX_SAFE_INTEGER),
  compactionCheckMs: bound(1, 15_000),
  compactionBytesPerSecond: bound(1),
  retentionMs: bound(0),
  retentionBytes: bound(0),
  retentionCheckMs: bound(1, 300_000),
  lowDiskBytes: bound(0, 0),
  preallocate: oneOf<boolean | 'zero'>(false, true, 'zero'),
  producerIdExpirationMs: bound(1, 86_400_000),
  gather: oneOf('microtask', 'immediate'),
}

const NAMES = Object.keys(RULES) as ReadonlyArray<keyof LogOptions>

/** @throws VarveError `VARVE_INVALID_OPTION` naming the option and what it may be. */
function checkOptions(options: LogOptions): void {
  checkNames(options, RULES)
  for (const name of NAMES) {
    const value = options[name]
    if (value !== undefined) (RULES[name] as Rule<unknown>).check(name, value)
  }
}

/** @throws VarveError `VARVE_INVALID_OPTION` naming the option and what it may be. */
export function completeOptions(options: LogOptions): Required<LogOptions> {
  checkOptions(options)
  const complete = NAMES.map((name) => [name, options[name] ?? RULES[name].default])
  return Object.fromEntries(complete) as Required<LogOptions>
}

/** @throws VarveError `VARVE_INVALID_OPTION` naming the option and what it may be. */
export function checkSettings(settings: LogSettings): void {
  checkOptions(settings)
  const { gather } = settings as LogOptions
  if (gather !== undefined)
    throw invalidOption('gather', gather, 'left out: it is given when the log is opened, and stays')
}

/** What is given of the options, as the engine takes it. */
export function nativeConfig(options: LogOptions): NativeLogConfig {
  const { durability, batchValidation, compression, timestampType, preallocate } = options
  const given = <T, R>(value: T | undefined, convert: (value: T) => R): R | undefined =>
    value === undefined ? undefined : convert(value)
  return {
    fsync: given(durability, (value) => value === 'fsync'),
    segmentBytes: options.segmentBytes,
    segmentMs: options.segmentMs,
    segmentJitterMs: options.segmentJitterMs,
    indexIntervalBytes: options.indexIntervalBytes,
    segmentIndexBytes: options.segmentIndexBytes,
    maxBatchBytes: options.maxBatchBytes,
    maxDecompressedMessageBytes: options.maxDecompressedMessageBytes,
    validateRecords: given(batchValidation, (value) => value === 'full'),
    compression: given(compression, (value) => (value === 'producer' ? -1 : CODECS.indexOf(value))),
    compressionGzipLevel: options.compressionGzipLevel,
    compressionLz4Level: options.compressionLz4Level,
    compressionZstdLevel: options.compressionZstdLevel,
    logAppendTime: given(timestampType, (value) => value === 'LogAppendTime'),
    timestampBeforeMaxMs: options.timestampBeforeMaxMs,
    timestampAfterMaxMs: options.timestampAfterMaxMs,
    flushIntervalMs: options.flushIntervalMs,
    flushIntervalBytes: options.flushIntervalBytes,
    flushIntervalRecords: options.flushIntervalRecords,
    cleanupPolicy: options.cleanupPolicy,
    minCleanableDirtyRatio: options.minCleanableDirtyRatio,
    minCompactionLagMs: options.minCompactionLagMs,
    maxCompactionLagMs: options.maxCompactionLagMs,
    deleteRetentionMs: options.deleteRetentionMs,
    compactionCheckMs: options.compactionCheckMs,
    compactionBytesPerSecond: options.compactionBytesPerSecond,
    retentionMs: options.retentionMs,
    retentionBytes: options.retentionBytes,
    retentionCheckMs: options.retentionCheckMs,
    preallocate: given(preallocate, (value) => (value === 'zero' ? 'zeros' : value ? 'blocks' : 'off')),
    lowDiskBytes: options.lowDiskBytes,
    producerIdExpirationMs: options.producerIdExpirationMs,
  }
}
