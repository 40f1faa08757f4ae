#!/usr/bin/env node
/**
 * Fuzzes everything that reads bytes from elsewhere, for `--seconds N` in all (default 60). It needs a nightly Rust and
 * cargo-fuzz; where one is missing it says so in a line, which is no error. Inputs that crash are kept in
 * `native/fuzz/artifacts`; each becomes a test with a name.
 *
 * A short run tries the same inputs every time, as many of them as there is time for: what nobody has found yet must not
 * refuse a change that has nothing to do with it. A long one is random, and goes on from what earlier ones have found.
 */
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from './child.mjs'
import { seed, seedAnew, targets } from './fuzz-seeds.mjs'
import { cache, root } from './paths.mjs'
import { Progress } from './progress.mjs'

const LONGEST_INPUT = 64 << 10

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } })
const seconds = Math.ceil(Number(values.seconds) / targets.length)

const env = {
  PATH: `${join(cache, 'cargo', 'bin')}${delimiter}${process.env.PATH}`,
  // It takes longer to link the targets with it than they save in a minute.
  CARGO_PROFILE_RELEASE_LTO: 'off',
}
const quiet = { cwd: root, capture: true, env }
const cargoFuzz = (command, ...args) => [
  'cargo',
  ['+nightly', 'fuzz', command, '--fuzz-dir', join('native', 'fuzz'), '--features', 'libfuzzer', ...args],
]

async function missing() {
  if ((await run('cargo', ['+nightly', '--version'], quiet)).code !== 0) {
    return 'there is no nightly Rust here; install it with: rustup toolchain install nightly'
  }
  if ((await run('cargo-fuzz', ['--version'], quiet)).code !== 0) {
    return 'cargo-fuzz is not installed; install it with: npm run setup:conformance'
  }
  return null
}

async function build() {
  const progress = new Progress('Building the fuzz targets', 'the first time a few minutes')
  const { code, output } = await run(...cargoFuzz('build', '--debug-assertions'), quiet)
  if (code === 0) progress.done()
  else {
    progress.fail()
    process.stderr.write(output)
  }
  return code === 0
}

// Processes of its own for each target on every processor, where there is time for that to pay.
const isLong = seconds > 600

/** The folder to begin in, and how. */
function beginning(target) {
  if (isLong) return [seed(target), '--', `-fork=${availableParallelism()}`, '-ignore_crashes=0']
  const { corpus, list } = seedAnew(target)
  // Which comparisons are remembered depends on addresses, and when a folder is read again on the clock.
  return [corpus, '--', `-seed_inputs=@${list}`, '-seed=1', '-use_cmp=0', '-reload=0']
}

/** Fuzzes one. Returns whether nothing was found, and what to say of it. */
async function fuzz(target) {
  const limits = [
    `-max_total_time=${seconds}`,
    `-max_len=${LONGEST_INPUT}`,
    '-timeout=20',
    '-rss_limit_mb=4096',
  ]
  const command = cargoFuzz('run', '--debug-assertions', target, ...beginning(target), ...limits)
  const { code, output } = await run(...command, quiet)
  const runs = /Done (\d+) runs/.exec(output)?.[1]
  const end = output.split('\n').slice(-60).join('\n')
  return {
    passed: code === 0,
    said: code === 0 ? `${target}: ${runs ?? 'all'} inputs` : `${target}:\n${end}`,
  }
}

/** Fuzzes all, as many at a time as there are processors. */
async function fuzzAll() {
  const progress = new Progress(`Fuzzing each of ${targets.join(', ')} for ${seconds} s`)
  const [waiting, results] = [[...targets], []]
  const fuzzNext = async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift())
      results.push(await fuzz(target))
  }
  await Promise.all(Array.from({ length: isLong ? 1 : availableParallelism() }, fuzzNext))
  progress.done()
  for (const { said } of results) process.stderr.write(`  ${said}\n`)
  return results.map(({ passed }) => passed)
}

const reason = await missing()
if (reason !== null) console.log(`skipped: fuzzing: ${reason}`)
else {
  const results = (await build()) ? await fuzzAll() : [false]
  const passed = results.filter(Boolean).length
  console.log(`fuzzing: ${passed} passed, ${results.length - passed} failed`)
  process.exitCode = passed === results.length ? 0 : 1
}
