#!/usr/bin/env node
/**
 * Starts a real Kafka, asks it everything that test/conformance/differential sends, and writes its answers into the fixtures; with
 * `--check` compares them instead. `npm run setup:conformance` installs Kafka.
 */
import { join } from 'node:path'
import { bootstrap } from './bootstrap.mjs'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { KAFKA, kafkaIsInstalled } from './kafka-broker.mjs'
import { root } from './paths.mjs'

try {
  await bootstrap()
  if (!kafkaIsInstalled()) throw new Failure(`Kafka ${KAFKA} is not installed: npm run setup:conformance`)
  const mode = process.argv.includes('--check') ? 'check' : 'record'
  const file = join('test', 'conformance', 'differential-recording.test.ts')
  const vitest = join('node_modules', 'vitest', 'vitest.mjs')
  const { code } = await run(process.execPath, [vitest, 'run', '--project', 'alone', file], {
    cwd: root,
    env: { VARVE_RECORD_KAFKA: mode },
  })
  process.exitCode = code
} catch (error) {
  if (!(error instanceof Failure)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = error.exitCode
}
