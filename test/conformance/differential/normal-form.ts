// What must differ between two brokers becomes equal: generated ids become names, times and addresses placeholders, and what
// has no order an order. Everything else stays as it was answered.
import { batchesIn, type LogRecord, type RecordBatch } from '@varve/records'
import { noTopicId, zeroId } from './sequence.js'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/
const GENERATED_MEMBER = new RegExp(`^(.*)-${UUID.source}$`)
/** Later than any time that a sequence gives. */
const RECENT = 1_600_000_000_000

/** What one broker gave out in one sequence, by name. */
export class Names {
  readonly #actual = new Map<string, unknown>()
  readonly #names = new Map<unknown, string>()

  /** The value that a name stands for, and anything else as it is. */
  actual = (value: unknown): unknown => {
    if (typeof value !== 'string' || !/^<.*>$/.test(value)) return value
    if (!this.#actual.has(value)) throw new Error(`nothing that was answered so far is ${value}`)
    return this.#actual.get(value)
  }

  give(name: string, value: unknown): string {
    this.#actual.set(name, value)
    this.#names.set(value, name)
    return name
  }

  /** The name of a value, given now as the next of its kind where `kind` is given and it has none. */
  of(value: unknown, kind?: (nth: number) => string): string | undefined {
    const known = this.#names.get(value)
    if (known !== undefined || kind === undefined) return known
    let nth = 1
    while (this.#actual.has(kind(nth))) nth++
    return this.give(kind(nth), value)
  }
}

/** @param isOwn whether a topic or group, in an answer that lists all, is one of the sequence's */
export function normalForm(
  answer: unknown,
  api: string,
  names: Names,
  isOwn: (name: string) => boolean,
): Json {
  const struct = (value: Readonly<Record<string, unknown>>): Json => {
    const name = value['name'] ?? value['topic'] ?? value['topicName']
    const { topicId } = value
    if (
      typeof topicId === 'string' &&
      topicId !== zeroId &&
      topicId !== noTopicId &&
      typeof name === 'string' &&
      name
    )
      names.give(`<id of ${name}>`, topicId)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, field(key, inner)]))
  }
  const field = (key: string, value: unknown): Json => {
    if (value === null || value === undefined) return null
    if (Buffer.isBuffer(value)) return key === 'records' ? batches(value, names) : value.toString('hex')
    if (Array.isArray(value)) return list(key, value)
    switch (typeof value) {
      case 'bigint':
        return isTime(key) && value > RECENT ? '<now>' : (names.of(Number(value)) ?? String(value))
      case 'number':
        return number(key, value)
      case 'string':
        return text(key, value)
      case 'object':
        return struct(value as Record<string, unknown>)
      default:
        return value as boolean
    }
  }
  const list = (key: string, values: readonly unknown[]): Json => {
    if (key === 'apiKeys') return versionsByKey(values as readonly ApiVersion[])
    const own = values.filter((value) => !LISTS_ALL.has(api) || !LISTED.has(key) || isOwn(nameIn(value)))
    const normal = own.map((value) => field(key, value))
    return own.every((value) => typeof value === 'object') ? [...normal].sort(byText) : normal
  }
  const number = (key: string, value: number): Json => {
    if (key === 'port') return '<port>'
    if (api === 'DescribeQuorum' && OF_THE_QUORUM.has(key) && value >= 0) return '<of the quorum>'
    if (key === 'finalizedFeaturesEpoch' && value >= 0) return '<epoch>'
    if (key === 'totalBytes' || key === 'usableBytes') return '<bytes>'
    if (key === 'throttleTimeMs') return value > 0 ? '<throttled>' : 0
    if (isTime(key) && value > RECENT) return '<now>'
    if (key === 'sessionId' && value > 0) return names.of(value, (nth) => `<session ${nth}>`)!
    if (key === 'producerId' && value >= 0 && value < 900_000)
      return names.of(`producer ${value}`) ?? giveProducer(names, value)
    return value
  }
  const text = (key: string, value: string): Json => {
    if (key === 'host') return '<host>'
    if (key === 'replicaDirectoryId' && value !== zeroId) return '<directory>'
    if (key === 'logDir') return '<directory>'
    // What is said is the broker's own affair, that something is said is not.
    if (/message$/i.test(key)) return value === '' ? '' : '<text>'
    const known = names.of(value)
    if (known !== undefined && key !== 'name') return known
    const [, client] = GENERATED_MEMBER.exec(value) ?? []
    if (client !== undefined) return names.of(value, (nth) => `<member ${nth} of ${client}>`)!
    return value
  }
  return field('', answer)
}

