import type { Field, Fields } from './schema.js'
import { ZERO_UUID } from './uuid.js'

/**
 * What a field is when nobody said, by Kafka's rules: its declared default; otherwise zero, false or empty, null for
 * records, and for a struct the struct of its fields' defaults. Arrays and structs are made anew each time.
 */
export function makeDefault(field: Field): () => unknown {
  const declared = field.options.default
  if (declared !== undefined) {
    const value = field.type === 'int64' ? saturated(declared as number | bigint) : declared
    return () => value
  }
  switch (field.type) {
    case 'bool':
      return () => false
    case 'string':
      return () => ''
    case 'uuid':
      return () => ZERO_UUID
    case 'bytes':
      return () => Buffer.alloc(0)
    case 'records':
      return () => null
    case 'array':
      return () => []
    case 'struct': {
      const parts = Object.entries(field.fields!).map(([name, part]) => [name, makeDefault(part)] as const)
      return () => {
        const value: Record<string, unknown> = {}
        for (const [name, make] of parts) value[name] = make()
        return value
      }
    }
    default:
      return () => 0
  }
}

/** Whether a default is one object per use and may not be shared. */
export const isFresh = (field: Field): boolean =>
  field.options.default === undefined && (field.type === 'array' || field.type === 'struct')

/** Whether a value says no more than its absence would. */
export function isDefaultOf(field: Field): (value: unknown) => boolean {
  const declared = makeDefault(field)()
  if (declared !== null) {
    if (field.type === 'int64')
      return (value) => value === undefined || saturated(value as number | bigint) === declared
    if (field.type === 'array') return (value) => value === undefined || (value as unknown[])?.length === 0
    if (field.type === 'bytes')
      return (value) => value === undefined || (value as Uint8Array)?.byteLength === 0
    if (field.type === 'struct') return isDefaultStruct(field.fields!)
  }
  return (value) => value === undefined || value === declared
}

function isDefaultStruct(fields: Fields): (value: unknown) => boolean {
  const parts = Object.entries(fields).map(([name, part]) => [name, isDefaultOf(part)] as const)
  return (value) =>
    value === undefined ||
    (typeof value === 'object' &&
      value !== null &&
      parts.every(([name, isDefault]) => isDefault((value as Record<string, unknown>)[name])))
}

/** A 64-bit integer as the decoder would return it. */
const saturated = (value: number | bigint): number =>
  Math.min(Math.max(Number(value), Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
