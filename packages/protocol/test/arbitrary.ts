import fc from 'fast-check'
import { makeDefault } from '../src/defaults.js'
import type { Field, Fields, ScalarType } from '../src/schema.js'
import { includes, versionRange, type VersionSpec } from '../src/versions.js'

/** Values of a declaration at one version: exactly the fields that this version carries. */
export function structArbitrary(fields: Fields, version: number): fc.Arbitrary<Record<string, unknown>> {
  const present = Object.entries(fields).filter(([, field]) => isIn(field.versions, version))
  return fc.record(
    Object.fromEntries(present.map(([name, field]) => [name, fieldArbitrary(field, version)])),
    {
      noNullPrototype: true,
    },
  )
}

function fieldArbitrary(field: Field, version: number): fc.Arbitrary<unknown> {
  const value = valueArbitrary(field, version)
  const { nullable, tag } = field.options
  const orNull = nullable !== undefined && isIn(nullable, version) ? fc.option(value, { freq: 6 }) : value
  // Tagged fields are left out when they hold their default, so it must come up often.
  return tag === undefined ? orNull : fc.oneof(orNull, fc.constant(undefined).map(makeDefault(field)))
}

function valueArbitrary(field: Field, version: number): fc.Arbitrary<unknown> {
  if (field.type === 'struct') return structArbitrary(field.fields!, version)
  if (field.type !== 'array') return scalars[field.type]
  const element = field.fields ? structArbitrary(field.fields, version) : scalars[field.element!]
  return fc.array(element, { maxLength: 3 })
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
const integer = (min: number, max: number) =>
  fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, -1 < min ? 0 : -1, 0, max))

const scalars: Record<ScalarType, fc.Arbitrary<unknown>> = {
  bool: fc.boolean(),
  int8: integer(-128, 127),
  int16: integer(-0x8000, 0x7fff),
  uint16: integer(0, 0xffff),
  int32: integer(-0x80000000, 0x7fffffff),
  uint32: integer(0, 0xffffffff),
  int64: fc.oneof(fc.maxSafeInteger(), fc.constantFrom(-1, 0, 2 ** 31, 2 ** 32, -(2 ** 32), -(2 ** 31) - 1)),
  float64: fc.double({ noNaN: true }),
  uuid: fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((array) => Buffer.from(array).toString('base64url')),
  // Long enough for two-byte varint lengths, and not only ASCII.
  string: fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.string({ minLength: 120, maxLength: 140 }),
  ),
  bytes: bytes(40),
  records: bytes(300),
}

/** The value that says least: null wherever a version allows it, if that is asked for, and otherwise zero and empty. */
export function barestValue(fields: Fields, version: number, say: 'null' | 'empty'): Record<string, unknown> {
  const barest = (field: Field): unknown => {
    const { nullable } = field.options
    if (say === 'null' && nullable !== undefined && isIn(nullable, version)) return null
    if (field.type === 'struct') return barestValue(field.fields!, version, say)
    if (field.type === 'records') return Buffer.alloc(0)
    return makeDefault({ ...field, options: {} })()
  }
  const present = Object.entries(fields).filter(([, field]) => isIn(field.versions, version))
  return Object.fromEntries(present.map(([name, field]) => [name, barest(field)]))
}

/** What a decoder returns for the value: absent fields have come back as their defaults. */
export function decodedForm(fields: Fields, value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => {
      const given = value[name]
      if (given === undefined) return [name, makeDefault(field)()]
      if (given !== null && field.fields !== undefined) {
        const struct = (part: unknown) => decodedForm(field.fields!, part as Record<string, unknown>)
        return [name, Array.isArray(given) ? given.map(struct) : struct(given)]
      }
      return [name, given]
    }),
  )
}

const isIn = (spec: VersionSpec, version: number) => includes(versionRange(spec), version)
