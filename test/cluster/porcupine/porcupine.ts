import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { mustRun } from '../../support/children.js'
import { cache } from '../../support/tree.js'
import type { HistoryEvent } from '../history/event.js'

const program = join(cache, 'porcupine', 'porcupine')

/** Why there is no second opinion here, or null. */
export const porcupineMissing = existsSync(program)
  ? null
  : 'porcupine is not built; build it with: npm run setup:conformance'

/** Whether a partition was an append-only log, as far as its clients could tell. */
export interface Verdict {
  readonly partition: string
  /** `unknown` if the time was over before that was clear. */
  readonly verdict: 'ok' | 'illegal' | 'unknown'
  readonly operations: number
  readonly slices: number
  /** If it is illegal: the offsets that were looked at. */
  readonly offsets?: readonly [from: number, to: number]
  /** If it is illegal: an operation that fits nowhere. */
  readonly noPlaceOf?: string
}

export interface PorcupineOptions {
  /** For each partition. Default 10 s. */
  readonly timeoutMs?: number
  /** How many offsets are looked at together. Default 1000. */
  readonly sliceOffsets?: number
  /** Whether everybody who asks for the end of a partition must be told the newest one; default only who reads last. */
  readonly fresh?: boolean
}

/** Asks porcupine for each partition of a history. */
export async function porcupine(
  history: readonly HistoryEvent[],
  { timeoutMs = 10_000, sliceOffsets = 1000, fresh = false }: PorcupineOptions = {},
): Promise<Verdict[]> {
  const { stdout } = await mustRun(
    program,
    [`-timeout=${timeoutMs}ms`, `-slice=${sliceOffsets}`, `-fresh=${fresh}`],
    { input: history.map((event) => `${JSON.stringify(event)}\n`).join('') },
  )
  return stdout
    .toString()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Verdict)
}
