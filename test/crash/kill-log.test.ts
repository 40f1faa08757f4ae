/**
 * A process that is killed has no last word: what it told others it had stored must be there when the next one opens the
 * log, once, at the offset that it told; and so must what it showed to a reader. The page cache outlives the process, so that
 * this holds for 'os' as for 'fsync'. A log is killed again and again, while it appends, rolls, and recovers from the kill
 * before; another process keeps the acknowledgements.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Durability } from '@varve/log'
import { describe, expect, test } from 'vitest'
import { isLongRun, progress, seed, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { temporaryDirectory } from '../support/tree.js'
import { appendInChild, Ledger, recover } from './ledger.js'

/** Over both durabilities. */
const ROUNDS = isLongRun ? 200 : 8
/** A log that has become long makes every comparison slow; then there is a new one. */
const ROUNDS_OF_A_LOG = 10

async function killAgainAndAgain(durability: Durability, rounds: number, next: () => number): Promise<void> {
  let dir = join(temporaryDirectory(), 'log')
  let promised = new Ledger()
  let killedInRecovery = 0
  for (let round = 0; round < rounds; round++) {
    if (round % ROUNDS_OF_A_LOG === 0) {
      // Now, and not all of them at the end, which would take longer than a test file may.
      rmSync(dir, { recursive: true, force: true })
      dir = join(temporaryDirectory(), 'log')
      promised = new Ledger()
    }
    const options = { durability, segmentBytes: 2000 + Math.floor(next() * 100_000) }
    // Points of progress instead of moments: they come in every run, however busy the machine is.
    const opens = round % ROUNDS_OF_A_LOG > 0 && next() < 0.2
    const killAfter = opens ? 0 : 1 + Math.floor(next() * 1500)
    const ledger = await appendInChild(
      {
        dir,
        run: `r${round}`,
        lanes: 1 + Math.floor(next() * 40),
        maxValueBytes: 1 + Math.floor(next() * 5000),
        options,
      },
      (ledger, kill) => {
        if (opens ? ledger.stage === 'opening' : ledger.acknowledged.size >= killAfter) kill()
      },
    )
    const what = `round ${round} of ${durability}, seed ${seed}`
    expect(ledger.errors, what).toEqual([])
    expect(ledger.acknowledged.size, what).toBeGreaterThanOrEqual(killAfter)
    if (ledger.stage === 'opening') killedInRecovery++
    promised.add(ledger)
    // Most rounds go on with what the kill has left, so that recoveries are killed as well.
    if (next() < 0.4 || round % ROUNDS_OF_A_LOG === ROUNDS_OF_A_LOG - 1 || round === rounds - 1) {
      await recover(dir, options, promised, what)
    }
    progress(round, rounds, `${durability}, ${promised.acknowledged.size} records promised`)
  }
  if (isLongRun) expect(killedInRecovery).toBeGreaterThan(0)
}

describe.each(['fsync', 'os'] as const)('a log that is killed, durability %s', (durability) => {
  test('holds what it had promised, once', { timeout }, async () => {
    await killAgainAndAgain(durability, ROUNDS / 2, random(seed + (durability === 'os' ? 1 : 0)))
  })
})
