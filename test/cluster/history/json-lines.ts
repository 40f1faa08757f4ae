import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs'
import { type HistoryEvent, HistoryError } from './event.js'

type Shape = (value: unknown) => boolean

const whole: Shape = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const text: Shape = (value) => typeof value === 'string'
const flag: Shape = (value) => typeof value === 'boolean'
const oneOf =
  (...values: unknown[]): Shape =>
  (value) =>
    values.includes(value)
const orNull =
  (shape: Shape): Shape =>
  (value) =>
    value === null || shape(value)
const listOf =
  (shape: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(shape)
const tuple =
  (...shapes: Shape[]): Shape =>
  (value) =>
    Array.isArray(value) && value.length === shapes.length && shapes.every((shape, i) => shape(value[i]))
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const byPartition =
  (shape: Shape): Shape =>
  (value) =>
    isObject(value) && Object.values(value).every(shape)
/** An object with these fields and no others; those whose names end in `?` may be missing. */
const fields =
  (shapes: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    isObject(value) && wrongField(value, shapes) === null

function wrongField(
  value: Readonly<Record<string, unknown>>,
  shapes: Readonly<Record<string, Shape>>,
): string | null {
  for (const name of Object.keys(value))
    if (!(name in shapes) && !(`${name}?` in shapes)) return `${name} does not belong there`
  for (const [name, shape] of Object.entries(shapes)) {
    const field = name.replace('?', '')
    if (field in value ? !shape(value[field]) : field === name)
      return `${field} is ${JSON.stringify(value[field]) ?? 'missing'}`
  }
  return null
}

const moment = { type: text, time: whole, client: text }
const invoke = { ...moment, operation: whole, call: text }
const failed = { ...moment, operation: whole, 'error?': text }

const shapes: Readonly<Record<string, Readonly<Record<string, Shape>>>> = {
  start: {
    ...moment,
    'producer?': fields({ acks: oneOf('all', 1, 0), idempotent: flag }),
    'consumer?': fields({ 'group?': text, 'reset?': oneOf('earliest', 'latest'), 'final?': flag }),
  },
  crash: moment,
  'invoke produce': { ...invoke, partition: text, value: text },
  'invoke poll': invoke,
  'invoke commit': { ...invoke, offsets: byPartition(whole), 'generation?': whole },
  'invoke committed': invoke,
  'invoke listOffsets': invoke,
  ok: {
    ...moment,
    operation: whole,
    'offset?': whole,
    'records?': byPartition(listOf(tuple(whole, text))),
    'positions?': byPartition(whole),
    'offsets?': byPartition(orNull(whole)),
    'ends?': byPartition(tuple(whole, whole)),
  },
  fail: failed,
  info: failed,
  seek: { ...moment, partition: text, offset: orNull(whole) },
  assigned: { ...moment, positions: byPartition(orNull(whole)), 'generation?': whole },
  revoked: { ...moment, partitions: listOf(text) },
}

/** Takes a line apart. Throws a {@link HistoryError} unless it is an event. */
export function parseEvent(line: string): HistoryEvent {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new HistoryError(`not JSON: ${line.slice(0, 100)}`, { cause })
  }
  const type = isObject(value) ? String(value['type']) : ''
  const kind = isObject(value) && type === 'invoke' ? `invoke ${String(value['call'])}` : type
  const shape = Object.hasOwn(shapes, kind) ? shapes[kind] : undefined
  if (!isObject(value) || shape === undefined)
    throw new HistoryError(`no event of a history: ${line.slice(0, 100)}`)
  const wrong = wrongField(value, shape)
  if (wrong !== null) throw new HistoryError(`${wrong} in ${line.slice(0, 100)}`)
  return value as unknown as HistoryEvent
}

/**
 * Reads a history that several programs wrote, each into a file of its own, in the order of time. What a program that was
 * killed had begun to write, a last line without its end, is left out.
 */
export function readHistory(...files: readonly string[]): HistoryEvent[] {
  const events = files.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line, index) => {
        try {
          return parseEvent(line)
        } catch (cause) {
          throw new HistoryError(`${file}:${index + 1}: ${(cause as Error).message}`, { cause })
        }
      }),
  )
  return events.sort((a, b) => a.time - b.time)
}

/** Writes a history, a line at a time. A line has been handed to the system, and so survives a kill, when `write` returns. */
export class HistoryWriter {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  write(...events: readonly HistoryEvent[]): void {
    if (events.length > 0)
      appendFileSync(this.#file, events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  }

  close(): void {
    closeSync(this.#file)
  }
}
