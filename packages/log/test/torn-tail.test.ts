/**
 * After a kill the last batch may be torn: it must be cut, and told of, and nothing else. A log that was closed and has lost
 * its end all the same was damaged by somebody: there nothing may be cut.
 */
import { appendFileSync, truncateSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog } from '../src/index.js'
import { startScript } from './child-script.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

const appendForEver = `
  import { openLog } from '@varve/log'
  const log = await openLog(process.argv[1], { durability: 'os' })
  for (;;) {
    const { baseOffset } = await log.append([{ value: 'x'.repeat(100) }])
    process.stdout.write(baseOffset + '\\n')
  }
`

/** Runs an appender until so many appends were acknowledged, and kills it. */
async function killedAfter(count: number, dir: string): Promise<void> {
  const script = startScript(appendForEver, [dir])
  let acknowledged = 0
  for await (const _ of script.lines) if (++acknowledged === count) script.process.kill('SIGKILL')
  expect((await script.ended).signal).toBe('SIGKILL')
}

test('a torn tail is cut and told of, and kept aside where whole batches are in it', async () => {
  const dir = temporaryDirectory()
  await killedAfter(50, dir)
  const path = join(dir, '00000000000000000000.log')
  const size = statSync(path).size
  const half = batchOf('torn').subarray(0, 40)
  appendFileSync(path, half)

  const log = await openLog(dir, { durability: 'os' })
  expect(log.recovered).toEqual({ endOffset: log.endOffset, cutBytes: half.length })
  expect(statSync(path).size).toBe(size)
  const { baseOffset } = await log.append([{ value: 'next' }])
  expect(baseOffset).toBe(log.recovered!.endOffset)
  await log.close()

  await using again = await openLog(dir)
  expect(again.recovered).toBeNull()
})

test('a log that was closed cleanly and has become shorter is corrupt: it can be read, and nothing is cut', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir)
  for (const value of ['a', 'b', 'c']) await log.append([{ value }])
  await log.close()
  const path = join(dir, '00000000000000000000.log')
  const size = statSync(path).size
  truncateSync(path, size - 10)

  const corrupt = await openLog(dir)
  expect(corrupt.state).toBe('corrupt')
  expect(corrupt.recovered).toBeNull()
  const position = (size / 3) * 2
  expect(corrupt.failure).toMatchObject({
    code: 'VARVE_LOG_CORRUPT',
    message: expect.stringMatching(new RegExp(`${path}.*byte ${position}, offset 2`)),
  })
  await expect(corrupt.append([{ value: 'd' }])).rejects.toMatchObject({ code: 'VARVE_LOG_CORRUPT' })
  const values: string[] = []
  for await (const { value } of corrupt.read()) values.push(String(value))
  expect(values).toEqual(['a', 'b'])
  await corrupt.close()
  expect(statSync(path).size).toBe(size - 10)

  // Closing it did not make it clean.
  const again = await openLog(dir)
  expect(again.state).toBe('corrupt')
  await again.close()
})
