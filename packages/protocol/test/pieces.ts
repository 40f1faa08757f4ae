import { isDefaultOf } from '../src/defaults.js'
import type { Field, Fields, ScalarType } from '../src/schema.js'
import { includes, versionRange, type VersionSpec } from '../src/versions.js'
import type { Declared } from './every-message.js'

/** What a part of an encoded message is, as far as somebody cares who wants to break it. */
export type PieceKind = 'length' | 'varint' | 'number' | 'content'

export interface Piece {
  readonly kind: PieceKind
  readonly bytes: Buffer
}

/** An encoded value in its pieces, in order: every length, number and content by itself. */
export function piecesOf({ message, prefixed, key }: Declared, version: number, value: unknown): Piece[] {
  const walk = new Walk(version, version >= message.flexibleFrom)
  if (prefixed) walk.integer(key ?? version, 2)
  walk.struct(message.fields, value as Record<string, unknown>)
  return walk.pieces
}

const SIZES: Partial<Record<ScalarType, number>> = {
  bool: 1,
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
}

class Walk {
  readonly pieces: Piece[] = []
  readonly #version: number
  readonly #flexible: boolean

  constructor(version: number, flexible: boolean) {
    this.#version = version
    this.#flexible = flexible
  }

  #isIn = (spec: VersionSpec | undefined) => spec !== undefined && includes(versionRange(spec), this.#version)

  #push(kind: PieceKind, bytes: Buffer): void {
    this.pieces.push({ kind, bytes })
  }

  integer(value: number | bigint | boolean, size: number, kind: PieceKind = 'number'): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64BE(BigInt(value))
    this.#push(kind, bytes.subarray(8 - size))
  }

  varint(value: number): void {
    this.#push('varint', varintOf(value))
  }

  /** The length of something, -1 for null, in the way of the version. */
  length(value: number, classicSize: number, compact = this.#flexible): void {
    if (compact) this.varint(value + 1)
    else this.integer(value, classicSize, 'length')
  }

  struct(fields: Fields, value: Record<string, unknown>): void {
    const present = Object.entries(fields).filter(([, field]) => this.#isIn(field.versions))
    const isTagged = ({ options: { tag, tagged }, versions }: Field) =>
      tag !== undefined && this.#isIn(tagged ?? versions)
    for (const [name, field] of present) if (!isTagged(field)) this.field(field, value[name])
    if (!this.#flexible) return
    const said = present.filter(([name, field]) => isTagged(field) && !isDefaultOf(field)(value[name]))
    said.sort(([, a], [, b]) => a.options.tag! - b.options.tag!)
    this.varint(said.length)
    for (const [name, field] of said) {
      const content = new Walk(this.#version, this.#flexible)
      content.field(field, value[name])
      this.varint(field.options.tag!)
      this.varint(content.pieces.reduce((sum, { bytes }) => sum + bytes.length, 0))
      this.pieces.push(...content.pieces)
    }
  }

  field(field: Field, value: unknown): void {
    const { type } = field
    if (type === 'array') {
      const elements = value as unknown[] | null
      this.length(elements?.length ?? -1, 4)
      for (const element of elements ?? []) {
        if (field.fields) this.struct(field.fields, element as Record<string, unknown>)
        else this.field({ type: field.element!, versions: '0+', options: {} }, element)
      }
    } else if (type === 'struct') {
      if (this.#isIn(field.options.nullable)) this.integer(value === null ? -1 : 1, 1)
      if (value !== null) this.struct(field.fields!, value as Record<string, unknown>)
    } else if (type === 'string') {
      const bytes = value === null ? null : Buffer.from(value as string)
      this.length(bytes?.length ?? -1, 2, this.#flexible && field.options.neverCompact !== true)
      if (bytes?.length) this.#push('content', bytes)
    } else if (type === 'bytes' || type === 'records') {
      const bytes = value as Buffer | null
      this.length(bytes?.length ?? -1, 4)
      if (bytes?.length) this.#push('content', bytes)
    } else if (type === 'uuid') {
      this.#push('content', Buffer.from(value as string, 'base64url'))
    } else if (type === 'float64') {
      const bytes = Buffer.alloc(8)
      bytes.writeDoubleBE(value as number)
      this.#push('number', bytes)
    } else {
      this.integer(value as number | bigint | boolean, SIZES[type]!)
    }
  }
}

/** A number as an unsigned varint. */
export function varintOf(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return Buffer.from([...bytes, rest])
}
