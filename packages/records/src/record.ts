/** A key, a value or a header's value. Strings are encoded as UTF-8. */
export type Bytes = string | Uint8Array | null

/** Headers as an object, or as pairs where order or duplicate names matter. */
export type HeadersInput = Readonly<Record<string, Bytes>> | ReadonlyArray<readonly [string, Bytes]>

/**
 * A record as it is handed in to be written. An absent part is written as null, Kafka's own absence; a record that has
 * neither `key` nor `value`, not even as null or undefined, is refused, since most of those are typing mistakes.
 */
export interface RecordInput {
  key?: Bytes | undefined
  value?: Bytes | undefined
  headers?: HeadersInput | undefined
  /** Milliseconds since 1970; default: the time of the call. −1 means "no timestamp". */
  timestamp?: number | undefined
}

/** A record as it was read. Parts are views of the batch's memory and are cut out on first access. */
export interface LogRecord {
  readonly offset: number
  /**
   * Milliseconds since 1970: the producer's time, or the broker's where the topic says `LogAppendTime`.
   *
   * @throws VarveError `VARVE_UNSAFE_TIMESTAMP` when it is beyond ±(2^53 − 1); `timestampBigInt` always works.
   */
  readonly timestamp: number
  readonly timestampBigInt: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** In the order they were written, duplicate names kept. */
  readonly headers: ReadonlyArray<readonly [string, Buffer | null]>
}
