// Our declarations are written by hand, and a field that is one version early goes unnoticed until a client of that
// version connects. Kafka's own schema files, inside its jars, are the authority: every declaration must
// say what they say, at every version.

import type { Field, Fields } from '@varve/protocol'
import { expect, test } from 'vitest'
import { everyMessage } from '../../packages/protocol/test/every-message.js'
import { schemasMissing, schemaText } from '../support/kafka-messages.js'

interface SchemaField {
  readonly name: string
  readonly type: string
  /** A tagged field may leave them to taggedVersions. */
  readonly versions?: string
  readonly nullableVersions?: string
  readonly taggedVersions?: string
  readonly tag?: number
  readonly default?: unknown
  readonly ignorable?: boolean
  readonly flexibleVersions?: string
  readonly fields?: readonly SchemaField[]
}

interface Schema {
  readonly apiKey?: number
  readonly type: string
  readonly name: string
  readonly validVersions: string
  readonly flexibleVersions: string
  readonly fields: readonly SchemaField[]
  readonly commonStructs?: readonly SchemaField[]
}

/** A field as one version has it: the form in which both sides are compared. */
interface FieldView {
  readonly name: string
  readonly type: string
  readonly nullable: boolean
  readonly tag: number | null
  readonly default: unknown
  readonly ignorable: boolean
  readonly compact: boolean
  readonly fields: readonly FieldView[] | null
}

function isIn(spec: string | undefined, version: number): boolean {
  if (spec === undefined || spec === 'none') return false
  const [from, to] = spec.endsWith('+') ? [spec.slice(0, -1), 'Infinity'] : spec.split('-')
  return version >= Number(from) && version <= Number(to ?? from)
}

const lowerFirst = (name: string) => name.charAt(0).toLowerCase() + name.slice(1)

const scalars = new Set(
  'bool int8 int16 uint16 int32 uint32 int64 float64 uuid string bytes records'.split(' '),
)
const hasLength = (type: string) => /^(string|bytes|records|\[\].*)$/.test(type)

/** The value that an absent field has. */
function defaultOf(type: string, declared: unknown): unknown {
  if (declared === null || declared === 'null') return null
  if (type.startsWith('[]')) return '[]'
  if (type === 'bool') return String(declared ?? false) === 'true'
  if (/int/.test(type)) return BigInt((declared as string | number | bigint | undefined) ?? 0)
  if (type === 'float64') return Number(declared ?? 0)
  if (type === 'string') return declared ?? ''
  if (type === 'records') return null
  return type
}

/** Kafka's schema at one version. Ignorable matters where our encoder refuses anything: not in responses and headers. */
function schemaView(
  schema: Schema,
  fields: readonly SchemaField[],
  version: number,
  refuses: boolean,
): FieldView[] {
  return fields
    .filter((field) => isIn(field.versions ?? field.taggedVersions, version))
    .map((field) => {
      const element = field.type.replace(/^\[\]/, '')
      const isScalar = scalars.has(element)
      const parts = field.fields ?? schema.commonStructs?.find(({ name }) => name === element)?.fields
      const type = isScalar ? field.type : field.type.startsWith('[]') ? '[]struct' : 'struct'
      return {
        name: lowerFirst(field.name),
        type,
        nullable: isIn(field.nullableVersions, version),
        tag: isIn(field.taggedVersions, version) ? field.tag! : null,
        default: defaultOf(type, field.default),
        ignorable: refuses && field.ignorable === true,
        compact: hasLength(type) && isIn(field.flexibleVersions ?? schema.flexibleVersions, version),
        fields: isScalar ? null : schemaView(schema, parts!, version, refuses),
      }
    })
}

/** Our declaration at one version. */
function declaredView(fields: Fields, version: number, flexible: boolean, refuses: boolean): FieldView[] {
  return Object.entries(fields)
    .filter(([, field]) => isIn(field.versions, version))
    .map(([name, field]) => {
      const { nullable, tag, tagged, ignorable, neverCompact } = field.options
      const type = typeOf(field)
      const isTagged = tag !== undefined && isIn(tagged ?? field.versions, version)
      return {
        name,
        type,
        nullable: isIn(nullable, version),
        tag: isTagged ? tag : null,
        default: defaultOf(type, field.options.default),
        ignorable: refuses && ignorable === true,
        compact: hasLength(type) && flexible && neverCompact !== true,
        fields: field.fields === undefined ? null : declaredView(field.fields, version, flexible, refuses),
      }
    })
}

const typeOf = (field: Field): string =>
  field.type === 'array' ? `[]${field.element ?? 'struct'}` : field.type

test.for(everyMessage)('$name is declared as in Kafka', ({ message, key }, { skip }) => {
  if (schemasMissing !== null) skip(schemasMissing)
  const schema = JSON.parse(schemaText(message.name)) as Schema
  const { min, max } = message.versions
  expect(message.name).toBe(schema.name)
  // A record's value has the type of its key and does not repeat it.
  if (schema.type !== 'coordinator-value') expect(key).toBe(schema.apiKey)
  expect(min === max ? `${min}` : `${min}-${max}`).toBe(schema.validVersions)
  expect(message.flexibleFrom === Infinity ? 'none' : `${message.flexibleFrom}+`).toBe(
    schema.flexibleVersions,
  )
  const refuses = message.role === 'request' || message.role === 'data'
  for (let version = min; version <= max; version++) {
    const flexible = version >= message.flexibleFrom
    const declared = declaredView(message.fields, version, flexible, refuses)
    const wanted = schemaView(schema, schema.fields, version, refuses)
    expect(declared, `${message.name} v${version}`).toEqual(wanted)
  }
})
