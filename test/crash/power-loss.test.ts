/**
 * What a process has been told is on the disk must be there after the power has failed: a missing fsync of a segment, of the
 * directory that names it, or of a checkpoint shows only then, because the page cache survives everything else. What it was
 * told is cut off, deleted or compacted must not come back. So a real file system, ext4 and xfs, is shut down while a log is
 * appended to and changed, and mounted again.
 *
 * Only what was acknowledged before the shutdown began counts. The fdatasync that is under way meanwhile may succeed though its
 * bytes are lost, which no real power loss lives to tell: a bare loop of pwrite and fdatasync sees it as well (3 of 25
 * shutdowns on ext4, 2 of 25 on xfs, Linux 6.18).
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { LogOptions } from '@varve/log'
import { expect, test } from 'vitest'
import { isLongRun, progress, seed, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { appendInChild, recover } from './appending.js'
import { planChanges, POLICIES, retentionOf, timestampOf } from './changes.js'
import { DiskImage, powerLossMissing } from './disk-image.js'
import { Ledger } from './ledger.js'

const ROUNDS = isLongRun ? 20 : 2
/** Then there is a new one, with another policy. */
const ROUNDS_OF_A_LOG = isLongRun ? 5 : 2

for (const fileSystem of ['ext4', 'xfs'] as const) {
  test(`what was acknowledged survives a power loss on ${fileSystem}`, { timeout }, async (context) => {
    const missing = powerLossMissing(fileSystem)
    if (missing !== null) context.skip(missing)
    const image = new DiskImage(fileSystem)
    const dir = join(image.dir, 'data', 'log')
    let ledger = new Ledger()
    const next = random(seed)
    const done = { truncated: 0, deleted: 0, retained: 0, compacted: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      image.mount()
      if (round % ROUNDS_OF_A_LOG === 0) {
        rmSync(dir, { recursive: true, force: true })
        const nth = round / ROUNDS_OF_A_LOG + (fileSystem === 'xfs' ? 1 : 2)
        ledger = new Ledger(POLICIES[nth % POLICIES.length]!)
      }
      const cleanupPolicy = ledger.policy
      const options: LogOptions = {
        cleanupPolicy,
        segmentBytes: 5000 + Math.floor(next() * 300_000),
        compactionCheckMs: next() < 0.5 ? 10 : Infinity,
        retentionCheckMs: next() < 0.5 ? 10 : Infinity,
        ...retentionOf(round),
      }
      const cutAfter = 1 + Math.floor(next() * 2000)
      const what = `round ${round} on ${fileSystem}, ${cleanupPolicy}, seed ${seed}`
      const lanes = 1 + Math.floor(next() * 60)
      const isFirst = round % ROUNDS_OF_A_LOG === 0
      let isCut = false
      const told = await appendInChild(
        {
          dir,
          run: round,
          lanes,
          maxValueBytes: 1 + Math.floor(next() * 8000),
          changes: planChanges(next, cleanupPolicy),
          timestamp: timestampOf(round),
          options,
        },
        ledger,
        (told) => {
          if (isCut || told.acknowledged.size < cutAfter || (isFirst && !told.hasChanged)) return
          isCut = true
          ledger.losePower()
          image.cutPower()
        },
      )
      image.unmount()
      expect(isCut, what).toBe(true)
      // It noticed by itself, and refused everything that was under way.
      expect(told.stage, what).toBe('ended')
      expect(told.errors.filter((error) => error === 'append VARVE_LOG_FAILED').length, what).toBe(lanes)
      for (const kind of ['truncated', 'deleted', 'retained', 'compacted'] as const)
        done[kind] += told.done[kind]

      image.mount()
      await recover(dir, options, ledger, what)
      image.unmount()
      progress(round, ROUNDS, `${fileSystem}, ${cleanupPolicy}, ${ledger.size} records promised`)
    }
    for (const count of Object.values(done)) expect(count).toBeGreaterThan(0)
    if (isLongRun) console.log(`${fileSystem}, seed ${seed}: done ${JSON.stringify(done)}`)
  })
}
