/** The long runs of the suites that prove durability; `npm test` has a short one of each. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { root } from './paths.mjs'

/** Runs test files of vitest as their long run. */
const vitest = (...files) => ({
  command: process.execPath,
  args: [join('node_modules', 'vitest', 'vitest.mjs'), 'run', '--project', 'all', ...files],
  update: ['-u'],
})

/** Runs test files of the engine as their long run. */
const engine = (...args) => ({
  command: 'cargo',
  args: ['test', '--manifest-path', join('native', 'Cargo.toml'), '-p', 'varve-log', ...args],
})

const engineTests = (...names) => engine('--no-fail-fast', ...names.flatMap((name) => ['--test', name]))

/** The orders in which threads may run, over the engine built for it. */
const interleavings = {
  ...engine('--features', 'shuttle', '--test', 'interleavings'),
  env: { VARVE_INTERLEAVINGS: '200000' },
}

/** Our own clients' tests with a real Kafka. */
const againstKafka = {
  command: process.execPath,
  args: [join('node_modules', 'vitest', 'vitest.mjs'), 'run', '--project', 'against Kafka'],
}

/** Of each its command, or several that run one behind the other. */
const suites = {
  kill: vitest(
    'test/crash/kill-log.test.ts',
    'test/crash/kill.test.ts',
    'test/crash/kill-idempotent.test.ts',
    'test/crash/kill-group.test.ts',
    'test/crash/kill-clients.test.ts',
  ),
  crashes: engineTests(
    'crash_enumeration',
    'compaction_crashes',
    'producer_crashes',
    'truncation',
    'descriptor_limit',
    'segment_times',
  ),
  'power-loss': vitest('test/crash/power-loss.test.ts'),
  'system-calls': vitest('test/faults'),
  interleavings,
  model: [engineTests('model', 'keyed_model', 'producer_model'), vitest('packages/log/test/model.test.ts')],
  replication: {
    command: process.execPath,
    args: [join('scripts', 'run.mjs'), 'simulate', '--seeds', '100000'],
  },
  cluster: vitest('test/cluster/faults.test.ts'),
  faults: vitest('packages/broker/test/metadata', 'test/cluster/machines'),
  histories: vitest('test/cluster/history/check.test.ts'),
  groups: vitest(
    'packages/broker/test/groups/model.test.ts',
    'packages/broker/test/groups/changing-leaders.test.ts',
  ),
  clients: [vitest('test/conformance/client-table.test.ts', 'test/conformance/in-depth'), againstKafka],
  messages: vitest(
    'packages/protocol/test/broken-pieces.test.ts',
    'packages/broker/test/broken-requests.test.ts',
  ),
  kafka: vitest('test/conformance/differential-recording.test.ts'),
  soak: vitest('test/soak'),
  fuzz: { command: process.execPath, args: [join('scripts', 'fuzz.mjs'), '--seconds', String(4 * 3600)] },
}

/**
 * Runs the long run of all suites, or of those that are named. `-u` writes what vitest's would compare with a file, `--seed` is where
 * randomness starts, and `--seconds` how long the suite takes that can take any time.
 * @returns {Promise<number>} the exit code
 */
export async function prove(args) {
  const { values, positionals: names } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      update: { type: 'boolean', short: 'u', default: false },
      seed: { type: 'string' },
      seconds: { type: 'string' },
    },
  })
  if (values.seconds !== undefined && names.join() !== 'cluster')
    throw new Failure('only the suite cluster takes --seconds')
  const chosen = {
    ...(values.seed !== undefined && { VARVE_SEED: values.seed }),
    ...(values.seconds !== undefined && { VARVE_SECONDS: values.seconds }),
  }
  const unknown = names.filter((name) => !Object.hasOwn(suites, name))
  if (unknown.length > 0) {
    throw new Failure(
      `no suite is called ${unknown.join(' or ')}; there are: ${Object.keys(suites).join(', ')}`,
    )
  }
  const failed = []
  for (const [name, suite] of Object.entries(suites)) {
    if (names.length > 0 && !names.includes(name)) continue
    console.log(`\n${name}`)
    const codes = []
    for (const { command, args, env, update = [] } of [suite].flat()) {
      const { code } = await run(command, values.update ? [...args, ...update] : args, {
        cwd: root,
        env: { VARVE_LONG_RUN: '1', ...chosen, ...env },
      })
      codes.push(code)
    }
    if (codes.some((code) => code !== 0)) failed.push(name)
  }
  if (failed.length > 0) console.log(`\nfailed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
}
