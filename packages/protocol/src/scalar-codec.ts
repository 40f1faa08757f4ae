import type { Codec } from './codec.js'
import type { ProtocolError } from './protocol-error.js'
import type { ScalarType } from './schema.js'
import { isUuid } from './uuid.js'

interface ScalarOptions {
  readonly path: string
  readonly allowNull: boolean
  readonly compact: boolean
  readonly refuse: (value: unknown, expected: string) => ProtocolError
}

const MIN_INT64 = -(2n ** 63n)
const MAX_INT64 = 2n ** 63n - 1n
const MAX_STRING_BYTES = 0x7fff
const MAX_BYTES = 0x7fffffff

export function scalarCodec(type: ScalarType, options: ScalarOptions): Codec {
  const { refuse } = options
  switch (type) {
    case 'bool':
      return {
        minBytes: 1,
        read: (reader) => reader.bool(),
        write: (writer, value) => {
          if (typeof value !== 'boolean') throw refuse(value, 'true or false')
          writer.int8(value ? 1 : 0)
        },
      }
    case 'int8':
      return {
        minBytes: 1,
        read: (reader) => reader.int8(),
        write: (writer, value) => {
          if (((value as number) << 24) >> 24 !== value) throw refuse(value, 'an 8-bit integer')
          writer.int8(value as number)
        },
      }
    case 'int16':
      return {
        minBytes: 2,
        read: (reader) => reader.int16(),
        write: (writer, value) => {
          if (((value as number) << 16) >> 16 !== value) throw refuse(value, 'a 16-bit integer')
          writer.int16(value as number)
        },
      }
    case 'uint16':
      return {
        minBytes: 2,
        read: (reader) => reader.uint16(),
        write: (writer, value) => {
          if (((value as number) & 0xffff) !== value) throw refuse(value, 'an unsigned 16-bit integer')
          writer.int16(value as number)
        },
      }
    case 'int32':
      return {
        minBytes: 4,
        read: (reader) => reader.int32(),
        write: (writer, value) => {
          if (((value as number) | 0) !== value) throw refuse(value, 'a 32-bit integer')
          writer.int32(value as number)
        },
      }
    case 'uint32':
      return {
        minBytes: 4,
        read: (reader) => reader.uint32(),
        write: (writer, value) => {
          if ((value as number) >>> 0 !== value) throw refuse(value, 'an unsigned 32-bit integer')
          writer.int32(value as number)
        },
      }
    case 'int64':
      return {
        minBytes: 8,
        read: (reader) => reader.int64(),
        write: (writer, value) => {
          const fits =
            typeof value === 'bigint' ? value >= MIN_INT64 && value <= MAX_INT64 : Number.isSafeInteger(value)
          if (!fits) throw refuse(value, 'a safe integer or a 64-bit bigint')
          writer.int64(value as number | bigint)
        },
      }
    case 'float64':
      return {
        minBytes: 8,
        read: (reader) => reader.float64(),
        write: (writer, value) => {
          if (typeof value !== 'number') throw refuse(value, 'a number')
          writer.float64(value)
        },
      }
    case 'uuid':
      return {
        minBytes: 16,
        read: (reader) => reader.uuid(),
        write: (writer, value) => {
          if (!isUuid(value)) throw refuse(value, 'a uuid of 22 base64url characters')
          writer.uuid(value)
        },
      }
    case 'string':
      return stringCodec(options)
    case 'bytes':
    case 'records':
      return bytesCodec(type, options)
  }
}

function stringCodec({ path, allowNull, compact, refuse }: ScalarOptions): Codec {
  return {
    minBytes: compact ? 1 : 2,
    read: (reader) => {
      const length = reader.stringLength(compact)
      if (length >= 0) return reader.text(length)
      if (allowNull) return null
      throw reader.malformed(`${path} is null`)
    },
    write: (writer, value) => {
      if (value === null && allowNull) {
        if (compact) writer.uvarint(0)
        else writer.int16(-1)
        return
      }
      if (typeof value !== 'string') throw refuse(value, allowNull ? 'a string or null' : 'a string')
      const length = Buffer.byteLength(value)
      if (length > MAX_STRING_BYTES)
        throw refuse(value, `at most ${MAX_STRING_BYTES} bytes of UTF-8 (it has ${length})`)
      if (compact) writer.uvarint(length + 1)
      else writer.int16(length)
      writer.text(value, length)
    },
  }
}

function bytesCodec(type: 'bytes' | 'records', { path, allowNull, compact, refuse }: ScalarOptions): Codec {
  return {
    minBytes: compact ? 1 : 4,
    read: (reader) => {
      const length = reader.bytesLength(compact)
      if (length >= 0) return reader.view(length)
      if (allowNull) return null
      throw reader.malformed(`${path} is null`)
    },
    write: (writer, value) => {
      if (value === null && allowNull) {
        if (compact) writer.uvarint(0)
        else writer.int32(-1)
        return
      }
      const length = byteLengthOf(value, type)
      if (length === undefined)
        throw refuse(value, `bytes${allowNull ? ' or null' : ''}, at most ${MAX_BYTES}`)
      if (compact) writer.uvarint(length + 1)
      else writer.int32(length)
      if (type === 'records') writer.passThrough(value as Uint8Array)
      else writer.bytes(value as Uint8Array)
    },
  }
}

function byteLengthOf(value: unknown, type: 'bytes' | 'records'): number | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (type === 'bytes' && !(value instanceof Uint8Array)) return undefined
  const { byteLength } = value as { byteLength?: unknown }
  return Number.isInteger(byteLength) && (byteLength as number) >= 0 && (byteLength as number) <= MAX_BYTES
    ? (byteLength as number)
    : undefined
}
