import { isUint8Array } from 'node:util/types'
import { VarveError } from './error.js'
import type { Bytes, HeadersInput, RecordInput } from './record.js'
import { sizeOfVarint, sizeOfVarlong, writeVarint, writeVarlong } from './varint.js'

const HEADERS_RULE = 'headers must be an object or an array of [name, value] pairs'
const RECORD_RULE = 'it must be an object with a key, a value or both'

// Below this many characters or bytes a loop beats the call into the runtime.
const SHORT = 24

/** Bytes that the record takes, its length in front of it included. */
export function recordByteLength(record: RecordInput, timestampDelta: number, offsetDelta: number): number {
  const { key, value, headers } = record
  if (key === undefined && value === undefined) checkParts(record)
  const size = bodyLength(byteLength(key), byteLength(value), headers, timestampDelta, offsetDelta)
  return sizeOfVarint(size) + size
}

/**
 * Writes one record and returns the position after it. Where that would lie beyond the position `limit`, or the end of
 * `target`, nothing is written and the position is returned negated, so that a caller who can make room learns how much.
 */
export function writeRecord(
  target: Buffer,
  at: number,
  record: RecordInput,
  timestampDelta: number,
  offsetDelta: number,
  limit = target.length,
): number {
  const { key, value, headers } = record
  if (key === undefined && value === undefined) checkParts(record)
  const keyLength = byteLength(key)
  const valueLength = byteLength(value)
  const size = bodyLength(keyLength, valueLength, headers, timestampDelta, offsetDelta)
  // Stores beyond the end of a Buffer are silently lost, so room is checked before the first of them.
  const end = at + sizeOfVarint(size) + size
  if (end > limit || end > target.length) return -end

  let position = writeVarint(target, at, size)
  target[position++] = 0
  position = writeVarlong(target, position, timestampDelta)
  position = writeVarint(target, position, offsetDelta)
  position = writeBytes(target, position, key, keyLength)
  position = writeBytes(target, position, value, valueLength)
  if (headers === undefined) target[position] = 0
  else writeHeaders(target, position, headers)
  return end
}

/** Callers without TypeScript hand in what they have. @throws VarveError `VARVE_RECORD_INVALID` */
export function checkRecords(records: readonly RecordInput[]): void {
  if (!Array.isArray(records)) throw invalid('records must be an array of { key, value } objects', records)
}

/** The record's timestamp or `now`. @throws VarveError `VARVE_RECORD_INVALID`, also for what is no object */
export function timestampOf(record: RecordInput, now: number): number {
  checkRecord(record)
  const timestamp = record.timestamp ?? now
  if (Number.isSafeInteger(timestamp) && timestamp >= -1) return timestamp
  throw invalid('a timestamp must be a whole number of milliseconds, −1 or greater', timestamp)
}

/** @throws VarveError `VARVE_RECORD_INVALID` for what is no object; its parts are looked at when it is encoded. */
export function checkRecord(record: RecordInput): void {
  if (typeof record !== 'object' || record === null) throw invalid(RECORD_RULE, record)
}

/** A record without a key and without a value has to name at least one of them: `{ Value: 'x' }` is a mistake. */
function checkParts(record: RecordInput): void {
  if (Array.isArray(record) || !('key' in record || 'value' in record)) throw invalid(RECORD_RULE, record)
}

function bodyLength(
  keyLength: number,
  valueLength: number,
  headers: HeadersInput | undefined,
  timestampDelta: number,
  offsetDelta: number,
): number {
  return (
    1 +
    sizeOfVarlong(timestampDelta) +
    sizeOfVarint(offsetDelta) +
    sizeOfVarint(keyLength) +
    (keyLength > 0 ? keyLength : 0) +
    sizeOfVarint(valueLength) +
    (valueLength > 0 ? valueLength : 0) +
    (headers === undefined ? 1 : headersLength(headers))
  )
}

function headersLength(headers: HeadersInput): number {
  let count = 0
  let total = 0
  for (const [name, value] of pairsOf(headers)) {
    const nameLength = headerNameLength(name)
    const valueLength = byteLength(value)
    total +=
      sizeOfVarint(nameLength) + nameLength + sizeOfVarint(valueLength) + (valueLength > 0 ? valueLength : 0)
    count++
  }
  return sizeOfVarint(count) + total
}

function writeHeaders(target: Buffer, at: number, headers: HeadersInput): void {
  const pairs = pairsOf(headers)
  let position = writeVarint(target, at, pairs.length)
  for (const [name, value] of pairs) {
    position = writeBytes(target, position, name, headerNameLength(name))
    position = writeBytes(target, position, value, byteLength(value))
  }
}

function pairsOf(headers: HeadersInput): ReadonlyArray<readonly [string, Bytes]> {
  if (Array.isArray(headers)) {
    // A string would come apart into its characters.
    for (const pair of headers) if (!Array.isArray(pair)) throw invalid(HEADERS_RULE, headers)
    return headers
  }
  // A Map has no properties: its headers would be lost.
  if (typeof headers === 'object' && headers !== null && !(Symbol.iterator in headers)) {
    return Object.entries(headers as Record<string, Bytes>)
  }
  throw invalid(HEADERS_RULE, headers)
}

function headerNameLength(name: unknown): number {
  if (typeof name === 'string') return utf8Length(name)
  throw invalid('a header name must be a string', name)
}

/** −1 for null and undefined, as the format has it. */
function byteLength(bytes: Bytes | undefined): number {
  if (typeof bytes === 'string') return utf8Length(bytes)
  if (bytes === null || bytes === undefined) return -1
  if (bytes instanceof Uint8Array || isUint8Array(bytes)) return (bytes as Uint8Array).length
  throw invalid('keys and values must be a string, a Uint8Array or null', bytes)
}

function utf8Length(text: string): number {
  const length = text.length
  if (length > SHORT) return Buffer.byteLength(text)
  for (let index = 0; index < length; index++) {
    if (text.charCodeAt(index) >= 0x80) return Buffer.byteLength(text)
  }
  return length
}

function writeBytes(target: Buffer, at: number, bytes: Bytes | undefined, length: number): number {
  let position = writeVarint(target, at, length)
  if (length <= 0) return position
  if (typeof bytes === 'string') {
    if (length <= SHORT && length === bytes.length) {
      for (let index = 0; index < length; index++) target[position++] = bytes.charCodeAt(index)
      return position
    }
    target.write(bytes, position, length)
  } else if (length <= SHORT) {
    for (let index = 0; index < length; index++) target[position++] = bytes![index]!
    return position
  } else {
    target.set(bytes!, position)
  }
  return position + length
}

function invalid(rule: string, value: unknown): VarveError {
  return new VarveError('VARVE_RECORD_INVALID', `Cannot encode the record: ${rule}, got ${described(value)}`)
}

/** Says what a value is without showing data that may be long or secret. */
function described(value: unknown): string {
  if (typeof value === 'number' || value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'object') return `a ${typeof value}`
  const type: unknown = value.constructor?.name
  if (typeof type === 'string' && type !== 'Object') return `a ${type}`
  const names = Object.keys(value)
  return names.length === 0 ? 'an empty object' : `an object with ${names.slice(0, 5).join(', ')}`
}
