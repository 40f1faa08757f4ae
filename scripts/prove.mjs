/** The long runs of the suites that prove durability; `npm test` has a short one of each. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { root } from './paths.mjs'
import { tellSkipped, vitest } from './vitest.mjs'

/** Runs a command as a long run. */
const command = (name, args, env) => async (chosen) =>
  (await run(name, args, { cwd: root, env: { ...chosen, ...env } })).code === 0

/** Runs tests of vitest as their long run, those that `args` select; `-u` writes what they would compare with a file. */
const selected =
  (...args) =>
  async (chosen, update) => {
    const { passed, failed, skipped } = await vitest(update ? [...args, '-u'] : args, chosen)
    tellSkipped(skipped)
    return failed === 0 && passed + skipped.length > 0
  }

const files = (...paths) => selected('--project', 'alone', '--project', 'together', ...paths)

/** Runs tests of the engine as their long run. */
const engine = (args, env) =>
  command('cargo', ['test', '--manifest-path', join('native', 'Cargo.toml'), '-p', 'varve-log', ...args], env)

const engineTests = (...names) => engine(['--no-fail-fast', ...names.flatMap((name) => ['--test', name])])

/** The orders in which threads may run, over the engine built for it. */
const interleavings = engine(['--features', 'shuttle', '--test', 'interleavings'], {
  VARVE_INTERLEAVINGS: '200000',
})

const script = (name, ...args) => command(process.execPath, [join('scripts', name), ...args])

/** Of each what runs it, or several that run one behind the other. Each answers whether all is well. */
const suites = {
  kill: files(
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
  'power-loss': files('test/crash/power-loss.test.ts'),
  'system-calls': files('test/faults'),
  interleavings,
  model: [engineTests('model', 'keyed_model', 'producer_model'), files('packages/log/test/model.test.ts')],
  replication: script('run.mjs', 'simulate', '--seeds', '100000'),
  mutations: files('packages/replication/test/simulation/mutations.test.ts'),
  cluster: files('test/cluster/faults.test.ts'),
  faults: files(
    'packages/broker/test/metadata',
    'test/cluster/machines',
    'test/cluster/rolling-restart.test.ts',
  ),
  histories: files('test/cluster/history/check.test.ts'),
  groups: files(
    'packages/broker/test/groups/model.test.ts',
    'packages/broker/test/groups/changing-leaders.test.ts',
  ),
  clients: [
    files(
      'test/conformance/client-table.test.ts',
      'test/conformance/in-depth',
      'test/conformance/cluster-tools.test.ts',
    ),
    // Our own clients' tests with a real Kafka.
    selected('--project', 'against Kafka'),
  ],
  packages: files('test/install/packages.test.ts', 'test/conformance/node-versions.test.ts'),
  'cluster-clients': selected('--project', 'against a cluster'),
  messages: files(
    'packages/protocol/test/broken-pieces.test.ts',
    'packages/broker/test/broken-requests.test.ts',
  ),
  kafka: files('test/conformance/differential-recording.test.ts'),
  soak: files('test/soak'),
  fuzz: script('fuzz.mjs', '--seconds', String(4 * 3600)),
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
    VARVE_LONG_RUN: '1',
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
    let isWell = true
    for (const part of [suite].flat()) isWell = (await part(chosen, values.update)) && isWell
    if (!isWell) failed.push(name)
  }
  if (failed.length > 0) console.log(`\nfailed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
}
