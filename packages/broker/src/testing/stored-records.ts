import { type LogRecord, VarveError } from '@varve/records'
import type { Cancellation } from '../cancellation.js'
import type { Isolation, Partition } from '../partition.js'
import type { Topic } from '../topic.js'
import type { Topics } from '../topics.js'
import { type WaitOptions, waitFor } from './waiting.js'

/** A record as it is stored. Keys, values and headers are copies. */
export interface StoredRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** In ms since 1970. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** In the order in which they were written, duplicate names kept. */
  readonly headers: ReadonlyArray<readonly [string, Buffer | null]>
}

/** Which records of a topic are looked at. */
export interface StoredRecordsOptions {
  /** Only those of this partition. Default: all partitions. */
  partition?: number
  /** `'readCommitted'` leaves out what transactions have aborted or not decided on. Default `'readUncommitted'`. */
  isolation?: Isolation
}

/** How many records there shall be, or what shall be true of those that there are. */
export type RecordsExpected = number | ((records: readonly StoredRecord[]) => boolean)

/** Records in an error message: enough to see what is there instead of what was expected. */
const mostShown = 10
const longestShown = 40

/** The records of a broker's topics, for whoever wants to see what clients have written. */
export class StoredRecords {
  readonly #topics: Topics
  readonly #closing: Cancellation

  constructor(topics: Topics, closing: Cancellation) {
    this.#topics = topics
    this.#closing = closing
  }

  /** @throws VarveError `VARVE_UNKNOWN_TOPIC`, `VARVE_UNKNOWN_PARTITION`, `VARVE_BROKER_CLOSED`, or as reading a log does */
  async all(name: string, options: StoredRecordsOptions): Promise<StoredRecord[]> {
    this.#refuseIfClosed()
    const topic = this.#topics.get(name)
    if (topic === undefined) throw this.#unknown(name)
    const reading = new Reading(name, options)
    return await reading.of(topic)
  }

  /** @throws VarveError as {@link StoredRecords.all} except for an unknown topic, which is waited for; `VARVE_WAIT_TIMEOUT` */
  async waitFor(
    name: string,
    expected: RecordsExpected,
    options: StoredRecordsOptions & WaitOptions,
  ): Promise<StoredRecord[]> {
    this.#refuseIfClosed()
    const reading = new Reading(name, options)
    const isEnough =
      typeof expected === 'number'
        ? (records: readonly StoredRecord[]) => records.length >= expected
        : expected
    return await waitFor(
      {
        look: async () => {
          const topic = this.#topics.get(name)
          const records = topic === undefined ? [] : await reading.of(topic)
          return isEnough(records) ? records : null
        },
        listen: (changed) => this.#listen(name, changed),
        describe: () => {
          const wanted =
            typeof expected === 'number'
              ? `${expected} record${expected === 1 ? '' : 's'}`
              : 'the expected records'
          const there = this.#topics.get(name) === undefined ? 'there is no such topic' : shown(reading.last)
          return `${name} did not have ${wanted}: ${there}`
        },
        closing: this.#closing,
      },
      options,
    )
  }

