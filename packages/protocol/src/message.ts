import type { Chunk } from './chunk.js'
import { type Codec, structCodec } from './codec.js'
import { ProtocolError } from './protocol-error.js'
import { Reader } from './reader.js'
import type { Decoded, Encodable, Fields } from './schema.js'
import { type VersionRange, type VersionSpec, versionRange } from './versions.js'
import { Writer } from './writer.js'

export type MessageRole = 'request' | 'response' | 'header' | 'data'

// What comes from a client and needs more than this many array elements is an attack: each costs up to a hundred times its bytes.
const MAX_ELEMENTS = 1_000_000

/**
 * A message in all its versions.
 *
 * `T` is what decoding returns: every field is there, those that the version lacks with their defaults; bytes and
 * records are views of the frame. `I` is what encoding takes: fields with defaults may be left out, records may be any
 * `ByteSource`, 64-bit integers may be bigints.
 */
export interface Message<T, I = T> {
  /** Kafka's name of the schema, e.g. `ProduceRequest`. */
  readonly name: string
  readonly role: MessageRole
  readonly versions: VersionRange
  /** The first flexible version (compact lengths, tags); Infinity if there is none. */
  readonly flexibleFrom: number
  /** The declaration itself. */
  readonly fields: Fields
  /**
   * Decodes the message that begins at `at`. Bytes after a request or data are ignored, as Kafka ignores them; bytes
   * after a response mean that it was misread and are an error.
   *
   * @throws {ProtocolError} TRUNCATED, MALFORMED or UNSUPPORTED_VERSION; nothing else, whatever the bytes are.
   */
  decode(frame: Buffer, at: number, version: number): T
  /**
   * Encodes the message without a header. The chunks belong to the caller.
   *
   * @throws {ProtocolError} INVALID_VALUE, or UNSUPPORTED_VERSION where the version cannot express what a request or data says.
   */
  encode(value: I, version: number): Chunk[]
  /** Decodes in the middle of something: `decode` without a look at what follows. */
  read(reader: Reader, version: number): T
  /** Encodes in the middle of something. */
  write(writer: Writer, value: I, version: number): void
  /** A reader whose errors name this message. */
  reader(frame: Buffer, at: number, version: number): Reader
}

export interface MessageDeclaration<F extends Fields> {
  readonly name: string
  readonly role: MessageRole
  readonly versions: VersionSpec
  readonly flexible: VersionSpec | 'none'
  readonly fields: F
}

// One writer for all: encoding never waits, so a message is finished before the next begins.
const sharedWriter = new Writer()

/** Encodes with the shared writer: `write` writes, the chunks are what it wrote. */
export function encodeWith(write: (writer: Writer) => void): Chunk[] {
  try {
    write(sharedWriter)
    return sharedWriter.finish()
  } catch (error) {
    sharedWriter.abandon()
    throw error
  }
}

export function message<const F extends Fields>(
  declaration: MessageDeclaration<F>,
): Message<Decoded<F>, Encodable<F>> {
  const { name, role, fields } = declaration
  const versions = versionRange(declaration.versions)
  const flexibleFrom = versionRange(declaration.flexible).min
  // Data is what a request, or a record, carries as bytes.
  const fromClient = role === 'request' || role === 'data'
  const context = { name, maxElements: fromClient ? MAX_ELEMENTS : Infinity }
  const codecs: (Codec | undefined)[] = []

  const codecOf = (version: number): Codec => codecs[version] ?? compile(version)
  const compile = (version: number): Codec => {
    if (!Number.isInteger(version) || version < versions.min || version > versions.max) {
      throw new ProtocolError(
        'VARVE_PROTOCOL_UNSUPPORTED_VERSION',
        `${name} exists in versions ${versions.min} to ${versions.max}, not in version ${version}`,
      )
    }
    const codec = structCodec(
      fields,
      { message: name, version, flexible: version >= flexibleFrom, strict: fromClient },
      '',
    )
    codecs[version] = codec
    return codec
  }

  const reader = (frame: Buffer, at: number, version: number) => new Reader(frame, at, context, version)
  const read = (from: Reader, version: number) => codecOf(version).read(from) as Decoded<F>
  const write = (writer: Writer, value: Encodable<F>, version: number) =>
    codecOf(version).write(writer, value)
  return {
    name,
    role,
    versions,
    flexibleFrom,
    fields,
    reader,
    read,
    write,
    decode(frame, at, version) {
      const from = reader(frame, at, version)
      const value = read(from, version)
      if (!fromClient && from.at < from.end) {
        throw from.malformed(`${from.end - from.at} bytes are left over`)
      }
      return value
    },
    encode: (value, version) => encodeWith((writer) => write(writer, value, version)),
  }
}
