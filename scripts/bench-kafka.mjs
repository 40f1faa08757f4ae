/** `npm run bench:kafka`: installs what it measures with, measures beside Apache Kafka, and writes bench/results and docs/performance.md. */
import { mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Failure } from './failure.mjs'
import { kafka, kafkaTools } from './kafka-jars.mjs'
import { kcat } from './kcat.mjs'
import { load } from './load.mjs'
import { cache } from './paths.mjs'
import { Progress } from './progress.mjs'

const USAGE =
  'usage: npm run bench:kafka -- [--full] [--quick] [--profile] [NAME…]; --full measures every cell and goes on where it ended, --quick only looks whether each works, --profile tells where varve spends its time'

const flag = /** @type {const} */ ({ type: 'boolean', default: false })

/** What each is needed for, as the benchmarks call it. */
const wanted = [
  ['native', load],
  ['kafka', kafka],
  ['java', kafkaTools],
  ['librdkafka', kcat],
]

/**
 * @param {readonly (readonly [string, import('./installing.mjs').Installable])[]} wanted what benchmarks call it, and what it is
 * @param {readonly string[]} needed of them; without the others there is something left to measure
 * @returns {Promise<ReadonlySet<string>>} what cannot be measured here, each of which has been told
 */
export async function installForBench(wanted, needed) {
  mkdirSync(cache, { recursive: true })
  const missing = new Set()
  for (const [what, { name, present, install }] of wanted) {
    if (await present()) continue
    const progress = new Progress(`Installing ${name}`, 'up to a minute')
    try {
      await install()
      progress.done()
    } catch (error) {
      progress.fail()
      if (!(error instanceof Failure) || needed.includes(what)) throw error
      missing.add(what)
      process.stderr.write(`${error.message}\n${what} is left out\n`)
    }
  }
  return missing
}

/** @returns {Promise<number>} the exit code */
export async function benchKafka(args) {
  let parsed
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: { full: flag, quick: flag, profile: flag },
    })
  } catch (error) {
    throw new Failure(`${error.message}\n${USAGE}`, { exitCode: 2 })
  }
  if (process.platform !== 'linux') throw new Failure('it reads the CPU time of brokers from Linux')
  const missing = await installForBench(wanted, ['native'])
  const { measureBesideKafka } = await import('../bench/kafka/run.mjs')
  const { suite } = await import('../bench/kafka/suite.mjs')
  return measureBesideKafka(suite, { ...parsed.values, names: parsed.positionals, missing })
}
