/**
 * A write that fails is known at once to who appended, and to nobody else: a follower, or a broker's waiters, would wait
 * for ever on a log that has ended, and a roll that cannot make its files would keep all appends behind it.
 */
import { expect, test } from 'vitest'
import { openLog } from '../src/index.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

// In this process the second write into a first segment, and the first opening of another log's second segment, fail.
process.env['VARVE_TEST_FAULT'] = 'write_at@00000.log:2,open@00008.log:1'

const failed = { code: 'VARVE_LOG_FAILED', cause: { code: 'EIO' } }

test('everybody who waits is told of a write that failed', async () => {
  const log = await openLog(temporaryDirectory())
  await log.append([{ value: 'a' }])
  const next = log.read({ from: 1, follow: true }).next()
  const states: string[] = []
  log.subscribe(() => states.push(log.state))
  const refused = expect(next).rejects.toMatchObject(failed)
  await expect(log.append([{ value: 'b' }])).rejects.toMatchObject(failed)
  await refused
  expect(states).toContain('failed')
  expect(log.endOffset).toBe(1)
  await expect(log.close()).rejects.toMatchObject(failed)
})

test('a roll that fails refuses what waits for it, and lets the log close', async () => {
  const log = await openLog(temporaryDirectory(), { segmentBytes: 560, durability: 'os' })
  const appends = log
    .appendBatches(Array.from({ length: 20 }, () => batchOf('a')))
    .map((append) => append.catch((error: unknown) => error))
  const closed = expect(log.close()).rejects.toMatchObject(failed)
  const results = await Promise.all(appends)
  expect(results.slice(0, 8).map((result) => (result as { baseOffset?: number }).baseOffset)).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7,
  ])
  for (const result of results.slice(8)) expect(result).toMatchObject(failed)
  await closed
})
