import type { Chunk } from './chunk.js'
import type { VersionSpec } from './versions.js'

/**
 * The language in which messages are declared, once for all their versions.
 *
 * A message is an object of fields in wire order. A field is made by the function of its type, which takes the
 * versions that carry it, and options. The TypeScript types of a message derive from its declaration (`Decoded`,
 * `Encodable`), and so do its encoders and decoders (codec.ts). The meaning of every word is that of Kafka's schema
 * files (`common/message/README.md` in the kafka-clients jar).
 */

declare const types: unique symbol

/** What each scalar type is when it has been decoded. */
interface DecodedScalars {
  bool: boolean
  int8: number
  int16: number
  uint16: number
  int32: number
  uint32: number
  int64: number
  float64: number
  uuid: string
  string: string
  bytes: Buffer
  records: Buffer
}

/** What an encoder accepts for it. */
interface EncodableScalars extends Omit<DecodedScalars, 'int64' | 'bytes' | 'records'> {
  int64: number | bigint
  bytes: Uint8Array
  records: Chunk | Uint8Array
}

export type ScalarType = keyof DecodedScalars

export interface FieldOptions {
  /** The versions in which the value may be null. */
  readonly nullable?: VersionSpec
  /** The value of a field that the version does not carry or the caller did not set; otherwise zero, empty or false. */
  readonly default?: string | number | bigint | boolean | null
  /** A tagged field's number. */
  readonly tag?: number
  /** The versions in which the field is tagged; all of its versions unless given. */
  readonly tagged?: VersionSpec
  /** In a request or data: the field may be left out silently where the version cannot express it. */
  readonly ignorable?: boolean
  /** The field keeps its two-byte length in flexible versions too (the client id of the request header). */
  readonly neverCompact?: boolean
}

export interface Field<D = unknown, E = unknown, O extends boolean = boolean> {
  readonly type: ScalarType | 'array' | 'struct'
  readonly versions: VersionSpec
  readonly options: FieldOptions
  /** An array's elements, where they are scalars. */
  readonly element?: ScalarType
  /** A struct's fields, or those of an array's elements. */
  readonly fields?: Fields
  readonly [types]?: { decoded: D; encodable: E; optional: O }
}

export type Fields = Readonly<Record<string, Field>>

/** The value that a decoder returns: every field is there, with its default where the version has none. */
export type Decoded<F extends Fields> = {
  -readonly [K in keyof F]: F[K] extends Field<infer D> ? D : never
}

/**
 * The value that an encoder takes. A field may be omitted when it has a declared default, is tagged, or does not exist
 * in every version; forgetting any other one is an error of the compiler and of the encoder.
 */
export type Encodable<F extends Fields> = {
  readonly [K in RequiredKey<F>]: F[K] extends Field<unknown, infer E> ? E : never
} & {
  readonly [K in Exclude<keyof F, RequiredKey<F>>]?: F[K] extends Field<unknown, infer E> ? E : never
}

type RequiredKey<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<unknown, unknown, false> ? K : never
}[keyof F]

type OrNull<T, O> = O extends { readonly nullable: string } ? T | null : T
type Omissible<V, O> = V extends '0+'
  ? O extends { readonly default: unknown } | { readonly tag: number }
    ? true
    : false
  : true

export const mayBeOmitted = (field: Field): boolean =>
  field.versions !== '0+' || field.options.default !== undefined || field.options.tag !== undefined

const scalar =
  <T extends ScalarType>(type: T) =>
  <const V extends VersionSpec, const O extends FieldOptions = {}>(
    versions: V,
    options?: O,
  ): Field<OrNull<DecodedScalars[T], O>, OrNull<EncodableScalars[T], O>, Omissible<V, O>> => ({
    type,
    versions,
    options: options ?? {},
  })

export const bool = scalar('bool')
export const int8 = scalar('int8')
export const int16 = scalar('int16')
export const uint16 = scalar('uint16')
export const int32 = scalar('int32')
export const uint32 = scalar('uint32')
export const int64 = scalar('int64')
export const float64 = scalar('float64')
export const uuid = scalar('uuid')
export const string = scalar('string')
export const bytes = scalar('bytes')
export const records = scalar('records')

type ElementDecoded<T> = T extends ScalarType ? DecodedScalars[T] : T extends Fields ? Decoded<T> : never
type ElementEncodable<T> = T extends ScalarType
  ? EncodableScalars[T]
  : T extends Fields
    ? Encodable<T>
    : never

/** An array of a scalar type, given by its name, or of structs, given by their fields. */
export function array<
  const V extends VersionSpec,
  const T extends ScalarType | Fields,
  const O extends FieldOptions = {},
>(
  versions: V,
  of: T,
  options?: O,
): Field<OrNull<ElementDecoded<T>[], O>, OrNull<readonly ElementEncodable<T>[], O>, Omissible<V, O>> {
  const element: Pick<Field, 'element' | 'fields'> =
    typeof of === 'string' ? { element: of as ScalarType } : { fields: of as Fields }
  return { type: 'array', versions, options: options ?? {}, ...element }
}

export function struct<
  const V extends VersionSpec,
  const F extends Fields,
  const O extends FieldOptions = {},
>(
  versions: V,
  fields: F,
  options?: O,
): Field<OrNull<Decoded<F>, O>, OrNull<Encodable<F>, O>, Omissible<V, O>> {
  return { type: 'struct', versions, options: options ?? {}, fields }
}
