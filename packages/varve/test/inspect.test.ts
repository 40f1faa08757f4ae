/**
 * Whoever runs these commands has a log that he does not trust. An inspection that says nothing of the damage, or changes
 * something by looking, is worse than none, and a repair may cost nothing but what was damaged.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDataDirectory, openLog, type LogInspection } from '@varve/log'
import { expect, onTestFinished, test } from 'vitest'

const bin = fileURLToPath(new URL('../bin/varve.mjs', import.meta.url))
const fixtures = fileURLToPath(new URL('../../../test/fixtures/kafka-4.4', import.meta.url))
const SEGMENT = '00000000000000000000.log'

function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'varve-cli-inspect-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

function varveInspect(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [bin, 'inspect', ...args], { encoding: 'utf8' })
}

const json = (stdout: string): LogInspection[] => (JSON.parse(stdout) as { logs: LogInspection[] }).logs

/** A data directory with two logs of five batches. */
async function dataDirectory(): Promise<string> {
  const dir = temporaryDirectory()
  const data = await openDataDirectory(dir)
  for (const name of ['orders-0', 'orders-1']) {
    const log = await data.openLog(name)
    for (let n = 0; n < 5; n++) await log.append([{ value: `value ${n}`, timestamp: 1000 + n }])
  }
  await data.close()
  return dir
}

/** Changes a byte of the third batch. */
function damage(dir: string): void {
  const path = join(dir, SEGMENT)
  const bytes = readFileSync(path)
  bytes[(bytes.length / 5) * 3 - 2]! ^= 0xff
  writeFileSync(path, bytes)
}

const files = (dir: string): Array<[string, string]> =>
  readdirSync(dir).map((name) => [name, readFileSync(join(dir, name), 'hex')])

test('a sound data directory', async () => {
  const dir = await dataDirectory()
  const before = [files(join(dir, 'orders-0')), files(join(dir, 'orders-1'))]
  const { status, stdout, stderr } = varveInspect(dir)
  expect([status, stderr]).toEqual([0, ''])
  expect(stdout).toContain(`${join(dir, 'orders-1')}\n  offsets 0 to 5, recovery point 5, closed cleanly\n`)
  expect(stdout).toContain('5 records in 5 batches')
  expect(stdout).toMatch(/\n2 logs, 0 problems\n$/)
  expect(varveInspect(dir, '--quiet').stdout).toBe('2 logs, 0 problems\n')
  expect(json(varveInspect(join(dir, 'orders-0'), '--json').stdout)).toEqual([
    {
      dir: join(dir, 'orders-0'),
      startOffset: 0,
      endOffset: 5,
      recoveryPoint: 5,
      clean: true,
      bytes: expect.any(Number),
      batches: 5,
      records: 5,
      segments: [
        {
          baseOffset: 0,
          endOffset: 5,
          bytes: expect.any(Number),
          batches: 5,
          records: 5,
          controlBatches: 0,
          transactionalBatches: 0,
          codecs: { none: 5, gzip: 0, snappy: 0, lz4: 0, zstd: 0, unknown: 0 },
          firstTimestamp: 1000,
          maxTimestamp: 1004,
          indexEntries: 0,
          timeIndexEntries: 1,
        },
      ],
      leaderEpochs: [{ epoch: 0, startOffset: 0 }],
      snapshots: expect.any(Array),
      cutFiles: [],
      problems: [],
      notes: [],
      repairs: [],
    },
  ])
  expect([files(join(dir, 'orders-0')), files(join(dir, 'orders-1'))]).toEqual(before)
})

test('a damaged batch is told, and repaired at the cost of its records', async () => {
  const dir = await dataDirectory()
  const damaged = join(dir, 'orders-1')
  damage(damaged)
  const { status, stdout } = varveInspect(dir)
  expect(status).toBe(1)
  expect(stdout).toMatch(/PROBLEM 0{20}\.log, byte \d+ to \d+, offset 2: its CRC-32C does not match/)
  expect(stdout).toMatch(/\n2 logs, 1 problem\n$/)
  const [inspection] = json(varveInspect(damaged, '--json').stdout)
  expect(inspection!.problems).toMatchObject([
    { kind: 'damaged-batches', repairable: true, fromOffset: 2, toOffset: 3, file: join(damaged, SEGMENT) },
  ])

  const repaired = varveInspect(dir, '--repair')
  expect([repaired.status, repaired.stderr]).toEqual([0, ''])
  expect(repaired.stdout).toContain('; its bytes are in 00000000000000000002.cut')
  expect(repaired.stdout).toMatch(/\n2 logs, 0 problems, 1 repaired\n$/)
  expect(varveInspect(dir).status).toBe(0)

  await using log = await openLog(damaged)
  expect(log).toMatchObject({ state: 'open', recovered: null, endOffset: 5 })
  const offsets: number[] = []
  for await (const { offset, value } of log.read()) {
    offsets.push(offset)
    expect(String(value)).toBe(`value ${offset}`)
  }
  expect(offsets).toEqual([0, 1, 3, 4])
  expect(await log.append([{ value: 'next' }])).toEqual({ baseOffset: 5, lastOffset: 5 })
})

test('a log in use is inspected and not repaired', async () => {
  const dir = temporaryDirectory()
  await using log = await openLog(dir)
  await log.append([{ value: 'a' }])
  expect(varveInspect(dir)).toMatchObject({ status: 0, stdout: expect.stringContaining('in use') })
  const { status, stderr } = varveInspect(dir, '--repair')
  expect([status, stderr]).toEqual([1, expect.stringMatching(/^varve: .* is in use by another process.*\n$/)])
})

test('nothing is made where no log is', () => {
  const dir = temporaryDirectory()
  expect(varveInspect(join(dir, 'missing'))).toMatchObject({ status: 1, stdout: '' })
  expect(varveInspect(dir)).toMatchObject({ status: 1, stderr: expect.stringContaining('it has no segment') })
  expect(readdirSync(dir)).toEqual([])
  expect(varveInspect()).toMatchObject({ status: 2 })
})

test('nothing is wrong with what Kafka wrote', () => {
  const dir = temporaryDirectory()
  const partitions = readdirSync(fixtures, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const { name } of partitions) cpSync(join(fixtures, name), join(dir, name), { recursive: true })
  const { status, stdout } = varveInspect(dir, '--json')
  const logs = json(stdout)
  expect(logs).toHaveLength(partitions.length)
  expect(logs.flatMap(({ problems }) => problems)).toEqual([])
  expect(status).toBe(0)
  const codecs = logs.flatMap(({ segments }) => segments).map(({ codecs }) => codecs)
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    expect(
      codecs.some((counts) => counts[codec] > 0),
      codec,
    ).toBe(true)
  }
})
