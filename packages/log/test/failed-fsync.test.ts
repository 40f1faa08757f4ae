/**
 * After a failed fsync the kernel may call pages clean that never reached the disk, and the next fsync succeeds. A log that
 * tries again has then acknowledged what a power loss takes back. It must refuse instead, keep what was durable readable,
 * and begin anew when it is opened again.
 */
import { expect, test } from 'vitest'
import { openLog, type Log } from '../src/index.js'
import { temporaryDirectory } from './temporary-directory.js'

// The third fsync of a segment in this process fails, and no other; read when the first directory is opened.
process.env['VARVE_TEST_FAULT'] = 'sync_data@.log:3'

async function valuesIn(log: Log): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of log.read()) values.push(String(value))
  return values
}

test('a failed fsync ends the log for writes and nothing else', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir)
  await log.append([{ value: 'a' }])
  await log.append([{ value: 'b' }])

  let highest = 0
  let told = 0
  log.subscribe(() => {
    highest = Math.max(highest, log.durableOffset)
    told++
  })
  const follower = log.read({ from: 2, follow: true })
  const next = follower.next().catch((error: unknown) => error)
  const covered = ['c', 'd'].map((value) => log.append([{ value }]).catch((error: unknown) => error))
  const failed = {
    code: 'VARVE_LOG_FAILED',
    message: expect.stringContaining('could not fsync'),
    cause: { code: 'EIO' },
  }
  for (const error of await Promise.all([...covered, next])) expect(error).toMatchObject(failed)
  expect(told).toBeGreaterThan(0)
  expect(highest).toBe(2)

  expect(log.state).toBe('failed')
  expect(log.failure).toMatchObject(failed)
  await expect(log.append([{ value: 'e' }])).rejects.toMatchObject(failed)
  await expect(log.flush()).rejects.toMatchObject(failed)
  expect(log.durableOffset).toBe(2)
  expect(await valuesIn(log)).toEqual(['a', 'b'])
  expect(() => log.slice({ from: 3 })).toThrow(expect.objectContaining({ code: 'VARVE_OFFSET_OUT_OF_RANGE' }))
  await expect(log.close()).rejects.toMatchObject(failed)
  expect(log.state).toBe('closed')

  // What was refused may be there or not; what was acknowledged is, and in front of it.
  await using again = await openLog(dir)
  expect(again.recovered).toMatchObject({ endOffset: again.endOffset })
  await again.append([{ value: 'f' }])
  const values = await valuesIn(again)
  expect(values.slice(0, 2)).toEqual(['a', 'b'])
  expect(values.at(-1)).toBe('f')
  expect(again.state).toBe('open')
})
