/** Every test, Rust's and TypeScript's, counted together. */
import { join } from 'node:path'
import { run } from './child.mjs'
import { root } from './paths.mjs'
import { Progress } from './progress.mjs'
import { tellSkipped, vitest } from './vitest.mjs'

/** TypeScript's tests wait for seconds now and then, and should not wait longer because of Rust's, which mostly compute. */
const NICENESS = 5

const cargoTest = (args, options) =>
  run('cargo', ['test', '--manifest-path', join('native', 'Cargo.toml'), ...args], {
    cwd: root,
    capture: true,
    env: { CARGO_TERM_COLOR: 'never', CARGO_TERM_PROGRESS_WHEN: 'never' },
    ...options,
  })

/** Compiles Rust's tests. @returns {Promise<string | null>} what the compiler says if it cannot */
async function compileRustTests() {
  const progress = new Progress('Compiling the Rust tests', 'the first time for a minute')
  const { code, output } = await cargoTest(['--no-run'], {
    onLine(line) {
      const [, name] = /^\s*Compiling (\S+)/.exec(line) ?? []
      if (name !== undefined) progress.detail = name
    },
  })
  if (code === 0) progress.done()
  else progress.fail()
  return code === 0 ? null : output
}

async function rustTests() {
  const { code, output } = await cargoTest(['--no-fail-fast'], { niceness: NICENESS })
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
  // A test process that dies reports no failed test.
  if (code !== 0 && result.failed === 0) result.failed = 1
  return { ...result, output }
}

/** Rust's tests beside TypeScript's, which wait half of the time: what Rust's say would be lost among the lines of the others. */
async function allTests() {
  const broken = await compileRustTests()
  const [rust, typeScript] = await Promise.all([
    broken === null ? rustTests() : { passed: 0, failed: 1, skipped: [], output: broken },
    vitest([]),
  ])
  if (rust.failed > 0) process.stderr.write(rust.output)
  process.stderr.write(`Rust tests: ${rust.passed} passed, ${rust.failed} failed\n`)
  return [rust, typeScript]
}

/**
 * Runs all tests, or with arguments only those TypeScript tests that vitest selects by them.
 * @returns {Promise<number>} the exit code
 */
export async function test(args) {
  const results = args.length > 0 ? [await vitest(args)] : await allTests()
  tellSkipped(results.flatMap((result) => result.skipped))
  const skipped = results.reduce((sum, result) => sum + result.skipped.length, 0)
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  const failed = results.reduce((sum, result) => sum + result.failed, 0)
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  return failed === 0 && passed > 0 ? 0 : 1
}
