/**
 * The failure this guards against: a test turns a directory's clock and its logs go on by the machine's, or still delete when
 * the promise has resolved.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDataDirectory } from '../src/index.js'

const began = 1_700_000_000_000
const hour = 3_600_000

let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'varve-test-'))
})

afterEach(() => rm(dir, { recursive: true, force: true }))

test('by the clock of a directory its logs retain records and stamp them', async () => {
  await using directory = await openDataDirectory(dir, { timeMs: began, volatile: true })
  const options = { durability: 'os', retentionMs: hour } as const
  const kept = await directory.openLog('kept-0', options)
  const stamped = await directory.openLog('stamped-0', { ...options, timestampType: 'LogAppendTime' })
  await kept.append([{ value: 'old', timestamp: began }])
  await directory.turnClockTo(began + hour)
  await stamped.append([{ value: 'now', timestamp: 0 }])
  expect(await stamped.maxTimestamp()).toEqual({ offset: 0, timestamp: began + hour })
  expect(kept.startOffset).toBe(0)
  await directory.turnClockTo(began + hour + 600_000)
  expect(kept.startOffset).toBe(1)
  expect(stamped.startOffset).toBe(0)
})

test('a clock that runs with the machine is not turned', async () => {
  await using directory = await openDataDirectory(dir)
  await expect(directory.turnClockTo(began)).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  await expect(openDataDirectory(join(dir, 'other'), { timeMs: 0.5 })).rejects.toMatchObject({
    code: 'VARVE_INVALID_OPTION',
  })
})
