import type { ProducerRecord } from '@varve/client'
import { Failure } from './failure.js'
import { keyAndValue } from './lines.js'
import type { Setting } from './values.js'

/** What a line of input is: a value, a key and a value, or a whole record in JSON. */
export interface LineFormat {
  json?: boolean
  keySeparator?: Buffer
  partition?: number
  header?: Setting[]
}

/** Makes a record of each line. Lines are numbered from 1, for what is said about them. */
export function lineParser(format: LineFormat): (line: Buffer, number: number) => ProducerRecord {
  const { json, keySeparator, partition } = format
  const headers = format.header?.map(({ name, value }) => [name, value] as [string, string])
  if (json) {
    return (line, number) => {
      const record = recordOf(parsed(line, number), number)
      return {
        ...record,
        partition: partition ?? record.partition,
        headers: [...(headers ?? []), ...(record.headers ?? [])],
      }
    }
  }
  return (line) => ({ ...keyAndValue(line, keySeparator), partition, headers })
}

interface JsonRecord extends ProducerRecord {
  readonly headers?: Array<[string, string | Buffer | null]>
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function parsed(line: Buffer, number: number): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(line.toString())
  } catch (error) {
    throw new Failure(`line ${number} is not JSON: ${(error as Error).message}`, { cause: error })
  }
  if (isObject(value)) return value
  throw refused(number, 'it must be an object, such as {"key":"k","value":"v"}')
}

/** The form that `varve consume --json` prints; what only a record in a log has, such as its offset, says nothing here. */
function recordOf(
  { key, value, headers, timestamp, partition }: Record<string, unknown>,
  number: number,
): JsonRecord {
  if (key === undefined && value === undefined) throw refused(number, 'it has neither key nor value')
  return {
    key: bytesOf(key ?? null, 'key', number),
    value: bytesOf(value ?? null, 'value', number),
    headers: headersOf(headers, number),
    timestamp: wholeNumber(timestamp, 'timestamp', number),
    partition: wholeNumber(partition, 'partition', number),
  }
}

function headersOf(headers: unknown, number: number): Array<[string, string | Buffer | null]> | undefined {
  if (headers === undefined || headers === null) return undefined
  const pairs = isObject(headers) ? Object.entries(headers) : headers
  const isPair = (pair: unknown): pair is [string, unknown] =>
    Array.isArray(pair) && pair.length === 2 && typeof pair[0] === 'string'
  if (!Array.isArray(pairs) || !pairs.every(isPair))
    throw refused(number, 'headers must be an object, or a list of [name, value]')
  return pairs.map(([name, value]) => [name, bytesOf(value, `header ${name}`, number)])
}

function bytesOf(value: unknown, what: string, number: number): string | Buffer | null {
  if (value === null || typeof value === 'string') return value
  if (isObject(value) && typeof value['base64'] === 'string') return Buffer.from(value['base64'], 'base64')
  throw refused(number, `the ${what} must be text, null, or {"base64":"…"} for bytes`)
}

function wholeNumber(value: unknown, what: string, number: number): number | undefined {
  if (value === undefined || value === null) return undefined
  if (Number.isSafeInteger(value)) return value as number
  throw refused(number, `the ${what} must be a whole number`)
}

function refused(number: number, why: string): Failure {
  return new Failure(`line ${number} is no record: ${why}`)
}
