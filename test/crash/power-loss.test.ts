/**
 * What a process has been told is on the disk must be there after the power has failed: a missing fsync of a segment, of the
 * directory that names it, or of a checkpoint shows only then, because the page cache survives everything else. So a real file
 * system, ext4 and xfs, is shut down while a log is appended to, and mounted again.
 *
 * Only what was acknowledged before the shutdown began counts. The fdatasync that is under way meanwhile may succeed though its
 * bytes are lost, which no real power loss lives to tell: a bare loop of pwrite and fdatasync sees it as well (3 of 25
 * shutdowns on ext4, 2 of 25 on xfs, Linux 6.18).
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isLongRun, progress, seed, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { DiskImage, powerLossMissing } from './disk-image.js'
import { appendInChild, Ledger, recover } from './ledger.js'

const ROUNDS = isLongRun ? 20 : 2

for (const fileSystem of ['ext4', 'xfs'] as const) {
  test(`what was acknowledged survives a power loss on ${fileSystem}`, { timeout }, async (context) => {
    const missing = powerLossMissing(fileSystem)
    if (missing !== null) context.skip(missing)
    const image = new DiskImage(fileSystem)
    const dir = join(image.dir, 'data', 'log')
    const promised = new Ledger()
    const next = random(seed)
    for (let round = 0; round < ROUNDS; round++) {
      const options = { segmentBytes: 5000 + Math.floor(next() * 300_000) }
      const cutAfter = 1 + Math.floor(next() * 2000)
      const what = `round ${round} on ${fileSystem}, seed ${seed}`
      const lanes = 1 + Math.floor(next() * 60)
      const maxValueBytes = 1 + Math.floor(next() * 8000)
      image.mount()
      let isCut = false
      const ledger = await appendInChild(
        { dir, run: `r${round}`, lanes, maxValueBytes, options },
        (ledger) => {
          if (isCut || ledger.acknowledged.size < cutAfter) return
          isCut = true
          promised.add(ledger)
          image.cutPower()
        },
      )
      image.unmount()
      expect(isCut, what).toBe(true)
      // It noticed by itself, and refused everything that was under way.
      expect(ledger.stage, what).toBe('ended')
      expect(ledger.errors.filter((error) => error === 'append VARVE_LOG_FAILED').length, what).toBe(lanes)

      image.mount()
      await recover(dir, options, promised, what)
      image.unmount()
      progress(round, ROUNDS, `${fileSystem}, ${promised.acknowledged.size} records promised`)
    }
  })
}
