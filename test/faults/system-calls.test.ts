/**
 * Disks fail in the middle of anything: a read of an index, the rename of a checkpoint, the fsync after which the kernel calls
 * lost pages clean. A log that takes such a failure for an answer ("no such file", "the end") cuts or forgets what it had
 * promised; one that goes on writing behind a failed fsync promises what it does not have. So every system call that reaches
 * the log's directory is made to fail once, in its turn, in a process that opens, recovers, appends, rolls, reads, truncates,
 * deletes, compacts and closes.
 */
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { Told } from '../crash/appending.js'
import { Ledger } from '../crash/ledger.js'
import { isLongRun, progress, seed, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { straceMissing } from '../support/strace-missing.js'
import { temporaryDirectory } from '../support/tree.js'
import { DURABILITY_CALLS, powerLoss, segmentLengths } from './durable-image.js'
import { commandOn, prepare, RECORDS, reopens, restore, scenarios, type Scenario } from './scenario.js'
import { inject, survey, type Survey } from './strace.js'

/** One thread of each kind: the n-th call of a thread is the n-th of all that do the same work. */
const env = { UV_THREADPOOL_SIZE: '1', VARVE_TEST_THREADS: '1' }
const SAMPLE = 6

const FAULTS = [
  { name: 'fails with EIO', spec: (n: number) => `error=EIO:when=${n}` },
  { name: 'fails with ENOSPC', spec: (n: number) => `error=ENOSPC:when=${n}` },
  { name: 'is interrupted', spec: (n: number) => `error=EINTR:when=${n}` },
  { name: 'fails with EIO, as all that follow do', spec: (n: number) => `error=EIO:when=${n}+` },
] as const

/** What may be said of a failure, where: anything else is a crash, a misunderstanding, or a promise to nobody. */
const MAY_FAIL: Record<string, readonly string[]> = {
  open: ['VARVE_IO', 'VARVE_NOT_WRITABLE'],
  append: ['VARVE_LOG_FAILED'],
  follow: ['VARVE_LOG_FAILED', 'VARVE_LOG_CLOSED', 'VARVE_IO'],
  read: ['VARVE_IO'],
  truncate: ['VARVE_LOG_FAILED', 'VARVE_IO'],
  delete: ['VARVE_LOG_FAILED', 'VARVE_IO'],
  retain: ['VARVE_LOG_FAILED', 'VARVE_IO'],
  compact: ['VARVE_LOG_FAILED', 'VARVE_IO'],
  close: ['VARVE_LOG_FAILED', 'VARVE_IO'],
}

interface Case {
  readonly call: string
  readonly n: number
  readonly fault: (typeof FAULTS)[number]
}

/** Every call in its turn with every fault, or a sample in which each kind of call is as likely as any other. */
function casesOf({ calls }: Survey): Case[] {
  const all = [...calls].flatMap(([call, count]) =>
    Array.from({ length: count }, (_, index) =>
      FAULTS.map((fault) => ({ call, n: index + 1, fault })),
    ).flat(),
  )
  if (isLongRun) return all
  const next = random(seed)
  const names = [...calls.keys()].sort()
  return Array.from({ length: SAMPLE }, () => {
    const name = names[Math.floor(next() * names.length)]
    const ofName = all.filter(({ call }) => call === name)
    return ofName[Math.floor(next() * ofName.length)]!
  })
}

function checkWhatItSaid(stdout: string, { policy }: Scenario, what: string): void {
  const told = new Told(new Ledger(policy))
  told.take(stdout)
  expect(told.stage, what).toBe('ended')
  for (const error of told.errors) {
    const [where, code] = error.split(' ') as [string, string]
    expect(MAY_FAIL[where], `${what}: ${error}`).toContain(code)
  }
  const mayMiss = told.errors.some((error) => /^(append|open) /.test(error))
  if (!mayMiss) expect(told.acknowledged.size, what).toBe(RECORDS)
  if (told.errors.join() === 'follow VARVE_LOG_CLOSED') expect(told.hasChanged, what).toBe(true)
}

describe.skipIf(straceMissing !== null).each(scenarios)('$name', (scenario) => {
  const folder = realpathSync(temporaryDirectory())
  const dir = join(folder, 'log')
  const prepared = join(folder, 'prepared')
  const copy = join(folder, 'copy')
  const trace = join(folder, 'trace')
  const command = commandOn(dir, scenario)
  let before: string
  let surveyed: Survey

  beforeAll(async () => {
    before = await prepare(prepared, scenario)
    restore(dir, prepared, scenario)
    surveyed = await survey(dir, trace, command, env)
    expect(surveyed.calls.get('pwritev')).toBeGreaterThan(10)
    expect(surveyed.calls.get('fdatasync')).toBeGreaterThan(10)
  }, timeout)

  test('a system call that fails costs nothing that was promised', { timeout }, async () => {
    let injected = 0
    const cases = casesOf(surveyed)
    for (const [index, { call, n, fault }] of cases.entries()) {
      restore(dir, prepared, scenario)
      const what = `${call} number ${n} ${fault.name}`
      progress(index, cases.length, `${scenario.name}, ${what}`)
      const lengths = segmentLengths(dir)
      const faults = { call, fault: fault.spec(n), alsoTraced: DURABILITY_CALLS }
      const traced = await inject(surveyed.paths, trace, faults, command, env)
      if (traced.trace.includes('(INJECTED)')) injected++
      expect([traced.code, traced.signal, traced.stderr], what).toEqual([0, null, ''])
      checkWhatItSaid(traced.stdout, scenario, what)
      // What a reader was shown is what a flush had covered: it is there without what was only cached.
      powerLoss(dir, copy, lengths, traced.trace)
      const said = [before, traced.stdout]
      for (const opened of [copy, dir]) await reopens(opened, scenario, said, `${what}, ${opened}`)
    }
    // A run may make fewer calls than the one that was counted, when groups are larger.
    expect(injected).toBeGreaterThan(cases.length * 0.5)
  })
})

if (straceMissing !== null) test('system calls that fail', (context) => context.skip(straceMissing!))
