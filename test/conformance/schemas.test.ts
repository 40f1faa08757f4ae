// Our declarations are written by hand, and a field that is one version early goes unnoticed until a client of that
// version connects. Kafka's own schema files, inside the kafka-clients jar, are the authority: every declaration must
// say what they say, at every version.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { apis, type Field, type Fields, type Message, requestHeader, responseHeader } from '@varve/protocol'
import { describe, expect, test } from 'vitest'

const ARTIFACT = 'org.apache.kafka:kafka-clients:4.4.0'
const FETCH_TIMEOUT_MS = 60_000

interface SchemaField {
  readonly name: string
  readonly type: string
  readonly versions: string
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

const jar = findJar()

function findJar(): string | undefined {
  const given = process.env['VARVE_KAFKA_CLIENTS_JAR']
  if (given !== undefined && given !== '') {
    if (!existsSync(given)) throw new Error(`VARVE_KAFKA_CLIENTS_JAR names ${given}, which does not exist`)
    return given
  }
  const cached = fileURLToPath(
    new URL('../../node_modules/.cache/varve/kafka-clients-4.4.0.jar', import.meta.url),
  )
  if (existsSync(cached)) return cached
  mkdirSync(dirname(cached), { recursive: true })
  const copy = ['-q', 'dependency:copy', `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${dirname(cached)}`]
  // Outside the project: Maven would otherwise look for a project file here.
  spawnSync('mvn', copy, { cwd: tmpdir(), timeout: FETCH_TIMEOUT_MS, stdio: 'ignore' })
  if (existsSync(cached)) return cached
  console.log(
    `skipped: the schemas are compared with ${ARTIFACT}, which is not here; ` +
      `put its jar at ${cached} or name it in VARVE_KAFKA_CLIENTS_JAR`,
  )
  return undefined
}

function schemaOf(message: Message<unknown>): Schema {
  const text = execFileSync('unzip', ['-p', jar!, `common/message/${message.name}.json`], {
    encoding: 'utf8',
  })
  return JSON.parse(text.replaceAll(/^\s*\/\/.*$/gm, '')) as Schema
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

/** Kafka's schema at one version. Ignorable matters in requests only: our encoder refuses nothing in a response. */
function schemaView(
  schema: Schema,
  fields: readonly SchemaField[],
  version: number,
  isRequest: boolean,
): FieldView[] {
  return fields
    .filter((field) => isIn(field.versions, version))
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
        ignorable: isRequest && field.ignorable === true,
        compact: hasLength(type) && isIn(field.flexibleVersions ?? schema.flexibleVersions, version),
        fields: isScalar ? null : schemaView(schema, parts!, version, isRequest),
      }
    })
}

/** Our declaration at one version. */
function declaredView(fields: Fields, version: number, flexible: boolean, isRequest: boolean): FieldView[] {
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
        ignorable: isRequest && ignorable === true,
        compact: hasLength(type) && flexible && neverCompact !== true,
        fields: field.fields === undefined ? null : declaredView(field.fields, version, flexible, isRequest),
      }
    })
}

const typeOf = (field: Field): string =>
  field.type === 'array' ? `[]${field.element ?? 'struct'}` : field.type

const messages: { key: number | undefined; message: Message<unknown> }[] = [
  ...[...apis.values()].flatMap(({ key, request, response }) => [
    { key, message: request },
    { key, message: response },
  ]),
  { key: undefined, message: requestHeader },
  { key: undefined, message: responseHeader },
]

describe.skipIf(jar === undefined).each(messages)('$message.name', ({ key, message }) => {
  test('is declared as in Kafka 4.4', () => {
    const schema = schemaOf(message)
    const { min, max } = message.versions
    expect(message.name).toBe(schema.name)
    expect(key).toBe(schema.apiKey)
    expect(min === max ? `${min}` : `${min}-${max}`).toBe(schema.validVersions)
    expect(message.flexibleFrom === Infinity ? 'none' : `${message.flexibleFrom}+`).toBe(
      schema.flexibleVersions,
    )
    const isRequest = message.role === 'request'
    for (let version = min; version <= max; version++) {
      const flexible = version >= message.flexibleFrom
      const declared = declaredView(message.fields, version, flexible, isRequest)
      const wanted = schemaView(schema, schema.fields, version, isRequest)
      expect(declared, `${message.name} v${version}`).toEqual(wanted)
    }
  })
})
