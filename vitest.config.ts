import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'

/** What takes minutes, and has an `npm run prove:…`. */
const isLongRun = process.env['VARVE_LONG_RUN'] !== undefined

/** Our clients and a real Kafka; without one each of these tests is skipped, and says so. */
const againstKafka: TestProjectInlineConfiguration = {
  extends: true,
  test: {
    name: 'against Kafka',
    globalSetup: './packages/client/test/real-broker/kafka.ts',
    include: ['packages/client/test/real-broker/**/*.test.ts'],
  },
}

/**
 * Packages whose tests leave nothing behind in their process: their files share a few processes, because to start one for each, and
 * load vitest and the packages anew, took longer than most of them.
 */
const SHARING = ['broker', 'client', 'partitioning', 'protocol', 'records', 'replication'].map(
  (name) => `packages/${name}/test/**/*.test.ts`,
)
/** These compute for long. What is in the first project begins first, so that none of them is alone at the end. */
const SIMULATIONS = 'packages/replication/test/simulation/**/*.test.ts'

/** The command line that is tested is fresh, and no temporary file stays. */
const globalSetup = ['./test/support/fresh-bundle.ts', './test/support/leftovers.ts']

/** What only a long run tries. */
const exclude = [
  '**/node_modules/**',
  '**/dist/**',
  'packages/client/test/real-broker/only-kafka/**',
  // A real Kafka is asked by `npm run record:kafka` and `npm run prove:kafka`, foreign clients and tools whatever they can do
  // by `npm run prove:clients`: each takes minutes.
  ...(process.env['VARVE_RECORD_KAFKA'] !== undefined || isLongRun
    ? []
    : [
        'test/conformance/differential-recording.test.ts',
        'test/conformance/in-depth/**',
        'test/conformance/cluster-tools.test.ts',
      ]),
  // To pack all packages, install them and try them under each line of Node takes as much as a suite: `npm run prove:packages`.
  ...(isLongRun ? [] : ['test/install/packages.test.ts', 'test/conformance/node-versions.test.ts']),
  // What breaks an etcd of three, and what the faults of clusters are made with, `npm run prove:faults` tries.
  ...(isLongRun
    ? []
    : [
        'packages/broker/test/metadata/etcd-cluster.test.ts',
        'packages/broker/test/metadata/etcd-restarts.test.ts',
        'test/cluster/machines/**',
      ]),
]

/** What foreign clients do, before three brokers with three replicas of everything instead of one broker. */
const againstCluster: TestProjectInlineConfiguration = {
  extends: true,
  test: {
    name: 'against a cluster',
    globalSetup,
    include: [
      'test/conformance/client-table.test.ts',
      ...(isLongRun
        ? ['test/conformance/{administration,bytes}.test.ts', 'test/conformance/in-depth/**/*.test.ts']
        : []),
    ],
    env: { VARVE_CONFORMANCE_BROKERS: '3' },
  },
}

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'alone',
          globalSetup,
          include: ['packages/{log,native,varve}/test/**/*.test.ts', SIMULATIONS, 'test/**/*.test.ts'],
          exclude,
        },
      },
      {
        extends: true,
        test: {
          name: 'together',
          globalSetup,
          include: SHARING,
          exclude: [...exclude, SIMULATIONS],
          isolate: false,
        },
      },
      ...(isLongRun ? [againstKafka] : []),
      againstCluster,
      {
        // The CRC in TypeScript, which takes over where the addon does not load.
        extends: true,
        test: {
          name: 'without the addon',
          include: ['packages/records/test/**/*.test.ts'],
          exclude: ['**/native-codecs.test.ts'],
          isolate: false,
          env: { VARVE_NO_NATIVE: '1' },
        },
      },
    ],
    pool: 'forks',
    // The suites start brokers and clients of their own, which need a core as much as the tests do; but half of the time they
    // wait, for processes, disks and timeouts.
    maxWorkers: 3,
    // What a test waits for may take its time where everything else is running as well: a process that starts in a third of a
    // second has taken ten.
    testTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
    hookTimeout: 60_000,
    teardownTimeout: 5_000,
    // A test that passes on the second try hides the race it found.
    retry: 0,
    // Packages reach each other through their built files, as they will once published.
    server: { deps: { external: [/\/packages\/[^/]+\/dist\//] } },
  },
})
