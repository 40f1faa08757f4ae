/**
 * A disk that hangs keeps every thread that waits for it. If those were everybody's, logs on other disks would wait too.
 */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runScript } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

/** Linux has it in memory, as a disk of its own. */
const OTHER_DISK = '/dev/shm'
const hasOtherDisk = existsSync(OTHER_DISK) && statSync(OTHER_DISK).dev !== statSync(tmpdir()).dev

test('each disk has threads of its own, which all logs on it share', async (context) => {
  if (!hasOtherDisk) context.skip(`${OTHER_DISK} is no disk of its own here`)
  const elsewhere = mkdtempSync(join(OTHER_DISK, 'varve-log-'))
  onTestFinished(() => rmSync(elsewhere, { recursive: true }))
  const dirs = [temporaryDirectory(), temporaryDirectory(), elsewhere]
  const code = `
    import { readdirSync, readFileSync } from 'node:fs'
    import { openLog } from '@varve/log'
    const threads = () =>
      readdirSync('/proc/self/task').filter((id) =>
        /^varve-\\d/.test(readFileSync('/proc/self/task/' + id + '/comm', 'utf8')),
      ).length
    for (const dir of process.argv.slice(1)) {
      const log = await openLog(dir)
      await log.append([{ value: 'x' }])
      await log.close()
    }
    // A thread has its name when it has begun.
    while (threads() < 6) await new Promise(setImmediate)
    console.log(threads())
  `
  const { stdout, stderr } = await runScript(code, dirs, { env: { VARVE_TEST_THREADS: '3' } })
  expect([stderr, stdout]).toEqual(['', '6\n'])
})
