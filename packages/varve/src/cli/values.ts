import { InvalidArgumentError } from 'commander'

/** Parsers of option values. What they throw becomes a usage error with the option's name. */

export function integer(minimum: number, maximum = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < minimum || value > maximum) {
      throw new InvalidArgumentError(
        maximum === Number.MAX_SAFE_INTEGER
          ? `It is a whole number from ${minimum} on.`
          : `It is a whole number from ${minimum} to ${maximum}.`,
      )
    }
    return value
  }
}

/** Of a codec: which ones there are depends on it. */
export function level(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError('It is a whole number.')
  return Number(text)
}

/** `HOST:PORT`, several with commas; an IPv6 address stands in brackets. */
export function brokers(text: string): string[] {
  const list = text.split(',').map((one) => one.trim())
  for (const one of list) {
    const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[^:\s/]+):(\d+)$/.exec(one) ?? []
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535)
      throw new InvalidArgumentError('It is HOST:PORT, such as localhost:9092.')
  }
  return list
}

/** `NAME=VALUE`, as often as there are configurations to give. */
export function config(
  text: string,
  given: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const [setting] = settings(text)
  return { ...given, [setting!.name]: setting!.value }
}

export function acks(text: string): -1 | 0 | 1 {
  if (text === 'all' || text === '-1') return -1
  if (text === '0') return 0
  if (text === '1') return 1
  throw new InvalidArgumentError('It is all, 1 or 0.')
}

/** A setting with its value, as `name=value`. */
export interface Setting {
  readonly name: string
  readonly value: string
}

/** Collects settings, since values of some have commas in them and only one can stand behind each option. */
export function settings(text: string, before: Setting[] = []): Setting[] {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It is NAME=VALUE, such as log.retention.hours=24.')
  return [...before, { name: text.slice(0, at).trim(), value: text.slice(at + 1) }]
}

/** Collects what an option may give several times. */
export function several(text: string, before: string[] = []): string[] {
  return [...before, text]
}

/** The replicas of each partition, as Kafka's tools take them: `0:1,1:0` is two partitions of two replicas. */
export function replicaAssignment(text: string): number[][] {
  if (!/^\d+(:\d+)*(,\d+(:\d+)*)*$/.test(text))
    throw new InvalidArgumentError('It is node ids, such as 0:1,1:0 for two partitions of two replicas.')
  return text.split(',').map((replicas) => replicas.split(':').map(Number))
}

/** The number of a broker. */
export const brokerId = integer(0, 2_147_483_647)

/** Collects the numbers of brokers. */
export function nodeIds(text: string, before: number[] = []): number[] {
  return [...before, brokerId(text)]
}

/** A topic, and some of its partitions or all. */
export interface TopicPartitions {
  readonly topic: string
  readonly partitions?: readonly number[]
}

/** `topic` or `topic:0,1`, several times. */
export function topicPartitions(text: string, before: TopicPartitions[] = []): TopicPartitions[] {
  const [, topic, partitions] = /^([\w.-]+)(?::(\d+(?:,\d+)*))?$/.exec(text) ?? []
  if (topic === undefined) throw new InvalidArgumentError('It is TOPIC or TOPIC:0,1.')
  return [...before, { topic, partitions: partitions?.split(',').map(Number) }]
}

/**
 * A day, or a time of a day, in ISO 8601. Without a zone it is UTC, as for Kafka's tools: a script means the same on every
 * machine. NaN for anything else, for days that there are not too.
 */
function isoTime(text: string): number {
  const [, day, clock = '00:00', zone = 'Z'] =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}(?::?\d{2})?)?)?$/.exec(
      text,
    ) ?? []
  if (day === undefined || new Date(`${day}T00:00Z`).toJSON()?.slice(0, 10) !== day) return Number.NaN
  const offset = zone === 'Z' ? zone : `${zone.slice(0, 3)}:${zone.slice(3).replace(':', '') || '00'}`
  return Date.parse(`${day}T${clock}${offset}`)
}

/** A time, as ISO 8601 or in ms since 1970. */
export function time(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : isoTime(text)
  if (Number.isSafeInteger(value)) return value
  throw new InvalidArgumentError('It is a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970.')
}

/** A length of time in ISO 8601, such as P1DT2H30M, in ms. */
export function duration(text: string): number {
  const match = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text)
  const [days, hours, minutes, seconds] = (match ?? []).slice(1).map((part) => Number(part ?? 0))
  if (match === null || text.endsWith('P') || text.endsWith('T'))
    throw new InvalidArgumentError('It is a duration such as PT30M or P1DT2H.')
  return Math.round((((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * 1000)
}

export function signedInteger(text: string): number {
  const value = Number(text)
  if (/^[+-]?\d+$/.test(text) && Number.isSafeInteger(value)) return value
  throw new InvalidArgumentError('It is a whole number, such as -10.')
}

/** A question about a log's offsets: one of its ends, its latest timestamp, or a time. */
export function offsetsAt(
  text: string,
): { at: 'earliest' | 'latest' | 'maxTimestamp' } | { at: 'time'; timestamp: number } {
  if (text === 'earliest' || text === 'latest') return { at: text }
  if (text === 'max-timestamp') return { at: 'maxTimestamp' }
  return { at: 'time', timestamp: time(text) }
}

/** Where to begin reading. */
export type From =
  | { at: 'earliest' }
  | { at: 'latest' }
  | { at: 'offset'; offset: number }
  | { at: 'time'; timestamp: number }

type OffsetOrTime = Extract<From, { at: 'offset' | 'time' }>

function offsetOrTime(text: string): OffsetOrTime | null {
  if (/^\d+$/.test(text))
    return Number.isSafeInteger(Number(text)) ? { at: 'offset', offset: Number(text) } : null
  const timestamp = isoTime(text)
  return Number.isNaN(timestamp) ? null : { at: 'time', timestamp }
}

export function from(text: string): From {
  if (text === 'earliest' || text === 'latest') return { at: text }
  const where = offsetOrTime(text)
  if (where !== null) return where
  throw new InvalidArgumentError('It is earliest, latest, an offset, or a time such as 2026-01-31T12:00:00Z.')
}

/** What lies before it is deleted. */
export function deletedBefore(text: string): OffsetOrTime | { at: 'latest' } {
  const where = text === 'latest' ? ({ at: text } as const) : offsetOrTime(text)
  if (where !== null) return where
  throw new InvalidArgumentError('It is an offset, latest, or a time such as 2026-01-31T12:00:00Z.')
}

/** Where to begin reading or following a log. */
export type LogFrom = number | 'start' | 'end' | { timestamp: number }

export function logFrom(text: string): LogFrom {
  if (text === 'start' || text === 'end') return text
  const where = offsetOrTime(text)
  if (where !== null) return where.at === 'offset' ? where.offset : { timestamp: where.timestamp }
  throw new InvalidArgumentError('It is start, end, an offset, or a time such as 2026-01-31T12:00:00Z.')
}

/** A separator with the escapes that a shell makes awkward: `\t`, `\n` and `\\`. */
export function separator(text: string): Buffer {
  const bytes = Buffer.from(
    text.replaceAll(/\\([tn\\])/g, (_, letter: string) => ({ t: '\t', n: '\n' })[letter] ?? '\\'),
  )
  if (bytes.length === 0) throw new InvalidArgumentError('It has at least one character.')
  return bytes
}
