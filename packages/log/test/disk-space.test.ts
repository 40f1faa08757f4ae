/**
 * A disk that fills up takes the log down with it when nothing is left to delete with, and blocks that were prepared for
 * appends have been found to stay behind, or to be taken for records.
 */
import { cpSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog, VarveError, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

const MIB = 1 << 20

const logFile = (dir: string): string =>
  join(
    dir,
    readdirSync(dir).find((name) => name.endsWith('.log'))!,
  )

async function fill(log: Log, bytes: number): Promise<void> {
  for (let filled = 0; filled < bytes; filled += MIB / 2) {
    await log.append([{ value: Buffer.alloc(MIB / 2, 7) }])
  }
}

test('below the low-disk mark appends are refused, and can be tried again', async () => {
  await using log = await openLog(temporaryDirectory(), { lowDiskBytes: Number.MAX_SAFE_INTEGER })
  const refused = await log.append([{ value: 'x' }]).catch((error: unknown) => error)
  expect(VarveError.is(refused) && refused.retriable).toBe(true)
  expect(refused).toMatchObject({
    code: 'VARVE_LOW_DISK',
    message: expect.stringContaining('lowDiskBytes'),
  })
  expect([log.state, log.endOffset]).toEqual(['open', 0])
  await using other = await openLog(temporaryDirectory(), { lowDiskBytes: 1 })
  await other.append([{ value: 'x' }])
})

test('blocks are found ahead of a log that grows, and given back when it closes', async () => {
  const dir = temporaryDirectory()
  const used = (): number => statSync(logFile(dir)).blocks * 512
  {
    await using log = await openLog(dir, { preallocate: true })
    await fill(log, 4 * MIB)
    await expect.poll(used).toBeGreaterThan(statSync(logFile(dir)).size + MIB / 2)
  }
  expect(used()).toBeLessThan(statSync(logFile(dir)).size + MIB / 4)
})

test('zeros ahead of the end are no records, whatever ends the process', async () => {
  const dir = temporaryDirectory()
  const copy = temporaryDirectory()
  {
    await using log = await openLog(dir, { preallocate: 'zero' })
    await fill(log, 4 * MIB)
    expect(statSync(logFile(dir)).size).toBeGreaterThan(4 * MIB + MIB / 2)
    cpSync(dir, copy, { recursive: true })
  }
  expect(statSync(logFile(dir)).size).toBeLessThan(4 * MIB + MIB / 4)
  await using log = await openLog(copy)
  expect(log.recovered).toEqual({ endOffset: 8, cutBytes: 0 })
})
