/** `npm run bench:cluster`: installs what it measures with, measures three brokers beside three of Apache Kafka's, and writes bench/results and docs/performance-cluster.md. */
import { parseArgs } from 'node:util'
import { installForBench } from './bench-kafka.mjs'
import { etcd } from './etcd.mjs'
import { Failure } from './failure.mjs'
import { kafka, kafkaTools } from './kafka-jars.mjs'
import { kcat } from './kcat.mjs'
import { load } from './load.mjs'

const USAGE = `usage: npm run bench:cluster -- [--only NAME]… [--full] [--quick] [--profile] [--help]

Three brokers and an etcd beside three brokers of Apache Kafka, on this machine, in about ten minutes.

  --only NAME  sections and cells that have NAME in their names, such as produce or "native, 1 MB"; may be given several times
  --full       every cell, for hours; started again, it goes on where it ended
  --quick      only looks whether each works: the figures mean nothing, and are kept nowhere
  --profile    no figures: where the event loops of varve's brokers spend their time meanwhile`

const flag = /** @type {const} */ ({ type: 'boolean', default: false })

/** What each is needed for, as the benchmarks call it. */
const wanted = [
  ['native', load],
  ['varve', etcd],
  ['kafka', kafka],
  ['java', kafkaTools],
  ['librdkafka', kcat],
]

/**
 * Looks at the arguments, before anything is built for them.
 *
 * @param {readonly string[]} args
 * @returns {(() => Promise<number>) | null} measures, and resolves with the exit code; null where only the usage was wanted
 */
export function benchCluster(args) {
  const options = benchClusterOptions(args)
  if (options === null) {
    process.stdout.write(`${USAGE}\n`)
    return null
  }
  return async () => {
    if (process.platform !== 'linux') throw new Failure('it reads the CPU time of brokers from Linux')
    const missing = await installForBench(wanted, ['native', 'varve'])
    const { measureBesideKafka } = await import('../bench/kafka/run.mjs')
    const { suite } = await import('../bench/cluster/suite.mjs')
    return measureBesideKafka(suite, { ...options, missing })
  }
}

/** What the arguments ask for; null for the usage. */
export function benchClusterOptions(args) {
  let parsed
  try {
    parsed = parseArgs({
      args,
      options: {
        full: flag,
        quick: flag,
        profile: flag,
        only: { type: 'string', multiple: true, default: [] },
        help: { ...flag, short: 'h' },
      },
    })
  } catch (error) {
    throw new Failure(`${error.message}\n${USAGE}`, { exitCode: 2 })
  }
  const { help, only, ...which } = parsed.values
  return help ? null : { ...which, names: only }
}
