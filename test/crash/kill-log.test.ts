/**
 * A process that is killed has no last word: what it told others it had stored must be there when the next one opens the
 * log, once, at the offset that it told; and so must what it showed to a reader. What it cut off, deleted or compacted must
 * not come back, nor take along what was to stay. The page cache outlives the process, so that this holds for 'os' as for
 * 'fsync'. A log is killed again and again, while it appends, rolls, truncates, deletes, compacts, and recovers from the kill
 * before; another process keeps the acknowledgements.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Durability, LogOptions } from '@varve/log'
import { describe, expect, test } from 'vitest'
import { isLongRun, progress, seed, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { temporaryDirectory } from '../support/tree.js'
import { appendInChild, recover } from './appending.js'
import { planChanges, POLICIES, retentionOf, timestampOf } from './changes.js'
import { Ledger } from './ledger.js'

/** Over both durabilities. */
const ROUNDS = isLongRun ? 200 : 8
/** A log that has become long makes every comparison slow; then there is a new one. */
const ROUNDS_OF_A_LOG = isLongRun ? 10 : 2

async function killAgainAndAgain(durability: Durability, next: () => number): Promise<void> {
  const rounds = ROUNDS / 2
  let dir = join(temporaryDirectory(), 'log')
  let ledger = new Ledger()
  let killedInRecovery = 0
  const done = { truncated: 0, deleted: 0, retained: 0, compacted: 0 }
  const missing = { truncated: 0, deleted: 0, compacted: 0 }
  for (let round = 0; round < rounds; round++) {
    const isFirst = round % ROUNDS_OF_A_LOG === 0
    if (isFirst) {
      // Now, and not all of them at the end, which would take longer than a test file may.
      rmSync(dir, { recursive: true, force: true })
      dir = join(temporaryDirectory(), 'log')
      const nth = round / ROUNDS_OF_A_LOG + (durability === 'os' ? 1 : 0)
      ledger = new Ledger(POLICIES[nth % POLICIES.length]!)
    }
    const cleanupPolicy = ledger.policy
    const options: LogOptions = {
      durability,
      cleanupPolicy,
      segmentBytes: 2000 + Math.floor(next() * 100_000),
      minCleanableDirtyRatio: next(),
      compactionCheckMs: next() < 0.5 ? 10 : Infinity,
      retentionCheckMs: next() < 0.5 ? 10 : Infinity,
      ...retentionOf(round),
    }
    // Points of progress instead of moments: they come in every run, however busy the machine is.
    const opens = !isFirst && next() < 0.2
    const killAfter = opens ? 0 : 1 + Math.floor(next() * 1500)
    const told = await appendInChild(
      {
        dir,
        run: round,
        lanes: 1 + Math.floor(next() * 40),
        maxValueBytes: 1 + Math.floor(next() * 5000),
        changes: planChanges(next, cleanupPolicy),
        timestamp: timestampOf(round),
        options,
      },
      ledger,
      (told, child) => {
        const isDone = told.acknowledged.size >= killAfter && (!isFirst || told.hasChanged)
        if (opens ? told.stage === 'opening' : isDone) child.kill('SIGKILL')
      },
    )
    const what = `round ${round} of ${durability}, ${cleanupPolicy}, seed ${seed}`
    expect(told.errors, what).toEqual([])
    expect(told.acknowledged.size, what).toBeGreaterThanOrEqual(killAfter)
    if (told.stage === 'opening') killedInRecovery++
    for (const kind of ['truncated', 'deleted', 'retained', 'compacted'] as const)
      done[kind] += told.done[kind]
    // Most rounds go on with what the kill has left, so that recoveries are killed as well.
    const isLast = round % ROUNDS_OF_A_LOG === ROUNDS_OF_A_LOG - 1 || round === rounds - 1
    if (next() < 0.4 || isLast) await recover(dir, options, ledger, what)
    if (isLast) {
      for (const kind of ['truncated', 'deleted', 'compacted'] as const) missing[kind] += ledger.missing[kind]
    }
    progress(round, rounds, `${durability}, ${cleanupPolicy}, ${ledger.size} records promised`)
  }
  for (const count of Object.values({ ...done, ...missing })) expect(count).toBeGreaterThan(0)
  if (!isLongRun) return
  expect(killedInRecovery).toBeGreaterThan(0)
  console.log(`${durability}, seed ${seed}: done ${JSON.stringify(done)}, missing ${JSON.stringify(missing)}`)
}

describe.each(['fsync', 'os'] as const)('a log that is killed, durability %s', (durability) => {
  test('holds what it had promised, once', { timeout }, async () => {
    await killAgainAndAgain(durability, random(seed + (durability === 'os' ? 1 : 0)))
  })
})
