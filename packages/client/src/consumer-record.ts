import type { LogRecord } from '@varve/records'

/** A record as it was read, and where from. The parts are views of the fetched memory, cut out on first access. */
export class ConsumerRecord implements LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  private readonly record: LogRecord

  constructor(topic: string, partition: number, record: LogRecord) {
    this.topic = topic
    this.partition = partition
    this.offset = record.offset
    this.record = record
  }

  /** In ms since 1970. @throws VarveError `VARVE_UNSAFE_TIMESTAMP` beyond ±(2^53 − 1) */
  get timestamp(): number {
    return this.record.timestamp
  }

  get timestampBigInt(): bigint {
    return this.record.timestampBigInt
  }

  get key(): Buffer | null {
    return this.record.key
  }

  get value(): Buffer | null {
    return this.record.value
  }

  get headers(): ReadonlyArray<readonly [string, Buffer | null]> {
    return this.record.headers
  }

  toJSON(): object {
    const { topic, partition, record } = this
    return { topic, partition, ...(record as LogRecord & { toJSON(): object }).toJSON() }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): object {
    const { topic, partition, offset, timestampBigInt, key, value, headers } = this
    return { topic, partition, offset, timestamp: timestampBigInt, key, value, headers }
  }
}
