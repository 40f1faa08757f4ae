import type { EngineLog } from './engine-log.js'
import { checkWholeNumber, invalidOption } from './whole-number.js'

/**
 * Where a reading starts: at an offset; at the log's `'start'`, whatever has been deleted by then; at its durable `'end'` as
 * it is when the reading is asked for; or at the first record at or after a time, in ms since 1970, which is the end when
 * all are older.
 */
export type ReadStart = number | 'start' | 'end' | { timestamp: number }

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function checkStart(from: ReadStart): void {
  if (Number.isSafeInteger(from) || from === 'start' || from === 'end') return
  if (typeof from === 'object' && from !== null) {
    checkWholeNumber('from.timestamp', from.timestamp, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
    return
  }
  throw invalidOption('from', from, "an offset, a whole number, 'start', 'end' or { timestamp }")
}

/** The offset, at once unless a time has to be looked up. `end` is what `'end'` stands for. */
export function startOffset(log: EngineLog, from: ReadStart, end: number): number | Promise<number> {
  if (typeof from === 'number') return from
  if (from === 'start') return log.startOffset
  if (from === 'end') return end
  return log.offsetForTime(from.timestamp).then((found) => found?.offset ?? log.durableOffset)
}