interface ApiVersion {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

/** So that an API that one of the brokers does not serve is one difference. */
const versionsByKey = (versions: readonly ApiVersion[]): Json =>
  Object.fromEntries(
    versions.map(({ apiKey, minVersion, maxVersion }) => [`api ${apiKey}`, `${minVersion}-${maxVersion}`]),
  )

function giveProducer(names: Names, value: number): string {
  const name = names.of(`producer ${value}`, (nth) => `<producer ${nth}>`)!
  names.give(name, value)
  return name
}

const LISTS_ALL = new Set([
  'Metadata',
  'ListGroups',
  'ListConfigResources',
  'DescribeTopicPartitions',
  'DescribeLogDirs',
])
const LISTED = new Set(['topics', 'groups', 'configResources'])
/** Where the log of the metadata is, which is not the same log. */
const OF_THE_QUORUM = new Set(['leaderEpoch', 'highWatermark', 'logEndOffset'])
const nameIn = (value: unknown): string => {
  const { name, groupId, topic, resourceName } = value as Record<string, string | undefined>
  return name ?? groupId ?? topic ?? resourceName ?? ''
}
const isTime = (key: string): boolean => /timestamp|TimeMs$/i.test(key) && key !== 'throttleTimeMs'
const byText = (a: Json, b: Json): number => {
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

function batches(bytes: Buffer, names: Names): Json {
  const found: Json[] = []
  let end = 0
  for (const batch of batchesIn(bytes)) {
    end += batch.byteLength
    const stamped = batch.timestampType === 'LogAppendTime'
    found.push({
      baseOffset: batch.baseOffset,
      lastOffset: batch.lastOffset,
      partitionLeaderEpoch: batch.partitionLeaderEpoch,
      attributes: batch.attributes,
      baseTimestamp: String(batch.baseTimestampBigInt),
      maxTimestamp: stamped ? '<now>' : String(batch.maxTimestampBigInt),
      producerId: names.of(`producer ${batch.producerId}`) ?? String(batch.producerId),
      producerEpoch: batch.producerEpoch,
      baseSequence: batch.baseSequence,
      records: batch.recordsCount,
      crc: batch.verifyCrc() ? 'right' : 'wrong',
      // Of what the producer wrote not a byte may change.
      payload: payloadOf(batch),
    })
  }
  return end < bytes.length ? [...found, `${bytes.length - end} bytes of a batch cut short`] : found
}

function payloadOf(batch: RecordBatch): Json {
  // Two releases of one compressor need not write the same bytes.
  if (batch.compression !== 'none') return Array.from(batch.records(), (record) => recordOf(record, batch))
  return batch.byteLength > 400 ? `${batch.byteLength} bytes` : batch.buffer.subarray(61).toString('hex')
}

function recordOf({ key, value, headers, offset, timestamp }: LogRecord, batch: RecordBatch): Json {
  const stamped = batch.timestampType === 'LogAppendTime'
  return {
    key: text(key),
    value: text(value),
    headers: headers.map(([name, content]) => [name, text(content)]),
    offsetDelta: offset - batch.baseOffset,
    timestampDelta: stamped ? '<now>' : timestamp - batch.baseTimestamp,
  }
}

const text = (bytes: Uint8Array | null): Json => bytes && Buffer.from(bytes).toString('latin1')
