/**
 * The kernel may read or write less than it was asked to, whenever it likes, and hardly ever does. Whoever takes a short write
 * for a whole one leaves a torn batch behind it, and whoever takes a short read for the end of the file cuts what follows.
 */
import { execFileSync } from 'node:child_process'
import { realpathSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { Told } from '../crash/appending.js'
import { Ledger } from '../crash/ledger.js'
import { answers, runChild } from '../support/children.js'
import { root, temporaryDirectory } from '../support/tree.js'
import { commandOn, prepare, RECORDS, reopens, restore, scenarios } from './scenario.js'

const missing = ((): string | null => {
  if (process.platform !== 'linux') return 'a library is preloaded in this way on Linux only'
  return answers('rustc', ['--version']) ? null : 'rustc is not installed; https://rustup.rs installs it'
})()

describe.skipIf(missing !== null).each(scenarios)('$name', (scenario) => {
  const folder = realpathSync(temporaryDirectory())
  const dir = join(folder, 'log')
  const prepared = join(folder, 'prepared')
  const library = join(folder, 'short-calls.so')
  const report = join(folder, 'report')

  beforeAll(() => {
    const source = join(root, 'test', 'faults', 'short-calls.rs')
    execFileSync('rustc', ['--edition', '2024', '-O', '--crate-type', 'cdylib', '-o', library, source])
  }, 120_000)

  test('works with reads and writes of half of what was asked for', async () => {
    const before = await prepare(prepared, scenario)
    restore(dir, prepared, scenario)
    rmSync(report, { force: true })
    const env = { ...process.env, LD_PRELOAD: library, VARVE_SHORT_DIR: dir, VARVE_SHORT_REPORT: report }
    const { code, stdout, stderr } = await runChild(...commandOn(dir, scenario), { env })
    expect([code, stderr]).toEqual([0, ''])
    const told = new Told(new Ledger(scenario.policy))
    told.take(stdout.toString())
    expect(told.errors).toEqual(['follow VARVE_LOG_CLOSED'])
    expect([told.acknowledged.size, told.hasChanged]).toEqual([RECORDS, true])
    // Each write of a batch alone is several short ones.
    expect(statSync(report).size).toBeGreaterThan(100)
    await reopens(dir, scenario, [before, stdout.toString()], scenario.name)
  })
})

if (missing !== null) test('reads and writes that fall short', (context) => context.skip(missing))