  /** Calls `changed` when the topic comes or goes, or one of its partitions has something new. */
  #listen(name: string, changed: () => void): () => void {
    const heard = new Set<Partition>()
    const hear = (): void => {
      const partitions = this.#topics.get(name)?.partitions ?? []
      for (const partition of partitions) {
        if (heard.has(partition)) continue
        heard.add(partition)
        partition.listen(changed)
      }
    }
    hear()
    const stop = this.#topics.onChange(() => {
      hear()
      changed()
    })
    return () => {
      stop()
      for (const partition of heard) partition.unlisten(changed)
    }
  }

  #refuseIfClosed(): void {
    if (this.#closing.cancelled) {
      throw new VarveError('VARVE_BROKER_CLOSED', 'the broker is closed; look at its records before')
    }
  }

  #unknown(name: string): VarveError {
    const names = [...this.#topics.all()].map((topic) => topic.name)
    const there = names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`
    return new VarveError('VARVE_UNKNOWN_TOPIC', `there is no topic ${name}; ${there}`)
  }
}

/** What has been read of a partition since it began, or was emptied, for the n-th time. */
interface Read {
  readonly beginnings: number
  from: number
  records: StoredRecord[]
}

/** What one caller has read so far, so that waiting for many records does not read each of them many times. */
class Reading {
  readonly #name: string
  readonly #options: StoredRecordsOptions
  readonly #read = new Map<Partition, Read>()
  last: readonly StoredRecord[] = []

  constructor(name: string, options: StoredRecordsOptions) {
    this.#name = name
    this.#options = options
  }

  /** Every record that can be seen now, partition by partition. */
  async of(topic: Topic): Promise<StoredRecord[]> {
    const records: StoredRecord[] = []
    for (const partition of this.#wanted(topic)) records.push(...(await this.#readOn(partition)))
    this.last = records
    return records
  }

  #wanted({ partitions }: Topic): readonly Partition[] {
    const { partition: index } = this.#options
    if (index === undefined) return partitions
    const one = partitions[index]
    if (one !== undefined) return [one]
    throw new VarveError(
      'VARVE_UNKNOWN_PARTITION',
      `the topic ${this.#name} has no partition ${index}, its partitions are 0 to ${partitions.length - 1}`,
    )
  }

  async #readOn(partition: Partition): Promise<readonly StoredRecord[]> {
    for (;;) {
      try {
        return await this.#readNew(partition)
      } catch (error) {
        this.#read.delete(partition)
        if (partition.deleted) return []
        if (!isOvertaken(error)) throw error
      }
    }
  }

  async #readNew(partition: Partition): Promise<readonly StoredRecord[]> {
    const { isolation = 'readUncommitted' } = this.#options
    const { beginnings, logStartOffset } = partition
    let read = this.#read.get(partition)
    if (read?.beginnings !== beginnings) {
      this.#read.set(partition, (read = { beginnings, from: logStartOffset, records: [] }))
    } else if (read.records.length > 0 && read.records[0]!.offset < logStartOffset) {
      read.records = read.records.filter(({ offset }) => offset >= logStartOffset)
    }
    const from = Math.max(read.from, logStartOffset)
    const to = partition.visibleOffset(isolation)
    if (from < to) {
      for await (const record of partition.readRecords(from, to, isolation)) {
        read.records.push(copied(partition, record))
      }
      read.from = to
    }
    return read.records
  }
}

/** Whether records were deleted while they were read. */
function isOvertaken(error: unknown): boolean {
  return VarveError.is(error) && ['VARVE_TRUNCATED', 'VARVE_OFFSET_OUT_OF_RANGE'].includes(error.code)
}

function copied({ topic, index }: Partition, record: LogRecord): StoredRecord {
  return {
    topic,
    partition: index,
    offset: record.offset,
    timestamp: Number(record.timestampBigInt),
    key: record.key && Buffer.from(record.key),
    value: record.value && Buffer.from(record.value),
    headers: record.headers.map(([name, value]) => [name, value && Buffer.from(value)]),
  }
}

function shown(records: readonly StoredRecord[]): string {
  if (records.length === 0) return 'it has none'
  const lines = records.slice(-mostShown).map(({ partition, offset, key, value }) => {
    return `  ${partition}@${offset} ${text(key)}: ${text(value)}`
  })
  const which = records.length > mostShown ? `${records.length}, the last of them` : `${records.length}`
  return `it has ${which}\n${lines.join('\n')}`
}

function text(bytes: Buffer | null): string {
  if (bytes === null) return 'null'
  const whole = bytes.toString('utf8')
  return JSON.stringify(whole.length > longestShown ? `${whole.slice(0, longestShown)}…` : whole)
}
