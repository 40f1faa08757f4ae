/**
 * Looking at a log must not cost its owner anything: not the lock, not a byte of a file. And who looks must not be shown half
 * a batch, or be left waiting for what cannot come.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { openDataDirectory, openLog, type Log } from '../src/index.js'
import { runScript, startScript } from './child-script.js'
import { batchOf } from './sample-batch.js'
import { temporaryDirectory } from './temporary-directory.js'

async function valuesOf(log: Log): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of log.read()) values.push(String(value))
  return values
}

/** Every file with its content and the time of its last change. */
function files(dir: string): Array<[string, string, number]> {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => [name, join(dir, name)] as const)
    .filter(([, path]) => statSync(path).isFile())
    .map(([name, path]) => [name, readFileSync(path, 'hex'), statSync(path).mtimeMs])
}

test('a log that another process writes is read, and left as it is', async () => {
  const dir = temporaryDirectory()
  const writer = startScript(
    `import { openLog } from '@varve/log'
     const log = await openLog(process.argv[1])
     await log.append([{ value: 'a' }, { value: 'b' }])
     console.log('appended')
     process.stdin.once('data', async () => {
       await log.append([{ value: 'c' }])
       console.log('appended')
     })`,
    [dir],
  )
  await writer.lines.next()
  const before = files(dir)
  const log = await openLog(dir, { readOnly: true })
  expect(log).toMatchObject({
    state: 'readOnly',
    failure: null,
    startOffset: 0,
    endOffset: 2,
    durableOffset: 2,
  })
  expect(await valuesOf(log)).toEqual(['a', 'b'])
  expect(files(dir)).toEqual(before)

  writer.process.stdin!.write('\n')
  await writer.lines.next()
  expect(await valuesOf(log)).toEqual(['a', 'b'])
  await log.close()
  expect(log.state).toBe('closed')
  await using again = await openLog(dir, { readOnly: true })
  expect(await valuesOf(again)).toEqual(['a', 'b', 'c'])
  writer.process.kill('SIGKILL')
  await writer.ended

  const left = files(dir)
  await using afterwards = await openLog(dir, { readOnly: true })
  expect(await valuesOf(afterwards)).toEqual(['a', 'b', 'c'])
  expect(files(dir)).toEqual(left)
})

test('a partition of a data directory is read, beside the one who has the directory', async () => {
  const dir = temporaryDirectory()
  await using directory = await openDataDirectory(dir)
  const log = await directory.openLog('orders-0')
  await log.append([{ value: 'a', timestamp: 5 }])
  await using reading = await openLog(join(dir, 'orders-0'), { readOnly: true })
  expect(reading.dir).toBe(join(dir, 'orders-0'))
  expect(await valuesOf(reading)).toEqual(['a'])
  expect(await reading.offsetForTime(1)).toEqual({ offset: 0, timestamp: 5 })
})

test('whatever would change the log is refused, and so is following it', async () => {
  const dir = temporaryDirectory()
  const owner = await openLog(dir)
  await owner.append([{ value: 'a' }])
  await owner.close()
  const before = files(dir)
  const log = await openLog(dir, { readOnly: true })
  const refused = { code: 'VARVE_READ_ONLY', message: expect.stringContaining(dir) }
  await expect(log.append([{ value: 'b' }])).rejects.toMatchObject(refused)
  expect(() => log.appendSync([{ value: 'b' }])).toThrow(expect.objectContaining({ code: 'VARVE_READ_ONLY' }))
  await expect(log.appendBatches([batchOf('b')])[0]).rejects.toMatchObject(refused)
  await expect(log.appendReplicated(batchOf('b'))).rejects.toMatchObject(refused)
  await expect(log.flush()).rejects.toMatchObject(refused)
  await expect(log.deleteBefore(1)).rejects.toMatchObject(refused)
  await expect(log.applyRetention()).rejects.toMatchObject(refused)
  await expect(log.truncateTo(0)).rejects.toMatchObject(refused)
  expect(() => log.setLeaderEpoch(3)).toThrow(expect.objectContaining({ code: 'VARVE_READ_ONLY' }))
  expect(() => log.read({ follow: true })).toThrow(expect.objectContaining(refused))
  expect(() => log.readBatches({ follow: true })).toThrow(expect.objectContaining(refused))
  expect(await valuesOf(log)).toEqual(['a'])
  await log.close()
  expect(files(dir)).toEqual(before)
})

test('where there is no log none is made', async () => {
  const dir = temporaryDirectory()
  await expect(openLog(join(dir, 'missing'), { readOnly: true })).rejects.toMatchObject({
    code: 'VARVE_IO',
    cause: { code: 'ENOENT' },
  })
  mkdirSync(join(dir, 'empty'))
  await expect(openLog(join(dir, 'empty'), { readOnly: true })).rejects.toMatchObject({
    code: 'VARVE_IO',
    message: expect.stringContaining('it has no segment'),
  })
  expect(readdirSync(dir, { recursive: true })).toEqual(['empty'])
  await expect(openLog(dir, { readOnly: 'yes' as never })).rejects.toMatchObject({
    code: 'VARVE_INVALID_OPTION',
  })
})

test('a directory that cannot be written is read', async () => {
  const dir = temporaryDirectory()
  const owner = await openLog(dir)
  await owner.append([{ value: 'a' }])
  await owner.close()
  for (const name of readdirSync(dir)) chmodSync(join(dir, name), 0o444)
  chmodSync(dir, 0o555)
  // A run of all tests has a folder that only its user may enter.
  chmodSync(dirname(dir), statSync(dirname(dir)).mode | 0o011)
  // Root may write whatever the permissions say, so somebody else does the reading.
  const asNobody = process.getuid?.() === 0 ? 'process.setgid(65534); process.setuid(65534)' : ''
  const { stdout, stderr } = await runScript(
    `import { openLog } from '@varve/log'
     ${asNobody}
     const log = await openLog(process.argv[1], { readOnly: true })
     for await (const { value } of log.read()) console.log(String(value))
     await log.append([{ value: 'b' }]).catch(({ code }) => console.log(code))
     await openLog(process.argv[1]).catch(({ code }) => console.log(code))
     await log.close()`,
    [dir],
  )
  chmodSync(dir, 0o755)
  expect([stdout, stderr]).toEqual(['a\nVARVE_READ_ONLY\nVARVE_NOT_WRITABLE\n', ''])
})
