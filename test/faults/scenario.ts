import { cpSync, rmSync } from 'node:fs'
import { openLog, type CleanupPolicy, type LogOptions } from '@varve/log'
import { expect } from 'vitest'
import { appenderCommand, recover, Told, type Appending } from '../crash/appending.js'
import { planChanges, retentionOf, timestampOf } from '../crash/changes.js'
import { Ledger } from '../crash/ledger.js'
import { runChild } from '../support/children.js'
import { seed } from '../support/long-run.js'
import { random } from '../support/random.js'

/** What the process under test appends. */
export const BATCHES = 16
export const RECORDS = 31

export interface Scenario {
  readonly name: string
  /** What happened to the log before; null for a log that is not there yet. */
  readonly before: Appending['end'] | null
  readonly policy: CleanupPolicy
}

export const scenarios: Scenario[] = [
  { name: 'a new log', before: null, policy: 'compact,delete' },
  { name: 'a log that was closed', before: 'close', policy: 'delete' },
  { name: 'a log that lost its process', before: 'exit', policy: 'compact,delete' },
]

/** The run in which the records of {@link prepare} have expired. */
const NOW = 2

/** What the process under test works on: small segments and intervals, so that it rolls and has indexes. */
function optionsOf({ policy }: Scenario, run: number): LogOptions {
  const onlyWhenAsked = { compactionCheckMs: Infinity, retentionCheckMs: Infinity }
  return {
    segmentBytes: 1500,
    indexIntervalBytes: 300,
    cleanupPolicy: policy,
    ...onlyWhenAsked,
    ...retentionOf(run),
  }
}

/** Makes the log that the process under test finds. Returns what it said. */
export async function prepare(dir: string, scenario: Scenario): Promise<string> {
  const { before: end } = scenario
  if (end === null) return ''
  const options = optionsOf(scenario, 0)
  const { stdout, stderr } = await runChild(
    ...appenderCommand({ dir, run: 0, batches: 12, end, timestamp: timestampOf(0), options }),
  )
  expect(stderr).toBe('')
  const told = new Told(new Ledger())
  told.take(stdout.toString())
  expect(told.acknowledged.size).toBe(24)
  return stdout.toString()
}

/** The process under test: it appends, and changes the log in every way. */
export function commandOn(dir: string, scenario: Scenario): [string, string[]] {
  const changes = planChanges(random(seed), scenario.policy).map((change) => ({
    ...change,
    after: 1 + (change.after % 3),
  }))
  const [timestamp, options] = [timestampOf(NOW), optionsOf(scenario, NOW)]
  return appenderCommand({ dir, run: NOW, batches: BATCHES, changes, timestamp, options })
}

/** Puts the directory back as {@link prepare} has made it. */
export function restore(dir: string, prepared: string, { before }: Scenario): void {
  rmSync(dir, { recursive: true, force: true })
  if (before !== null) cpSync(prepared, dir, { recursive: true })
}

/** Opens what the process left, compares it with what it said, and uses it as a log that nothing is wrong with. */
export async function reopens(
  dir: string,
  scenario: Scenario,
  said: readonly string[],
  what: string,
): Promise<void> {
  const ledger = new Ledger(scenario.policy)
  for (const output of said) new Told(ledger).take(output)
  const options = optionsOf(scenario, NOW)
  const end = await recover(dir, options, ledger, what)
  const log = await openLog(dir, options)
  const { baseOffset } = await log.append([{ key: 'after', value: 'after' }])
  expect(baseOffset, what).toBe(end)
  await log.close()
  const again = await openLog(dir, options)
  expect([again.recovered, again.failure, again.endOffset], what).toEqual([null, null, end + 1])
  await again.close()
}
