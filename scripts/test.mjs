/** Every test, Rust's and TypeScript's, counted together. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { cache, root } from './paths.mjs'
import { Progress } from './progress.mjs'

async function rustTests() {
  const progress = new Progress('Rust tests', 'the first time they compile for a minute')
  const { code, output } = await run(
    'cargo',
    ['test', '--manifest-path', join('native', 'Cargo.toml'), '--no-fail-fast'],
    {
      cwd: root,
      capture: true,
      env: { CARGO_TERM_COLOR: 'never', CARGO_TERM_PROGRESS_WHEN: 'never' },
      onLine(line) {
        const [, what, name] = /^\s*(Compiling|Running|Doc-tests) (?:unittests )?(\S+)/.exec(line) ?? []
        if (what !== undefined) progress.detail = `${what.toLowerCase()} ${name}`
      },
    },
  )
  const result = { passed: 0, failed: 0, skipped: [] }
  for (const line of output.split('\n')) {
    const totals = /^test result: \S+ (\d+) passed; (\d+) failed; /.exec(line)
    if (totals !== null) {
      result.passed += Number(totals[1])
      result.failed += Number(totals[2])
    }
    const ignored = /^test (.+?)(?: - should panic)? \.\.\. ignored(?:, (.*))?$/.exec(line)
    if (ignored !== null) result.skipped.push({ name: `rust: ${ignored[1]}`, reason: ignored[2] ?? '' })
  }
  // Tests that do not compile, or a test process that dies, report no failed test.
  if (code !== 0 && result.failed === 0) result.failed = 1
  if (result.failed > 0) {
    progress.fail()
    process.stderr.write(output)
  } else progress.done(`${result.passed} passed`)
  return result
}

async function typeScriptTests(args) {
  const summary = join(cache, `vitest-${process.pid}.json`)
  mkdirSync(cache, { recursive: true })
  try {
    const { code } = await run(
      process.execPath,
      [
        join('node_modules', 'vitest', 'vitest.mjs'),
        'run',
        '--reporter=default',
        '--reporter=./scripts/vitest-summary.mjs',
        ...args,
      ],
      { cwd: root, env: { VARVE_TEST_SUMMARY: summary } },
    )
    let result = { passed: 0, failed: 0, skipped: [] }
    try {
      result = JSON.parse(readFileSync(summary, 'utf8'))
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    }
    // An unhandled rejection, or vitest itself failing, fails the run without failing a test.
    if (code !== 0 && result.failed === 0) result.failed = 1
    return result
  } finally {
    rmSync(summary, { force: true })
  }
}

/**
 * Runs all tests, or with arguments only those TypeScript tests that vitest selects by them.
 * @returns {Promise<number>} the exit code
 */
export async function test(args) {
  const results = args.length > 0 ? [] : [await rustTests()]
  results.push(await typeScriptTests(args))
  const skipped = results.flatMap((result) => result.skipped)
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  const failed = results.reduce((sum, result) => sum + result.failed, 0)
  for (const { name, reason } of skipped) console.log(`skipped: ${name}${reason ? `: ${reason}` : ''}`)
  console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
  return failed === 0 && passed > 0 ? 0 : 1
}
