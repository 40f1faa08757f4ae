// What is sent to both brokers: requests as data. What a broker gives out (ids of topics, members, producers and
// sessions) is written as a name in angle brackets and put in when it is sent.
import { type Compression, encodeBatch, type RecordInput, sealBatch } from '@varve/records'
import type { Api } from '@varve/protocol'

// Of no particular messages: each call is checked where it is written.
export type AnyApi = Api<any, any, any, any>

export interface Call {
  readonly kind: 'call'
  readonly api: AnyApi
  readonly version: number
  readonly body: unknown
  /** The connection, which is the client id as well. */
  readonly as: string
  /** `later`: the next step does not wait for the answer, and `answerOf` takes it. `never`: there is none. */
  readonly answer: 'now' | 'later' | 'never'
  /** Waits no longer than so many ms for an answer that one of the brokers never gives. */
  readonly patienceMs?: number
}
export interface AnswerOf {
  readonly kind: 'answer'
  readonly as: string
}
/** Waits until a group has so many members, of which some may still wait for their answer. */
export interface Members {
  readonly kind: 'members'
  readonly group: string
  readonly count: number
}
/** A frame byte for byte; `api` decodes what comes back, and without one only the end of the connection is expected. */
export interface Raw {
  readonly kind: 'raw'
  readonly frame: string
  readonly as: string
  readonly api?: AnyApi
  readonly version?: number
}
export type Step = Call | AnswerOf | Members | Raw

export interface Sequence {
  /** Unique within its subject; topics and groups are named by it. */
  readonly name: string
  readonly story: string
  readonly steps: readonly Step[]
}
export interface Subject {
  readonly name: string
  /** What both brokers are started with beside what all are. */
  readonly configs: Readonly<Record<string, string>>
  readonly sequences: readonly Sequence[]
}

/** The names that belong to one sequence. */
export interface Own {
  readonly topic: string
  readonly group: string
}

/** Collects the sequences of one subject. */
export function subject(
  name: string,
  write: (sequence: (name: string, story: string, steps: (own: Own) => readonly Step[]) => void) => void,
  configs: Subject['configs'] = {},
): Subject {
  const sequences: Sequence[] = []
  write((title, story, steps) => {
    if (sequences.some((one) => one.name === title))
      throw new Error(`two sequences are named ${name}/${title}`)
    sequences.push({
      name: title,
      story,
      steps: steps({ topic: `${name}.${title}.t`, group: `${name}.${title}.g` }),
    })
  })
  return { name, configs, sequences }
}

/** Sends a request and compares its answer. */
export function call<Q>(
  api: Api<any, any, Q, any>,
  version: number,
  body: Q,
  {
    as = 'raw',
    answer = 'now',
    patienceMs,
  }: { as?: string; answer?: Call['answer']; patienceMs?: number } = {},
): Call {
  return { kind: 'call', api, version, body, as, answer, ...(patienceMs !== undefined && { patienceMs }) }
}

export const answerOf = (as: string): AnswerOf => ({ kind: 'answer', as })
export const members = (group: string, count: number): Members => ({ kind: 'members', group, count })

/** A request whose body is given in hex, behind a header of version 1 or, if flexible, 2. */
export function rawRequest(
  apiKey: number,
  version: number,
  body: string,
  { api, flexible = false }: { api?: AnyApi; flexible?: boolean } = {},
): Raw {
  const header = Buffer.from('00000000000000070003726177', 'hex')
  header.writeInt16BE(apiKey, 0)
  header.writeInt16BE(version, 2)
  const frame = header.toString('hex') + (flexible ? '00' : '') + body
  return { kind: 'raw', frame, as: 'raw', ...(api && { api, version }) }
}

/** Names of what a broker gives out. */
export const topicId = (topic: string): string => `<id of ${topic}>`
export const memberId = (client: string, nth = 1): string => `<member ${nth} of ${client}>`
// The type is that of the field which the name stands in; the number itself is there when it is sent.
export const producerId = (nth = 1): number => `<producer ${nth}>` as unknown as number
export const sessionId = (nth = 1): number => `<session ${nth}>` as unknown as number

/** An id that no topic has. */
export const noTopicId = 'ABEiM0RVZneImaq7zN3u_w'
export const zeroId = 'AAAAAAAAAAAAAAAAAAAAAA'
export const int64Max = 0x7fffffffffffffffn

export interface BatchSpec {
  readonly producer?: { id: number | bigint; epoch: number; sequence: number; transactional?: boolean }
  readonly compression?: Compression
  readonly key?: string
  /** In ms since 1970. Default 1000, one more for each record. */
  readonly timestamp?: number
  /** Bytes put over the batch: a position and hex digits. */
  readonly patch?: readonly (readonly [at: number, hex: string])[]
  /** Whether the CRC is computed again after that. Default true. */
  readonly reseal?: boolean
  /** Bytes kept of the batch, or left out at its end if negative. */
  readonly cut?: number
  /** How often the batch is there, one after the other. */
  readonly times?: number
}

/** A batch that is built when it is sent, because of ids that it may contain. */
export class Batch {
  readonly values: readonly string[]
  readonly spec: BatchSpec

  constructor(values: readonly string[], spec: BatchSpec) {
    this.values = values
    this.spec = spec
  }

  bytes(actual: (name: unknown) => unknown): Buffer {
    const {
      producer,
      compression = 'none',
      key,
      timestamp = 1000,
      patch = [],
      reseal = true,
      cut,
      times = 1,
    } = this.spec
    const records = this.values.map((value, index): RecordInput => ({
      value,
      timestamp: timestamp + index,
      ...(key !== undefined && { key }),
    }))
    const fields = producer && {
      producerId: actual(producer.id) as number,
      producerEpoch: producer.epoch,
      baseSequence: producer.sequence,
      transactional: producer.transactional ?? false,
    }
    const batch = encodeBatch(records, { compression, ...(fields && { producer: fields }) })
    for (const [at, hex] of patch) Buffer.from(hex, 'hex').copy(batch, at)
    if (patch.length > 0 && reseal) sealBatch(batch, 0, batch.length)
    return Buffer.concat(Array.from({ length: times }, () => batch)).subarray(0, cut)
  }
}

export const batch = (values: readonly string[], spec: BatchSpec = {}): Buffer =>
  new Batch(values, spec) as unknown as Buffer
