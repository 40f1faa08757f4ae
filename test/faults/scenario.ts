import { cpSync, rmSync } from 'node:fs'
import { openLog, type LogOptions } from '@varve/log'
import { expect } from 'vitest'
import { appenderCommand, contentOf, Ledger, missingFrom, type Appending } from '../crash/ledger.js'
import { runChild } from '../support/children.js'

/** What the process under test works on: small segments and intervals, so that it rolls and has indexes. */
export const options = { segmentBytes: 1500, indexIntervalBytes: 300 } satisfies LogOptions

/** What the process under test appends. */
export const BATCHES = 16
export const RECORDS = 31

export interface Scenario {
  readonly name: string
  /** What happened to the log before; null for a log that is not there yet. */
  readonly before: Appending['end'] | null
}

export const scenarios: Scenario[] = [
  { name: 'a new log', before: null },
  { name: 'a log that was closed', before: 'close' },
  { name: 'a log that lost its process', before: 'exit' },
]

/** Makes the log that the process under test finds. Returns what was promised of it. */
export async function prepare(dir: string, { before }: Scenario): Promise<Ledger> {
  const ledger = new Ledger()
  if (before === null) return ledger
  const { stdout, stderr } = await runChild(
    ...appenderCommand({ dir, run: 'before', batches: 12, end: before, options }),
  )
  expect(stderr).toBe('')
  ledger.take(stdout.toString())
  expect(ledger.acknowledged.size).toBe(24)
  return ledger
}

/** Puts the directory back as {@link prepare} has made it. */
export function restore(dir: string, prepared: string, { before }: Scenario): void {
  rmSync(dir, { recursive: true, force: true })
  if (before !== null) cpSync(prepared, dir, { recursive: true })
}

/** Opens what the process left, compares it with what was promised, and uses it as a log that nothing is wrong with. */
export async function reopens(dir: string, promised: readonly Ledger[], what: string): Promise<void> {
  const log = await openLog(dir, options)
  expect(log.failure, what).toBeNull()
  const content = await contentOf(log)
  for (const ledger of promised) expect(missingFrom(content, ledger), what).toEqual([])
  const { baseOffset } = await log.append([{ value: 'after|' }])
  expect(baseOffset, what).toBe(content.size)
  await log.close()
  const again = await openLog(dir, options)
  expect([again.recovered, again.failure, again.endOffset], what).toEqual([null, null, content.size + 1])
  await again.close()
}
