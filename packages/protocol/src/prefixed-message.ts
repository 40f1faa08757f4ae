import { type Message, message } from './message.js'
import { ProtocolError } from './protocol-error.js'
import type { Reader } from './reader.js'
import type { Decoded, Encodable, Fields } from './schema.js'
import type { VersionSpec } from './versions.js'

/**
 * Messages that travel or are stored by themselves, without a header that tells what they are: two bytes in front do.
 * For the keys of an internal topic's records that is the type of the record, for everything else the version.
 */

/** The key of the records of one type. It has one version, so that equal keys are equal bytes and compaction finds them. */
export interface RecordKey<T, I = T> {
  /** The record's type in its topic: the first two bytes. */
  readonly type: number
  readonly message: Message<T, I>
  /** @throws {ProtocolError} INVALID_VALUE. */
  encode(key: I): Buffer
  /** @throws {ProtocolError} TRUNCATED, or MALFORMED, also if it is the key of another type. */
  decode(key: Buffer): T
}

/** A message behind its version. */
export interface VersionedMessage<T, I = T> {
  readonly message: Message<T, I>
  /** @throws {ProtocolError} INVALID_VALUE, or UNSUPPORTED_VERSION where the version cannot express the value. */
  encode(value: I, version: number): Buffer
  /**
   * Decodes any version that is declared. Byte fields are views of what is passed in.
   *
   * @throws {ProtocolError} TRUNCATED, MALFORMED or UNSUPPORTED_VERSION; nothing else, whatever the bytes are.
   */
  decode(bytes: Buffer): T
}

/** The type of an internal topic's record, which its key begins with. Readers step over types that they do not know. */
export function recordTypeOf(key: Buffer): number {
  return prefixOf(key, 'a record key')
}

export interface RecordKeyDeclaration<F extends Fields> {
  readonly type: number
  readonly name: string
  readonly fields: F
}

export function recordKey<const F extends Fields>(
  declaration: RecordKeyDeclaration<F>,
): RecordKey<Decoded<F>, Encodable<F>> {
  const { type, name, fields } = declaration
  const key = message({ name, role: 'data', versions: '0', flexible: 'none', fields })
  return {
    type,
    message: key,
    encode: (value) => behindPrefix(type, key, value, 0),
    decode(bytes) {
      const found = prefixOf(bytes, name)
      if (found === type) return wholly(key, bytes, 0)
      throw new ProtocolError('VARVE_PROTOCOL_MALFORMED', `${name} begins with type ${type}, not ${found}`)
    },
  }
}

export interface VersionedDeclaration<F extends Fields> {
  readonly name: string
  readonly versions: VersionSpec
  readonly flexible: VersionSpec | 'none'
  readonly fields: F
  /**
   * Whether newer versions only add fields at the end, so that one from the future is read as the newest that is
   * declared; otherwise it is an UNSUPPORTED_VERSION, and bytes after the last field mean that it was misread.
   */
  readonly grows?: boolean
}

export function versioned<const F extends Fields>(
  declaration: VersionedDeclaration<F>,
): VersionedMessage<Decoded<F>, Encodable<F>> {
  const { name, versions, flexible, fields, grows = false } = declaration
  const value = message({ name, role: 'data', versions, flexible, fields })
  return {
    message: value,
    encode: (input, version) => behindPrefix(version, value, input, version),
    decode(bytes) {
      const version = prefixOf(bytes, name)
      if (!grows) return wholly(value, bytes, version)
      return value.decode(bytes, 2, Math.min(version, value.versions.max))
    },
  }
}

const prefixOf = (bytes: Buffer, what: string): number => {
  if (bytes.length >= 2) return bytes.readInt16BE(0)
  throw new ProtocolError('VARVE_PROTOCOL_TRUNCATED', `${what} of ${bytes.length} bytes has no version`)
}

function behindPrefix<I>(prefix: number, to: Message<unknown, I>, value: I, version: number): Buffer {
  const start = Buffer.alloc(2)
  start.writeInt16BE(prefix)
  return Buffer.concat([start, ...(to.encode(value, version) as Buffer[])])
}

function wholly<T>(from: Message<T, never>, bytes: Buffer, version: number): T {
  const reader: Reader = from.reader(bytes, 2, version)
  const value = from.read(reader, version)
  if (reader.at < reader.end) throw reader.malformed(`${reader.end - reader.at} bytes are left over`)
  return value
}
