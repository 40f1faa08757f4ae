/**
 * Two processes that append to one file overwrite each other's records, and neither notices. The second one must be turned
 * away by name, whatever way it takes to the directory, and a killed first one must not lock out its successor.
 */
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDataDirectory, openLog } from '../src/index.js'
import { runScript, startScript } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

const openAndReport = `
  import { openDataDirectory, openLog } from '@varve/log'
  const open = { log: openLog, directory: openDataDirectory }[process.argv[1]]
  await open(process.argv[2]).then(
    () => console.log('opened'),
    ({ code, message }) => console.log(code + ' ' + message),
  )
`
const openedBy = async (how: 'log' | 'directory', dir: string): Promise<string> =>
  (await runScript(openAndReport, [how, dir])).stdout.trim()

const locked = (dir: string): RegExp => new RegExp(`^VARVE_LOCKED .*${dir} .*in use by another process`)

test('a second process is refused while the first has the log, and only then', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(dir)
  expect(await openedBy('log', dir)).toMatch(locked(dir))
  await log.append([{ value: 'a' }])
  await log.close()
  expect(await openedBy('log', dir)).toBe('opened')
})

test('a second opening in the same process is refused', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  await expect(openLog(dir)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  await expect(openDataDirectory(dir)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  expect(log.state).toBe('open')
})

test('a log of a locked data directory is refused, by its path and by a link to it', async () => {
  const dir = temporaryDirectory()
  await using directory = await openDataDirectory(dir)
  await using log = await directory.openLog('orders-0')
  await log.append([{ value: 'a' }])
  const link = join(temporaryDirectory(), 'link')
  symlinkSync(log.dir, link)
  for (const path of [log.dir, link]) {
    await expect(openLog(path)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
    expect(await openedBy('log', path)).toMatch(locked(dir))
  }
  expect(await openedBy('directory', dir)).toMatch(locked(dir))
  await expect(directory.openLog('orders-0')).rejects.toMatchObject({
    code: 'VARVE_LOCKED',
    message: expect.stringContaining('open already in this process'),
  })
})

test('openLog on a log of a data directory locks all of it', async () => {
  const dir = temporaryDirectory()
  const directory = await openDataDirectory(dir)
  await (await directory.openLog('orders-0')).append([{ value: 'a' }])
  await directory.close()
  await using log = await openLog(join(dir, 'orders-0'))
  expect(log.recovered).toBeNull()
  expect(log.endOffset).toBe(1)
  await expect(openDataDirectory(dir)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
})

test('a log with a lock of its own is not opened past it', async () => {
  const dir = temporaryDirectory()
  const log = await openLog(join(dir, 'orders-0'))
  await using directory = await openDataDirectory(dir)
  await expect(directory.openLog('orders-0')).rejects.toMatchObject({
    code: 'VARVE_INVALID_OPTION',
    message: expect.stringContaining('a data directory of its own'),
  })
  await log.close()
})

test('a kill frees the lock', async () => {
  const dir = temporaryDirectory()
  const script = startScript(
    `import { openLog } from '@varve/log'
     const log = await openLog(process.argv[1])
     await log.append([{ value: 'a' }])
     console.log('appended')
     setInterval(() => {}, 1000)`,
    [dir],
  )
  await script.lines.next()
  await expect(openLog(dir)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  script.process.kill('SIGKILL')
  await script.ended
  await using log = await openLog(dir)
  expect(log.endOffset).toBe(1)
})

test.skipIf(process.getuid?.() === 0)('a directory that cannot be written is named', async () => {
  const dir = temporaryDirectory()
  mkdirSync(join(dir, 'read-only'), { mode: 0o500 })
  await expect(openLog(join(dir, 'read-only', 'log'))).rejects.toMatchObject({ code: 'VARVE_NOT_WRITABLE' })
})

test('a path that leads through a file is named with what the system says', async () => {
  await expect(openLog('/dev/null/log')).rejects.toMatchObject({
    code: 'VARVE_NOT_WRITABLE',
    message: expect.stringContaining('/dev/null/log'),
    cause: { code: 'ENOTDIR' },
  })
})
