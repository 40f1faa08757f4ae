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

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'all',
          globalSetup: ['./test/support/fresh-bundle.ts', './test/support/leftovers.ts'],
          include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: [
            '**/node_modules/**',
            '**/dist/**',
            'packages/client/test/real-broker/only-kafka/**',
            // A real Kafka is asked by `npm run record:kafka` and `npm run prove:kafka`, foreign clients whatever they can do by
            // `npm run prove:clients`: each takes minutes.
            ...(process.env['VARVE_RECORD_KAFKA'] !== undefined || isLongRun
              ? []
              : ['test/conformance/differential-recording.test.ts', 'test/conformance/in-depth/**']),
            // What breaks an etcd of three, and what the faults of clusters are made with, `npm run prove:faults` tries.
            ...(isLongRun
              ? []
              : [
                  'packages/broker/test/metadata/etcd-cluster.test.ts',
                  'packages/broker/test/metadata/etcd-restarts.test.ts',
                  'test/cluster/machines/**',
                ]),
          ],
        },
      },
      ...(isLongRun ? [againstKafka] : []),
      {
        // The CRC in TypeScript, which takes over where the addon does not load.
        extends: true,
        test: {
          name: 'without the addon',
          include: ['packages/records/test/**/*.test.ts'],
          exclude: ['**/native-codecs.test.ts'],
          env: { VARVE_NO_NATIVE: '1' },
        },
      },
    ],
    pool: 'forks',
    // The suites start brokers and clients of their own, which need a core as much as the tests do; but half of the time they
    // wait, for processes, disks and timeouts.
    maxWorkers: 3,
    testTimeout: 20_000,
    // What a test waits for may take its time where everything else is running as well.
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 20_000,
    teardownTimeout: 5_000,
    // A test that passes on the second try hides the race it found.
    retry: 0,
    // Packages reach each other through their built files, as they will once published.
    server: { deps: { external: [/\/packages\/[^/]+\/dist\//] } },
  },
})
