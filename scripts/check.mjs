/** Everything about the sources that needs no running: format, lint, types, direction of imports, tidiness. */
import { join } from 'node:path'
import { run } from './child.mjs'
import { packingProblems } from './packing.mjs'
import { root } from './paths.mjs'
import { tidy } from './tidy.mjs'
import { checkRust } from './toolchain.mjs'

const node = (...args) => [process.execPath, args]
const bin = (name, file = name) => join('node_modules', name, 'bin', file)
const cargo = (command, ...args) => [
  'cargo',
  [command, '--manifest-path', join('native', 'Cargo.toml'), ...args],
]

const checks = [
  { name: 'format (TypeScript)', command: node(bin('oxfmt'), '--check'), remedy: 'npx oxfmt' },
  {
    name: 'lint (TypeScript)',
    command: node(bin('oxlint'), '--deny-warnings', '--report-unused-disable-directives'),
  },
  { name: 'types of the packages', command: node(bin('typescript', 'tsc'), '-b') },
  { name: 'types of the tests', command: node(bin('typescript', 'tsc'), '-p', 'tsconfig.test.json') },
  { name: 'types of the examples', command: node(bin('typescript', 'tsc'), '-p', 'examples') },
  {
    name: 'format (Rust)',
    command: cargo('fmt', '--all', '--check'),
    remedy: 'cargo fmt --all --manifest-path native/Cargo.toml',
  },
  // The addon without its tests: napi exports nothing to a test, so everything in it would seem unused.
  { name: 'lint (Rust)', command: cargo('clippy', '--workspace', '--quiet', '--', '-D', 'warnings') },
  { name: 'lint (Rust tests)', command: cargo('clippy', '--all-targets', '--quiet', '--', '-D', 'warnings') },
  { name: 'tidiness and direction of imports', run: tidy },
  { name: 'the packages as they are published', run: packingProblems },
]

/** @returns {Promise<number>} the exit code */
export async function check() {
  await checkRust()
  let failed = 0
  for (const { name, command, remedy, run: own } of checks) {
    const started = Date.now()
    let problems
    if (own !== undefined) problems = (await own()).join('\n')
    else {
      const { code, output } = await run(...command, { cwd: root, capture: true })
      problems = code === 0 ? '' : output.trimEnd() || `exit code ${code}`
    }
    const time = `${((Date.now() - started) / 1000).toFixed(1)} s`
    if (problems === '') console.log(`ok      ${name} (${time})`)
    else {
      failed++
      console.log(
        `FAILED  ${name} (${time})\n${problems}${remedy === undefined ? '' : `\nTo fix it: ${remedy}`}\n`,
      )
    }
  }
  console.log(failed === 0 ? 'All checks passed.' : `${failed} of ${checks.length} checks failed.`)
  return failed === 0 ? 0 : 1
}
