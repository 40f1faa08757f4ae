import { encodeBatch } from '@varve/records'

/** What a broker has that requests can be about; grows with its answers. */
export interface Known {
  readonly topics: string[]
  readonly topicIds: string[]
  readonly groups: string[]
  readonly memberIds: string[]
  readonly generations: number[]
  readonly producerIds: number[]
  readonly sessionIds: number[]
}

/** One of the first `count` numbers, 0 included. */
export type Choose = (count: number) => number

const configs = [
  'retention.ms',
  'retention.bytes',
  'segment.bytes',
  'cleanup.policy',
  'compression.type',
  'max.message.bytes',
  'message.timestamp.type',
  'num.partitions',
  'log.cleaner.threads',
]
const configValues = [
  '-1',
  '0',
  '1',
  '1000',
  '100000',
  'delete',
  'compact',
  'gzip',
  'zstd',
  'LogAppendTime',
  null,
]
const protocols = ['consumer', 'connect', 'range', 'roundrobin']
const states = ['Stable', 'Empty', 'classic', 'PreparingRebalance', 'Dead']

const waits = [0, 0, 1, 100, 6000, 30_000]
const sizes = [0, 1, 1000, 1 << 20, 0x7fffffff]
const sessions = [6000, 30_000, 30_000, 30_000, 1]
const small = [-2, -1, -1, 0, 0, 0, 0, 0, 1, 1, 2, 3]
const large = [-5, -3, -2, -1, 0, 0, 1, 2, 10, 1000]

/**
 * A value of a message as somebody might mean it, made of one that is of the right shape and otherwise random: it is about
 * topics, groups, members and offsets that there are, for the most part, so that it gets further than to the decoder.
 */
export function plausible(
  value: unknown,
  known: Known,
  choose: Choose,
  path: readonly string[] = [],
): unknown {
  const name = path.at(-1) ?? ''
  const of = <T>(values: readonly T[]): T => values[choose(values.length)]!
  if (Array.isArray(value)) return value.map((element) => plausible(element, known, choose, path))
  if (Buffer.isBuffer(value)) return name === 'records' && choose(5) > 0 ? someRecords(known, choose) : value
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, part]) => [key, plausible(part, known, choose, [...path, key])]),
    )
  }
  // Some of it stays as it is, however unlikely that is.
  if (choose(6) === 0 || value === null || value === undefined) return value
  if (typeof value === 'string') return someString(value, path, known, of)
  if (typeof value !== 'number') return value
  if (name === 'producerId') return of([-1, ...known.producerIds])
  if (name === 'acks') return of([-1, -1, 1, 0, 2])
  if (name === 'sessionTimeoutMs') return of(sessions)
  if (name === 'resourceType') return of([2, 2, 4, 8, 32])
  if (name.startsWith('generationId')) return of([-1, ...known.generations])
  if (name === 'sessionId') return of([0, ...known.sessionIds])
  if (/(?:Ms|timeout)$/i.test(name)) return of(waits)
  if (name.endsWith('Bytes')) return of(sizes)
  if (/offset|timestamp/i.test(name)) return of(large)
  return of(small)
}

function someString(
  value: string,
  path: readonly string[],
  known: Known,
  of: <T>(values: readonly T[]) => T,
): string | null {
  const name = path.at(-1)!
  const isIn = (part: string): boolean => path.includes(part)
  if (/topicId$/i.test(name)) return known.topicIds.length > 0 ? of(known.topicIds) : value
  if (/memberId/i.test(name)) return of(['', ...known.memberIds, ...known.memberIds.slice(-3)])
  if (/instanceId/i.test(name)) return of([null, null, 'instance-a', 'instance-b'])
  if (/transactional/i.test(name)) return of([null, null, null, 'transfers'])
  if (/filter/i.test(name)) return of(states)
  if (isIn('configs') || name === 'configurationKeys')
    return name === 'value' ? of(configValues) : of(configs)
  if (isIn('protocols') || name.startsWith('protocol')) return of(protocols)
  if (/^(?:group|key|coordinatorKeys)/.test(name)) return of(known.groups)
  if (name === 'resourceName') return of([...known.topics, ...known.topics, ...known.groups, '', '0'])
  if (/name|topic/i.test(name)) return of(known.topics)
  return value
}

function someRecords(known: Known, choose: Choose): Buffer {
  const values = Array.from({ length: 1 + choose(5) }, (_, n) => ({
    key: choose(2) === 0 ? `k${n}` : null,
    value: 'v'.repeat(choose(400)),
    timestamp: choose(3) * 1000,
  }))
  const producer =
    choose(2) === 0 || known.producerIds.length === 0
      ? undefined
      : {
          producerId: known.producerIds[choose(known.producerIds.length)]!,
          producerEpoch: choose(2),
          baseSequence: choose(4),
        }
  const compression = (['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)[choose(5)]!
  const batch = encodeBatch(values, { compression, ...(producer && { producer }) })
  // Wrong in a byte, cut short, or two of them.
  const fate = choose(8)
  if (fate === 0) batch[choose(batch.length)]! ^= 1 << choose(8)
  if (fate === 1) return batch.subarray(0, choose(batch.length))
  if (fate === 2) return Buffer.concat([batch, batch])
  return batch
}
