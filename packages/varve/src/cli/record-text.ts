import { isUtf8 } from 'node:buffer'
import type { LogRecord } from '@varve/log'
import type { Output } from './output.js'

/** How records are printed. */
export interface RecordTextOptions {
  json?: boolean
  keySeparator?: Buffer
}

const EMPTY = Buffer.alloc(0)

/** Prints the value, behind its key where a separator is given, or one line of JSON. */
export function printRecord(
  record: LogRecord,
  { json, keySeparator }: RecordTextOptions,
  output: Output,
): void {
  const { key, value } = record
  if (json) output.line(Buffer.from(JSON.stringify(jsonOf(record))))
  else if (keySeparator === undefined || key === null) output.line(value ?? EMPTY)
  else output.line(key, keySeparator, value ?? EMPTY)
}

/** Bytes that are no text are an object, so that nothing is lost and nothing is taken for text that is none. */
function jsonOf({ offset, timestampBigInt, key, value, headers }: LogRecord): object {
  const time = Number(timestampBigInt)
  return {
    offset,
    timestamp: Number.isSafeInteger(time) ? time : String(timestampBigInt),
    key: textOf(key),
    value: textOf(value),
    headers: headers.map(([name, bytes]) => [name, textOf(bytes)]),
  }
}

function textOf(bytes: Buffer | null): string | null | { base64: string } {
  if (bytes === null) return null
  return isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') }
}
