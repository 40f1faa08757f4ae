/** A key, a value or a header's value. Strings are encoded as UTF-8. */
export type Bytes = string | Uint8Array | null

/** Headers as an object, or as pairs where order or duplicate names matter. */
export type HeadersInput = Readonly<Record<string, Bytes>> | ReadonlyArray<readonly [string, Bytes]>

/**
 * A record as it is handed in to be written. An absent part is written as null, Kafka's own absence; a record that has
 * neither `key` nor `value`, not even as null or undefined, is refused, since most of those are typing mistakes.
 */
export interface RecordInput {
  /** What partitions and compaction go by. Default null. */
  key?: Bytes | undefined
  /** What it says; null deletes the key in a compacted log. Default null. */
  value?: Bytes | undefined
  /** In the order that they have here. Default none. */
  headers?: HeadersInput | undefined
  /** Milliseconds since 1970; default: the time of the call. −1 means "no timestamp". */
  timestamp?: number | undefined
}

/** A record as it was read. Parts are views of the batch's memory and are cut out on first access. */
export interface LogRecord {
  /** Its place in the log. */
  readonly offset: number
  /**
   * Milliseconds since 1970: the producer's time, or the broker's where the topic says `LogAppendTime`.
   *
   * @throws VarveError `VARVE_UNSAFE_TIMESTAMP` when it is beyond ±(2^53 − 1); `timestampBigInt` always works.
   */
  readonly timestamp: number
  /** As {@link timestamp}, whatever it is. */
  readonly timestampBigInt: bigint
  /** Null for a record without one. */
  readonly key: Buffer | null
  /** Null for a record without one: in a compacted log, that its key was deleted. */
  readonly value: Buffer | null
  /** In the order they were written, duplicate names kept. */
  readonly headers: ReadonlyArray<readonly [string, Buffer | null]>
}
