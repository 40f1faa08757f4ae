/**
 * Bytes that are somewhere else: a range of a log file, say. The encoder looks only at the length and passes the
 * object on, in its place among the chunks, to whoever does the sending.
 */
export interface ByteSource {
  readonly byteLength: number
}

/** A piece of an encoded message: bytes, or a promise of exactly `byteLength` bytes. */
export type Chunk = Buffer | ByteSource
