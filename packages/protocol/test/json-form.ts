import type { Field, Fields } from '../src/schema.js'

/** The form of a value that Kafka's JSON converters read: JSON has no bytes, so they are base64. */
export const toJsonForm = (fields: Fields, value: Record<string, unknown>): Record<string, unknown> =>
  convertBytes(fields, value, (bytes) => (bytes as Buffer).toString('base64'))

export const fromJsonForm = (fields: Fields, value: Record<string, unknown>): Record<string, unknown> =>
  convertBytes(fields, value, (text) => Buffer.from(text as string, 'base64'))

function convertBytes(
  fields: Fields,
  value: Record<string, unknown>,
  convert: (bytes: unknown) => unknown,
): Record<string, unknown> {
  const converted = (field: Field, part: unknown): unknown => {
    if (part === null) return null
    if (field.type === 'bytes' || field.type === 'records') return convert(part)
    if (field.fields === undefined) return standsForDefault(field, part) ? undefined : part
    const struct = (one: unknown) => convertBytes(field.fields!, one as Record<string, unknown>, convert)
    return Array.isArray(part) ? part.map(struct) : struct(part)
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, converted(fields[name]!, part)]),
  )
}

/** The largest safe integer is what a default beyond it decodes to. Left out, it is that default to Kafka too. */
const standsForDefault = ({ options }: Field, part: unknown): boolean =>
  typeof options.default === 'bigint' && part === Number.MAX_SAFE_INTEGER
