import { isDefaultOf, isFresh, makeDefault } from './defaults.js'
import { ProtocolError } from './protocol-error.js'
import type { Reader } from './reader.js'
import { scalarCodec } from './scalar-codec.js'
import { type Field, type Fields, mayBeOmitted } from './schema.js'
import { includes, versionRange } from './versions.js'
import type { Writer } from './writer.js'

/**
 * Turns a declaration into the reader and the writer of one version. All that the declaration says is looked at here,
 * once; what remains is a tree of closures.
 */
export interface Codec {
  readonly read: (reader: Reader) => unknown
  readonly write: (writer: Writer, value: unknown) => void
  /** The fewest bytes that a value takes. */
  readonly minBytes: number
}

export interface CodecContext {
  /** What the message is called in errors. */
  readonly message: string
  readonly version: number
  readonly flexible: boolean
  /** Whether a value that the version cannot express is refused, unless its field is ignorable. */
  readonly strict: boolean
}

type Struct = Record<string, unknown>

export function structCodec(fields: Fields, context: CodecContext, path: string): Codec {
  const { version, flexible } = context
  const template: Struct = {}
  const fresh: [name: string, make: () => unknown][] = []
  const names: string[] = []
  const reads: Codec['read'][] = []
  const writes: Codec['write'][] = []
  const tagged: TaggedField[] = []
  const unsayable: [name: string, isDefault: (value: unknown) => boolean][] = []
  let minBytes = flexible ? 1 : 0

  for (const [name, field] of Object.entries(fields)) {
    const { tag, tagged: taggedVersions } = field.options
    template[name] = isFresh(field) ? undefined : makeDefault(field)()
    const present = includes(versionRange(field.versions), version)
    const isTagged =
      present && tag !== undefined && includes(versionRange(taggedVersions ?? field.versions), version)
    if ((!present || isTagged) && isFresh(field)) fresh.push([name, makeDefault(field)])
    if (!present) {
      if (context.strict && !field.options.ignorable) unsayable.push([name, isDefaultOf(field)])
      continue
    }
    const codec = fieldCodec(field, context, path === '' ? name : `${path}.${name}`)
    if (isTagged) {
      if (!flexible)
        throw new TypeError(`${context.message}: ${name} is tagged in version ${version}, which has no tags`)
      tagged.push({ name, tag, isDefault: isDefaultOf(field), ...codec })
    } else {
      names.push(name)
      reads.push(codec.read)
      writes.push(codec.write)
      minBytes += codec.minBytes
    }
  }
  tagged.sort((a, b) => a.tag - b.tag)

  const count = names.length
  const read = (reader: Reader): Struct => {
    // Copying the template gives every value of the struct one hidden class, whichever version it came from.
    const value = { ...template }
    for (let i = 0; i < count; i++) value[names[i]!] = reads[i]!(reader)
    for (let i = 0; i < fresh.length; i++) value[fresh[i]![0]] = fresh[i]![1]()
    if (flexible) readTags(reader, tagged, value)
    return value
  }
  const write = (writer: Writer, value: unknown): void => {
    if (typeof value !== 'object' || value === null) throw invalid(context, path, value, 'an object')
    for (let i = 0; i < count; i++) writes[i]!(writer, (value as Struct)[names[i]!])
    for (let i = 0; i < unsayable.length; i++) {
      const [name, isDefault] = unsayable[i]!
      if (!isDefault((value as Struct)[name])) {
        throw new ProtocolError(
          'VARVE_PROTOCOL_UNSUPPORTED_VERSION',
          `${context.message} v${version} cannot say ${path === '' ? name : `${path}.${name}`}, which is set; ` +
            `leave it out or use a version that has it (${fields[name]!.versions})`,
        )
      }
    }
    if (flexible) writeTags(writer, tagged, value as Struct)
  }
  return { read, write, minBytes }
}

interface TaggedField extends Codec {
  readonly name: string
  readonly tag: number
  readonly isDefault: (value: unknown) => boolean
}

