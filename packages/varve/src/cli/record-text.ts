import { isUtf8 } from 'node:buffer'
import type { LogRecord } from '@varve/log'
import { InvalidArgumentError } from 'commander'
import type { Output } from './output.js'

/** What may stand before a record's value, in this order. */
export const recordParts = ['timestamp', 'partition', 'offset', 'headers', 'key'] as const
export type RecordPart = (typeof recordParts)[number]

/** Some of them, with commas between them; one option may also follow another. */
export function parts(text: string, before: RecordPart[] = []): RecordPart[] {
  const named = text.split(',').map((name) => {
    const part = recordParts.find((one) => one === name.trim())
    if (part === undefined)
      throw new InvalidArgumentError(`Allowed choices are ${recordParts.join(', ')}, with commas.`)
    return part
  })
  return [...before, ...named]
}

/** How records are printed. */
export interface RecordTextOptions {
  json?: boolean
  keySeparator?: Buffer
  /** Each with a tab behind it. */
  with?: RecordPart[]
}

/** A record of a log, or of one partition among others. */
export type PrintedRecord = LogRecord & { readonly topic?: string; readonly partition?: number }

const EMPTY = Buffer.alloc(0)
const TAB = Buffer.from('\t')

/** Prints the value, behind its key where a separator is given, or one line of JSON. */
export function printRecord(record: PrintedRecord, options: RecordTextOptions, output: Output): void {
  const { json, keySeparator } = options
  if (json) {
    output.line(Buffer.from(JSON.stringify(jsonOf(record))))
    return
  }
  const { key, value } = record
  const parts: Buffer[] = []
  for (const part of recordParts) {
    if (options.with?.includes(part)) parts.push(partOf(record, part), TAB)
  }
  if (keySeparator !== undefined && key !== null) parts.push(key, keySeparator)
  output.line(...parts, value ?? EMPTY)
}

function partOf(record: PrintedRecord, part: RecordPart): Buffer {
  switch (part) {
    case 'timestamp':
      return Buffer.from(String(record.timestampBigInt))
    case 'partition':
      return Buffer.from(String(record.partition ?? ''))
    case 'offset':
      return Buffer.from(String(record.offset))
    case 'headers':
      return headersText(record.headers)
    case 'key':
      return record.key ?? EMPTY
  }
}

/** As Kafka's console consumer prints them: name:value,name:value. */
function headersText(headers: LogRecord['headers']): Buffer {
  const parts = headers.map(([name, value]) => Buffer.concat([Buffer.from(`${name}:`), value ?? EMPTY]))
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from(','), part])))
}

/** Bytes that are no text are an object, so that nothing is lost and nothing is taken for text that is none. */
function jsonOf(record: PrintedRecord): object {
  const { topic, partition, offset, timestampBigInt, key, value, headers } = record
  const time = Number(timestampBigInt)
  return {
    topic,
    partition,
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
