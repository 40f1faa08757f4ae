/**
 * These commands work on the files of somebody's application, perhaps while it runs. One that loses a line, creates a log where
 * there was a typing mistake, or stands in the way of the process that owns the log does harm that a broker's commands cannot.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buffer, text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { openLog, openTopic } from '@varve/log'
import { encodeBatch } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'

const bin = fileURLToPath(new URL('../bin/varve.mjs', import.meta.url))

function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'varve-cli-log-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

function start(...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [bin, 'log', ...args])
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

interface Ended {
  status: number
  stdout: string
  stderr: string
}

async function varveLog(args: string[], stdin: string | Buffer = ''): Promise<Ended> {
  const child = start(...args)
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const [stdout, stderr, [status]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number]>,
  ])
  return { status, stdout: stdout.toString('latin1'), stderr }
}

test('lines of a file come back byte for byte, and those of a second run behind them', async () => {
  const dir = temporaryDirectory()
  const log = join(dir, 'new', 'log')
  const lines = Array.from({ length: 30_000 }, (_, index) => `\xff${'x'.repeat(index % 41)}${index}\r\n\n`)
  const content = `${lines.join('')}${'y'.repeat(200_000)}\nno newline at the end`
  writeFileSync(join(dir, 'lines'), content, 'latin1')
  expect(await varveLog(['append', log, '--file', join(dir, 'lines')])).toMatchObject({
    status: 0,
    stderr: expect.stringContaining(`Appended to ${log}: 60,002 records`),
  })
  expect(await varveLog(['append', log, '--durability', 'os', '--quiet'], 'more\n')).toMatchObject({
    status: 0,
    stderr: '',
  })
  const { status, stdout } = await varveLog(['read', log])
  expect(status).toBe(0)
  expect(stdout === `${content}\nmore\n`).toBe(true)
})

test('keys are split off and printed again, from wherever and as many as asked for', async () => {
  const log = join(temporaryDirectory(), 'log')
  await varveLog(['append', log, '-k', ':'], 'a:1\nb:2\nnone\nc:3\n')
  const read = async (...args: string[]): Promise<string> => (await varveLog(['read', log, ...args])).stdout
  expect(await read('-k', '=')).toBe('a=1\nb=2\nnone\nc=3\n')
  expect(await read('--from', '1', '--count', '2')).toBe('2\nnone\n')
  expect(await read('--from', 'start', '-n', '1')).toBe('1\n')
  expect(await read('--from', 'end')).toBe('')
  expect(await read('--from', '2001-01-01T00:00:00Z')).toBe('1\n2\nnone\n3\n')
  expect(await read('--from', '2999-01-01')).toBe('')
})

test('JSON has everything, and tells bytes from text', async () => {
  const dir = temporaryDirectory()
  {
    await using log = await openLog(dir)
    const headers = { source: 'web', none: null }
    await log.append([
      { key: 'k', value: '{"a":1}', timestamp: 7, headers },
      { value: Buffer.from([0xff, 0]), timestamp: 8 },
    ])
    const odd = encodeBatch([{ value: null, timestamp: Number.MAX_SAFE_INTEGER }], { compression: 'zstd' })
    await log.appendBatches([odd])[0]
  }
  const { stdout } = await varveLog(['read', dir, '--json'])
  const records = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  expect(records).toEqual([
    {
      offset: 0,
      timestamp: 7,
      key: 'k',
      value: '{"a":1}',
      headers: [
        ['source', 'web'],
        ['none', null],
      ],
    },
    { offset: 1, timestamp: 8, key: null, value: { base64: '/wA=' }, headers: [] },
    { offset: 2, timestamp: Number.MAX_SAFE_INTEGER, key: null, value: null, headers: [] },
  ])
  const copy = join(temporaryDirectory(), 'copy')
  const lines = stdout.split('\n').slice(0, 2).join('\n')
  const appended = await varveLog(['append', copy, '--json'], lines)
  expect([appended.status, JSON.parse(appended.stdout)]).toEqual([
    0,
    { directory: copy, records: 2, bytes: lines.length - 1 },
  ])
  expect((await varveLog(['read', copy, '--json'])).stdout).toBe(`${lines}\n`)
  const refused = await varveLog(['append', copy, '--json'], '{"value":"v"}\nplain\n')
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('line 2 is not JSON') })
})

test('the line that is too large is named, and what came before it is there', async () => {
  const log = join(temporaryDirectory(), 'log')
  const content = `${'small\n'.repeat(3000)}${'x'.repeat(2 << 20)}\nnever\n`
  expect(await varveLog(['append', log], content)).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(
      /^varve: line 3001 was not appended to .*maxBatchBytes.*3,000 records acknowledged/,
    ),
  })
  expect((await varveLog(['read', log])).stdout).toBe('small\n'.repeat(3000))
})

test('reading creates nothing, and says what is wrong', async () => {
  const dir = temporaryDirectory()
  const missing = join(dir, 'missing')
  for (const command of ['read', 'tail']) {
    expect(await varveLog([command, missing])).toMatchObject({
      status: 1,
      stderr: `varve: there is no directory ${missing}\n`,
    })
    expect((await varveLog([command, dir])).stderr).toMatch(/is no log: it has no segment files/)
    expect((await varveLog([command, bin])).stderr).toMatch(/is a file/)
  }
  expect(existsSync(missing)).toBe(false)
  await (await openTopic(join(dir, 'data'), 'orders')).close()
  expect((await varveLog(['read', join(dir, 'data')])).stderr).toContain(join(dir, 'data', 'orders-0'))
})

test('a log that another process has is left to it, and read as it is', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  await log.append([{ value: 'a' }])
  const { status, stderr } = await varveLog(['append', dir], 'b\n')
  expect([status, stderr]).toEqual([1, expect.stringMatching(/^varve: .*\n$/)])
  expect(stderr).toContain(dir)
  expect(await varveLog(['read', dir])).toMatchObject({ status: 0, stdout: 'a\n' })
  await log.append([{ value: 'b' }])
  expect(log.endOffset).toBe(2)
})

test.for([
  ['read', '.', '--from', 'earliest'],
  ['read', '.', '--count', '0'],
  ['tail', '.', '--from', 'yesterday'],
  ['append', '.', '--durability', 'maybe'],
  ['append'],
])('wrong usage: varve log %j', async (args) => {
  expect(await varveLog(args)).toMatchObject({ status: 2, stdout: '' })
})

test('a file that is not there', async () => {
  const dir = temporaryDirectory()
  const file = join(dir, 'missing')
  expect(await varveLog(['append', join(dir, 'log'), '--file', file])).toMatchObject({
    status: 1,
    stderr: `varve: there is no file ${file}. Check --file\n`,
  })
})

test('follows a log while it is written and rolls, and ends well with Ctrl-C', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir, { segmentBytes: 2000, durability: 'os' })
  for (let n = 0; n < 100; n++) await log.append([{ value: `before ${n}` }])
  const tails = [start('tail', dir, '--from', '90'), start('tail', dir, '--from', 'start', '--json')].map(
    (child) => ({
      child,
      lines: createInterface(child.stdout)[Symbol.asyncIterator](),
      ended: once(child, 'exit'),
    }),
  )
  const next = async (tail: (typeof tails)[number]): Promise<string> =>
    (await tail.lines.next()).value as string
  for (let n = 90; n < 100; n++) expect(await next(tails[0]!)).toBe(`before ${n}`)
  for (let n = 0; n < 100; n++) expect(JSON.parse(await next(tails[1]!))).toMatchObject({ offset: n })
  // One batch is larger than what is read at once.
  const after = (n: number): string => `after ${n}${n === 200 ? 'x'.repeat((1 << 20) - 200) : ''}`
  // It looks ten times a second: it finds one new record, or several and a new segment behind them.
  for (let n = 100, more = 1; n < 300; n += more, more = n < 105 ? 1 : 15) {
    for (let i = n; i < n + more; i++) await log.append([{ value: after(i) }])
    for (let i = n; i < n + more; i++) expect(await next(tails[0]!)).toBe(after(i))
    if (n < 105) expect(JSON.parse(await next(tails[1]!))).toMatchObject({ offset: n, value: after(n) })
  }
  for (const { child, ended } of tails) {
    child.kill('SIGINT')
    child.stdout.resume()
    expect(await ended).toEqual([0, null])
  }
})

test('follows from the first record at or after a time, also where no segment is as late', async () => {
  const dir = temporaryDirectory()
  const day = (n: number): number => Date.UTC(2026, 0, 1 + n)
  await using log = await openLog(dir, { segmentBytes: 300, durability: 'os' })
  for (let n = 0; n < 20; n++) await log.append([{ value: `day ${n}`, timestamp: day(n) }])
  await log.append([{ value: 'late', timestamp: day(3) }])
  const from = (time: string): AsyncIterator<string> =>
    createInterface(start('tail', dir, '--from', time).stdout)[Symbol.asyncIterator]()
  const [some, none] = [from('2026-01-18T00:00:01Z'), from('2026-01-21')]
  const next = async (lines: AsyncIterator<string>): Promise<string> => (await lines.next()).value as string
  for (const value of ['day 18', 'day 19', 'late']) expect(await next(some)).toBe(value)
  // It says nothing when it has begun, so it is told until it has heard.
  let appended = 0
  const appending = setInterval(() => void log.append([{ value: `new ${appended++}`, timestamp: 7 }]), 10)
  expect(await next(none)).toMatch(/^new \d+$/)
  clearInterval(appending)
  expect(await next(some)).toBe('new 0')
})

test('from the end, only what is new is printed', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir, { durability: 'os' })
  await log.append([{ value: 'old' }])
  const child = start('tail', dir)
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  // It says nothing when it has begun, so it is told until it has heard.
  let appended = 0
  const appending = setInterval(() => void log.append([{ value: `new ${appended++}` }]), 10)
  const first = await lines.next()
  clearInterval(appending)
  expect(first.value).toMatch(/^new \d+$/)
  child.kill('SIGINT')
  expect(await once(child, 'exit')).toEqual([0, null])
})

test('damage is told, with its place', async () => {
  const dir = temporaryDirectory()
  const batch = encodeBatch([{ value: 'a' }])
  const bad = encodeBatch([{ value: 'b' }], { baseOffset: 1 })
  bad[bad.length - 2]! ^= 1
  const path = join(dir, '00000000000000000000.log')
  writeFileSync(path, Buffer.concat([batch, bad]))
  expect(await varveLog(['tail', dir, '--from', 'start'])).toMatchObject({
    status: 1,
    stderr: `varve: ${path} is damaged at byte ${batch.length}, offset 1: its CRC-32C does not match\n`,
  })
})