/** Reads the known tags into `into` and steps over the others. */
export function readTags(reader: Reader, known: readonly TaggedField[], into: Struct): void {
  for (let left = reader.uvarint(); left > 0; left--) {
    const tag = reader.uvarint()
    const size = reader.uvarint()
    const field = known.find((candidate) => candidate.tag === tag)
    const start = reader.at
    reader.skip(size)
    if (field === undefined) continue
    const end = reader.at
    reader.at = start
    into[field.name] = field.read(reader)
    if (reader.at !== end) {
      throw reader.malformed(
        `tag ${tag} (${field.name}) declares ${size} bytes and holds ${reader.at - start}`,
      )
    }
  }
}

function writeTags(writer: Writer, tagged: readonly TaggedField[], value: Struct): void {
  let count = 0
  for (const field of tagged) if (!field.isDefault(value[field.name])) count++
  writer.uvarint(count)
  if (count === 0) return
  for (const field of tagged) {
    if (field.isDefault(value[field.name])) continue
    writer.uvarint(field.tag)
    writer.sized(field.write, value[field.name])
  }
}

function fieldCodec(field: Field, context: CodecContext, path: string): Codec {
  if (field.type === 'records' && field.options.tag !== undefined) {
    throw new TypeError(`${context.message}: ${path} is records and cannot be tagged`)
  }
  const codec = valueCodec(field, context, path)
  if (!mayBeOmitted(field)) return codec
  const { write } = codec
  const make = makeDefault(field)
  return { ...codec, write: (writer, value) => write(writer, value === undefined ? make() : value) }
}

function valueCodec(field: Field, context: CodecContext, path: string): Codec {
  const { nullable } = field.options
  const allowNull = nullable !== undefined && includes(versionRange(nullable), context.version)
  const compact = context.flexible && !field.options.neverCompact
  if (field.type === 'array') return arrayCodec(field, context, path, allowNull, compact)
  if (field.type === 'struct') {
    const codec = structCodec(field.fields!, context, path)
    return allowNull ? nullableStruct(codec) : codec
  }
  const refuse = (value: unknown, expected: string) => invalid(context, path, value, expected)
  return scalarCodec(field.type, { path, allowNull, compact, refuse })
}

function arrayCodec(
  field: Field,
  context: CodecContext,
  path: string,
  allowNull: boolean,
  compact: boolean,
): Codec {
  const elementPath = `${path}[]`
  const element = field.fields
    ? structCodec(field.fields, context, elementPath)
    : valueCodec({ type: field.element!, versions: '0+', options: {} }, context, elementPath)
  const { read: readElement, write: writeElement } = element
  const elementBytes = Math.max(1, element.minBytes)
  return {
    minBytes: compact ? 1 : 4,
    read: (reader) => {
      const length = reader.arrayLength(compact, elementBytes)
      if (length < 0) {
        if (allowNull) return null
        throw reader.malformed(`${path} is null`)
      }
      const values: unknown[] = []
      for (let i = 0; i < length; i++) values.push(readElement(reader))
      return values
    },
    write: (writer, value) => {
      if (value === null && allowNull) {
        if (compact) writer.uvarint(0)
        else writer.int32(-1)
        return
      }
      if (!Array.isArray(value)) throw invalid(context, path, value, 'an array')
      if (compact) writer.uvarint(value.length + 1)
      else writer.int32(value.length)
      for (let i = 0; i < value.length; i++) writeElement(writer, value[i])
    },
  }
}

/** A byte says whether the struct follows: 1, or -1 for null. */
const nullableStruct = (codec: Codec): Codec => ({
  minBytes: 1,
  read: (reader) => (reader.int8() < 0 ? null : codec.read(reader)),
  write: (writer, value) => {
    writer.int8(value === null ? -1 : 1)
    if (value !== null) codec.write(writer, value)
  },
})

function invalid(context: CodecContext, path: string, value: unknown, expected: string): ProtocolError {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value)
  const at = path === '' ? '' : `.${path}`
  return new ProtocolError(
    'VARVE_PROTOCOL_INVALID_VALUE',
    `${context.message} v${context.version}${at} must be ${expected}, not ${shown}`,
  )
}
